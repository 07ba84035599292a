//! The SFTP extensions: one table for the list in VERSION and for decoding, and the replies of extensions.
//!
//! Sources: OpenSSH's PROTOCOL, section 4; draft-ietf-secsh-filexfer-extensions-00 for copy-data,
//! copy-file, check-file and home-directory.

use bytes::{BufMut as _, Bytes, BytesMut};

use super::attrs::attrs;
use super::wire::{Frame, Truncated, put_string};
use crate::store::{Changes, Space};

/// The body of an extended request.
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
        /// 0 means to the end of the file.
        length: u64,
        to: Bytes,
        to_offset: u64,
    },
    CopyFile {
        from: Bytes,
        to: Bytes,
        overwrite: bool,
    },
    CheckFile(CheckFile),
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

/// `f_flag` of statvfs@openssh.com (OpenSSH's PROTOCOL, section 4.4).
const STATVFS_READ_ONLY: u64 = 1;
const STATVFS_NO_SETUID: u64 = 2;

/// The fields of check-file.
#[derive(Debug, Clone, PartialEq)]
#[allow(missing_docs)]
pub struct CheckFile {
    pub of: CheckTarget,
    /// Algorithm names separated by commas; the server uses the first that it knows.
    pub algorithms: Bytes,
    pub offset: u64,
    /// 0 means to the end of the file.
    pub length: u64,
    /// 0 requests one hash of everything.
    pub block_size: u32,
    /// Whether the reply begins with "check-file".
    pub names_itself: bool,
}

/// The file to hash.
#[derive(Debug, Clone, PartialEq)]
#[allow(missing_docs)]
pub enum CheckTarget {
    Handle(Bytes),
    Path(Bytes),
}

type Decode = fn(&mut Frame) -> Result<Extended, Truncated>;

/// One extension: its name, the value in VERSION, and its decoder.
struct ExtensionRow(&'static str, &'static str, Decode);

const TABLE: &[ExtensionRow] = &[
    ExtensionRow("posix-rename@openssh.com", "1", |f| {
        Ok(Extended::PosixRename {
            from: f.string()?,
            to: f.string()?,
        })
    }),
    ExtensionRow("statvfs@openssh.com", "2", |f| {
        Ok(Extended::Statvfs { path: f.string()? })
    }),
    ExtensionRow("fstatvfs@openssh.com", "2", |f| {
        Ok(Extended::Fstatvfs {
            handle: f.string()?,
        })
    }),
    ExtensionRow("hardlink@openssh.com", "1", |f| {
        Ok(Extended::Hardlink {
            existing: f.string()?,
            new: f.string()?,
        })
    }),
    ExtensionRow("fsync@openssh.com", "1", |f| {
        Ok(Extended::Fsync {
            handle: f.string()?,
        })
    }),
    ExtensionRow("lsetstat@openssh.com", "1", |f| {
        Ok(Extended::Lsetstat {
            path: f.string()?,
            attrs: attrs(f)?,
        })
    }),
    ExtensionRow("limits@openssh.com", "1", |_| Ok(Extended::Limits)),
    ExtensionRow("expand-path@openssh.com", "1", |f| {
        Ok(Extended::ExpandPath { path: f.string()? })
    }),
    ExtensionRow("copy-data", "1", |f| {
        Ok(Extended::CopyData {
            from: f.string()?,
            offset: f.uint64()?,
            length: f.uint64()?,
            to: f.string()?,
            to_offset: f.uint64()?,
        })
    }),
    ExtensionRow("copy-file", "1", |f| {
        Ok(Extended::CopyFile {
            from: f.string()?,
            to: f.string()?,
            overwrite: f.byte()? != 0,
        })
    }),
    // As paramiko sends it and expects the reply, which differs from the draft.
    ExtensionRow("check-file", "1", |f| {
        let of = CheckTarget::Handle(f.string()?);
        check_file(f, of, true)
    }),
    ExtensionRow("check-file-handle", "1", |f| {
        let of = CheckTarget::Handle(f.string()?);
        check_file(f, of, false)
    }),
    ExtensionRow("check-file-name", "1", |f| {
        let of = CheckTarget::Path(f.string()?);
        check_file(f, of, false)
    }),
    ExtensionRow("space-available", "1", |f| {
        Ok(Extended::SpaceAvailable { path: f.string()? })
    }),
    ExtensionRow("home-directory", "1", |f| {
        Ok(Extended::HomeDirectory { user: f.string()? })
    }),
    ExtensionRow("users-groups-by-id@openssh.com", "1", |f| {
        Ok(Extended::UsersGroupsById {
            users: f.string()?,
            groups: f.string()?,
        })
    }),
];

fn check_file(
    frame: &mut Frame,
    of: CheckTarget,
    names_itself: bool,
) -> Result<Extended, Truncated> {
    Ok(Extended::CheckFile(CheckFile {
        of,
        algorithms: frame.string()?,
        offset: frame.uint64()?,
        length: frame.uint64()?,
        block_size: frame.uint32()?,
        names_itself,
    }))
}

/// Returns the names and values for VERSION.
pub fn advertised() -> impl Iterator<Item = (&'static str, &'static str)> {
    TABLE
        .iter()
        .map(|ExtensionRow(name, value, _)| (*name, *value))
}

impl Extended {
    /// Decodes the name and, if it is known, its fields.
    pub fn decode(frame: &mut Frame) -> Result<Self, Truncated> {
        let name = frame.string()?;
        match TABLE
            .iter()
            .find(|ExtensionRow(known, ..)| known.as_bytes() == name)
        {
            Some(ExtensionRow(_, _, decode)) => decode(frame),
            None => Ok(Self::Unknown),
        }
    }
}

/// Encodes the reply of statvfs@openssh.com. Some clients multiply by one block size and some by the other,
/// and use one of two counts of free blocks, so the two are always equal.
pub fn put_space(out: &mut BytesMut, space: &Space) {
    out.put_u64(space.block_size);
    out.put_u64(space.block_size);
    out.put_u64(space.blocks);
    out.put_u64(space.blocks_available);
    out.put_u64(space.blocks_available);
    out.put_u64(space.files);
    out.put_u64(space.files_available);
    out.put_u64(space.files_available);
    out.put_u64(space.id);
    out.put_u64(
        STATVFS_NO_SETUID
            | if space.read_only {
                STATVFS_READ_ONLY
            } else {
                0
            },
    );
    out.put_u64(space.name_max);
}

/// Encodes a `string` of `string`s, one for each id in `ids`; empty for an id without a name.
pub fn put_names<'a>(out: &mut BytesMut, ids: Bytes, name: impl Fn(u32) -> Option<&'a str>) {
    let mut ids = Frame::new(ids);
    let mut names = BytesMut::new();
    while let Ok(id) = ids.uint32() {
        put_string(&mut names, name(id).unwrap_or_default().as_bytes());
    }
    put_string(out, &names);
}
