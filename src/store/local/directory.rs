//! An open directory.

use std::collections::VecDeque;
use std::ffi::CString;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, OwnedFd};

use rustix::fs::{AtFlags, FileType, RawDir, fsync, statat};
use rustix::io::Errno;

use super::inode::{self, Reach, Subject};
use crate::error::Error;
use crate::store::{Changes, Directory, Entry, Identity, Metadata, Space};

/// Bytes of names that are read at a time and held: little, since a session may have many directories open,
/// and enough to make these calls cheap beside those for each name.
const AT_ONCE: usize = 4096;

pub(super) struct LocalDirectory {
    fd: OwnedFd,
    /// Names that are read and not returned yet.
    names: VecDeque<ReadName>,
    /// In the home itself ".." is the home, too.
    is_home: bool,
}

struct ReadName {
    name: CString,
    kind: FileType,
    inode: u64,
}

impl LocalDirectory {
    pub(super) fn new(fd: OwnedFd, is_home: bool) -> Self {
        Self {
            fd,
            names: VecDeque::new(),
            is_home,
        }
    }

    fn next_name(&mut self) -> Result<Option<ReadName>, Error> {
        if let Some(name) = self.names.pop_front() {
            return Ok(Some(name));
        }
        let mut buffer = [MaybeUninit::uninit(); AT_ONCE];
        let mut entries = RawDir::new(&self.fd, &mut buffer);
        while let Some(entry) = entries.next() {
            let entry = match entry {
                // The directory was removed.
                Err(Errno::NOENT) => break,
                entry => entry?,
            };
            self.names.push_back(ReadName {
                name: entry.file_name().to_owned(),
                kind: entry.file_type(),
                inode: entry.ino(),
            });
            if entries.is_buffer_empty() {
                break;
            }
        }
        Ok(self.names.pop_front())
    }

    /// Returns the attributes of an entry; `None` if the name is removed.
    fn metadata_of(&self, entry: &ReadName) -> Result<Option<Metadata>, Error> {
        if self.is_home && entry.name.to_bytes() == b".." {
            return self.metadata().map(Some);
        }
        match statat(&self.fd, entry.name.as_c_str(), AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) => Ok(Some(inode::from_stat(&stat))),
            Err(Errno::NOENT) => Ok(None),
            // A directory without search permission, a dead mount: the name exists all the same.
            Err(_) => Ok(Some(Metadata {
                mode: entry.kind.as_raw_mode(),
                size: 0,
                links: 1,
                uid: 0,
                gid: 0,
                atime: 0,
                mtime: 0,
                mtime_nanoseconds: 0,
                ctime: (0, 0),
                inode: (0, entry.inode),
            })),
        }
    }
}

impl Directory for LocalDirectory {
    fn next(&mut self) -> Result<Option<Entry>, Error> {
        while let Some(entry) = self.next_name()? {
            if let Some(metadata) = self.metadata_of(&entry)? {
                let name = entry.name.into_bytes();
                return Ok(Some(Entry { name, metadata }));
            }
        }
        Ok(None)
    }

    fn metadata(&self) -> Result<Metadata, Error> {
        inode::metadata(&self.fd)
    }

    fn identity(&self) -> Result<Identity, Error> {
        inode::identity(&self.fd)
    }

    fn change(&self, changes: &Changes) -> Result<(), Error> {
        let size = match changes.size {
            Some(_) => Err(Errno::ISDIR.into()),
            None => Ok(()),
        };
        let subject = Subject {
            reach: Reach::Open,
            is_home: self.is_home,
        };
        size.and(inode::change(&self.fd, changes, subject))
    }

    fn space(&self) -> Result<Space, Error> {
        inode::space(&self.fd)
    }

    fn sync_names(&self) -> Result<(), Error> {
        sync_names(&self.fd)
    }
}

/// Makes the names in an open directory durable.
pub(super) fn sync_names(fd: impl AsFd) -> Result<(), Error> {
    match fsync(fd) {
        // Some file systems need no sync for it.
        Ok(()) | Err(Errno::INVAL) => Ok(()),
        Err(errno) => Err(errno.into()),
    }
}
