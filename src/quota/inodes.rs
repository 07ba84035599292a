//! The open inodes of all sessions: one size for all handles of an inode.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use super::locks::lock;
use super::usage::Usage;

/// File system and inode number.
pub(super) type Inode = (u64, u64);

/// Known after the first change; then only changes by its holder alter it.
pub(super) type Size = Arc<Mutex<Option<u64>>>;

pub(super) struct OpenInode {
    pub(super) size: Size,
    pub(super) handles: usize,
    /// Whether it has a name.
    pub(super) named: bool,
}

/// The open inodes; see the module documentation.
///
/// An inode without a name is not found by its number: once it is closed, the file system may reuse the
/// number for a new file.
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

    /// Returns the usage of inodes that a walk of the disk does not find.
    pub(super) fn without_names(&self) -> Usage {
        let nameless = self.open.values().filter(|open| !open.named);
        nameless
            .map(|open| Usage {
                bytes: lock(&open.size).unwrap_or_default(),
                files: 1,
            })
            .fold(Usage::default(), Usage::plus)
    }

    /// Forgets sizes after a count, so that they are read again: the operator may have changed files by
    /// hand.
    pub(super) fn forget_sizes(&mut self) {
        for open in self.open.values_mut().filter(|open| open.named) {
            *lock(&open.size) = None;
        }
    }
}
