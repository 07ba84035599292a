//! A connection before its login: limits on what a client may send, and the penalty for its address when
//! the connection ends.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};

use russh::server::Auth;
use tracing::warn;

use super::attempts::Attempts;
use crate::accounts::LoginOptions;
use crate::admission::{Offence, Ticket};
use crate::observe::audit::{Audit, Event};
use crate::values::label::Label as _;
use crate::values::time;

/// Bytes that a client may send before the login, whatever they are: key exchanges, identification.
const BYTES: u64 = 64 * 1024;
/// Bytes in addition for each attempt. A certificate with 16384-bit RSA keys takes 7 KiB and is sent twice,
/// the second time with a signature of 2 KiB.
const BYTES_OF_ATTEMPT: u64 = 32 * 1024;
/// Reads before the login, and the same number again for each attempt. russh reads a packet in two parts,
/// its length and the rest, or in more as they arrive.
const READS: u64 = 600;
const READS_OF_ATTEMPT: u64 = 100;
/// Authentication requests that the server does not answer with a refusal, such as an acceptable key or a
/// prompt, in addition to four for each attempt.
const REQUESTS: u32 = 20;
/// Wrong passwords that count as one failed login: a client prompts its user this often.
const TRIES: u32 = 3;

/// The state of a connection before its login; see the module documentation.
pub(super) struct BeforeLogin {
    ticket: Ticket,
    peer: SocketAddr,
    attempts: Attempts,
    most_attempts: usize,
    most_bytes: u64,
    most_reads: u64,
    most_requests: u32,
    bytes: AtomicU64,
    reads: AtomicU64,
    requests: AtomicU32,
    /// Wrong credentials.
    wrong: AtomicU32,
    /// Rejected keys; an agent offers several.
    in_vain: AtomicU32,
    is_late: AtomicBool,
    is_too_much: AtomicBool,
    is_logged_in: AtomicBool,
}

impl BeforeLogin {
    pub(super) fn new(ticket: Ticket, peer: SocketAddr, login: &LoginOptions) -> Self {
        let attempts = u32::try_from(login.max_attempts).unwrap_or(u32::MAX);
        Self {
            ticket,
            peer,
            attempts: Attempts::default(),
            most_attempts: login.max_attempts,
            most_bytes: BYTES + BYTES_OF_ATTEMPT * u64::from(attempts),
            most_reads: READS + READS_OF_ATTEMPT * u64::from(attempts),
            most_requests: attempts.saturating_mul(4).saturating_add(REQUESTS),
            bytes: AtomicU64::new(0),
            reads: AtomicU64::new(0),
            requests: AtomicU32::new(0),
            wrong: AtomicU32::new(0),
            in_vain: AtomicU32::new(0),
            is_late: AtomicBool::new(false),
            is_too_much: AtomicBool::new(false),
            is_logged_in: AtomicBool::new(false),
        }
    }

    /// Returns the login attempts, for the log.
    pub(super) fn attempts(&self) -> &Attempts {
        &self.attempts
    }

    /// Counts a read; returns false beyond what any login needs.
    pub(super) fn count_read(&self, length: usize) -> bool {
        let length = length as u64;
        let bytes = self.bytes.fetch_add(length, Ordering::Relaxed) + length;
        let reads = self.reads.fetch_add(1, Ordering::Relaxed) + 1;
        self.is_fine(bytes <= self.most_bytes && reads <= self.most_reads)
    }

    /// Counts an authentication request of any method.
    ///
    /// # Errors
    ///
    /// The client has sent too many.
    pub(super) fn asks(&self) -> Result<(), russh::Error> {
        let requests = self.requests.fetch_add(1, Ordering::Relaxed) + 1;
        if self.is_fine(requests <= self.most_requests) {
            Ok(())
        } else {
            Err(russh::Error::Disconnect)
        }
    }

    /// Counts the request as rejected if this answer rejects it.
    pub(super) fn answered(&self, answer: Auth) -> Auth {
        if let Auth::Reject {
            partial_success: false,
            ..
        } = answer
        {
            self.attempts.rejected();
        }
        answer
    }

