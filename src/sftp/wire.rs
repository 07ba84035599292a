//! Framing and primitive types of SFTP (draft-ietf-secsh-filexfer-02, section 3, with the types of RFC
//! 4251, section 5). No I/O. No length that a peer sends causes an allocation.

use std::collections::VecDeque;

use bytes::{Buf, BufMut as _, Bytes, BytesMut};

use crate::io::chunks::Chunks;

/// Longest packet without its length field: OpenSSH's SFTP_MAX_MSG_LENGTH.
pub const MAX_PACKET: usize = 256 * 1024;

/// The framing is broken, so the rest of the stream is meaningless.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Broken {
    /// The length field exceeds [`MAX_PACKET`].
    #[error("packet of {0} bytes, at most {MAX_PACKET} are accepted")]
    TooLong(usize),
    /// The length field is 0: the packet has no type.
    #[error("packet without a type")]
    Empty,
}

/// Cuts packets from the chunks of a byte stream, without copying large chunks.
#[derive(Debug, Default)]
pub struct Framer {
    chunks: Chunks,
    /// Length of the current packet, once its length field has arrived.
    wanted: Option<usize>,
}

impl Framer {
    /// Adds a received chunk.
    pub fn push(&mut self, chunk: Bytes) {
        self.chunks.push(chunk);
    }

    /// Returns the next packet if it has arrived completely.
    pub fn next_frame(&mut self) -> Result<Option<Frame>, Broken> {
        let wanted = match self.wanted {
            Some(wanted) => wanted,
            None => {
                if self.chunks.len() < 4 {
                    return Ok(None);
                }
                let length = self.take(4).get_u32() as usize;
                match length {
                    0 => return Err(Broken::Empty),
                    1..=MAX_PACKET => {}
                    _ => return Err(Broken::TooLong(length)),
                }
                self.wanted = Some(length);
                length
            }
        };
        if self.chunks.len() < wanted {
            return Ok(None);
        }
        self.wanted = None;
        Ok(Some(self.take(wanted)))
    }

    /// Takes `length` bytes, which must be available.
    fn take(&mut self, length: usize) -> Frame {
        Frame {
            chunks: self.chunks.take(length),
            remaining: length,
        }
    }
}

/// One packet without its length field; fields are read from its front.
#[derive(Debug, Clone)]
pub struct Frame {
    chunks: VecDeque<Bytes>,
    remaining: usize,
}

/// A packet ends before its fields do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("packet too short for its fields")]
pub struct Truncated;

impl Frame {
    /// Makes a frame of these bytes, as if received.
    pub fn new(bytes: impl Into<Bytes>) -> Self {
        let bytes = bytes.into();
        Self {
            remaining: bytes.len(),
            chunks: VecDeque::from([bytes]),
        }
    }

    /// Returns the number of unread bytes.
    pub fn remaining(&self) -> usize {
        self.remaining
    }

    /// Returns the first unread byte: the packet's type, before anything is read.
    pub fn peek(&self) -> Option<u8> {
        self.chunks.front().and_then(|chunk| chunk.first().copied())
    }

    /// Reads a `byte`.
    pub fn byte(&mut self) -> Result<u8, Truncated> {
        self.array::<1>().map(|[byte]| byte)
    }

    /// Reads a `uint32`.
    pub fn uint32(&mut self) -> Result<u32, Truncated> {
        self.array().map(u32::from_be_bytes)
    }

    /// Reads a `uint64`.
    pub fn uint64(&mut self) -> Result<u64, Truncated> {
        self.array().map(u64::from_be_bytes)
    }

    /// Reads a `string` as one chunk.
    pub fn string(&mut self) -> Result<Bytes, Truncated> {
        let length = self.uint32()? as usize;
        self.one_chunk(length)
    }

    /// Reads a `string` in the chunks in which it arrived.
    pub fn string_chunks(&mut self) -> Result<Vec<Bytes>, Truncated> {
        let length = self.uint32()? as usize;
        self.chunks(length)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], Truncated> {
        if self.remaining < N {
            return Err(Truncated);
        }
        let mut array = [0; N];
        let mut missing = array.as_mut_slice();
        while !missing.is_empty() {
            let Some(front) = self.chunks.front_mut() else {
                return Err(Truncated);
            };
            let (part, rest) = missing.split_at_mut(front.len().min(missing.len()));
            front.copy_to_slice(part);
            missing = rest;
            if front.is_empty() {
                self.chunks.pop_front();
            }
        }
        self.remaining -= N;
        Ok(array)
    }

