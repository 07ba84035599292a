//! Removes a home with its contents.

use std::ffi::CStr;
use std::fmt;
use std::ops::ControlFlow;
use std::os::fd::{AsFd as _, OwnedFd};
use std::path::Path;

use rustix::fs::{
    AtFlags, CWD, FileType, Mode, OFlags, ResolveFlags, SeekFrom, openat2, rmdir, seek, unlinkat,
};
use rustix::io::Errno;

use super::resolve::path_of;
use super::walk::{BUFFER, Visitor, WalkOptions, read, walk};
use crate::error::Error;

/// The rights to remove names, whatever the account has removed from its own directories. Other mounted
/// file systems do not belong to the account.
const OPTIONS: WalkOptions = WalkOptions {
    needs: Mode::RWXU,
    one_mount: true,
};
/// Walks through a home into which somebody still writes.
const TRIES: u32 = 16;

/// Number of remaining names that are reported.
const REPORTED: usize = 8;

/// Parts of a home that could not be removed.
#[derive(Debug, Default)]
pub struct Remains {
    first: Vec<(String, Error)>,
    more: usize,
}

impl Remains {
    /// Returns whether everything was removed.
    pub fn is_empty(&self) -> bool {
        self.first.is_empty()
    }

    fn add(&mut self, path: String, cause: Error) {
        if self.first.len() < REPORTED {
            self.first.push((path, cause));
        } else {
            self.more += 1;
        }
    }
}

impl fmt::Display for Remains {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (path, cause) in &self.first {
            write!(f, "\n{path}: {cause}")?;
        }
        match self.more {
            0 => Ok(()),
            more => write!(f, "\nand {more} more"),
        }
    }
}

/// Removes a home: removes links without following them and does not enter other file systems. Returns what
/// could not be removed.
///
/// # Errors
///
/// The path is no directory, or contains a link.
pub fn remove_home(home: &Path) -> Result<Remains, Error> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let root = openat2(CWD, home, flags, Mode::empty(), ResolveFlags::NO_SYMLINKS)?;
    let mut cause = Error::Refused("files are still being made in it");
    for _ in 0..TRIES {
        let mut removal = Removal {
            buffer: Vec::with_capacity(BUFFER),
            remains: Remains::default(),
        };
        // A writer can still move a directory during the walk.
        if let Err(failed) = walk(root.as_fd(), OPTIONS, &mut removal) {
            cause = failed;
            continue;
        }
        let mut remains = removal.remains;
        match rmdir(home) {
            // A file was created behind the walk.
            Err(Errno::NOTEMPTY | Errno::EXIST) if remains.is_empty() => {}
            Ok(()) | Err(Errno::NOTEMPTY | Errno::EXIST) => return Ok(remains),
            Err(errno) => {
                remains.add(home.display().to_string(), errno.into());
                return Ok(remains);
            }
        }
    }
    Err(cause)
}

struct Removal {
    buffer: Vec<u8>,
    remains: Remains,
}

impl Removal {
    fn record(&mut self, directory: &OwnedFd, name: &CStr, cause: Error) {
        // A location too deep for a path is reported by its last name.
        let directory = path_of(directory).unwrap_or_else(|_| b"...".to_vec());
        let path = [directory.as_slice(), b"/", name.to_bytes()].concat();
        let path = String::from_utf8_lossy(&path).into_owned();
        self.remains.add(path, cause);
    }
}

impl Visitor for Removal {
    fn cannot_enter(
        &mut self,
        directory: &OwnedFd,
        name: &CStr,
        cause: Error,
    ) -> Result<(), Error> {
        match unlinkat(directory, name, AtFlags::REMOVEDIR) {
            // If it is no directory any more, it is removed with its level.
            Ok(()) | Err(Errno::NOENT | Errno::NOTDIR) => {}
            Err(_) => self.record(directory, name, cause),
        }
        Ok(())
    }

    /// Removes all names in a directory. Directories among them are empty now, or contain recorded remains.
    fn finish(&mut self, directory: &OwnedFd) -> Result<(), Error> {
        seek(directory, SeekFrom::Start(0))?;
        let mut buffer = std::mem::take(&mut self.buffer);
        let _all = read(directory, &mut buffer, |entry, kind| {
            let name = entry.file_name();
            let is_directory = kind == FileType::Directory;
            let mut flags = AtFlags::empty();
            flags.set(AtFlags::REMOVEDIR, is_directory);
            match unlinkat(directory, name, flags) {
                Ok(()) | Err(Errno::NOENT) => {}
                // A directory that could not be entered, or was filled behind the walk.
                Err(Errno::NOTEMPTY | Errno::EXIST | Errno::BUSY) if is_directory => {}
                Err(errno) => self.record(directory, name, errno.into()),
            }
            Ok(ControlFlow::Continue(()))
        })?;
        self.buffer = buffer;
        Ok(())
    }
}
