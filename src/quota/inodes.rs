//! The inodes that are open, in whatever session: one size for all their handles.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard};

use super::{Ledger, Usage, lock};
use crate::error::Error;

/// File system and inode number.
type Inode = (u64, u64);

/// Known from the first change on; then only changes of its holder change it.
type Size = Arc<Mutex<Option<u64>>>;

struct Open {
    size: Size,
    handles: usize,
    /// Has it a name left?
    named: bool,
}

/// See the module's description.
///
/// One without a name is not found by its number any more: as soon as it is closed, the file system
/// may give that number to a new file.
#[derive(Default)]
pub(super) struct OpenInodes {
    by_number: HashMap<Inode, u64>,
    open: HashMap<u64, Open>,
    next: u64,
}

impl OpenInodes {
    pub(super) fn is_empty(&self) -> bool {
        self.open.is_empty()
    }

    /// What is used by those that a walk of the disk does not find.
    pub(super) fn without_names(&self) -> Usage {
        let nameless = self.open.values().filter(|open| !open.named);
        nameless
            .map(|open| Usage {
                bytes: lock(&open.size).unwrap_or_default(),
                files: 1,
            })
            .fold(Usage::default(), Usage::plus)
    }

    /// After a count the disk is asked again: the operator may have changed files by hand.
    pub(super) fn forget_sizes(&mut self) {
        for open in self.open.values_mut().filter(|open| open.named) {
            *lock(&open.size) = None;
        }
    }
}

/// An inode that is open: counted until the last of these is dropped and it has no name.
pub struct Tracked {
    ledger: Arc<Ledger>,
    inode: Inode,
    id: u64,
    size: Size,
}

/// The size of an open inode, that nobody else changes meanwhile.
pub struct HeldSize<'a>(MutexGuard<'a, Option<u64>>);

impl HeldSize<'_> {
    /// In bytes.
    pub fn get(&self) -> u64 {
        self.0.unwrap_or_default()
    }

    /// It has changed.
    pub fn set(&mut self, size: u64) {
        *self.0 = Some(size);
    }
}

impl Tracked {
    /// The device and inode.
    pub fn inode(&self) -> (u64, u64) {
        self.inode
    }

    /// Keeps the size to itself; `on_disk` tells it if it is not known yet.
    pub fn hold_size(
        &self,
        on_disk: impl FnOnce() -> Result<u64, Error>,
    ) -> Result<HeldSize<'_>, Error> {
        let mut size = lock(&self.size);
        if size.is_none() {
            *size = Some(on_disk()?);
        }
        Ok(HeldSize(size))
    }

    /// Has it a name left?
    pub fn has_name(&self) -> bool {
        let inodes = lock(&self.ledger.open);
        inodes.open.get(&self.id).is_some_and(|open| open.named)
    }

    /// Its last name is gone.
    pub fn lost_its_name(&self) {
        let mut inodes = lock(&self.ledger.open);
        if inodes.by_number.get(&self.inode) == Some(&self.id) {
            inodes.by_number.remove(&self.inode);
        }
        if let Some(open) = inodes.open.get_mut(&self.id) {
            open.named = false;
        }
    }
}

impl Drop for Tracked {
    fn drop(&mut self) {
        let mut inodes = lock(&self.ledger.open);
        let Some(open) = inodes.open.get_mut(&self.id) else {
            return;
        };
        open.handles -= 1;
        if open.handles == 0 {
            if open.named {
                inodes.by_number.remove(&self.inode);
            } else {
                let bytes = lock(&open.size).unwrap_or_default();
                self.ledger.release(Usage { bytes, files: 1 });
            }
            inodes.open.remove(&self.id);
        }
        drop(inodes);
        self.ledger.save_if_idle();
    }
}

impl Ledger {
    /// Has anybody this inode open? Whoever asks holds [`Change::names`](super::Change::names), or it
    /// may be another one when the answer is there.
    pub fn is_open(&self, inode: Inode) -> bool {
        lock(&self.open).by_number.contains_key(&inode)
    }

    /// Counts one more handle of an inode. Whoever came to it by a name still holds
    /// [`Ledger::opening`] or [`Change::names`](super::Change::names).
    pub fn track(self: &Arc<Self>, inode: Inode) -> Tracked {
        let mut inodes = lock(&self.open);
        let id = match inodes.by_number.get(&inode) {
            Some(id) => *id,
            None => {
                inodes.next += 1;
                let id = inodes.next;
                inodes.by_number.insert(inode, id);
                id
            }
        };
        let open = inodes.open.entry(id).or_insert_with(|| Open {
            size: Size::default(),
            handles: 0,
            named: true,
        });
        open.handles += 1;
        Tracked {
            size: open.size.clone(),
            ledger: self.clone(),
            inode,
            id,
        }
    }
}
