//! The interface of a store: the file system of one home, as the operations of `vfs` use it.
//!
//! Paths are [`VPath`]s, and nothing resolves outside of the home. All calls may block, so callers run them
//! on the blocking pool; except for those whose names end in `_now`, which answer from memory or not at
//! all.

use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::SystemTime;

use bytes::{Bytes, BytesMut};

use crate::error::Error;
use crate::values::path::VPath;

pub mod local;

/// Suffix of a partial file: WinSCP's own, so that it finds the file to resume.
pub const PART: &[u8] = b".filepart";

/// The kind of a directory entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A regular file.
    File,
    /// A directory.
    Directory,
    /// A symbolic link.
    Symlink,
    /// A FIFO, socket or device: listed, never opened.
    Other,
}

/// The attributes of a file, directory or link (`stat(2)`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Metadata {
    /// Type and permission bits, as `st_mode`.
    pub mode: u32,
    /// Size in bytes.
    pub size: u64,
    /// Number of names of the inode.
    pub links: u64,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Last access, seconds since 1970 (may be negative).
    pub atime: i64,
    /// Last modification, seconds since 1970 (may be negative).
    pub mtime: i64,
    /// Nanoseconds of `mtime`.
    pub mtime_nanoseconds: u64,
    /// Last change of the inode (`st_ctime`), seconds since 1970, and nanoseconds.
    pub ctime: (i64, u64),
    /// Device and inode number: the same for all names of a file.
    pub inode: (u64, u64),
}

impl Metadata {
    /// Returns the kind of the mode's type bits.
    pub fn kind(&self) -> Kind {
        match self.mode & 0o170_000 {
            0o100_000 => Kind::File,
            0o040_000 => Kind::Directory,
            0o120_000 => Kind::Symlink,
            _ => Kind::Other,
        }
    }
}

/// Identifies a file for ever, even if its inode number is reused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Identity {
    /// The device and inode.
    pub inode: (u64, u64),
    /// Birth time: seconds since 1970, and nanoseconds.
    pub born: (i64, u32),
}

/// Attributes to change; `None` keeps one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Changes {
    /// Size in bytes: truncates, or extends with zeros.
    pub size: Option<u64>,
    /// Owner and group.
    pub owner: Option<(u32, u32)>,
    /// Permission bits; the store masks them with 01777.
    pub permissions: Option<u32>,
    /// Access and modification times, seconds since 1970.
    pub times: Option<(u32, u32)>,
}

/// How to open a file (`open(2)`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct OpenHow {
    /// For reading.
    pub read: bool,
    /// For writing.
    pub write: bool,
    /// Every write goes to the end of the file, whatever its offset. Implies `write`.
    pub append: bool,
    /// Create it if absent.
    pub create: bool,
    /// Truncate it to nothing.
    pub truncate: bool,
    /// With `create`: fail if it exists.
    pub exclusive: bool,
    /// Permission bits of a new file; the store masks them with 01777.
    pub permissions: Option<u32>,
}

/// For reading an existing file.
pub const READING: OpenHow = OpenHow {
    read: true,
    write: false,
    append: false,
    create: false,
    truncate: false,
    exclusive: false,
    permissions: None,
};

/// Space and inodes of a file system or a quota, in the terms of `statvfs(3)`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Space {
    /// Unit of the block counts, in bytes.
    pub block_size: u64,
    /// Blocks in total.
    pub blocks: u64,
    /// Blocks available to the user.
    pub blocks_available: u64,
    /// Inodes in total.
    pub files: u64,
    /// Inodes available to the user.
    pub files_available: u64,
    /// The file system's id.
    pub id: u64,
    /// Whether it is read-only.
    pub read_only: bool,
    /// Longest name in bytes.
    pub name_max: u64,
}

/// The contents of a home, counted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counted {
    /// Apparent sizes of regular files and lengths of links' targets, each inode once.
    pub bytes: u64,
    /// Names of files, directories and links, without the home itself.
    pub files: u64,
}

/// A directory entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The name: bytes without a slash; "." and ".." are listed, too.
    pub name: Vec<u8>,
    /// Of the entry itself, not of a link's target.
    pub metadata: Metadata,
}

