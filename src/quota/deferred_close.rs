//! Files of a home that are no longer in use and not closed yet: many are closed at once, where that may
//! wait for a disk.
//!
//! A file without a name uses what it has until it is closed. So none is put here while names change
//! (that is what [`Ledger::opening_now`] is held for), and whoever may change names has what is here closed
//! before (that is what [`Change::names`](super::ledger::Change::names) does): who takes a last name away gives
//! back what is gone.

use std::sync::{Arc, RwLockReadGuard};
use std::time::Instant;

use super::ledger::Ledger;
use super::locks::lock;
use super::spent_files::{MOST, SPENT_AT_MOST, Spent};

impl Ledger {
    /// Keeps a file that is no longer in use, and has a name, until there is time to close it.
    pub fn close_later(&self, _opening: &RwLockReadGuard<'_, ()>, spent: Spent) {
        let mut waiting = lock(&self.spent.0);
        waiting.files.push(spent);
        waiting.since.get_or_insert_with(Instant::now);
    }

    /// Are there files that are no longer in use, and open?
    pub fn has_spent(&self) -> bool {
        !lock(&self.spent.0).files.is_empty()
    }

    /// Is it time to close them, and is nobody about to do so? Who is told so does it.
    pub fn must_close_spent(self: &Arc<Self>) -> Option<Closer> {
        let mut waiting = lock(&self.spent.0);
        let is_late = waiting
            .since
            .is_some_and(|since| since.elapsed() >= SPENT_AT_MOST);
        let must = (waiting.files.len() >= MOST || is_late) && !waiting.awaited;
        must.then(|| {
            waiting.awaited = true;
            Closer(self.clone())
        })
    }

    /// Closes them, which may wait for a disk.
    pub fn close_spent(&self) {
        if self.has_spent() {
            let _opening = self.opening();
            self.spent.close();
        }
    }
}

/// Somebody on the way to close the files.
pub struct Closer(Arc<Ledger>);

impl Closer {
    /// Closes them, which may wait for a disk.
    pub fn close(self) {
        self.0.close_spent();
    }
}

impl Drop for Closer {
    fn drop(&mut self) {
        lock(&self.0.spent.0).awaited = false;
    }
}
