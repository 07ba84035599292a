//! Hashes of files, computed in slices: heavy work, with others between two slices.

use bytes::BytesMut;

use super::{OpenFile, Verb, Vfs};
use crate::error::Error;
use crate::hashes::{Algorithm, Content, Hash, Hasher};
use crate::store::Metadata;
use crate::values::path::VPath;

/// Read and computed in a slice: some milliseconds of work.
const SLICE: u64 = 8 << 20;
/// Read at once.
const PIECE: u64 = 256 << 10;

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
    algorithm: Algorithm,
    /// What is read next.
    next: u64,
    end: u64,
    /// Bytes of a block.
    block: u64,
    /// Where the current block ends, and the hash of what was read of it.
    block_end: u64,
    hasher: Hasher,
    /// Of the blocks that are done.
    hashes: Vec<u8>,
    /// What is in the file, if all of it is hashed.
    whole: Option<Content>,
    is_done: bool,
}

impl Hashing {
    fn new(algorithm: Algorithm, offset: u64, length: u64, block: u64) -> Self {
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

    fn end_block(&mut self) -> Hash {
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
    path: VPath,
    algorithm: Algorithm,
    open: Option<(OpenFile, Hashing)>,
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

impl Vfs {
    /// Computes a slice of the hash of a file; `None` if there is more to do. At the end, and after an
    /// error, the file is closed.
    pub fn hash_file_on(&self, file: &mut HashingFile) -> Result<Option<Hash>, Error> {
        let (open, mut hashing) = match file.open.take() {
            Some(open) => open,
            None => {
                let open = self.open_to_hash(&file.path)?;
                match self.hash_whole(&open, file.algorithm) {
                    Ok(hashing) => (open, hashing),
                    Err(error) => return self.close(open).and(Err(error)),
                }
            }
        };
        let outcome = self.hash_on(&open, &mut hashing);
        match (outcome, hashing.done()) {
            (Ok(()), None) => {
                file.open = Some((open, hashing));
                Ok(None)
            }
            (outcome, hash) => {
                let hash = outcome.map(|()| hash.map(Hash::new));
                self.close(open).and(hash)
            }
        }
    }

    /// Begins the hash of a whole open file, which is done at once if it is known and the file has not
    /// changed since.
    pub(super) fn hash_whole(
        &self,
        file: &OpenFile,
        algorithm: Algorithm,
    ) -> Result<Hashing, Error> {
        let found = file.readable()?.metadata()?;
        let content = Content::from(&found);
        let mut hashing = Hashing::new(algorithm, 0, found.size, found.size);
        if let Some(hash) = self.session.hashes().known(&content, algorithm) {
            hashing.hashes.extend_from_slice(hash.as_bytes());
            hashing.is_done = true;
        }
        hashing.whole = Some(content);
        Ok(hashing)
    }

    /// Begins the hashes of all blocks of a part of an open file; of the part as a whole if there are no
    /// blocks. Where the file ends, the last block does. They have no more than `most` bytes.
    pub fn hash_blocks(
        &self,
        file: &OpenFile,
        algorithm: Algorithm,
        part: Part,
        block: Option<u64>,
        most: usize,
    ) -> Result<Hashing, Error> {
        self.check_open(file, Verb::Hash)?;
        let size = file.readable()?.metadata()?.size;
        let there = size
            .checked_sub(part.offset)
            .ok_or(Error::Invalid("The file ends before the part begins"))?;
        let length = part.length.map_or(there, |length| length.min(there));
        let Some(block) = block else {
            let is_whole = part.offset == 0 && length == size;
            return if is_whole {
                self.hash_whole(file, algorithm)
            } else {
                Ok(Hashing::new(algorithm, part.offset, length, length))
            };
        };
        let fit = most as u64 / algorithm.length() as u64;
        if length.div_ceil(block.max(1)) > fit {
            return Err(Error::Limit("Too many blocks for one reply", fit));
        }
        let mut hashing = Hashing::new(algorithm, part.offset, length, block);
        // Nothing has no blocks.
        hashing.is_done = length == 0;
        Ok(hashing)
    }

    /// Reads and computes a slice. A block ends early where the file does by now.
    pub fn hash_on(&self, file: &OpenFile, hashing: &mut Hashing) -> Result<(), Error> {
        let source = file.readable()?;
        let mut piece = BytesMut::new();
        let mut left = SLICE;
        while left > 0 && !hashing.is_done {
            self.check_awaited()?;
            // On a kernel without preemption, a thread that wants this processor waits for the next tick.
            std::thread::yield_now();
            let wanted = PIECE.min(hashing.block_end - hashing.next).min(left);
            piece.clear();
            let read = source.read(hashing.next, wanted as usize, &mut piece)? as u64;
            hashing.hasher.update(&piece);
            hashing.next += read;
            left = left.saturating_sub(read.max(1));
            if read == 0 || hashing.next == hashing.block_end {
                let hash = hashing.end_block();
                self.remember_hash(file, hashing, hash)?;
            }
        }
        Ok(())
    }

    /// Remembers the hash of a whole file that has not changed meanwhile.
    fn remember_hash(&self, file: &OpenFile, hashing: &Hashing, hash: Hash) -> Result<(), Error> {
        if let Some(content) = hashing.whole
            && Content::from(&file.file.metadata()?) == content
        {
            let hashes = self.session.hashes();
            hashes.remember(content, hashing.algorithm, hash);
        }
        Ok(())
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