    fn is_fine(&self, is_fine: bool) -> bool {
        if !is_fine {
            self.is_too_much.store(true, Ordering::Relaxed);
        }
        is_fine
    }

    /// Records that the login took too long.
    pub(super) fn late(&self) {
        self.is_late.store(true, Ordering::Relaxed);
    }

    /// Records a wrong password, or a refused key that the client has proved to own.
    pub(super) fn wrong(&self) {
        self.wrong.fetch_add(1, Ordering::Relaxed);
    }

    /// Records a rejected key.
    pub(super) fn in_vain(&self) {
        self.in_vain.fetch_add(1, Ordering::Relaxed);
    }

    /// Records a login.
    pub(super) fn logged_in(&self, is_guest: bool) {
        self.is_logged_in.store(true, Ordering::Relaxed);
        self.ticket.logged_in(is_guest);
    }

    /// Applies the penalties for a connection that ended with this error, and logs why there was no login.
    pub(super) fn settle(&self, failure: Option<&russh::Error>, audit: &Audit) {
        if !self.is_logged_in.load(Ordering::Relaxed) {
            self.log(failure);
        }
        for (offence, times) in self.offences(failure) {
            let Some(ban) = self.ticket.penalize(offence, times) else {
                continue;
            };
            let (source, reason) = (ban.source, offence.name());
            let seconds = ban.left.as_secs();
            warn!(%source, seconds, reason, "source address banned; see: landfall ban list");
            let until = i64::try_from(ban.until.as_secs()).unwrap_or(i64::MAX);
            let event = Event::Ban {
                source: &source.to_string(),
                until: time::rfc3339(until),
                seconds,
                reason,
            };
            audit.record(None, &event);
        }
    }

    fn log(&self, failure: Option<&russh::Error>) {
        let ending = if self.is_too_much.load(Ordering::Relaxed) {
            Some("the client sent too much data before a login")
        } else if self.is_late.load(Ordering::Relaxed) {
            Some("no login within login.grace_time")
        } else if self.bytes.load(Ordering::Relaxed) == 0 {
            Some("the client sent nothing")
        } else {
            None
        };
        let most = self.most_attempts;
        self.attempts.log(self.peer, ending, failure, most);
    }

    fn offences(&self, failure: Option<&russh::Error>) -> Vec<(Offence, u32)> {
        let is = |flag: &AtomicBool| flag.load(Ordering::Relaxed);
        if is(&self.is_logged_in) {
            return Vec::new();
        }
        let wrong = self.wrong.load(Ordering::Relaxed);
        let has_tried = wrong > 0 || self.in_vain.load(Ordering::Relaxed) > 0;
        let mut offences = Vec::new();
        if has_tried {
            offences.push((Offence::FailedLogin, wrong.div_ceil(TRIES).max(1)));
        }
        let other = if is(&self.is_too_much) {
            Some(Offence::Abuse)
        } else if is(&self.is_late) {
            Some(Offence::Late)
        } else {
            match failure {
                Some(russh::Error::Version) => Some(Offence::Scan),
                Some(failure) if is_abuse(failure) => Some(Offence::Abuse),
                _ => (!has_tried).then_some(Offence::NoLogin),
            }
        };
        offences.extend(other.map(|other| (other, 1)));
        offences
    }
}

/// Returns whether no well-meaning client causes this error. An old client may have no algorithm in common
/// with the server, and a network may fail.
fn is_abuse(failure: &russh::Error) -> bool {
    use russh::Error::{
        DecryptionError, Inconsistent, IndexOutOfBounds, Kex, KexInit, PacketAuth, PacketSize,
        Pending, SshEncoding, SshKey, StrictKeyExchangeViolation, Utf8,
    };
    matches!(
        failure,
        DecryptionError
            | Inconsistent
            | IndexOutOfBounds
            | Kex
            | KexInit
            | PacketAuth
            | PacketSize(_)
            | Pending
            | SshEncoding(_)
            | SshKey(_)
            | StrictKeyExchangeViolation { .. }
            | Utf8(_)
    )
}
