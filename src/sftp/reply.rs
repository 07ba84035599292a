//! Replies of SFTP version 3 (draft-ietf-secsh-filexfer-02, section 7), and their queue.

use std::collections::VecDeque;

use bytes::{BufMut as _, Bytes, BytesMut};

use super::attrs::put_attrs;
use super::kind;
use super::status::{code, standard_text};
use super::wire::{MAX_PACKET, put_string};
use crate::io::blocks::{BLOCK, Block};
use crate::store::Metadata;

/// The protocol version.
pub const VERSION: u32 = 3;

/// A queue of encoded replies in chunks that are sent unchanged.
#[derive(Debug, Default)]
pub struct Replies {
    /// Complete chunks.
    chunks: VecDeque<Bytes>,
    /// The chunk after them, which grows in one of these two.
    buffer: BytesMut,
    block: Option<Block>,
}

impl Replies {
    /// Returns the number of waiting bytes.
    pub fn len(&self) -> usize {
        let chunks: usize = self.chunks.iter().map(Bytes::len).sum();
        chunks + self.buffer.len() + self.block.as_ref().map_or(0, Block::len)
    }

    /// Returns whether nothing waits.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Takes the next chunk to send.
    pub fn take(&mut self) -> Option<Bytes> {
        if self.chunks.is_empty() {
            self.complete_block();
            self.complete_buffer();
        }
        self.chunks.pop_front()
    }

    /// Drops all waiting replies; the peer has disconnected.
    pub fn discard(&mut self) {
        *self = Self::default();
    }

    fn complete_buffer(&mut self) {
        if !self.buffer.is_empty() {
            self.chunks.push_back(self.buffer.split().freeze());
        }
    }

    fn complete_block(&mut self) {
        if let Some(block) = self.block.take().filter(|block| block.len() > 0) {
            self.chunks.push_back(block.freeze());
        }
    }

