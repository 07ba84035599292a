//! The files of a home that are no longer in use and not closed yet.

use std::sync::Mutex;
use std::time::{Duration, Instant};

use super::locks::lock;

/// Dropping it closes the file.
pub type DeferredFile = Box<dyn Send>;

/// The number of files at which they are closed.
pub(super) const MOST: usize = 16;
/// The time after which the first of them is closed.
pub const DEFERRED_AT_MOST: Duration = Duration::from_millis(20);

#[derive(Default)]
pub(super) struct DeferredFiles(pub(super) Mutex<WaitingFiles>);

#[derive(Default)]
pub(super) struct WaitingFiles {
    pub(super) files: Vec<DeferredFile>,
    /// When the first of them was added.
    pub(super) since: Option<Instant>,
    /// Somebody is about to close them; one thread waiting for a disk is enough.
    pub(super) awaited: bool,
}

impl DeferredFiles {
    /// Closes them. The caller holds the lock of names.
    pub(super) fn close(&self) {
        let mut waiting = lock(&self.0);
        waiting.since = None;
        let files = std::mem::take(&mut waiting.files);
        // Nobody waits for the list while the files are closed.
        drop(waiting);
        drop(files);
    }
}
