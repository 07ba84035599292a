//! A new file beside an existing one, hidden until it replaces it.

use std::os::fd::{AsFd, OwnedFd};

use rustix::fs::{
    AtFlags, Gid, Mode, OFlags, Uid, fchmod, fchown, openat, readlinkat, renameat, statat, unlinkat,
};
use rustix::io::{Errno, fcntl_dupfd_cloexec};

use super::file::LocalFile;
use super::inode::{self, grantable};
use super::opening::{AT_ONCE, NOT_A_FILE, open_flags};
use super::rename::rename_to_free_name;
use super::resolve::{Home, Parent};
use crate::error::Error;
use crate::store::{Kind, Metadata, OpenHow, PART, Replacement};
use crate::values::path::VPath;

/// Links that are followed in a row, as in the kernel.
const LINKS: u32 = 40;
/// Prefix of a hidden name; hexadecimal digits follow.
const PREFIX: &[u8] = b".landfall-upload-";
const DIGITS: usize = 16;

const CHANGED: Error = Error::Refused("Another program has just replaced the file");

/// Returns whether [`hidden_name`] creates names like this.
pub(super) fn is_hidden(name: &[u8]) -> bool {
    name.strip_prefix(PREFIX).is_some_and(|digits| {
        let is_digit = |byte: &u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
        digits.len() == DIGITS && digits.iter().all(is_digit)
    })
}

fn hidden_name() -> Vec<u8> {
    let digits = format!("{:0DIGITS$x}", rand::random::<u64>());
    [PREFIX, digits.as_bytes()].concat()
}

/// A replacement on a local file system; see the module documentation.
pub(super) struct LocalReplacement {
    /// The directory of both, whatever happens to its path.
    directory: OwnedFd,
    /// The name of the existing file.
    name: Vec<u8>,
    /// The hidden name of the new file.
    hidden: Vec<u8>,
    /// The new file.
    inode: (u64, u64),
}

impl LocalReplacement {
    /// Creates the new file with the mode and owner of the `old` one at this path.
    pub(super) fn begin(
        home: &Home,
        path: &VPath,
        how: &OpenHow,
        old: &Metadata,
    ) -> Result<(LocalFile, Self), Error> {
        let (directory, name) = place_of(home, path, old)?;
        let hidden = hidden_name();
        let new = OpenHow {
            create: true,
            exclusive: true,
            truncate: false,
            ..*how
        };
        let flags = open_flags(&new)? | OFlags::NOFOLLOW | OFlags::CLOEXEC | AT_ONCE;
        let fd = openat(&directory, &hidden, flags, Mode::RUSR | Mode::WUSR)?;
        let prepared = make_alike(&fd, old).and_then(|()| inode::metadata(&fd));
        let inode = match prepared {
            Ok(metadata) => metadata.inode,
            Err(error) => {
                unlinkat(&directory, &hidden, AtFlags::empty())?;
                return Err(error);
            }
        };
        let replacement = Self {
            directory,
            name,
            hidden,
            inode,
        };
        Ok((LocalFile::new(fd, &new), replacement))
    }

    fn metadata_of(&self, name: &[u8]) -> Result<Metadata, Error> {
        let found = statat(&self.directory, name, AtFlags::SYMLINK_NOFOLLOW)?;
        Ok(inode::from_stat(&found))
    }

    /// Another session of the account may have created a file of the hidden name.
    fn check_hidden(&self) -> Result<(), Error> {
        if self.metadata_of(&self.hidden)?.inode == self.inode {
            Ok(())
        } else {
            Err(Errno::NOENT.into())
        }
    }
}

impl Replacement for LocalReplacement {
    fn replaced(&self) -> Result<Metadata, Error> {
        self.metadata_of(&self.name)
    }

    fn commit(&self) -> Result<(), Error> {
        self.check_hidden()?;
        // Renaming a file to another name of its own does nothing (rename(2)).
        if self.replaced().is_ok_and(|now| now.inode == self.inode) {
            return self.discard();
        }
        Ok(renameat(
            &self.directory,
            &self.hidden,
            &self.directory,
            &self.name,
        )?)
    }

    fn keep(&self) -> Result<(), Error> {
        self.check_hidden()?;
        let here = Parent::Home(self.directory.as_fd());
        let part = [self.name.as_slice(), PART].concat();
        rename_to_free_name(&here, &self.hidden, &here, &part)
    }

    fn hidden(&self) -> Result<Metadata, Error> {
        self.check_hidden()?;
        self.metadata_of(&self.hidden)
    }

    fn discard(&self) -> Result<(), Error> {
        self.check_hidden()?;
        Ok(unlinkat(&self.directory, &self.hidden, AtFlags::empty())?)
    }

    fn sync_names(&self) -> Result<(), Error> {
        // The held descriptor refers to the directory without having it open.
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        match openat(&self.directory, c".", flags, Mode::empty()) {
            Ok(directory) => super::directory::sync_names(directory),
            // It was removed and has no names.
            Err(Errno::NOENT) => Ok(()),
            Err(errno) => Err(errno.into()),
        }
    }
}

/// Returns the directory and name of the file at a path. Follows links one by one, since the last of them
/// determines the directory.
fn place_of(home: &Home, path: &VPath, file: &Metadata) -> Result<(OwnedFd, Vec<u8>), Error> {
    let mut path = path.clone();
    for _ in 0..LINKS {
        let (parent, name) = home.parent(&path)?;
        let found = inode::from_stat(&statat(&parent, name, AtFlags::SYMLINK_NOFOLLOW)?);
        match found.kind() {
            Kind::Symlink if !home.follows_links() => break,
            Kind::Symlink => {
                let target = readlinkat(&parent, name, Vec::new())?.into_bytes();
                path = if target.starts_with(b"/") {
                    VPath::parse(&target)?
                } else {
                    let (directory, _) = path.split_last();
                    VPath::parse(&[directory, b"/", &target].concat())?
                };
            }
            Kind::File if found.inode == file.inode => {
                return Ok((fcntl_dupfd_cloexec(parent, 0)?, name.to_vec()));
            }
            Kind::File => return Err(CHANGED),
            Kind::Directory => return Err(Errno::ISDIR.into()),
            Kind::Other => return Err(NOT_A_FILE),
        }
    }
    Err(Errno::LOOP.into())
}

/// Gives a new file the owner and mode of an old one. Only root can change the owner; otherwise the file
/// stays the server's own, as every file that it creates.
fn make_alike(fd: &OwnedFd, old: &Metadata) -> Result<(), Error> {
    let now = inode::metadata(fd)?;
    if (now.uid, now.gid) != (old.uid, old.gid) {
        let owner = (Uid::from_raw(old.uid), Gid::from_raw(old.gid));
        match fchown(fd, Some(owner.0), Some(owner.1)) {
            Ok(()) | Err(Errno::PERM | Errno::INVAL) => {}
            Err(errno) => return Err(errno.into()),
        }
    }
    Ok(fchmod(fd, grantable(old.mode))?)
}
