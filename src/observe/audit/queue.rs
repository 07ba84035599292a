//! The state that the writing thread and its callers share.

use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::event::AuditStream;
use super::floods::Floods;
use crate::io::by_account::ByAccount;

/// A write that takes this long counts as failed.
const STUCK: Duration = Duration::from_secs(5);

/// The state that the writing thread and its callers share.
pub(super) struct AuditShared {
    pub(super) born: Instant,
    pub(super) access: StreamQueue,
    pub(super) operations: StreamQueue,
    pub(super) lost_in_all: AtomicU64,
    pub(super) shares: ByAccount<WaitingBytes>,
    pub(super) floods: Mutex<Floods>,
    pub(super) folded_in_all: AtomicU64,
    /// The last write failed.
    pub(super) failing: AtomicBool,
    /// Start of the current write, in milliseconds since `born`; 0 without one.
    pub(super) writing_since: AtomicU64,
    pub(super) ending: AtomicBool,
}

/// The queue of one stream.
#[derive(Default)]
pub(super) struct StreamQueue {
    pub(super) waiting: WaitingBytes,
    /// Lost events that are not recorded in the audit log yet.
    pub(super) lost: AtomicU64,
}

/// Bytes of one stream or account that are queued and not written yet.
#[derive(Debug, Default)]
pub(super) struct WaitingBytes(AtomicUsize);

pub(super) enum AuditJob {
    Line(AuditStream, Vec<u8>, Arc<WaitingBytes>),
    /// Events were combined for the first time since the last were written.
    Folded,
    /// Everything before it is written; the thread ends.
    End,
}

impl WaitingBytes {
    /// Adds waiting bytes. Returns the sum.
    pub(super) fn add(&self, bytes: usize) -> usize {
        self.0.fetch_add(bytes, Ordering::Relaxed) + bytes
    }

    /// Removes written bytes.
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

    /// Returns the lost events of each stream that are not recorded yet.
    pub(super) fn lost(&self) -> [u64; 2] {
        AuditStream::ALL.map(|stream| self.queue(stream).lost.load(Ordering::Relaxed))
    }

    /// Subtracts lost events that are recorded now.
    pub(super) fn subtract_lost(&self, counts: [u64; 2]) {
        for (stream, count) in AuditStream::ALL.into_iter().zip(counts) {
            self.queue(stream).lost.fetch_sub(count, Ordering::Relaxed);
        }
    }

    /// Returns whether a login could not be recorded. Too many operations for the disk do not matter for
    /// it.
    pub(super) fn is_failing(&self) -> bool {
        let since = self.writing_since.load(Ordering::Relaxed);
        let is_stuck = || since > 0 && self.now().saturating_sub(since) > STUCK.as_millis() as u64;
        let has_lost = self.access.lost.load(Ordering::Relaxed) > 0;
        self.failing.load(Ordering::Relaxed) || has_lost || is_stuck()
    }

    /// Returns the milliseconds since its creation; never 0.
    pub(super) fn now(&self) -> u64 {
        u64::try_from(self.born.elapsed().as_millis())
            .unwrap_or(u64::MAX)
            .max(1)
    }
}
