//! What a store is: the file system of one home, as the verbs of the vfs see it.
//!
//! Paths are [`VPath`]s and nothing resolves outside the home. All calls may block; callers run
//! them on the blocking pool. The exceptions are those whose names end in `_now`: they know from memory,
//! or say that they do not.

use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::SystemTime;

use bytes::{Bytes, BytesMut};

use crate::error::Error;
use crate::values::path::VPath;

pub mod local;

/// What stands behind the name of a file of which a part has come: WinSCP's own way, so that it finds
/// what it can go on with.
pub const PART: &[u8] = b".filepart";

/// What kind of thing a name stands for.
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

/// What is known of a file, directory or link (`stat(2)`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Metadata {
    /// Type and permission bits, as `st_mode`.
    pub mode: u32,
    /// Bytes.
    pub size: u64,
    /// Names that the inode has.
    pub links: u64,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Last access, seconds since 1970 (may be negative).
    pub atime: i64,
    /// Last modification, seconds since 1970 (may be negative).
    pub mtime: i64,
    /// Nanoseconds behind the seconds of `mtime`.
    pub mtime_nanoseconds: u64,
    /// Last change of the inode (`st_ctime`), seconds since 1970, and nanoseconds.
    pub ctime: (i64, u64),
    /// The device and inode: the same for all names of one file.
    pub inode: (u64, u64),
}

impl Metadata {
    /// The kind that the type bits of the mode stand for.
    pub fn kind(&self) -> Kind {
        match self.mode & 0o170_000 {
            0o100_000 => Kind::File,
            0o040_000 => Kind::Directory,
            0o120_000 => Kind::Symlink,
            _ => Kind::Other,
        }
    }
}

/// What no two files ever have in common, not even when one gets the inode of another that is gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Identity {
    /// The device and inode.
    pub inode: (u64, u64),
    /// When it was made: seconds since 1970, and nanoseconds.
    pub born: (i64, u32),
}

/// What to change of a file; what is `None` stays.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Changes {
    /// New size in bytes: cut, or grown with zeros.
    pub size: Option<u64>,
    /// New owner and group.
    pub owner: Option<(u32, u32)>,
    /// New permission bits; the store masks them with 01777.
    pub permissions: Option<u32>,
    /// New access and modification times, seconds since 1970.
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
    /// Make it if it does not exist.
    pub create: bool,
    /// Cut it to nothing.
    pub truncate: bool,
    /// With `create`: fail if it exists.
    pub exclusive: bool,
    /// Permission bits of a file that is made; the store masks them with 01777.
    pub permissions: Option<u32>,
}

/// To read what is there.
pub const READING: OpenHow = OpenHow {
    read: true,
    write: false,
    append: false,
    create: false,
    truncate: false,
    exclusive: false,
    permissions: None,
};

/// Space and inodes of a file system or of a quota, in the terms of `statvfs(3)`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Space {
    /// Unit of the block counts, in bytes.
    pub block_size: u64,
    /// Blocks in all.
    pub blocks: u64,
    /// Blocks that the user can still fill.
    pub blocks_available: u64,
    /// Inodes in all.
    pub files: u64,
    /// Inodes that the user can still make.
    pub files_available: u64,
    /// The file system's id.
    pub id: u64,
    /// Is it read-only?
    pub read_only: bool,
    /// Longest name in bytes.
    pub name_max: u64,
}

/// What lies in a home.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counted {
    /// Apparent sizes of regular files and lengths of the targets of links, each inode once.
    pub bytes: u64,
    /// Names: of files, directories and links; the home itself has none.
    pub files: u64,
}

/// One name in a directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The name: bytes, no slash; "." and ".." are listed too.
    pub name: Vec<u8>,
    /// Of the name itself, not of what a link points to.
    pub metadata: Metadata,
}

/// An open file. The same object may be read and written from several threads.
pub trait File: Send + Sync {
    /// Fills `out` from `offset` without ever waiting for a disk (`preadv2` with `RWF_NOWAIT`).
    /// Returns how many bytes there are, fewer than asked for only at the end of the file; `None` if
    /// that needs [`File::read`] to tell.
    fn read_now(&self, offset: u64, out: &mut [u8]) -> Option<usize>;

