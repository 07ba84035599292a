//! An open inode as its handles see it.

use std::sync::{Arc, MutexGuard};

use super::inodes::{Inode, OpenInode, Size};
use super::ledger::Ledger;
use super::locks::lock;
use super::usage::Usage;
use crate::error::Error;

/// An open inode: it counts until the last of these is dropped and it has no name.
pub struct Tracked {
    ledger: Arc<Ledger>,
    inode: Inode,
    id: u64,
    size: Size,
}

/// The locked size of an open inode.
pub struct HeldSize<'a>(MutexGuard<'a, Option<u64>>);

impl HeldSize<'_> {
    /// Returns the size in bytes.
    pub fn get(&self) -> u64 {
        self.0.unwrap_or_default()
    }

    /// Sets a changed size.
    pub fn set(&mut self, size: u64) {
        *self.0 = Some(size);
    }
}

impl Tracked {
    /// Returns device and inode number.
    pub fn inode(&self) -> (u64, u64) {
        self.inode
    }

    /// Locks the size; `on_disk` returns it if it is not known yet.
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

    /// Returns whether it has a name.
    pub fn has_name(&self) -> bool {
        let inodes = lock(&self.ledger.open);
        inodes.open.get(&self.id).is_some_and(|open| open.named)
    }

    /// Records that its last name is removed.
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
    /// Returns whether anybody has this inode open. The caller holds
    /// [`Change::names`](super::ledger::Change::names); otherwise the answer may concern a newer inode.
    pub fn is_open(&self, inode: Inode) -> bool {
        lock(&self.open).by_number.contains_key(&inode)
    }

    /// Counts one more handle of an inode. A caller that has opened it by name still holds
    /// [`Ledger::opening`] or [`Change::names`](super::ledger::Change::names).
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
        let open = inodes.open.entry(id).or_insert_with(|| OpenInode {
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