    /// Appends VERSION with these extensions (section 4).
    pub fn version<'a>(&mut self, extensions: impl Iterator<Item = (&'a str, &'a str)>) {
        self.packet(kind::VERSION, None, |out| {
            out.put_u32(VERSION);
            for (name, value) in extensions {
                put_string(out, name.as_bytes());
                put_string(out, value.as_bytes());
            }
        });
    }

    /// Appends STATUS (section 7).
    pub fn status(&mut self, id: u32, code: u32, message: &str) {
        self.packet(kind::STATUS, Some(id), |out| {
            out.put_u32(code);
            put_string(out, message.as_bytes());
            put_string(out, b"en");
        });
    }

    /// Appends STATUS with SSH_FX_OK.
    pub fn done(&mut self, id: u32) {
        self.status(id, code::OK, standard_text(code::OK));
    }

    /// Appends STATUS with SSH_FX_EOF.
    pub fn end_of_file(&mut self, id: u32) {
        self.status(id, code::EOF, standard_text(code::EOF));
    }

    /// Appends HANDLE.
    pub fn handle(&mut self, id: u32, handle: &[u8]) {
        self.packet(kind::HANDLE, Some(id), |out| put_string(out, handle));
    }

    /// Appends ATTRS.
    pub fn attrs(&mut self, id: u32, metadata: &Metadata) {
        self.packet(kind::ATTRS, Some(id), |out| put_attrs(out, metadata));
    }

    /// Appends NAME with one path and no attributes, as for REALPATH and READLINK.
    pub fn path(&mut self, id: u32, path: &[u8]) {
        self.packet(kind::NAME, Some(id), |out| {
            out.put_u32(1);
            put_string(out, path);
            put_string(out, path);
            out.put_u32(0);
        });
    }

    /// Appends EXTENDED_REPLY with the body of an extension.
    pub fn extended(&mut self, id: u32, body: impl FnOnce(&mut BytesMut)) {
        self.packet(kind::EXTENDED_REPLY, Some(id), body);
    }

    /// Appends DATA with at most `length` bytes: `fill` returns how many it has filled. With 0 or `None`
    /// nothing is appended.
    pub fn data_now(
        &mut self,
        id: u32,
        length: usize,
        fill: impl FnOnce(&mut [u8]) -> Option<usize>,
    ) -> Option<usize> {
        self.complete_buffer();
        let whole = DATA_HEADER + length;
        if self
            .block
            .as_mut()
            .is_some_and(|block| block.room(whole).is_none())
        {
            self.complete_block();
        }
        let block = self.block.get_or_insert_with(Block::take);
        let (header, data) = block.room(whole)?.split_at_mut_checked(DATA_HEADER)?;
        let count = fill(data)?;
        if count > 0 {
            put_data_header(header, id, count);
            block.keep(DATA_HEADER + count);
        }
        Some(count)
    }

    /// Appends DATA unless `fill` appends no bytes. `fill` gets the buffer and returns how many bytes it
    /// has appended.
    pub fn data<E>(
        &mut self,
        id: u32,
        fill: impl FnOnce(&mut BytesMut) -> Result<usize, E>,
    ) -> Result<usize, E> {
        self.complete_block();
        let start = self.buffer.len();
        self.buffer.put_slice(&[0; DATA_HEADER]);
        match fill(&mut self.buffer) {
            Ok(count) if count > 0 => {
                if let Some(header) = self.buffer.get_mut(start..start + DATA_HEADER) {
                    put_data_header(header, id, count);
                }
                Ok(count)
            }
            other => {
                self.buffer.truncate(start);
                other
            }
        }
    }

    /// Appends NAME with the entries of `next`, which is called while the packet is shorter than `limit`
    /// bytes. Returns their number; with none, nothing is appended.
    pub fn names<E>(
        &mut self,
        id: u32,
        limit: usize,
        mut next: impl FnMut(&mut BytesMut) -> Result<bool, E>,
    ) -> Result<u32, E> {
        self.complete_block();
        let start = self.buffer.len();
        self.buffer.put_slice(&[0; 13]);
        let mut count = 0;
        while self.buffer.len() - start < limit {
            match next(&mut self.buffer) {
                Ok(true) => count += 1,
                Ok(false) => break,
                // Entries before an error are still sent; the error recurs on the next call.
                Err(_) if count > 0 => break,
                Err(error) => {
                    self.buffer.truncate(start);
                    return Err(error);
                }
            }
        }
        if count == 0 {
            self.buffer.truncate(start);
            return Ok(0);
        }
        let length = (self.buffer.len() - start - 4) as u32;
        if let Some(mut header) = self.buffer.get_mut(start..start + 13) {
            header.put_u32(length);
            header.put_u8(kind::NAME);
            header.put_u32(id);
            header.put_u32(count);
        }
        Ok(count)
    }

    fn packet(&mut self, packet_type: u8, id: Option<u32>, body: impl FnOnce(&mut BytesMut)) {
        self.complete_block();
        let start = self.buffer.len();
        self.buffer.put_u32(0);
        self.buffer.put_u8(packet_type);
        if let Some(id) = id {
            self.buffer.put_u32(id);
        }
        body(&mut self.buffer);
        let length = (self.buffer.len() - start - 4) as u32;
        if let Some(field) = self.buffer.get_mut(start..start + 4) {
            field.copy_from_slice(&length.to_be_bytes());
        }
    }
}

/// Bytes of a DATA packet before its data: length, type, id, length of the data.
const DATA_HEADER: usize = 13;

// Every packet fits in a block, with its length field.
const _: () = assert!(BLOCK >= MAX_PACKET + 4);

fn put_data_header(mut header: &mut [u8], id: u32, length: usize) {
    header.put_u32((length + DATA_HEADER - 4) as u32);
    header.put_u8(kind::DATA);
    header.put_u32(id);
    header.put_u32(length as u32);
}
