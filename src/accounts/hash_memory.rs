//! The memory in which passwords are hashed, used again and again.
//!
//! A hash takes 19 MiB, by its purpose. Allocated for each, on whichever thread it runs, it would stay with
//! the allocator of that thread: with glibc, strangers who guess passwords made a server keep 600 MB.

use std::sync::{Mutex, MutexGuard, PoisonError};

use argon2::Block;

/// See the module's description.
pub(super) struct HashMemory {
    free: Mutex<Vec<Vec<Block>>>,
    /// Blocks of a hash with the parameters of now; for one that takes more, nothing is kept.
    usual: usize,
}

impl HashMemory {
    pub(super) fn new(usual: usize) -> Self {
        Self {
            free: Mutex::default(),
            usual,
        }
    }

    /// Lends so many blocks. What is in them is of no meaning. As many are kept as were lent at the same
    /// time.
    pub(super) fn lend<T>(&self, blocks: usize, hash: impl FnOnce(&mut [Block]) -> T) -> T {
        let mut memory = self.free().pop().unwrap_or_default();
        memory.resize(blocks, Block::new());
        let result = hash(&mut memory);
        if blocks <= self.usual {
            self.free().push(memory);
        }
        result
    }

    fn free(&self) -> MutexGuard<'_, Vec<Vec<Block>>> {
        self.free.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_lent_again_unless_it_is_more_than_usual() {
        let memory = HashMemory::new(8);
        let place = memory.lend(8, |blocks| blocks.as_ptr());
        assert_eq!(
            memory.lend(4, |blocks| (blocks.len(), blocks.as_ptr())),
            (4, place)
        );
        memory.lend(8, |_| {
            memory.lend(8, |second| assert_ne!(second.as_ptr(), place))
        });
        assert_eq!(memory.free().len(), 2);
        assert_eq!(memory.lend(9, |blocks| blocks.len()), 9);
        assert!(memory.free().iter().all(|kept| kept.capacity() < 9));
    }
}
