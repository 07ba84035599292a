//! From a path to a descriptor, with the home as root.

use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::path::Path;

use rustix::fs::{self, Mode, OFlags, ResolveFlags, Stat};
use rustix::io::Errno;

use crate::error::Error;
use crate::path::VPath;

/// The kernel gives up (EAGAIN) when ".." is resolved while something is renamed; a client that
/// renames in a loop must not make us try for ever.
const ATTEMPTS: usize = 64;

/// The descriptor of a home.
pub(super) struct Root {
    fd: OwnedFd,
}

impl Root {
    /// The operator's own path is followed as any path is.
    pub(super) fn of(home: &Path) -> Result<Self, Error> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        Ok(Self {
            fd: fs::open(home, flags, Mode::empty())?,
        })
    }

    /// `openat2` beneath the home.
    pub(super) fn open(&self, path: &[u8], flags: OFlags, mode: Mode) -> Result<OwnedFd, Errno> {
        let resolve = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS;
        let flags = flags | OFlags::CLOEXEC;
        for _ in 1..ATTEMPTS {
            match fs::openat2(&self.fd, path, flags, mode, resolve) {
                Err(Errno::AGAIN | Errno::INTR) => {}
                outcome => return outcome,
            }
        }
        fs::openat2(&self.fd, path, flags, mode, resolve)
    }

    /// A descriptor that only names what is there, of whatever kind it is.
    pub(super) fn pin(&self, path: &[u8], follow: bool) -> Result<OwnedFd, Errno> {
        let mut flags = OFlags::PATH;
        flags.set(OFlags::NOFOLLOW, !follow);
        self.open(path, flags, Mode::empty())
    }

    /// The directory that holds the path's last name, and that name.
    pub(super) fn parent<'p>(&self, path: &'p VPath) -> Result<(OwnedFd, &'p [u8]), Error> {
        let (parent, name) = path.split_last();
        let flags = OFlags::PATH | OFlags::DIRECTORY;
        Ok((self.open(parent, flags, Mode::empty())?, name))
    }

    /// Is this the home itself?
    pub(super) fn is_home(&self, stat: &Stat) -> Result<bool, Errno> {
        let home = fs::fstat(&self.fd)?;
        Ok((home.st_dev, home.st_ino) == (stat.st_dev, stat.st_ino))
    }

    /// Where a path leads once the kernel has followed all links. A missing last name, and a link
    /// that leads nowhere, keep their name.
    pub(super) fn canonical(&self, path: &VPath) -> Result<VPath, Error> {
        match self.pin(path.relative(), true) {
            Ok(fd) => self.path_of(&fd, path),
            Err(Errno::NOENT) => {
                let (parent, name) = self.parent(path)?;
                let (directory, _) = path.split_last();
                let mut canonical = self.path_of(&parent, &VPath::parse(directory)?)?.absolute();
                canonical.push(b'/');
                canonical.extend_from_slice(name);
                Ok(VPath::parse(&canonical)?)
            }
            Err(errno) => Err(errno.into()),
        }
    }

    /// The path of a descriptor inside the home, as /proc knows it at this moment; `asked` where
    /// there is no /proc.
    fn path_of(&self, fd: &OwnedFd, asked: &VPath) -> Result<VPath, Error> {
        let (Ok(home), Ok(found)) = (proc_path(&self.fd), proc_path(fd)) else {
            return Ok(asked.clone());
        };
        let beneath = match found.strip_prefix(home.as_slice()) {
            Some(beneath) if beneath.is_empty() || beneath.starts_with(b"/") => beneath,
            // The home is the root of the file system.
            _ if home == b"/" => &found,
            // Moved out of the home, or removed, since it was opened.
            _ => return Err(Errno::NOENT.into()),
        };
        if fs::fstat(fd)?.st_nlink == 0 {
            return Err(Errno::NOENT.into());
        }
        Ok(VPath::parse(beneath)?)
    }
}

fn proc_path(fd: impl AsFd) -> Result<Vec<u8>, Errno> {
    Ok(fs::readlink(proc_link(fd), Vec::new())?.into_bytes())
}

/// The magic link that stands for a descriptor: what it points to cannot be exchanged.
pub(super) fn proc_link(fd: impl AsFd) -> String {
    format!("/proc/self/fd/{}", fd.as_fd().as_raw_fd())
}
