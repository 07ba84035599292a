//! Clients whose system holds small packets back (Nagle's algorithm, RFC 896) until it knows that the last one
//! has come.
//!
//! That is told together with a reply, or after 40 ms (tcp(7), TCP_QUICKACK; TCP_DELACK_MIN in Linux). Where
//! there is nothing to reply, as to SSH_MSG_KEXINIT, SSH_MSG_CHANNEL_WINDOW_ADJUST or a part of a WRITE, the
//! next packet waits for so long. OpenSSH's client does so until it is logged in, paramiko always.

use std::ops::Range;
use std::time::{Duration, Instant};

/// What comes so long after the last bytes, and nothing was sent in between, was held back.
const DELAY: Range<Duration> = Duration::from_millis(38)..Duration::from_millis(60);

/// What is known of one connection.
#[derive(Default)]
pub(super) struct HeldBack {
    /// Bytes came then, and nothing was sent since.
    heard: Option<Instant>,
    was_seen: bool,
}

impl HeldBack {
    /// Bytes have come. Is that to be told at once?
    pub(super) fn came(&mut self, now: Instant) -> bool {
        if let Some(before) = self.heard.replace(now) {
            self.was_seen |= DELAY.contains(&now.duration_since(before));
        }
        self.was_seen
    }

    /// Bytes went, and with them what there was to tell.
    pub(super) fn went(&mut self) {
        self.heard = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn once_seen_it_is_told_at_once_and_a_pause_after_a_reply_is_none_of_it() {
        let (mut held_back, mut now) = (HeldBack::default(), Instant::now());
        let mut after = |milliseconds, is_answered| {
            if is_answered {
                held_back.went();
            }
            now += Duration::from_millis(milliseconds);
            held_back.came(now)
        };
        assert!(!after(43, false));
        for (milliseconds, is_answered) in [(0, false), (10, false), (43, true), (200, false)] {
            assert!(!after(milliseconds, is_answered));
        }
        assert!(after(43, false));
        assert!(after(1, true));
    }
}
