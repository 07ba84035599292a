//! Files of a home that are no longer in use and not closed yet. Many are closed together, on a thread that
//! may wait for a disk.
//!
//! A file without a name uses space until it is closed. So no file is added here while names change
//! ([`Ledger::opening_now`] is held for that), and a caller that may change names closes these files first
//! ([`Change::names`](super::ledger::Change::names) does), so that removing a last name releases its usage.

use std::sync::{Arc, RwLockReadGuard};
use std::time::Instant;

use super::deferred_files::{DEFERRED_AT_MOST, DeferredFile, MOST};
use super::ledger::Ledger;
use super::locks::lock;

impl Ledger {
    /// Keeps an unused file, which has a name, open until there is time to close it.
    pub fn close_later(&self, _opening: &RwLockReadGuard<'_, ()>, deferred: DeferredFile) {
        let mut waiting = lock(&self.deferred.0);
        waiting.files.push(deferred);
        waiting.since.get_or_insert_with(Instant::now);
    }

    /// Returns whether unused files are open.
    pub fn has_deferred(&self) -> bool {
        !lock(&self.deferred.0).files.is_empty()
    }

    /// Returns a closer if it is time to close them and nobody else is about to; the caller must use it.
    pub fn must_close_deferred(self: &Arc<Self>) -> Option<Closer> {
        let mut waiting = lock(&self.deferred.0);
        let is_late = waiting
            .since
            .is_some_and(|since| since.elapsed() >= DEFERRED_AT_MOST);
        let must = (waiting.files.len() >= MOST || is_late) && !waiting.awaited;
        must.then(|| {
            waiting.awaited = true;
            Closer(self.clone())
        })
    }

    /// Closes them, which may wait for a disk.
    pub fn close_deferred(&self) {
        if self.has_deferred() {
            let _opening = self.opening();
            self.deferred.close();
        }
    }
}

/// The obligation to close the files.
pub struct Closer(Arc<Ledger>);

impl Closer {
    /// Closes the files, which may wait for a disk.
    pub fn close(self) {
        self.0.close_deferred();
    }
}

impl Drop for Closer {
    fn drop(&mut self) {
        lock(&self.0.deferred.0).awaited = false;
    }
}
