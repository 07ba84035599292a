//! Homes on a local file system, confined by the kernel.
//!
//! Every path is resolved by `openat2(RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS)` from a descriptor of the home, in
//! one system call: there is no check that a second session could race with. Calls that act on a name (remove,
//! rename, mkdir) resolve its directory like this and then use the last component alone, which such calls never
//! follow.
//!
//! Decisions:
//! - New files and directories get the requested permission bits without setuid, setgid and the umask of the
//!   store. The server sets the umask of its process to 0, since that would apply as well.
//! - A file is opened with `O_NONBLOCK` and checked afterwards, not before: that saves a system call for every
//!   file, and never waits. So a FIFO or a device is open for a moment before it is refused. `O_TRUNC` does
//!   nothing to them, and only the operator can put a device into a home.
//! - `exclusive` without `create` is refused, as the draft requires, instead of ignored, as POSIX has it: a client
//!   that sends it does not mean to open an existing file.

mod count;
mod directory;
mod file;
mod inode;
mod leftovers;
mod now;
mod opening;
mod remove;
mod rename;
mod replacement;
mod resolve;
#[cfg(test)]
mod tests;
mod walk;

use std::ops::ControlFlow;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::sync::Arc;

use rustix::fs::{
    AtFlags, Mode, OFlags, linkat, mkdirat, readlinkat, renameat, symlinkat, unlinkat,
};
use rustix::io::Errno;

use self::directory::LocalDirectory;
use self::file::{LocalFile, resize};
use self::inode::{Reach, Subject};
use self::now::AtOnce;
use self::opening::{AT_ONCE, NOT_A_FILE, open_flags};
pub use self::remove::{Remains, remove_home};
use self::rename::rename_to_free_name;
use self::replacement::LocalReplacement;
use self::resolve::{Home, Parent, path_only};
use super::{
    Changes, Counted, Directory, File, Identity, Kind, Metadata, NewFile, OpenHow, READING, Space,
    Store,
};
use crate::error::Error;
use crate::values::path::{PATH_MAX, PathError, VPath};

const NOT_A_NAME: Error =
    Error::Invalid("Neither the home nor a path that ends in \"..\" can be renamed or removed");
const NOT_OF_A_LINK: Error =
    Error::Unsupported("A symbolic link has no size and no permissions of its own");

/// The home of one account in a directory of a local file system.
#[derive(Debug)]
pub struct LocalStore {
    home: Home,
    umask: Mode,
    at_once: Arc<AtOnce>,
}

impl LocalStore {
    /// Opens a home, which must be a directory. Links in its path are followed. The path is not needed
    /// afterwards: the home may be renamed under the open store.
    ///
    /// `umask` is the umask for new files and directories. The process's umask applies in addition, so it
    /// should be 0.
    pub fn open(home: &Path, umask: u32) -> Result<Self, Error> {
        let home = Home::open(home)?;
        Ok(Self {
            at_once: AtOnce::of(home.fd()),
            home,
            umask: Mode::from_raw_mode(umask),
        })
    }

    /// Returns the mode of a new file or directory.
    fn new_mode(&self, asked: Option<u32>, default: u32) -> Mode {
        inode::grantable(asked.unwrap_or(default)).difference(self.umask)
    }

    /// Opens a file, which must be a regular file.
    fn open_regular(&self, path: &VPath, flags: OFlags, mode: Mode) -> Result<OwnedFd, Error> {
        let fd = match self.home.resolve(path.relative(), flags | AT_ONCE, mode) {
            // A FIFO without a reader, a socket, a device without a driver.
            Err(Error::Os(Errno::NXIO | Errno::NODEV)) => return Err(NOT_A_FILE),
            other => other?,
        };
        match inode::metadata(&fd)?.kind() {
            Kind::File => Ok(fd),
            Kind::Directory => Err(Errno::ISDIR.into()),
            Kind::Symlink | Kind::Other => Err(NOT_A_FILE),
        }
    }

    fn set_size(&self, path: &VPath, size: u64, follow: bool) -> Result<(), Error> {
        let mut flags = OFlags::WRONLY;
        flags.set(OFlags::NOFOLLOW, !follow);
        resize(self.open_regular(path, flags, Mode::empty())?, size)
    }

    /// As [`Home::parent_of_name`], for a name that can be created or removed.
    fn parent_of_own_name<'a>(&'a self, path: &'a VPath) -> Result<(Parent<'a>, &'a [u8]), Error> {
        match self.home.parent_of_name(path)? {
            (_, b".") => Err(NOT_A_NAME),
            found => Ok(found),
        }
    }

    /// Refuses a path with a trailing slash for calls that accept no directory and would follow a link
    /// before the slash: with the kernel's error for the path, or else with `refusal`.
    fn refuse_directory(&self, path: &VPath, refusal: Errno) -> Result<(), Error> {
        if path.names_directory() {
            self.home.inode(path.relative(), true)?;
            return Err(refusal.into());
        }
        Ok(())
    }
}

impl Store for LocalStore {
    fn without_links(&self) -> Arc<dyn Store> {
        Arc::new(Self {
            home: self.home.without_links(),
            umask: self.umask,
            at_once: self.at_once.clone(),
        })
    }

    fn open(&self, path: &VPath, how: &OpenHow) -> Result<Box<dyn File>, Error> {
        let flags = open_flags(how)?;
        let mode = if how.create {
            self.new_mode(how.permissions, 0o666)
        } else {
            Mode::empty()
        };
        let fd = self.open_regular(path, flags, mode)?;
        Ok(Box::new(LocalFile::new(fd, how)))
    }

