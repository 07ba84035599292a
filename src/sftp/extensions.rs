//! The extensions: one table from which VERSION's list and the decoding follow.
//!
//! Sources: OpenSSH's PROTOCOL, section 4; draft-ietf-secsh-filexfer-extensions-00 for copy-data
//! and home-directory.

use bytes::Bytes;

use super::packet::attrs;
use super::wire::{Frame, Truncated};
use crate::store::Changes;

/// An extended request after its name.
#[derive(Debug, Clone, PartialEq)]
#[allow(missing_docs)] // The fields are those of the extension's description.
pub enum Extended {
    PosixRename {
        from: Bytes,
        to: Bytes,
    },
    Statvfs {
        path: Bytes,
    },
    Fstatvfs {
        handle: Bytes,
    },
    Hardlink {
        existing: Bytes,
        new: Bytes,
    },
    Fsync {
        handle: Bytes,
    },
    Lsetstat {
        path: Bytes,
        attrs: Changes,
    },
    Limits,
    ExpandPath {
        path: Bytes,
    },
    CopyData {
        from: Bytes,
        offset: u64,
        /// 0 means up to the end of the file.
        length: u64,
        to: Bytes,
        to_offset: u64,
    },
    SpaceAvailable {
        path: Bytes,
    },
    HomeDirectory {
        user: Bytes,
    },
    UsersGroupsById {
        users: Bytes,
        groups: Bytes,
    },
    /// A name that is not in the table.
    Unknown,
}

type Decode = fn(&mut Frame) -> Result<Extended, Truncated>;

/// One extension: its name, the value that VERSION advertises with it, and how it is read.
struct Row(&'static str, &'static str, Decode);

const TABLE: &[Row] = &[
    Row("posix-rename@openssh.com", "1", |f| {
        Ok(Extended::PosixRename {
            from: f.string()?,
            to: f.string()?,
        })
    }),
    Row("statvfs@openssh.com", "2", |f| {
        Ok(Extended::Statvfs { path: f.string()? })
    }),
    Row("fstatvfs@openssh.com", "2", |f| {
        Ok(Extended::Fstatvfs {
            handle: f.string()?,
        })
    }),
    Row("hardlink@openssh.com", "1", |f| {
        Ok(Extended::Hardlink {
            existing: f.string()?,
            new: f.string()?,
        })
    }),
    Row("fsync@openssh.com", "1", |f| {
        Ok(Extended::Fsync {
            handle: f.string()?,
        })
    }),
    Row("lsetstat@openssh.com", "1", |f| {
        Ok(Extended::Lsetstat {
            path: f.string()?,
            attrs: attrs(f)?,
        })
    }),
    Row("limits@openssh.com", "1", |_| Ok(Extended::Limits)),
    Row("expand-path@openssh.com", "1", |f| {
        Ok(Extended::ExpandPath { path: f.string()? })
    }),
    Row("copy-data", "1", |f| {
        Ok(Extended::CopyData {
            from: f.string()?,
            offset: f.uint64()?,
            length: f.uint64()?,
            to: f.string()?,
            to_offset: f.uint64()?,
        })
    }),
    Row("space-available", "1", |f| {
        Ok(Extended::SpaceAvailable { path: f.string()? })
    }),
    Row("home-directory", "1", |f| {
        Ok(Extended::HomeDirectory { user: f.string()? })
    }),
    Row("users-groups-by-id@openssh.com", "1", |f| {
        Ok(Extended::UsersGroupsById {
            users: f.string()?,
            groups: f.string()?,
        })
    }),
];

/// Names and values for VERSION.
pub fn advertised() -> impl Iterator<Item = (&'static str, &'static str)> {
    TABLE.iter().map(|Row(name, value, _)| (*name, *value))
}

impl Extended {
    /// Reads the name and, if it is known, the fields that follow it.
    pub fn decode(frame: &mut Frame) -> Result<Self, Truncated> {
        let name = frame.string()?;
        match TABLE.iter().find(|Row(known, ..)| known.as_bytes() == name) {
            Some(Row(_, _, decode)) => decode(frame),
            None => Ok(Self::Unknown),
        }
    }
}