    /// Appends `length` bytes from `offset` to `out`, fewer only at the end of the file. Returns
    /// how many.
    fn read(&self, offset: u64, length: usize, out: &mut BytesMut) -> Result<usize, Error>;

    /// Writes all pieces one after the other at `offset` (at the end, if opened to append).
    /// On an error the number says how many bytes were stored before it.
    fn write(&self, offset: u64, pieces: &[Bytes]) -> Result<(), (usize, Error)>;

    /// `fstat(2)`.
    fn metadata(&self) -> Result<Metadata, Error>;

    /// As [`Store::identity`].
    fn identity(&self) -> Result<Identity, Error>;

    /// Changes what is asked, in the order size, owner, permissions, times.
    fn change(&self, changes: &Changes) -> Result<(), Error>;

    /// Makes what was written durable (`fsync(2)`).
    fn sync(&self) -> Result<(), Error>;

    /// Ends its use (`close(2)`): file systems in a network tell only now that a write has failed.
    /// To be called by its last holder.
    fn close(self: Arc<Self>) -> Result<(), Error>;

    /// Space where this file lies.
    fn space(&self) -> Result<Space, Error>;

    /// Copies at most `length` bytes from here to `target`, inside the kernel where it can.
    /// Returns how many; 0 only at the end of the file. May copy less than asked: call again.
    fn copy_to(
        &self,
        offset: u64,
        target: &dyn File,
        target_offset: u64,
        length: u64,
    ) -> Result<u64, Error>;

    /// For stores that know each other's files (see `copy_to`).
    fn as_any(&self) -> &dyn std::any::Any;
}

/// An open directory, read in batches.
pub trait Directory: Send {
    /// The next entry; `None` at the end. Names that vanish while being read are left out.
    fn next(&mut self) -> Result<Option<Entry>, Error>;

    /// `fstat(2)`.
    fn metadata(&self) -> Result<Metadata, Error>;

    /// As [`Store::identity`].
    fn identity(&self) -> Result<Identity, Error>;

    /// As [`File::change`]; a size is refused.
    fn change(&self, changes: &Changes) -> Result<(), Error>;

    /// Space where this directory lies.
    fn space(&self) -> Result<Space, Error>;

    /// Makes the names in it durable (`fsync(2)`).
    fn sync_names(&self) -> Result<(), Error>;
}

/// A new file that is open, and how it takes the place of an old one.
pub type NewFile = (Box<dyn File>, Box<dyn Replacement>);

/// A new file that is to take the place of an old one. Until then it lies beside it under a name that
/// is hidden and that nobody has chosen; the directory is held open, so that it is the one that was
/// meant whatever becomes of its path.
pub trait Replacement: Send + Sync {
    /// What has the old file's name now; a link is not followed.
    fn replaced(&self) -> Result<Metadata, Error>;

    /// The new file by its hidden name: `ENOENT` if that is no more its own.
    fn hidden(&self) -> Result<Metadata, Error>;

    /// Gives the new file the old one's name, and what has that now is replaced atomically; the
    /// hidden name is gone.
    fn commit(&self) -> Result<(), Error>;

    /// Gives the new file the old one's name with [`PART`] behind it, if that is free (`EEXIST`).
    fn keep(&self) -> Result<(), Error>;

    /// Takes the hidden name away.
    fn discard(&self) -> Result<(), Error>;

    /// Makes the names in the directory durable.
    fn sync_names(&self) -> Result<(), Error>;
}

/// The file system of one home.
///
/// A link is followed where `open(2)` and friends would follow it, but never to a place outside of
/// the home: an absolute target, and "..", end at the home.
pub trait Store: Send + Sync {
    /// The same home, where no link is followed, wherever in a path it stands (`ELOOP`): for who has
    /// looked where a path leads, and relies on it.
    fn without_links(&self) -> Arc<dyn Store>;

    /// Opens a regular file. Everything else is refused without waiting: a FIFO, socket or device
    /// with [`Error::Refused`], a directory with `EISDIR`.
    fn open(&self, path: &VPath, how: &OpenHow) -> Result<Box<dyn File>, Error>;

