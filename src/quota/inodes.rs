//! The inodes that are open, in whatever session: one size for all their handles.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use super::locks::lock;
use super::usage::Usage;

/// File system and inode number.
pub(super) type Inode = (u64, u64);

/// Known from the first change on; then only changes of its holder change it.
pub(super) type Size = Arc<Mutex<Option<u64>>>;

pub(super) struct OpenInode {
    pub(super) size: Size,
    pub(super) handles: usize,
    /// Has it a name left?
    pub(super) named: bool,
}

/// See the module's description.
///
/// One without a name is not found by its number any more: as soon as it is closed, the file system
/// may give that number to a new file.
#[derive(Default)]
pub(super) struct OpenInodes {
    pub(super) by_number: HashMap<Inode, u64>,
    pub(super) open: HashMap<u64, OpenInode>,
    pub(super) next: u64,
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
