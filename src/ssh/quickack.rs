//! Clients that delay small packets (Nagle's algorithm, RFC 896) until the server acknowledges the last
//! one.
//!
//! Linux sends the acknowledgement with a reply or after 40 ms (tcp(7), TCP_QUICKACK; TCP_DELACK_MIN).
//! Where no reply follows, as for SSH_MSG_KEXINIT, SSH_MSG_CHANNEL_WINDOW_ADJUST or a part of a WRITE, the
//! next packet waits that long. OpenSSH's client delays packets until the login, paramiko always.

use std::ops::Range;
use std::time::{Duration, Instant};

/// Data that arrives this long after the last, with nothing sent in between, was delayed.
const DELAY: Range<Duration> = Duration::from_millis(38)..Duration::from_millis(60);

/// The packet timing of one connection.
#[derive(Default)]
pub(super) struct QuickAck {
    /// When data arrived after which nothing was sent.
    heard: Option<Instant>,
    was_seen: bool,
}

impl QuickAck {
    /// Records received data. Returns whether to acknowledge it immediately.
    pub(super) fn received(&mut self, now: Instant) -> bool {
        if let Some(before) = self.heard.replace(now) {
            self.was_seen |= DELAY.contains(&now.duration_since(before));
        }
        self.was_seen
    }

    /// Records sent data, which carries the acknowledgement.
    pub(super) fn sent(&mut self) {
        self.heard = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn once_seen_it_is_told_at_once_and_a_pause_after_a_reply_is_none_of_it() {
        let (mut quickack, mut now) = (QuickAck::default(), Instant::now());
        let mut after = |milliseconds, is_answered| {
            if is_answered {
                quickack.sent();
            }
            now += Duration::from_millis(milliseconds);
            quickack.received(now)
        };
        assert!(!after(43, false));
        for (milliseconds, is_answered) in [(0, false), (10, false), (43, true), (200, false)] {
            assert!(!after(milliseconds, is_answered));
        }
        assert!(after(43, false));
        assert!(after(1, true));
    }
}