    /// Opens a regular file for reading without ever waiting for a disk (`openat2` with
    /// `RESOLVE_CACHED`). `None` if that needs [`Store::open`] to tell.
    fn open_now(&self, path: &VPath) -> Option<Box<dyn File>>;

    /// Makes a new file, opened as asked, that is to take the place of the `old` one, to which the
    /// path leads. It has that one's mode, and its owner where the server can give files away.
    fn replacement(&self, path: &VPath, how: &OpenHow, old: &Metadata) -> Result<NewFile, Error>;

    /// Tells the names of files that replacements can have left in the home: those of the form that
    /// only [`Store::replacement`] gives. Stops when told to.
    fn leftovers(&self, tell: &mut dyn FnMut(VPath) -> ControlFlow<()>) -> Result<(), Error>;

    /// Opens a directory for listing.
    fn open_directory(&self, path: &VPath) -> Result<Box<dyn Directory>, Error>;

    /// `stat(2)`, or `lstat(2)` if `follow` is false.
    fn metadata(&self, path: &VPath, follow: bool) -> Result<Metadata, Error>;

    /// The same without ever waiting for a disk; `None` if that needs [`Store::metadata`] to tell.
    fn metadata_now(&self, path: &VPath, follow: bool) -> Option<Metadata>;

    /// What tells a file, directory or link from all others; unsupported where a file system does not
    /// keep when it was made.
    fn identity(&self, path: &VPath, follow: bool) -> Result<Identity, Error>;

    /// Changes what is asked, in the order size, owner, permissions, times; of the link itself if
    /// `follow` is false.
    fn change(&self, path: &VPath, changes: &Changes, follow: bool) -> Result<(), Error>;

    /// Removes a name that is not a directory.
    fn remove_file(&self, path: &VPath) -> Result<(), Error>;

    /// Makes a directory; permission bits are masked with 01777.
    fn make_directory(&self, path: &VPath, permissions: Option<u32>) -> Result<(), Error>;

    /// Removes an empty directory.
    fn remove_directory(&self, path: &VPath) -> Result<(), Error>;

    /// Renames. An existing `to` is atomically replaced if `replace`, else it is refused (`EEXIST`).
    fn rename(&self, from: &VPath, to: &VPath, replace: bool) -> Result<(), Error>;

    /// Makes `new` another name of the file `existing` (a link is not followed).
    fn hard_link(&self, existing: &VPath, new: &VPath) -> Result<(), Error>;

    /// Makes `link` a symbolic link with exactly these bytes in it.
    fn symlink(&self, target: &[u8], link: &VPath) -> Result<(), Error>;

    /// The bytes in a symbolic link.
    fn read_link(&self, path: &VPath) -> Result<Vec<u8>, Error>;

    /// Where a path leads once all links are followed. A missing last name is no error
    /// (`put -r` asks before it makes a directory); a missing directory before it is.
    fn canonical(&self, path: &VPath) -> Result<VPath, Error>;

    /// Space where the path lies.
    fn space(&self, path: &VPath) -> Result<Space, Error>;

    /// Counts everything in the home; tells now and then how many names it has seen.
    fn count(&self, tell: &mut dyn FnMut(u64)) -> Result<Counted, Error>;
}

/// A time in whole seconds since 1970, as the wire and `stat(2)` count.
pub fn seconds(time: SystemTime) -> i64 {
    match time.duration_since(SystemTime::UNIX_EPOCH) {
        Ok(after) => i64::try_from(after.as_secs()).unwrap_or(i64::MAX),
        Err(before) => -i64::try_from(before.duration().as_secs()).unwrap_or(i64::MAX),
    }
}

/// Times in requests and in [`Changes`] are unsigned 32-bit seconds (draft-ietf-secsh-filexfer-02,
/// section 5): what lies outside becomes the nearest end.
pub fn unsigned_seconds(seconds: i64) -> u32 {
    u32::try_from(seconds.max(0)).unwrap_or(u32::MAX)
}
