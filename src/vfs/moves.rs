//! Transfers that have ended and whose hash the audit trail wants.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::hashing::Hashing;
use super::open_file::OpenFile;
use crate::observe::audit::Moved;
use crate::observe::outcome::TransferResult;

/// What was moved of one file.
#[derive(Default)]
pub(super) struct Moves {
    pub(super) upload: Option<Moved<'static>>,
    pub(super) download: Option<Moved<'static>>,
}

impl Moves {
    /// Those of which all bytes were moved.
    pub(super) fn complete(&mut self) -> impl Iterator<Item = &mut Moved<'static>> {
        let both = [&mut self.upload, &mut self.download].into_iter().flatten();
        both.filter(|moved| moved.result == TransferResult::Complete)
    }
}

/// The transfers of a session that are still to be recorded.
#[derive(Default)]
pub(super) struct Unrecorded(Mutex<VecDeque<Transferred>>);

pub(super) struct Transferred {
    pub(super) file: OpenFile,
    pub(super) hashing: Hashing,
    pub(super) moves: Moves,
}

impl Unrecorded {
    pub(super) fn lock(&self) -> MutexGuard<'_, VecDeque<Transferred>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
