//! Homes on a local file system, confined by the kernel.
//!
//! Every path is resolved by `openat2(2)` from the descriptor of the home, with the home as root:
//! "..", and absolute links, end there, and there is no check that something could race with. What
//! acts on a name does so with an *at call on the last name in the directory thus opened.

use std::os::fd::OwnedFd;
use std::path::Path;
use std::sync::Arc;

use rustix::fs::{self, AtFlags, Mode, OFlags, RenameFlags};
use rustix::io::Errno;

use super::{Changes, Directory, File, Kind, Metadata, OpenHow, Space, Store};
use crate::error::Error;
use crate::path::{PATH_MAX, VPath};

mod change;
mod directory;
mod file;
mod resolve;
#[cfg(test)]
mod tests;

use directory::LocalDirectory;
use file::LocalFile;
use resolve::Root;

/// Bits that a client may set: never setuid or setgid.
const PERMISSIONS: u32 = 0o1777;

/// Bits of new files and directories, unless the client says otherwise; less the umask.
const NEW_FILE: u32 = 0o666;
const NEW_DIRECTORY: u32 = 0o777;

/// One home on a local file system.
pub struct LocalStore {
    root: Root,
    umask: u32,
}

impl LocalStore {
    /// Opens the home. `umask` is taken off the permissions of what is made; the process's own
    /// umask is taken off too, so a server sets that to 0.
    pub fn open(home: &Path, umask: u32) -> Result<Self, Error> {
        Ok(Self {
            root: Root::of(home)?,
            umask,
        })
    }

    fn new_mode(&self, asked: Option<u32>, default: u32) -> Mode {
        Mode::from_raw_mode(asked.unwrap_or(default) & PERMISSIONS & !self.umask)
    }
}

fn metadata(stat: &fs::Stat) -> Metadata {
    Metadata {
        mode: stat.st_mode,
        size: u64::try_from(stat.st_size).unwrap_or(0),
        links: stat.st_nlink as u64,
        uid: stat.st_uid,
        gid: stat.st_gid,
        atime: stat.st_atime as i64,
        mtime: stat.st_mtime as i64,
        inode: (stat.st_dev as u64, stat.st_ino as u64),
    }
}

fn space(stat: &fs::StatVfs) -> Space {
    Space {
        block_size: stat.f_frsize.max(1),
        blocks: stat.f_blocks,
        blocks_available: stat.f_bavail,
        files: stat.f_files,
        files_available: stat.f_favail,
        id: stat.f_fsid,
        read_only: stat.f_flag.contains(fs::StatVfsMountFlags::RDONLY),
        name_max: stat.f_namemax,
    }
}

const SPECIAL: Error = Error::Refused("Not a regular file");

impl Store for LocalStore {
    fn open(&self, path: &VPath, how: &OpenHow) -> Result<Arc<dyn File>, Error> {
        let write = how.write || how.append;
        if how.truncate && !write {
            return Err(Error::Invalid(
                "A file can only be truncated when it is opened for writing",
            ));
        }
        // A FIFO must not make us wait for its other end, nor a terminal become ours.
        let mut flags = OFlags::NONBLOCK | OFlags::NOCTTY;
        flags |= match (how.read, write) {
            (true, true) => OFlags::RDWR,
            (false, true) => OFlags::WRONLY,
            (_, false) => OFlags::RDONLY,
        };
        flags.set(OFlags::APPEND, how.append);
        flags.set(OFlags::CREATE, how.create);
        flags.set(OFlags::EXCL, how.create && how.exclusive);
        flags.set(OFlags::TRUNC, how.truncate);
        let mode = if how.create {
            self.new_mode(how.permissions, NEW_FILE)
        } else {
            Mode::empty()
        };
        let fd = match self.root.open(path.relative(), flags, mode) {
            // A FIFO without a reader, or a socket.
            Err(Errno::NXIO) => return Err(SPECIAL),
            fd => fd?,
        };
        match metadata(&fs::fstat(&fd)?).kind() {
            Kind::File => Ok(Arc::new(LocalFile::new(fd, how.append))),
            Kind::Directory => Err(Errno::ISDIR.into()),
            Kind::Symlink | Kind::Other => Err(SPECIAL),
        }
    }