    fn open_now(&self, path: &VPath) -> Option<Box<dyn File>> {
        let flags = OFlags::RDONLY | AT_ONCE;
        let fd = self
            .at_once
            .open(|| self.home.resolve_now(path.relative(), flags))?;
        let is_file = inode::metadata(&fd).is_ok_and(|found| found.kind() == Kind::File);
        is_file.then(|| Box::new(LocalFile::new(fd, &READING)) as Box<dyn File>)
    }

    fn replacement(&self, path: &VPath, how: &OpenHow, old: &Metadata) -> Result<NewFile, Error> {
        let (file, replacement) = LocalReplacement::begin(&self.home, path, how, old)?;
        Ok((Box::new(file), Box::new(replacement)))
    }

    fn leftovers(&self, tell: &mut dyn FnMut(VPath) -> ControlFlow<()>) -> Result<(), Error> {
        leftovers::leftovers(&self.home, tell)
    }

    fn open_directory(&self, path: &VPath) -> Result<Box<dyn Directory>, Error> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | AT_ONCE;
        let fd = self.home.resolve(path.relative(), flags, Mode::empty())?;
        let is_home = self.home.is(&fd)?;
        Ok(Box::new(LocalDirectory::new(fd, is_home)))
    }

    fn metadata(&self, path: &VPath, follow: bool) -> Result<Metadata, Error> {
        inode::metadata(self.home.inode(path.relative(), follow)?)
    }

    fn metadata_now(&self, path: &VPath, follow: bool) -> Option<Metadata> {
        let flags = path_only(follow);
        let fd = self
            .at_once
            .look(|| self.home.resolve_now(path.relative(), flags))?;
        inode::metadata(fd).ok()
    }

    fn identity(&self, path: &VPath, follow: bool) -> Result<Identity, Error> {
        inode::identity(self.home.inode(path.relative(), follow)?)
    }

    fn change(&self, path: &VPath, changes: &Changes, follow: bool) -> Result<(), Error> {
        let fd = self.home.inode(path.relative(), follow)?;
        let of_link = !follow && inode::metadata(&fd)?.kind() == Kind::Symlink;
        let (size, changes) = match changes.size {
            _ if of_link && (changes.size.is_some() || changes.permissions.is_some()) => {
                let rest = Changes {
                    permissions: None,
                    ..*changes
                };
                (Err(NOT_OF_A_LINK), rest)
            }
            Some(size) => (self.set_size(path, size, follow), *changes),
            None => (Ok(()), *changes),
        };
        let subject = Subject {
            reach: Reach::PathOnly,
            is_home: changes.permissions.is_some() && self.home.is(&fd)?,
        };
        size.and(inode::change(&fd, &changes, subject))
    }

    fn remove_file(&self, path: &VPath) -> Result<(), Error> {
        let (parent, name) = self.home.parent_of_name(path)?;
        Ok(unlinkat(parent, name, AtFlags::empty())?)
    }

    fn make_directory(&self, path: &VPath, permissions: Option<u32>) -> Result<(), Error> {
        let (parent, name) = self.home.parent_of_name(path)?;
        Ok(mkdirat(parent, name, self.new_mode(permissions, 0o777))?)
    }

    fn remove_directory(&self, path: &VPath) -> Result<(), Error> {
        let (parent, name) = self.parent_of_own_name(path)?;
        Ok(unlinkat(parent, name, AtFlags::REMOVEDIR)?)
    }

    fn rename(&self, from: &VPath, to: &VPath, replace: bool) -> Result<(), Error> {
        let (from_parent, from) = self.parent_of_own_name(from)?;
        let (to_parent, to) = self.parent_of_own_name(to)?;
        if replace {
            return Ok(renameat(from_parent, from, to_parent, to)?);
        }
        rename_to_free_name(&from_parent, from, &to_parent, to)
    }

    fn hard_link(&self, existing: &VPath, new: &VPath) -> Result<(), Error> {
        self.refuse_directory(existing, Errno::PERM)?;
        let (existing_parent, existing) = self.home.parent(existing)?;
        let (new_parent, new) = self.home.parent_of_name(new)?;
        Ok(linkat(
            existing_parent,
            existing,
            new_parent,
            new,
            AtFlags::empty(),
        )?)
    }

    fn symlink(&self, target: &[u8], link: &VPath) -> Result<(), Error> {
        if target.is_empty() {
            return Err(Error::Invalid("A symbolic link cannot be empty"));
        }
        if target.contains(&0) {
            return Err(PathError::Nul.into());
        }
        if target.len() >= PATH_MAX {
            return Err(PathError::PathTooLong.into());
        }
        let (parent, name) = self.home.parent_of_name(link)?;
        Ok(symlinkat(target, parent, name)?)
    }

    fn read_link(&self, path: &VPath) -> Result<Vec<u8>, Error> {
        self.refuse_directory(path, Errno::INVAL)?;
        let (parent, name) = self.home.parent(path)?;
        Ok(readlinkat(parent, name, Vec::new())?.into_bytes())
    }

    fn canonical(&self, path: &VPath) -> Result<VPath, Error> {
        self.home.canonical(path)
    }

    fn space(&self, path: &VPath) -> Result<Space, Error> {
        inode::space(self.home.inode(path.relative(), true)?)
    }

    fn count(&self, tell: &mut dyn FnMut(u64)) -> Result<Counted, Error> {
        count::count(self.home.fd(), tell)
    }
}
