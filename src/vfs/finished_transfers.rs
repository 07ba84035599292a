//! Finished transfers whose hash the audit log requires.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::hashing::Hashing;
use super::open_file::OpenFile;
use crate::observe::audit::TransferEvent;
use crate::observe::outcome::TransferResult;

/// The transfers of one file.
#[derive(Default)]
pub(super) struct FinishedTransfers {
    pub(super) upload: Option<TransferEvent<'static>>,
    pub(super) download: Option<TransferEvent<'static>>,
}

impl FinishedTransfers {
    /// Returns those that transferred all bytes.
    pub(super) fn complete(&mut self) -> impl Iterator<Item = &mut TransferEvent<'static>> {
        let both = [&mut self.upload, &mut self.download].into_iter().flatten();
        both.filter(|moved| moved.result == TransferResult::Complete)
    }
}

/// The transfers of a session that remain to be recorded.
#[derive(Default)]
pub(super) struct Unrecorded(Mutex<VecDeque<Transferred>>);

pub(super) struct Transferred {
    pub(super) file: OpenFile,
    pub(super) hashing: Hashing,
    pub(super) finished: FinishedTransfers,
}

impl Unrecorded {
    pub(super) fn lock(&self) -> MutexGuard<'_, VecDeque<Transferred>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
