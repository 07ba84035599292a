//! Resolves a path to a descriptor: the kernel does, with the home as root.

use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::path::Path;
use std::sync::Arc;

use rustix::fs::{CWD, Mode, OFlags, ResolveFlags, fstat, openat, openat2, readlinkat};
use rustix::io::{self, Errno};

use crate::error::Error;
use crate::values::path::VPath;

/// ".." and absolute links end at the home; magic links (as in /proc) are refused.
const BENEATH: ResolveFlags = ResolveFlags::IN_ROOT.union(ResolveFlags::NO_MAGICLINKS);

/// The kernel returns EAGAIN if anything on the machine is renamed while it walks a ".." or a link under
/// `RESOLVE_IN_ROOT`, since it cannot prove that it stayed inside. Retrying is the documented answer; the
/// limit keeps a flood of renames from occupying a thread forever.
const RACE_TRIES: u32 = 256;

/// Attempts to find the location of a file while it, or the home, is being moved.
const PLACE_TRIES: u32 = 8;

/// What the kernel appends to the path of a descriptor without a name.
const DELETED: &[u8] = b" (deleted)";

/// The directory that is the root of all paths of an account.
#[derive(Debug)]
pub(super) struct Home {
    fd: Arc<OwnedFd>,
    how: ResolveFlags,
}

/// The directory of a last component.
pub(super) enum Parent<'a> {
    /// The home itself, without opening anything.
    Home(BorrowedFd<'a>),
    /// A directory further down.
    Opened(OwnedFd),
}

impl AsFd for Parent<'_> {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Self::Home(fd) => *fd,
            Self::Opened(fd) => fd.as_fd(),
        }
    }
}

/// The location of a descriptor.
enum ResolvedPlace {
    /// Below the home at this path ("" for the home itself).
    At(Vec<u8>),
    /// It, or the home, was just renamed or removed.
    Moving,
    /// /proc does not tell.
    Unknown,
}

