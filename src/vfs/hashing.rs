//! Hashes that are being computed.

use super::open_file::OpenFile;
use crate::hashes::{Algorithm, Content, Hash, Hasher};
use crate::store::Metadata;
use crate::values::path::VPath;

/// A part of a file.
#[derive(Debug, Clone, Copy)]
pub struct Part {
    /// Where it begins.
    pub offset: u64,
    /// Bytes; `None` is up to the end of the file.
    pub length: Option<u64>,
}

/// Hashes of an open file that are being computed.
pub struct Hashing {
    pub(super) algorithm: Algorithm,
    /// What is read next.
    pub(super) next: u64,
    pub(super) end: u64,
    /// Bytes of a block.
    pub(super) block: u64,
    /// Where the current block ends, and the hash of what was read of it.
    pub(super) block_end: u64,
    pub(super) hasher: Hasher,
    /// Of the blocks that are done.
    pub(super) hashes: Vec<u8>,
    /// What is in the file, if all of it is hashed.
    pub(super) whole: Option<Content>,
    pub(super) is_done: bool,
}

impl Hashing {
    pub(super) fn new(algorithm: Algorithm, offset: u64, length: u64, block: u64) -> Self {
        let end = offset.saturating_add(length);
        Self {
            algorithm,
            next: offset,
            end,
            block,
            block_end: offset.saturating_add(block).min(end),
            hasher: Hasher::new(algorithm),
            hashes: Vec::new(),
            whole: None,
            is_done: false,
        }
    }

    /// The hashes, one behind the other, once all are computed.
    pub fn done(&self) -> Option<&[u8]> {
        self.is_done.then_some(&self.hashes)
    }

    pub(super) fn end_block(&mut self) -> Hash {
        let hasher = std::mem::replace(&mut self.hasher, Hasher::new(self.algorithm));
        let hash = hasher.finish();
        self.hashes.extend_from_slice(hash.as_bytes());
        self.next = self.block_end;
        self.block_end = self.next.saturating_add(self.block).min(self.end);
        self.is_done = self.next >= self.end;
        hash
    }
}

/// The hash of a file by its name that is being computed.
pub struct HashingFile {
    pub(super) path: VPath,
    pub(super) algorithm: Algorithm,
    pub(super) open: Option<(OpenFile, Hashing)>,
}

impl HashingFile {
    /// Of this file; nothing is opened yet.
    pub fn new(path: VPath, algorithm: Algorithm) -> Self {
        Self {
            path,
            algorithm,
            open: None,
        }
    }
}

impl From<&Metadata> for Content {
    fn from(metadata: &Metadata) -> Self {
        Self {
            inode: metadata.inode,
            size: metadata.size,
            modified: (metadata.mtime, metadata.mtime_nanoseconds),
            changed: metadata.ctime,
        }
    }
}