    fn open_directory(&self, path: &VPath) -> Result<Box<dyn Directory>, Error> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY;
        let fd = self.root.open(path.relative(), flags, Mode::empty())?;
        let is_home = self.root.is_home(&fs::fstat(&fd)?)?;
        Ok(Box::new(LocalDirectory::new(fd, is_home)?))
    }

    fn metadata(&self, path: &VPath, follow: bool) -> Result<Metadata, Error> {
        let fd = self.root.pin(path.relative(), follow)?;
        Ok(metadata(&fs::fstat(fd)?))
    }

    fn change(&self, path: &VPath, changes: &Changes, follow: bool) -> Result<(), Error> {
        if let Some(size) = changes.size {
            if !follow {
                return Err(Error::Unsupported("A link has no size to change"));
            }
            let how = OpenHow {
                write: true,
                ..OpenHow::default()
            };
            let only_size = Changes {
                size: Some(size),
                ..Changes::default()
            };
            self.open(path, &how)?.change(&only_size)?;
        }
        change::pinned(&self.root.pin(path.relative(), follow)?, changes)
    }

    fn remove_file(&self, path: &VPath) -> Result<(), Error> {
        let (parent, name) = self.root.parent(path)?;
        match fs::unlinkat(&parent, name, AtFlags::empty()) {
            // POSIX's EPERM for a directory says nothing to a user.
            Err(Errno::PERM | Errno::ISDIR) if is_directory(&parent, name) => {
                Err(Errno::ISDIR.into())
            }
            outcome => Ok(outcome?),
        }
    }

    fn make_directory(&self, path: &VPath, permissions: Option<u32>) -> Result<(), Error> {
        let (parent, name) = self.root.parent(path)?;
        Ok(fs::mkdirat(
            parent,
            name,
            self.new_mode(permissions, NEW_DIRECTORY),
        )?)
    }

    fn remove_directory(&self, path: &VPath) -> Result<(), Error> {
        let (parent, name) = self.root.parent(path)?;
        Ok(fs::unlinkat(parent, name, AtFlags::REMOVEDIR)?)
    }

    fn rename(&self, from: &VPath, to: &VPath, replace: bool) -> Result<(), Error> {
        let (from_parent, from_name) = self.root.parent(from)?;
        let (to_parent, to_name) = self.root.parent(to)?;
        if replace {
            return Ok(fs::renameat(from_parent, from_name, to_parent, to_name)?);
        }
        let flags = RenameFlags::NOREPLACE;
        match fs::renameat_with(&from_parent, from_name, &to_parent, to_name, flags) {
            // This file system cannot refuse atomically (NFS, some FUSE ones): look first. Between
            // the look and the act another session of the same account could make the name; OpenSSH
            // has the same gap.
            Err(Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP) => {
                match fs::statat(&to_parent, to_name, AtFlags::SYMLINK_NOFOLLOW) {
                    Ok(_) => Err(Errno::EXIST.into()),
                    Err(Errno::NOENT) => {
                        Ok(fs::renameat(from_parent, from_name, to_parent, to_name)?)
                    }
                    Err(errno) => Err(errno.into()),
                }
            }
            outcome => Ok(outcome?),
        }
    }

    fn hard_link(&self, existing: &VPath, new: &VPath) -> Result<(), Error> {
        let (from_parent, from_name) = self.root.parent(existing)?;
        let (to_parent, to_name) = self.root.parent(new)?;
        // Without SYMLINK_FOLLOW: a link is linked, not what it points to.
        Ok(fs::linkat(
            from_parent,
            from_name,
            to_parent,
            to_name,
            AtFlags::empty(),
        )?)
    }

    fn symlink(&self, target: &[u8], link: &VPath) -> Result<(), Error> {
        if target.is_empty() || target.contains(&0) {
            return Err(Error::Invalid("A link needs a target without NUL bytes"));
        }
        if target.len() >= PATH_MAX {
            return Err(Errno::NAMETOOLONG.into());
        }
        let (parent, name) = self.root.parent(link)?;
        Ok(fs::symlinkat(target, parent, name)?)
    }

    fn read_link(&self, path: &VPath) -> Result<Vec<u8>, Error> {
        let (parent, name) = self.root.parent(path)?;
        match fs::readlinkat(parent, name, Vec::new()) {
            Err(Errno::INVAL) => Err(Error::Invalid("Not a symbolic link")),
            target => Ok(target?.into_bytes()),
        }
    }

    fn canonical(&self, path: &VPath) -> Result<VPath, Error> {
        self.root.canonical(path)
    }

    fn space(&self, path: &VPath) -> Result<Space, Error> {
        let fd = self.root.pin(path.relative(), true)?;
        Ok(space(&fs::fstatvfs(fd)?))
    }
}

fn is_directory(parent: &OwnedFd, name: &[u8]) -> bool {
    fs::statat(parent, name, AtFlags::SYMLINK_NOFOLLOW)
        .is_ok_and(|stat| metadata(&stat).kind() == Kind::Directory)
}