/// An open file. Several threads may read and write it.
pub trait File: Send + Sync {
    /// Fills `out` from `offset` without waiting for a disk (`preadv2` with `RWF_NOWAIT`). Returns the
    /// number of bytes, fewer than requested only at the end of the file; `None` if [`File::read`] must be
    /// called.
    fn read_now(&self, offset: u64, out: &mut [u8]) -> Option<usize>;

    /// Appends `length` bytes from `offset` to `out`, fewer only at the end of the file. Returns their
    /// number.
    fn read(&self, offset: u64, length: usize, out: &mut BytesMut) -> Result<usize, Error>;

    /// Writes all chunks one after the other at `offset` (at the end, if opened to append). An error
    /// includes the number of bytes written before it.
    fn write(&self, offset: u64, chunks: &[Bytes]) -> Result<(), (usize, Error)>;

    /// Returns the attributes: `fstat(2)`.
    fn metadata(&self) -> Result<Metadata, Error>;

    /// As [`Store::identity`].
    fn identity(&self) -> Result<Identity, Error>;

    /// Changes attributes in the order size, owner, permissions, times.
    fn change(&self, changes: &Changes) -> Result<(), Error>;

    /// Makes written data durable: `fsync(2)`.
    fn sync(&self) -> Result<(), Error>;

    /// Closes it (`close(2)`); network file systems may report a failed write only now. The last holder
    /// must call this.
    fn close(self: Arc<Self>) -> Result<(), Error>;

    /// Returns the space of its file system.
    fn space(&self) -> Result<Space, Error>;

    /// Copies at most `length` bytes to `target`, inside the kernel if possible. Returns their number, 0
    /// only at the end of the file. May copy less than requested.
    fn copy_to(
        &self,
        offset: u64,
        target: &dyn File,
        target_offset: u64,
        length: u64,
    ) -> Result<u64, Error>;

    /// Allows stores to recognize their own files (see `copy_to`).
    fn as_any(&self) -> &dyn std::any::Any;
}

/// An open directory, read in batches.
pub trait Directory: Send {
    /// Returns the next entry; `None` at the end. Omits names that vanish meanwhile.
    fn next(&mut self) -> Result<Option<Entry>, Error>;

    /// Returns the attributes: `fstat(2)`.
    fn metadata(&self) -> Result<Metadata, Error>;

    /// As [`Store::identity`].
    fn identity(&self) -> Result<Identity, Error>;

    /// As [`File::change`], but refuses a size.
    fn change(&self, changes: &Changes) -> Result<(), Error>;

    /// Returns the space of its file system.
    fn space(&self) -> Result<Space, Error>;

    /// Makes its names durable: `fsync(2)`.
    fn sync_names(&self) -> Result<(), Error>;
}

/// An open new file, with the means to replace an existing one.
pub type NewFile = (Box<dyn File>, Box<dyn Replacement>);

/// A new file that is to replace an existing one. Until then it has a hidden random name beside it. The
/// directory is held open, so its path may change meanwhile.
pub trait Replacement: Send + Sync {
    /// Returns the attributes of the file that has the name now, without following a link.
    fn replaced(&self) -> Result<Metadata, Error>;

    /// Returns the attributes of the new file by its hidden name; `ENOENT` if another file has that name.
    fn hidden(&self) -> Result<Metadata, Error>;

    /// Gives the new file the name, replacing the existing file atomically, and removes the hidden name.
    fn commit(&self) -> Result<(), Error>;

    /// Gives the new file the name with [`PART`] appended, if that is free (`EEXIST`).
    fn keep(&self) -> Result<(), Error>;

    /// Removes the hidden name.
    fn discard(&self) -> Result<(), Error>;

    /// Makes the names in the directory durable.
    fn sync_names(&self) -> Result<(), Error>;
}

/// The file system of one home.
///
/// Links are followed where `open(2)` and similar calls follow them, but never out of the home: an absolute
/// target, and "..", end at the home.
pub trait Store: Send + Sync {
    /// Returns a store of the same home that follows no link anywhere in a path (`ELOOP`), for a caller
    /// that relies on a resolved path.
    fn without_links(&self) -> Arc<dyn Store>;

