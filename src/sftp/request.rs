//! Requests of SFTP version 3 as types (draft-ietf-secsh-filexfer-02, section 6).

use bytes::Bytes;

use super::attrs::attrs;
use super::extensions::Extended;
use super::kind;
use super::wire::{Frame, Truncated};
use crate::observe::metrics;
use crate::store::Changes;

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

/// Returns the kind under which the metrics count a packet type.
pub fn counted_as(packet_type: u8) -> metrics::RequestKind {
    use metrics::RequestKind;
    match packet_type {
        kind::INIT => RequestKind::Init,
        kind::OPEN => RequestKind::Open,
        kind::CLOSE => RequestKind::Close,
        kind::READ => RequestKind::Read,
        kind::WRITE => RequestKind::Write,
        kind::LSTAT | kind::FSTAT | kind::STAT => RequestKind::Stat,
        kind::SETSTAT | kind::FSETSTAT => RequestKind::Setstat,
        kind::OPENDIR | kind::READDIR => RequestKind::List,
        kind::REMOVE => RequestKind::Remove,
        kind::MKDIR => RequestKind::Mkdir,
        kind::RMDIR => RequestKind::Rmdir,
        kind::REALPATH => RequestKind::Realpath,
        kind::RENAME => RequestKind::Rename,
        kind::READLINK | kind::SYMLINK => RequestKind::Link,
        kind::EXTENDED => RequestKind::Extended,
        _ => RequestKind::Unknown,
    }
}

/// The body of a request. Paths and handles are as received.
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
    /// The two paths in the order of arrival: their meaning depends on the client.
    Symlink {
        first: Bytes,
        second: Bytes,
    },
    Extended(Extended),
    /// A packet type that version 3 does not define.
    Unknown,
}

impl Request {
    /// Returns whether the request changes nothing, so that it can be skipped if the client has
    /// disconnected.
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

    /// Decodes the fields of a request. Bytes after the last field are ignored: rclone 1.60 in Debian sends
    /// some.
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
                data: frame.string_chunks()?,
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
