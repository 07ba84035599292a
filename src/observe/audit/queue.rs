//! What the thread that writes and those that hand events over know of each other.

use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::event::AuditStream;
use super::floods::Floods;
use crate::io::by_account::ByAccount;

/// A write that takes so long is one that fails.
const STUCK: Duration = Duration::from_secs(5);

/// What the writing thread and the others know of each other.
pub(super) struct AuditShared {
    pub(super) born: Instant,
    pub(super) access: StreamQueue,
    pub(super) operations: StreamQueue,
    pub(super) lost_in_all: AtomicU64,
    pub(super) shares: ByAccount<WaitingBytes>,
    pub(super) floods: Mutex<Floods>,
    pub(super) folded_in_all: AtomicU64,
    /// The last write did not succeed.
    pub(super) failing: AtomicBool,
    /// When the write that is under way began, in milliseconds since `born`; 0 if there is none.
    pub(super) writing_since: AtomicU64,
    pub(super) ending: AtomicBool,
}

/// What is on its way to one stream.
#[derive(Default)]
pub(super) struct StreamQueue {
    pub(super) waiting: WaitingBytes,
    /// Events that were not taken, and are not noted in the audit log yet.
    pub(super) lost: AtomicU64,
}

/// Bytes that were handed over, for one stream or one account, and are not written yet.
#[derive(Debug, Default)]
pub(super) struct WaitingBytes(AtomicUsize);

pub(super) enum AuditJob {
    Line(AuditStream, Vec<u8>, Arc<WaitingBytes>),
    /// Something was folded, and nothing was before.
    Folded,
    /// Everything before it is written; the thread ends.
    End,
}

impl WaitingBytes {
    /// So many bytes more wait. Gives how many do now.
    pub(super) fn add(&self, bytes: usize) -> usize {
        self.0.fetch_add(bytes, Ordering::Relaxed) + bytes
    }

    /// So many do not any more.
    pub(super) fn written(&self, bytes: usize) {
        self.0.fetch_sub(bytes, Ordering::Relaxed);
    }
}

impl AuditShared {
    pub(super) fn queue(&self, stream: AuditStream) -> &StreamQueue {
        match stream {
            AuditStream::Access => &self.access,
            AuditStream::Operations => &self.operations,
        }
    }

    pub(super) fn floods(&self) -> MutexGuard<'_, Floods> {
        self.floods.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Events of each stream that were lost, and are not noted yet.
    pub(super) fn lost(&self) -> [u64; 2] {
        AuditStream::ALL.map(|stream| self.queue(stream).lost.load(Ordering::Relaxed))
    }

    /// It is noted now that so many were lost.
    pub(super) fn admit(&self, counts: [u64; 2]) {
        for (stream, count) in AuditStream::ALL.into_iter().zip(counts) {
            self.queue(stream).lost.fetch_sub(count, Ordering::Relaxed);
        }
    }

    /// Can a login not be noted? That there are more operations than the disk takes says nothing of that.
    pub(super) fn is_failing(&self) -> bool {
        let since = self.writing_since.load(Ordering::Relaxed);
        let is_stuck = || since > 0 && self.now().saturating_sub(since) > STUCK.as_millis() as u64;
        let has_lost = self.access.lost.load(Ordering::Relaxed) > 0;
        self.failing.load(Ordering::Relaxed) || has_lost || is_stuck()
    }

    /// Milliseconds since it was made, and never 0.
    pub(super) fn now(&self) -> u64 {
        u64::try_from(self.born.elapsed().as_millis())
            .unwrap_or(u64::MAX)
            .max(1)
    }
}
