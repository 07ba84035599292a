//! The state of hashes that are being computed.

use super::open_file::OpenFile;
use crate::hashes::{Algorithm, Content, Hash, Hasher};
use crate::store::Metadata;
use crate::values::path::VPath;

/// A range of a file.
#[derive(Debug, Clone, Copy)]
pub struct Part {
    /// The offset of its start.
    pub offset: u64,
    /// Length in bytes; `None` is to the end of the file.
    pub length: Option<u64>,
}

/// The computation of hashes of an open file.
pub struct Hashing {
    pub(super) algorithm: Algorithm,
    /// The offset of the next read.
    pub(super) next: u64,
    pub(super) end: u64,
    /// Block size in bytes.
    pub(super) block: u64,
    /// The end of the current block, and the hash of its data so far.
    pub(super) block_end: u64,
    pub(super) hasher: Hasher,
    /// The hashes of completed blocks.
    pub(super) hashes: Vec<u8>,
    /// The identity of the content, if the whole file is hashed.
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

    /// Returns the concatenated hashes, once all are computed.
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

/// The computation of the hash of a file by path.
pub struct HashingFile {
    pub(super) path: VPath,
    pub(super) algorithm: Algorithm,
    pub(super) open: Option<(OpenFile, Hashing)>,
}

impl HashingFile {
    /// Makes it; the file is not opened yet.
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
