//! Requests and replies of SFTP version 3 as types (draft-ietf-secsh-filexfer-02, sections 4 to 7).

use std::collections::VecDeque;

use bytes::{BufMut, Bytes, BytesMut};

use super::extensions::Extended;
use super::status::{code, standard_text};
use super::wire::{Frame, MAX_PACKET, Truncated};
use crate::io::blocks::{BLOCK, Block};
use crate::observe::metrics;
use crate::store::{Changes, Metadata, unsigned_seconds};

/// The version that is spoken.
pub const VERSION: u32 = 3;

/// Packet types (section 3).
pub mod kind {
    #![allow(missing_docs)]
    pub const INIT: u8 = 1;
    pub const VERSION: u8 = 2;
    pub const OPEN: u8 = 3;
    pub const CLOSE: u8 = 4;
    pub const READ: u8 = 5;
    pub const WRITE: u8 = 6;
    pub const LSTAT: u8 = 7;
    pub const FSTAT: u8 = 8;
    pub const SETSTAT: u8 = 9;
    pub const FSETSTAT: u8 = 10;
    pub const OPENDIR: u8 = 11;
    pub const READDIR: u8 = 12;
    pub const REMOVE: u8 = 13;
    pub const MKDIR: u8 = 14;
    pub const RMDIR: u8 = 15;
    pub const REALPATH: u8 = 16;
    pub const STAT: u8 = 17;
    pub const RENAME: u8 = 18;
    pub const READLINK: u8 = 19;
    pub const SYMLINK: u8 = 20;
    pub const STATUS: u8 = 101;
    pub const HANDLE: u8 = 102;
    pub const DATA: u8 = 103;
    pub const NAME: u8 = 104;
    pub const ATTRS: u8 = 105;
    pub const EXTENDED: u8 = 200;
    pub const EXTENDED_REPLY: u8 = 201;
}

/// Flags of OPEN (section 6.3).
pub mod open_flag {
    #![allow(missing_docs)]
    pub const READ: u32 = 0x01;
    pub const WRITE: u32 = 0x02;
    pub const APPEND: u32 = 0x04;
    pub const CREAT: u32 = 0x08;
    pub const TRUNC: u32 = 0x10;
    pub const EXCL: u32 = 0x20;
}

/// Flags of ATTRS (section 5).
mod attr_flag {
    pub(super) const SIZE: u32 = 0x01;
    pub(super) const UIDGID: u32 = 0x02;
    pub(super) const PERMISSIONS: u32 = 0x04;
    pub(super) const ACMODTIME: u32 = 0x08;
    pub(super) const EXTENDED: u32 = 0x8000_0000;
}

/// What the metrics count a packet as.
pub fn counted_as(packet_type: u8) -> metrics::Request {
    use metrics::Request;
    match packet_type {
        kind::INIT => Request::Init,
        kind::OPEN => Request::Open,
        kind::CLOSE => Request::Close,
        kind::READ => Request::Read,
        kind::WRITE => Request::Write,
        kind::LSTAT | kind::FSTAT | kind::STAT => Request::Stat,
        kind::SETSTAT | kind::FSETSTAT => Request::Setstat,
        kind::OPENDIR | kind::READDIR => Request::List,
        kind::REMOVE => Request::Remove,
        kind::MKDIR => Request::Mkdir,
        kind::RMDIR => Request::Rmdir,
        kind::REALPATH => Request::Realpath,
        kind::RENAME => Request::Rename,
        kind::READLINK | kind::SYMLINK => Request::Link,
        kind::EXTENDED => Request::Extended,
        _ => Request::Unknown,
    }
}

/// A request after its id. Paths and handles are as they came.
#[derive(Debug, Clone, PartialEq)]
#[allow(missing_docs)] // The fields are those of the draft.
pub enum Request {
    Open {
        path: Bytes,
        flags: u32,
        attrs: Changes,
    },
    Close {
        handle: Bytes,
    },
    Read {
        handle: Bytes,
        offset: u64,
        length: u32,
    },
    Write {
        handle: Bytes,
        offset: u64,
        data: Vec<Bytes>,
    },
    Lstat {
        path: Bytes,
    },
    Fstat {
        handle: Bytes,
    },
    Setstat {
        path: Bytes,
        attrs: Changes,
    },
    Fsetstat {
        handle: Bytes,
        attrs: Changes,
    },
    Opendir {
        path: Bytes,
    },
    Readdir {
        handle: Bytes,
    },
    Remove {
        path: Bytes,
    },
    Mkdir {
        path: Bytes,
        attrs: Changes,
    },
    Rmdir {
        path: Bytes,
    },
    Realpath {
        path: Bytes,
    },
    Stat {
        path: Bytes,
    },
    Rename {
        from: Bytes,
        to: Bytes,
    },
    Readlink {
        path: Bytes,
    },
    /// The two paths in the order in which they came: which is which depends on the client.
    Symlink {
        first: Bytes,
        second: Bytes,
    },
    Extended(Extended),
    /// A packet type that version 3 does not have.
    Unknown,
}