    /// Opens a regular file. Refuses everything else without waiting: a FIFO, socket or device with
    /// [`Error::Refused`], a directory with `EISDIR`.
    fn open(&self, path: &VPath, how: &OpenHow) -> Result<Box<dyn File>, Error>;

    /// Opens a regular file for reading without waiting for a disk (`openat2` with `RESOLVE_CACHED`).
    /// `None` if [`Store::open`] must be called.
    fn open_now(&self, path: &VPath) -> Option<Box<dyn File>>;

    /// Creates and opens a new file that is to replace the `old` one at this path. It gets the old mode,
    /// and the old owner where the server may change owners.
    fn replacement(&self, path: &VPath, how: &OpenHow, old: &Metadata) -> Result<NewFile, Error>;

    /// Reports the names of files in the home that replacements may have left behind: only those that
    /// [`Store::replacement`] creates. Stops when `tell` breaks.
    fn leftovers(&self, tell: &mut dyn FnMut(VPath) -> ControlFlow<()>) -> Result<(), Error>;

    /// Opens a directory for listing.
    fn open_directory(&self, path: &VPath) -> Result<Box<dyn Directory>, Error>;

    /// Returns attributes: `stat(2)`, or `lstat(2)` if `follow` is false.
    fn metadata(&self, path: &VPath, follow: bool) -> Result<Metadata, Error>;

    /// Returns attributes without waiting for a disk; `None` if [`Store::metadata`] must be called.
    fn metadata_now(&self, path: &VPath, follow: bool) -> Option<Metadata>;

    /// Returns the identity of a file, directory or link; an error where the file system has no birth
    /// times.
    fn identity(&self, path: &VPath, follow: bool) -> Result<Identity, Error>;

    /// Changes attributes in the order size, owner, permissions, times; of the link itself if `follow` is
    /// false.
    fn change(&self, path: &VPath, changes: &Changes, follow: bool) -> Result<(), Error>;

    /// Removes a file or link.
    fn remove_file(&self, path: &VPath) -> Result<(), Error>;

    /// Creates a directory; permission bits are masked with 01777.
    fn make_directory(&self, path: &VPath, permissions: Option<u32>) -> Result<(), Error>;

    /// Removes an empty directory.
    fn remove_directory(&self, path: &VPath) -> Result<(), Error>;

    /// Renames. An existing `to` is replaced atomically if `replace`, and refused otherwise (`EEXIST`).
    fn rename(&self, from: &VPath, to: &VPath, replace: bool) -> Result<(), Error>;

    /// Creates the name `new` for the file `existing` (a link is not followed).
    fn hard_link(&self, existing: &VPath, new: &VPath) -> Result<(), Error>;

    /// Creates a symbolic link with this exact target.
    fn symlink(&self, target: &[u8], link: &VPath) -> Result<(), Error>;

    /// Returns the target of a symbolic link.
    fn read_link(&self, path: &VPath) -> Result<Vec<u8>, Error>;

    /// Returns the path with all links resolved. The last component may be missing (`put -r` asks before it
    /// creates a directory), but no directory before it.
    fn canonical(&self, path: &VPath) -> Result<VPath, Error>;

    /// Returns the space at a path.
    fn space(&self, path: &VPath) -> Result<Space, Error>;

    /// Counts the contents of the home; reports the number of names seen now and then.
    fn count(&self, tell: &mut dyn FnMut(u64)) -> Result<Counted, Error>;
}

/// Returns a time in whole seconds since 1970, as SFTP and `stat(2)` have it.
pub fn seconds(time: SystemTime) -> i64 {
    match time.duration_since(SystemTime::UNIX_EPOCH) {
        Ok(after) => i64::try_from(after.as_secs()).unwrap_or(i64::MAX),
        Err(before) => -i64::try_from(before.duration().as_secs()).unwrap_or(i64::MAX),
    }
}

/// Converts a time to the unsigned 32-bit seconds of requests and [`Changes`]
/// (draft-ietf-secsh-filexfer-02, section 5): a time outside becomes the nearest end.
pub fn unsigned_seconds(seconds: i64) -> u32 {
    u32::try_from(seconds.max(0)).unwrap_or(u32::MAX)
}
