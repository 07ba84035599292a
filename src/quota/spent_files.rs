//! Files of a home that are no longer in use and not closed yet.

use std::sync::Mutex;
use std::time::{Duration, Instant};

use super::locks::lock;

/// Dropping it closes the file.
pub type Spent = Box<dyn Send>;

/// It is time to close them when there are so many.
pub(super) const MOST: usize = 16;
/// Or when the first of them has waited for so long.
pub const SPENT_AT_MOST: Duration = Duration::from_millis(20);

#[derive(Default)]
pub(super) struct SpentFiles(pub(super) Mutex<WaitingFiles>);

#[derive(Default)]
pub(super) struct WaitingFiles {
    pub(super) files: Vec<Spent>,
    /// When the first of them came.
    pub(super) since: Option<Instant>,
    /// Somebody is on the way to close them: it is enough if one waits for a disk.
    pub(super) awaited: bool,
}

impl SpentFiles {
    /// Closes them. The caller holds the names.
    pub(super) fn close(&self) {
        let mut waiting = lock(&self.0);
        waiting.since = None;
        let files = std::mem::take(&mut waiting.files);
        // Nobody waits for the list as long as this may take.
        drop(waiting);
        drop(files);
    }
}