impl Request {
    /// Does it change nothing, so that it need not be carried out for somebody who is gone?
    pub fn only_asks(&self) -> bool {
        match self {
            Self::Read { .. }
            | Self::Lstat { .. }
            | Self::Fstat { .. }
            | Self::Stat { .. }
            | Self::Readdir { .. }
            | Self::Realpath { .. }
            | Self::Readlink { .. } => true,
            Self::Extended(extended) => matches!(
                extended,
                Extended::Statvfs { .. }
                    | Extended::Fstatvfs { .. }
                    | Extended::CheckFile(_)
                    | Extended::SpaceAvailable { .. }
            ),
            _ => false,
        }
    }

    /// Reads the fields of a request of this type. Bytes after the last field are ignored: Debian's
    /// rclone 1.60 sends some.
    pub fn decode(packet_type: u8, frame: &mut Frame) -> Result<Self, Truncated> {
        Ok(match packet_type {
            kind::OPEN => Self::Open {
                path: frame.string()?,
                flags: frame.uint32()?,
                attrs: attrs(frame)?,
            },
            kind::CLOSE => Self::Close {
                handle: frame.string()?,
            },
            kind::READ => Self::Read {
                handle: frame.string()?,
                offset: frame.uint64()?,
                length: frame.uint32()?,
            },
            kind::WRITE => Self::Write {
                handle: frame.string()?,
                offset: frame.uint64()?,
                data: frame.string_pieces()?,
            },
            kind::LSTAT => Self::Lstat {
                path: frame.string()?,
            },
            kind::FSTAT => Self::Fstat {
                handle: frame.string()?,
            },
            kind::SETSTAT => Self::Setstat {
                path: frame.string()?,
                attrs: attrs(frame)?,
            },
            kind::FSETSTAT => Self::Fsetstat {
                handle: frame.string()?,
                attrs: attrs(frame)?,
            },
            kind::OPENDIR => Self::Opendir {
                path: frame.string()?,
            },
            kind::READDIR => Self::Readdir {
                handle: frame.string()?,
            },
            kind::REMOVE => Self::Remove {
                path: frame.string()?,
            },
            kind::MKDIR => Self::Mkdir {
                path: frame.string()?,
                attrs: attrs(frame)?,
            },
            kind::RMDIR => Self::Rmdir {
                path: frame.string()?,
            },
            kind::REALPATH => Self::Realpath {
                path: frame.string()?,
            },
            kind::STAT => Self::Stat {
                path: frame.string()?,
            },
            kind::RENAME => Self::Rename {
                from: frame.string()?,
                to: frame.string()?,
            },
            kind::READLINK => Self::Readlink {
                path: frame.string()?,
            },
            kind::SYMLINK => Self::Symlink {
                first: frame.string()?,
                second: frame.string()?,
            },
            kind::EXTENDED => Self::Extended(Extended::decode(frame)?),
            _ => Self::Unknown,
        })
    }
}

/// Reads ATTRS (section 5): what a client wants changed. Extended attributes are passed over.
pub(super) fn attrs(frame: &mut Frame) -> Result<Changes, Truncated> {
    let flags = frame.uint32()?;
    let mut changes = Changes::default();
    if flags & attr_flag::SIZE != 0 {
        changes.size = Some(frame.uint64()?);
    }
    if flags & attr_flag::UIDGID != 0 {
        changes.owner = Some((frame.uint32()?, frame.uint32()?));
    }
    if flags & attr_flag::PERMISSIONS != 0 {
        changes.permissions = Some(frame.uint32()?);
    }
    if flags & attr_flag::ACMODTIME != 0 {
        changes.times = Some((frame.uint32()?, frame.uint32()?));
    }
    if flags & attr_flag::EXTENDED != 0 {
        // The count may lie: every round takes at least eight bytes or ends the loop.
        for _ in 0..frame.uint32()? {
            frame.string_pieces()?;
            frame.string_pieces()?;
        }
    }
    Ok(changes)
}