    fn one_chunk(&mut self, length: usize) -> Result<Bytes, Truncated> {
        let mut chunks = self.chunks(length)?;
        if chunks.len() <= 1 {
            return Ok(chunks.pop().unwrap_or_default());
        }
        let mut joined = BytesMut::with_capacity(length);
        for chunk in chunks {
            joined.extend_from_slice(&chunk);
        }
        Ok(joined.freeze())
    }

    fn chunks(&mut self, length: usize) -> Result<Vec<Bytes>, Truncated> {
        if self.remaining < length {
            return Err(Truncated);
        }
        let mut taken = Vec::new();
        let mut missing = length;
        while missing > 0 {
            let Some(front) = self.chunks.front_mut() else {
                return Err(Truncated);
            };
            let n = front.len().min(missing);
            taken.push(front.split_to(n));
            if front.is_empty() {
                self.chunks.pop_front();
            }
            missing -= n;
            self.remaining -= n;
        }
        Ok(taken)
    }
}

impl Buf for Frame {
    fn remaining(&self) -> usize {
        self.remaining
    }

    fn chunk(&self) -> &[u8] {
        self.chunks.front().map_or(&[], |chunk| chunk)
    }

    fn advance(&mut self, count: usize) {
        // Truncated means that fewer bytes are left: skip them all.
        if self.chunks(count).is_err() {
            self.chunks.clear();
            self.remaining = 0;
        }
    }
}

/// Appends a `string`.
pub fn put_string(out: &mut BytesMut, bytes: &[u8]) {
    out.put_u32(bytes.len() as u32);
    out.put_slice(bytes);
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_longest_packet_is_accepted_and_a_longer_one_is_not() {
        let mut framer = Framer::default();
        framer.push(Bytes::from((MAX_PACKET as u32).to_be_bytes().to_vec()));
        assert!(framer.next_frame().unwrap().is_none());
        framer.push(Bytes::from(vec![7; MAX_PACKET]));
        assert_eq!(
            framer.next_frame().unwrap().unwrap().remaining(),
            MAX_PACKET
        );

        let mut framer = Framer::default();
        framer.push(Bytes::from((MAX_PACKET as u32 + 1).to_be_bytes().to_vec()));
        assert_eq!(
            framer.next_frame().unwrap_err(),
            Broken::TooLong(MAX_PACKET + 1)
        );
    }

    #[test]
    fn a_packet_of_length_zero_is_broken() {
        let mut framer = Framer::default();
        framer.push(Bytes::from_static(&[0; 4]));
        assert_eq!(framer.next_frame().unwrap_err(), Broken::Empty);
    }

    #[test]
    fn a_length_that_lies_is_truncated_and_takes_nothing() {
        let mut frame = Frame::new(vec![0xff, 0xff, 0xff, 0xff, b'a']);
        assert_eq!(frame.string(), Err(Truncated));
        let mut frame = Frame::new(vec![0, 0, 0, 2, b'a']);
        assert_eq!(frame.string_chunks(), Err(Truncated));
    }

    proptest! {
        #[test]
        fn packets_survive_any_cutting(
            packets in prop::collection::vec(prop::collection::vec(any::<u8>(), 1..3000), 1..8),
            cuts in prop::collection::vec(1usize..4000, 1..40),
        ) {
            let mut stream = Vec::new();
            for packet in &packets {
                stream.extend_from_slice(&(packet.len() as u32).to_be_bytes());
                stream.extend_from_slice(packet);
            }
            let mut framer = Framer::default();
            let mut got = Vec::new();
            let mut cuts = cuts.iter().cycle();
            let mut rest = &stream[..];
            while !rest.is_empty() {
                let n = (*cuts.next().unwrap()).min(rest.len());
                framer.push(Bytes::copy_from_slice(&rest[..n]));
                rest = &rest[n..];
                while let Some(mut frame) = framer.next_frame().unwrap() {
                    let len = frame.remaining();
                    got.push(frame.copy_to_bytes(len).to_vec());
                }
            }
            prop_assert_eq!(got, packets);
        }

        #[test]
        fn reading_random_bytes_never_goes_past_them(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
            let total = bytes.len();
            let mut frame = Frame::new(bytes);
            while frame.string().is_ok() && frame.remaining() > 0 {}
            prop_assert!(frame.remaining() <= total);
        }
    }
}
