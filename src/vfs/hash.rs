//! Hashes of files, computed in slices: heavy work that takes turns with that of other accounts.

use bytes::BytesMut;

use super::access::Operation;
use super::hashing::{Hashing, HashingFile, Part};
use super::home::Vfs;
use super::open_file::OpenFile;
use crate::error::Error;
use crate::hashes::{Algorithm, Content, Hash};

/// Bytes per slice: some milliseconds of work.
const SLICE: u64 = 8 << 20;
/// Bytes per read.
const CHUNK: u64 = 256 << 10;

impl Vfs {
    /// Computes a slice of the hash of a file; `None` if more remains. At the end and after an error the
    /// file is closed.
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

    /// Starts the hash of a whole open file, which is immediately complete if it is known and the file has
    /// not changed.
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

    /// Starts the hashes of all blocks of a range of an open file, or one hash of the range without a block
    /// size. The last block ends at the end of the file. The hashes take at most `most` bytes.
    pub fn hash_blocks(
        &self,
        file: &OpenFile,
        algorithm: Algorithm,
        part: Part,
        block: Option<u64>,
        most: usize,
    ) -> Result<Hashing, Error> {
        self.check_open(file, Operation::Hash)?;
        let size = file.readable()?.metadata()?.size;
        let there = size.checked_sub(part.offset).ok_or(Error::Invalid(
            "The range starts beyond the end of the file",
        ))?;
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
        // An empty range has no blocks.
        hashing.is_done = length == 0;
        Ok(hashing)
    }

    /// Computes a slice. A block ends early at the current end of the file.
    pub fn hash_on(&self, file: &OpenFile, hashing: &mut Hashing) -> Result<(), Error> {
        let source = file.readable()?;
        let mut chunk = BytesMut::new();
        let mut left = SLICE;
        while left > 0 && !hashing.is_done {
            self.check_awaited()?;
            // On a kernel without preemption, another thread would get this processor only at the next
            // tick.
            std::thread::yield_now();
            let wanted = CHUNK.min(hashing.block_end - hashing.next).min(left);
            chunk.clear();
            let read = source.read(hashing.next, wanted as usize, &mut chunk)? as u64;
            hashing.hasher.update(&chunk);
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