/// Replies, encoded one after the other into pieces that are sent as they are.
#[derive(Debug, Default)]
pub struct Replies {
    /// Pieces that are complete.
    pieces: VecDeque<Bytes>,
    /// Behind them, one of these two is being added to.
    buffer: BytesMut,
    block: Option<Block>,
}

impl Replies {
    /// Bytes that wait to be sent.
    pub fn len(&self) -> usize {
        let pieces: usize = self.pieces.iter().map(Bytes::len).sum();
        pieces + self.buffer.len() + self.block.as_ref().map_or(0, Block::len)
    }

    /// Is there nothing to send?
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The next piece to be sent.
    pub fn take(&mut self) -> Option<Bytes> {
        if self.pieces.is_empty() {
            self.complete_block();
            self.complete_buffer();
        }
        self.pieces.pop_front()
    }

    /// Forgets what waits: nobody hears it any more.
    pub fn discard(&mut self) {
        *self = Self::default();
    }

    fn complete_buffer(&mut self) {
        if !self.buffer.is_empty() {
            self.pieces.push_back(self.buffer.split().freeze());
        }
    }

    fn complete_block(&mut self) {
        if let Some(block) = self.block.take().filter(|block| block.len() > 0) {
            self.pieces.push_back(block.freeze());
        }
    }

    /// VERSION with these extensions (section 4).
    pub fn version<'a>(&mut self, extensions: impl Iterator<Item = (&'a str, &'a str)>) {
        self.packet(kind::VERSION, None, |out| {
            out.put_u32(VERSION);
            for (name, value) in extensions {
                put_string(out, name.as_bytes());
                put_string(out, value.as_bytes());
            }
        });
    }

    /// STATUS (section 7).
    pub fn status(&mut self, id: u32, code: u32, message: &str) {
        self.packet(kind::STATUS, Some(id), |out| {
            out.put_u32(code);
            put_string(out, message.as_bytes());
            put_string(out, b"en");
        });
    }

    /// STATUS that it is done.
    pub fn done(&mut self, id: u32) {
        self.status(id, code::OK, standard_text(code::OK));
    }

    /// STATUS that there is nothing more.
    pub fn end_of_file(&mut self, id: u32) {
        self.status(id, code::EOF, standard_text(code::EOF));
    }

    /// HANDLE
    pub fn handle(&mut self, id: u32, handle: &[u8]) {
        self.packet(kind::HANDLE, Some(id), |out| put_string(out, handle));
    }

    /// ATTRS
    pub fn attrs(&mut self, id: u32, metadata: &Metadata) {
        self.packet(kind::ATTRS, Some(id), |out| put_attrs(out, metadata));
    }

    /// NAME with one path and no attributes, as for REALPATH and READLINK.
    pub fn path(&mut self, id: u32, path: &[u8]) {
        self.packet(kind::NAME, Some(id), |out| {
            out.put_u32(1);
            put_string(out, path);
            put_string(out, path);
            out.put_u32(0);
        });
    }

    /// EXTENDED_REPLY with a body of the extension's own.
    pub fn extended(&mut self, id: u32, body: impl FnOnce(&mut BytesMut)) {
        self.packet(kind::EXTENDED_REPLY, Some(id), body);
    }

    /// DATA with at most `length` bytes, as many as `fill` says that it has filled; with none, or `None`,
    /// nothing is left behind.
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

    /// DATA, if `fill` appends any bytes; else nothing is left behind. `fill` gets the buffer and
    /// returns how many bytes it appended.
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

    /// NAME with as many entries as `next` gives. Returns how many; with none, nothing is left
    /// behind. `next` is asked as long as the packet stays below `limit` bytes.
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
                // What was read before the error is still told; the error comes up again.
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

/// Appends a `string`.
pub fn put_string(out: &mut BytesMut, bytes: &[u8]) {
    out.put_u32(bytes.len() as u32);
    out.put_slice(bytes);
}

/// Appends ATTRS with everything that version 3 can say.
pub fn put_attrs(out: &mut BytesMut, metadata: &Metadata) {
    use attr_flag::{ACMODTIME, PERMISSIONS, SIZE, UIDGID};
    out.put_u32(SIZE | UIDGID | PERMISSIONS | ACMODTIME);
    out.put_u64(metadata.size);
    out.put_u32(metadata.uid);
    out.put_u32(metadata.gid);
    out.put_u32(metadata.mode);
    out.put_u32(unsigned_seconds(metadata.atime));
    out.put_u32(unsigned_seconds(metadata.mtime));
}
