//! An open directory.

use std::os::fd::AsFd;

use rustix::fs::{AtFlags, Dir, DirEntry, fsync, statat};
use rustix::io::Errno;

use super::inode::{self, Reach};
use crate::error::Error;
use crate::store::{Changes, Directory, Entry, Identity, Metadata, Space};

pub(super) struct LocalDirectory {
    names: Dir,
    /// Here ".." is the home too: what lies above is none of the user's business.
    is_home: bool,
}

impl LocalDirectory {
    pub(super) fn new(names: Dir, is_home: bool) -> Self {
        Self { names, is_home }
    }

    /// `None` if the name is gone.
    fn metadata_of(&self, entry: &DirEntry) -> Result<Option<Metadata>, Error> {
        if self.is_home && entry.file_name().to_bytes() == b".." {
            return self.metadata().map(Some);
        }
        match statat(
            self.names.fd()?,
            entry.file_name(),
            AtFlags::SYMLINK_NOFOLLOW,
        ) {
            Ok(stat) => Ok(Some(inode::from_stat(&stat))),
            Err(Errno::NOENT) => Ok(None),
            // A directory without search permission, a dead mount: the name is there all the same.
            Err(_) => Ok(Some(Metadata {
                mode: entry.file_type().as_raw_mode(),
                size: 0,
                links: 1,
                uid: 0,
                gid: 0,
                atime: 0,
                mtime: 0,
                mtime_nanoseconds: 0,
                ctime: (0, 0),
                inode: (0, entry.ino()),
            })),
        }
    }
}

impl Directory for LocalDirectory {
    fn next(&mut self) -> Result<Option<Entry>, Error> {
        while let Some(entry) = self.names.read() {
            let entry = entry?;
            if let Some(metadata) = self.metadata_of(&entry)? {
                let name = entry.file_name().to_bytes().to_vec();
                return Ok(Some(Entry { name, metadata }));
            }
        }
        Ok(None)
    }

    fn metadata(&self) -> Result<Metadata, Error> {
        inode::metadata(self.names.fd()?)
    }

    fn identity(&self) -> Result<Identity, Error> {
        inode::identity(self.names.fd()?)
    }

    fn change(&self, changes: &Changes) -> Result<(), Error> {
        let size = match changes.size {
            Some(_) => Err(Errno::ISDIR.into()),
            None => Ok(()),
        };
        size.and(inode::change(self.names.fd()?, changes, Reach::Open))
    }

    fn space(&self) -> Result<Space, Error> {
        inode::space(self.names.fd()?)
    }

    fn sync_names(&self) -> Result<(), Error> {
        sync_names(self.names.fd()?)
    }
}

/// Makes the names in an open directory durable.
pub(super) fn sync_names(fd: impl AsFd) -> Result<(), Error> {
    match fsync(fd) {
        // A file system that has nothing to do for it.
        Ok(()) | Err(Errno::INVAL) => Ok(()),
        Err(errno) => Err(errno.into()),
    }
}
