//! Received data of a stream, in the chunks in which it arrived.

use std::collections::VecDeque;

use bytes::{Bytes, BytesMut};

/// Smaller chunks are copied together, so that a peer that sends single bytes does not cause an allocation
/// for each.
const SMALL_CHUNK: usize = 1024;

/// Bytes in order. Large chunks are never copied.
#[derive(Debug, Default)]
pub(crate) struct Chunks {
    complete: VecDeque<Bytes>,
    /// Small chunks after them, copied together.
    small: BytesMut,
    length: usize,
}

impl Chunks {
    /// Returns the number of bytes.
    pub(crate) fn len(&self) -> usize {
        self.length
    }

    /// Adds a received chunk.
    pub(crate) fn push(&mut self, chunk: Bytes) {
        self.length += chunk.len();
        if chunk.len() < SMALL_CHUNK {
            self.small.extend_from_slice(&chunk);
        } else {
            self.complete_small();
            self.complete.push_back(chunk);
        }
    }

    /// Takes the first `length` bytes, or all if there are fewer.
    pub(crate) fn take(&mut self, length: usize) -> VecDeque<Bytes> {
        let mut taken = VecDeque::with_capacity(1);
        let mut missing = length;
        while missing > 0 {
            let Some(mut chunk) = self.take_first() else {
                break;
            };
            if chunk.len() > missing {
                self.put_back(chunk.split_off(missing));
            }
            missing -= chunk.len();
            taken.push_back(chunk);
        }
        taken
    }

    /// Lets `read` consume the front of one chunk after another until it returns something; a chunk without
    /// a result is consumed completely.
    pub(crate) fn read<T, E>(
        &mut self,
        mut read: impl FnMut(&mut Bytes) -> Result<Option<T>, E>,
    ) -> Result<Option<T>, E> {
        while let Some(mut chunk) = self.take_first() {
            let found = read(&mut chunk);
            self.put_back(chunk);
            if !matches!(found, Ok(None)) {
                return found;
            }
        }
        Ok(None)
    }

    /// Takes the next chunk, whatever its length.
    pub(crate) fn take_first(&mut self) -> Option<Bytes> {
        if self.complete.is_empty() {
            self.complete_small();
        }
        let first = self.complete.pop_front()?;
        self.length -= first.len();
        Some(first)
    }

    fn put_back(&mut self, rest: Bytes) {
        if !rest.is_empty() {
            self.length += rest.len();
            self.complete.push_front(rest);
        }
    }

    fn complete_small(&mut self) {
        if !self.small.is_empty() {
            self.complete.push_back(self.small.split().freeze());
        }
    }
}
