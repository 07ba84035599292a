//! Reusable memory for the data of downloads. The kernel would clear fresh memory first, which is a tenth
//! of all the work when reading from the page cache.

use std::sync::{Mutex, PoisonError};

use bytes::Bytes;

/// Size of a block: the longest SFTP packet with its length field fits.
pub(crate) const BLOCK: usize = 256 * 1024 + 4;

/// Blocks kept for reuse by any session: 4 MiB for the whole process. Idle sessions hold none.
const KEPT: usize = 16;

static SPARE: Mutex<Vec<Vec<u8>>> = Mutex::new(Vec::new());

/// A block that is filled from its front. The rest contains data of earlier use.
#[derive(Debug)]
pub(crate) struct Block {
    memory: BlockMemory,
    used: usize,
}

impl Block {
    /// Takes an empty block.
    pub(crate) fn take() -> Self {
        let spare = SPARE.lock().unwrap_or_else(PoisonError::into_inner).pop();
        Self {
            memory: BlockMemory(spare.unwrap_or_else(|| vec![0; BLOCK])),
            used: 0,
        }
    }

    /// Returns the number of filled bytes.
    pub(crate) fn len(&self) -> usize {
        self.used
    }

    /// Returns the next `length` bytes to fill and then [keep](Self::keep); `None` if they do not fit.
    pub(crate) fn room(&mut self, length: usize) -> Option<&mut [u8]> {
        let end = self.used.checked_add(length)?;
        self.memory.0.get_mut(self.used..end)
    }

    /// Keeps the next `length` bytes, which were filled.
    pub(crate) fn keep(&mut self, length: usize) {
        self.used = (self.used + length).min(BLOCK);
    }

    /// Returns the filled part. Its memory is reused when the last reference to it is dropped.
    pub(crate) fn freeze(self) -> Bytes {
        Bytes::from_owner(self.memory).slice(..self.used)
    }
}

#[derive(Debug)]
struct BlockMemory(Vec<u8>);

impl AsRef<[u8]> for BlockMemory {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

impl Drop for BlockMemory {
    fn drop(&mut self) {
        let mut spare = SPARE.lock().unwrap_or_else(PoisonError::into_inner);
        if spare.len() < KEPT {
            spare.push(std::mem::take(&mut self.0));
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_block_gives_what_was_kept_and_nothing_of_its_earlier_use() {
        let mut block = Block::take();
        block.room(BLOCK).unwrap().fill(b'x');
        block.keep(BLOCK);
        assert_eq!(block.room(1), None);
        drop(block.freeze());

        let mut block = Block::take();
        block.room(5).unwrap().copy_from_slice(b"hello");
        block.keep(2);
        block.room(3).unwrap().copy_from_slice(b"llo");
        block.keep(3);
        assert_eq!(block.room(BLOCK), None);
        let sent = block.freeze();
        assert_eq!(&sent[..], b"hello");

        // Not reused while somebody holds a part.
        let part = sent.slice(1..);
        drop(sent);
        let mut others: Vec<Block> = (0..KEPT + 1).map(|_| Block::take()).collect();
        for other in &mut others {
            other.room(BLOCK).unwrap().fill(b'y');
        }
        assert_eq!(&part[..], b"ello");
    }
}