impl Home {
    /// Opens the home. The path is the operator's; its links are followed.
    pub(super) fn open(path: &Path) -> Result<Self, Error> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        Ok(Self {
            fd: Arc::new(openat(CWD, path, flags, Mode::empty())?),
            how: BENEATH,
        })
    }

    /// Returns the same home without following links (`ELOOP`).
    pub(super) fn without_links(&self) -> Self {
        Self {
            fd: self.fd.clone(),
            how: BENEATH | ResolveFlags::NO_SYMLINKS,
        }
    }

    pub(super) fn follows_links(&self) -> bool {
        !self.how.contains(ResolveFlags::NO_SYMLINKS)
    }

    pub(super) fn fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }

    /// Returns whether a descriptor refers to the home itself.
    pub(super) fn is(&self, fd: &OwnedFd) -> Result<bool, Error> {
        same_inode(fd, &self.fd)
    }

    /// Opens a path. With [`OFlags::NOFOLLOW`] a link in the last component is not followed.
    pub(super) fn resolve(&self, path: &[u8], flags: OFlags, mode: Mode) -> Result<OwnedFd, Error> {
        let flags = flags | OFlags::CLOEXEC;
        let mut tries = 1;
        loop {
            match openat2(&self.fd, path, flags, mode, self.how) {
                Ok(fd) => return Ok(fd),
                Err(Errno::AGAIN) if tries < RACE_TRIES => {
                    tries += 1;
                    std::thread::yield_now();
                }
                Err(Errno::INTR) => {}
                Err(Errno::NOSYS) => {
                    return Err(Error::Unsupported(
                        "The server's kernel cannot confine paths: it needs openat2 (Linux 5.6)",
                    ));
                }
                Err(errno) => return Err(errno.into()),
            }
        }
    }

    /// Opens a path without waiting for a disk; `None` if any part of it is not in memory, is on another
    /// file system, or makes the kernel retry.
    pub(super) fn resolve_now(&self, path: &[u8], flags: OFlags) -> Option<OwnedFd> {
        let how = self.how | ResolveFlags::CACHED | ResolveFlags::NO_XDEV;
        openat2(&self.fd, path, flags | OFlags::CLOEXEC, Mode::empty(), how).ok()
    }

    /// Opens a descriptor of the path's inode without opening the file.
    pub(super) fn inode(&self, path: &[u8], follow: bool) -> Result<OwnedFd, Error> {
        self.resolve(path, path_only(follow), Mode::empty())
    }

    /// Returns the directory of the last component, and that component.
    pub(super) fn parent<'a>(&'a self, path: &'a VPath) -> Result<(Parent<'a>, &'a [u8]), Error> {
        let (directory, name) = path.split_last();
        if directory == b"." {
            return Ok((Parent::Home(self.fd()), name));
        }
        let flags = OFlags::PATH | OFlags::DIRECTORY;
        let fd = self.resolve(directory, flags, Mode::empty())?;
        Ok((Parent::Opened(fd), name))
    }

    /// As [`Self::parent`], for calls that create, remove or set the name. None of them follows a link
    /// there, so the name keeps a trailing slash, and the kernel checks that it is a directory's.
    pub(super) fn parent_of_name<'a>(
        &'a self,
        path: &'a VPath,
    ) -> Result<(Parent<'a>, &'a [u8]), Error> {
        let (parent, _) = self.parent(path)?;
        Ok((parent, path.split_as_written().1))
    }

    /// Returns a path with its links resolved. A last component that is missing, or a broken link, stays.
    pub(super) fn canonical(&self, path: &VPath) -> Result<VPath, Error> {
        for _ in 0..PLACE_TRIES {
            let (fd, missing) = match self.inode(path.relative(), true) {
                Ok(fd) => (fd, None),
                Err(Error::Os(Errno::NOENT)) => {
                    let (directory, name) = path.split_as_written();
                    (self.inode(directory, true)?, Some(name))
                }
                Err(error) => return Err(error),
            };
            match self.place(&fd)? {
                ResolvedPlace::At(mut found) => {
                    if let Some(name) = missing {
                        found.push(b'/');
                        found.extend_from_slice(name);
                    }
                    return Ok(VPath::parse(&found)?);
                }
                ResolvedPlace::Moving => {}
                ResolvedPlace::Unknown => break,
            }
        }
        // Without /proc the links cannot be resolved.
        Ok(path.without_dotdot())
    }

    /// Asks /proc for the path of a descriptor, and removes the home's own path.
    fn place(&self, fd: &OwnedFd) -> Result<ResolvedPlace, Error> {
        let (Ok(home), Ok(path)) = (path_of(self.fd()), path_of(fd)) else {
            return Ok(ResolvedPlace::Unknown);
        };
        let home = home.strip_suffix(b"/").unwrap_or(&home);
        let below = match path.strip_prefix(home) {
            Some(below) if below.is_empty() || below.starts_with(b"/") => below,
            _ => return Ok(ResolvedPlace::Moving),
        };
        // A name may really end like this: then the path leads to the same inode.
        if below.ends_with(DELETED) {
            let relative = VPath::parse(below)?;
            match self.inode(relative.relative(), false) {
                Ok(named) if same_inode(&named, fd)? => {}
                _ => return Ok(ResolvedPlace::Moving),
            }
        }
        Ok(ResolvedPlace::At(below.to_vec()))
    }
}

/// The flags of a descriptor that refers to an inode without opening it.
pub(super) fn path_only(follow: bool) -> OFlags {
    let mut flags = OFlags::PATH;
    flags.set(OFlags::NOFOLLOW, !follow);
    flags
}

/// Returns the name in /proc of an `O_PATH` descriptor's inode, for the few calls that do not accept such a
/// descriptor.
pub(super) fn proc_name(fd: impl AsFd) -> String {
    format!("/proc/self/fd/{}", fd.as_fd().as_raw_fd())
}

pub(super) fn path_of(fd: impl AsFd) -> io::Result<Vec<u8>> {
    Ok(readlinkat(CWD, proc_name(fd), Vec::new())?.into_bytes())
}

fn same_inode(a: &OwnedFd, b: &OwnedFd) -> Result<bool, Error> {
    let (a, b) = (fstat(a)?, fstat(b)?);
    Ok((a.st_dev, a.st_ino) == (b.st_dev, b.st_ino))
}
