//! Reusable memory for incoming packets.
//!
//! A data packet lives until its data has been written somewhere, often by another thread. Allocating
//! and clearing 32 KiB for each, and freeing it there, costs page faults and as much time as a copy. So
//! the memory of full-sized packets is kept for later ones, of all connections.

use std::sync::{Mutex, PoisonError};

use bytes::Bytes;

/// A packet with 32 KiB of data, including its overhead.
const FULL: usize = 32 * 1024 + 512;

/// Smaller packets are allocated at their size: a waiting packet must not hold much more memory than it
/// has bytes.
const SMALL: usize = 16 * 1024;

/// The number of buffers that are kept: 2 MiB in all.
const KEPT: usize = 64;

static FREE: Mutex<Vec<Vec<u8>>> = Mutex::new(Vec::new());

/// Returns memory of this length with arbitrary contents.
pub(crate) fn take(length: usize) -> Vec<u8> {
    if !(SMALL..=FULL).contains(&length) {
        return vec![0; length];
    }
    let free = FREE.lock().unwrap_or_else(PoisonError::into_inner).pop();
    let mut memory = free.unwrap_or_else(|| Vec::with_capacity(FULL));
    // Reused memory need not be cleared: the packet overwrites it.
    memory.resize(length, 0);
    memory
}

/// Shares the bytes; the memory returns when the last reference is dropped.
pub(crate) fn share(memory: Vec<u8>) -> Bytes {
    if memory.capacity() == FULL {
        Bytes::from_owner(Lent(memory))
    } else {
        Bytes::from(memory)
    }
}

struct Lent(Vec<u8>);

impl AsRef<[u8]> for Lent {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        let mut free = FREE.lock().unwrap_or_else(PoisonError::into_inner);
        if free.len() < KEPT {
            free.push(std::mem::take(&mut self.0));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_of_full_packets_comes_back_and_has_the_length_that_is_asked_for() {
        // Other tests take from the same memory, so it may need more than one attempt.
        let used_again = (0..100).any(|_| {
            let mut memory = take(20_000);
            memory.fill(7);
            let place = memory.as_ptr();
            let shared = share(memory);
            let part = shared.slice(100..200);
            drop(shared);
            assert_eq!(part[..], [7; 100]);
            drop(part);
            let again = take(30_000);
            assert_eq!(again.len(), 30_000);
            again.as_ptr() == place
        });
        assert!(used_again);
    }

    #[test]
    fn small_and_large_packets_have_memory_of_their_own_size() {
        for length in [0, 5, SMALL - 1, FULL + 1, 256 * 1024] {
            let memory = take(length);
            assert_eq!((memory.len(), memory.capacity()), (length, length));
            assert_eq!(share(memory).len(), length);
        }
    }
}
