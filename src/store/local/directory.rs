//! An open directory.

use std::os::fd::OwnedFd;

use rustix::fs::{self, AtFlags, Dir};
use rustix::io::Errno;

use super::change;
use crate::error::Error;
use crate::store::{Changes, Directory, Entry, Metadata, Space};

pub(super) struct LocalDirectory {
    fd: OwnedFd,
    names: Dir,
    /// ".." of the home is the home.
    is_home: bool,
}

impl LocalDirectory {
    pub(super) fn new(fd: OwnedFd, is_home: bool) -> Result<Self, Error> {
        Ok(Self {
            names: Dir::read_from(&fd)?,
            fd,
            is_home,
        })
    }
}

impl Directory for LocalDirectory {
    fn next(&mut self) -> Result<Option<Entry>, Error> {
        while let Some(entry) = self.names.read() {
            let entry = entry?;
            let name = entry.file_name();
            let looked_up = if self.is_home && name == c".." {
                c"."
            } else {
                name
            };
            match fs::statat(&self.fd, looked_up, AtFlags::SYMLINK_NOFOLLOW) {
                Ok(stat) => {
                    return Ok(Some(Entry {
                        name: name.to_bytes().to_vec(),
                        metadata: super::metadata(&stat),
                    }));
                }
                // Removed since the directory was read.
                Err(Errno::NOENT) => {}
                Err(errno) => return Err(errno.into()),
            }
        }
        Ok(None)
    }

    fn metadata(&self) -> Result<Metadata, Error> {
        Ok(super::metadata(&fs::fstat(&self.fd)?))
    }

    fn change(&self, changes: &Changes) -> Result<(), Error> {
        if changes.size.is_some() {
            return Err(Errno::ISDIR.into());
        }
        change::opened(&self.fd, changes)
    }

    fn space(&self) -> Result<Space, Error> {
        Ok(super::space(&fs::fstatvfs(&self.fd)?))
    }
}
