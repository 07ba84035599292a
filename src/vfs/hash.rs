//! Hashes of files.

use bytes::BytesMut;

use super::{OpenFile, Verb, Vfs};
use crate::error::Error;
use crate::hashes::{Algorithm, Content, Hash, Hasher};
use crate::path::VPath;
use crate::store::Metadata;

/// Read in one turn: some milliseconds of work.
const PIECE: u64 = 1 << 20;

/// A part of a file.
#[derive(Debug, Clone, Copy)]
pub struct Part {
    /// Where it begins.
    pub offset: u64,
    /// Bytes; `None` is up to the end of the file.
    pub length: Option<u64>,
}

impl Vfs {
    /// The hash of a whole file by its name.
    pub fn hash_file(&self, path: &VPath, algorithm: Algorithm) -> Result<Hash, Error> {
        let file = self.open_to_hash(path)?;
        let hash = self.hash_whole(&file, algorithm);
        self.close(file)?;
        hash
    }

    /// The hash of a whole open file, from memory if the file has not changed since.
    pub(super) fn hash_whole(&self, file: &OpenFile, algorithm: Algorithm) -> Result<Hash, Error> {
        let hashes = self.session.hashes();
        let before = file.readable()?.metadata()?;
        let content = Content::from(&before);
        if let Some(hash) = hashes.known(&content, algorithm) {
            return Ok(hash);
        }
        let hash = self.hash_range(file, algorithm, 0, before.size)?;
        if Content::from(&file.file.metadata()?) == content {
            hashes.remember(content, algorithm, hash);
        }
        Ok(hash)
    }

    /// The hashes of all blocks of a part of an open file, one behind the other; one hash if there are
    /// no blocks. Where the file ends, the last block does. No more than `most` bytes.
    pub fn hash_blocks(
        &self,
        file: &OpenFile,
        algorithm: Algorithm,
        part: Part,
        block: Option<u64>,
        most: usize,
    ) -> Result<Vec<u8>, Error> {
        self.check_open(file, Verb::Hash)?;
        let size = file.readable()?.metadata()?.size;
        let there = size
            .checked_sub(part.offset)
            .ok_or(Error::Invalid("The file ends before the part begins"))?;
        let length = part.length.map_or(there, |length| length.min(there));
        let Some(block) = block else {
            let whole = part.offset == 0 && length == size;
            let hash = if whole {
                self.hash_whole(file, algorithm)?
            } else {
                self.hash_range(file, algorithm, part.offset, length)?
            };
            return Ok(hash.as_bytes().to_vec());
        };
        let fit = most as u64 / algorithm.length() as u64;
        if length.div_ceil(block.max(1)) > fit {
            return Err(Error::Limit("Too many blocks for one reply", fit));
        }
        let mut hashes = Vec::new();
        let mut done = 0;
        while done < length {
            let now = block.min(length - done);
            let hash = self.hash_range(file, algorithm, part.offset + done, now)?;
            hashes.extend_from_slice(hash.as_bytes());
            done += now;
        }
        Ok(hashes)
    }

    /// Reads and computes, in turns with all others. Ends early where the file does by now.
    fn hash_range(
        &self,
        file: &OpenFile,
        algorithm: Algorithm,
        offset: u64,
        length: u64,
    ) -> Result<Hash, Error> {
        let source = file.readable()?;
        let mut hasher = Hasher::new(algorithm);
        let mut piece = BytesMut::new();
        let mut done = 0;
        while done < length {
            self.check_awaited()?;
            let _turn = self.session.hashes().turn();
            piece.clear();
            let wanted = PIECE.min(length - done) as usize;
            let read = source.read(offset + done, wanted, &mut piece)?;
            if read == 0 {
                break;
            }
            hasher.update(&piece);
            done += read as u64;
        }
        Ok(hasher.finish())
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
