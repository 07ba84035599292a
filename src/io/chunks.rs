//! What has come of a stream, in the pieces in which it came.

use std::collections::VecDeque;

use bytes::{Bytes, BytesMut};

/// Pieces below this size are copied together, so that a peer that sends single bytes does not
/// make us hold a separate allocation for each.
const SMALL_PIECE: usize = 1024;

/// Bytes in order. Large pieces are never copied.
#[derive(Debug, Default)]
pub(crate) struct Pieces {
    complete: VecDeque<Bytes>,
    /// Behind them: small ones, copied together.
    small: BytesMut,
    length: usize,
}

impl Pieces {
    /// Bytes in it.
    pub(crate) fn len(&self) -> usize {
        self.length
    }

    /// Adds what came next.
    pub(crate) fn push(&mut self, piece: Bytes) {
        self.length += piece.len();
        if piece.len() < SMALL_PIECE {
            self.small.extend_from_slice(&piece);
        } else {
            self.complete_small();
            self.complete.push_back(piece);
        }
    }

    /// Takes the first `length` bytes, or as many as there are.
    pub(crate) fn take(&mut self, length: usize) -> VecDeque<Bytes> {
        let mut taken = VecDeque::with_capacity(1);
        let mut missing = length;
        while missing > 0 {
            let Some(mut piece) = self.take_first() else {
                break;
            };
            if piece.len() > missing {
                self.put_back(piece.split_off(missing));
            }
            missing -= piece.len();
            taken.push_back(piece);
        }
        taken
    }

    /// Lets `read` take what it needs from the front of one piece after the other, until it has found
    /// something; of a piece in which it finds nothing it takes all.
    pub(crate) fn read<T, E>(
        &mut self,
        mut read: impl FnMut(&mut Bytes) -> Result<Option<T>, E>,
    ) -> Result<Option<T>, E> {
        while let Some(mut piece) = self.take_first() {
            let found = read(&mut piece);
            self.put_back(piece);
            if !matches!(found, Ok(None)) {
                return found;
            }
        }
        Ok(None)
    }

    /// Takes the next piece, whatever its length.
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
