//! A walk over everything in a home, for what it holds.

use std::collections::HashSet;
use std::ffi::CString;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::fs::{
    AtFlags, FileType, Mode, OFlags, RawDir, RawDirEntry, Stat, chmodat, fchmod, fstat, openat,
    statat,
};
use rustix::io::Errno;

use crate::error::Error;
use crate::store::Counted;

/// What `getdents64` fills at once.
const BUFFER: usize = 64 << 10;
/// The owner's bits without which a directory cannot be walked.
const ACCESS: Mode = Mode::RWXU;
/// Progress is told after so many names.
const NAMES_A_TELL: u64 = 1 << 18;

const CHANGED: Error = Error::Refused("The home was changed from outside while it was counted");

/// Counts what lies beneath a directory. However deep that goes, two descriptors are open.
///
/// A directory that its owner may not enter (a client can take that right from itself) is opened up
/// while it is counted; after an error it can stay so.
pub(super) fn count(home: BorrowedFd<'_>, tell: &mut dyn FnMut(u64)) -> Result<Counted, Error> {
    let mut walk = Walk {
        counted: Counted::default(),
        seen: HashSet::new(),
        buffer: Vec::with_capacity(BUFFER),
        tell,
    };
    let mut directory = enter(home, c".")?;
    let mut level = walk.read(&directory, None)?;
    let mut above = Vec::new();
    loop {
        match level.directories.pop() {
            Some(name) => {
                let (inner, closed) = enter_anyhow(&directory, &name)?;
                directory = inner;
                above.push(level);
                level = walk.read(&directory, closed)?;
            }
            None => {
                let Some(parent) = above.pop() else {
                    break;
                };
                let outer = enter(directory.as_fd(), c"..")?;
                if let Some(mode) = level.closed {
                    fchmod(&directory, mode)?;
                }
                if inode(&fstat(&outer)?) != parent.inode {
                    return Err(CHANGED);
                }
                directory = outer;
                level = parent;
            }
        }
    }
    if let Some(mode) = level.closed {
        fchmod(&directory, mode)?;
    }
    Ok(walk.counted)
}

/// A directory on the way, and what is still to be walked in it.
struct Level {
    inode: (u64, u64),
    directories: Vec<CString>,
    /// The mode to give back.
    closed: Option<Mode>,
}

struct Walk<'a> {
    counted: Counted,
    /// Inodes with several names.
    seen: HashSet<(u64, u64)>,
    buffer: Vec<u8>,
    tell: &'a mut dyn FnMut(u64),
}

impl Walk<'_> {
    fn read(&mut self, directory: &OwnedFd, closed: Option<Mode>) -> Result<Level, Error> {
        let found = fstat(directory)?;
        let mode = Mode::from_raw_mode(found.st_mode);
        let mut level = Level {
            inode: inode(&found),
            directories: Vec::new(),
            closed,
        };
        if level.closed.is_none() && !mode.contains(ACCESS) {
            fchmod(directory, mode | ACCESS)?;
            level.closed = Some(mode);
        }
        let mut buffer = std::mem::take(&mut self.buffer);
        let mut entries = RawDir::new(directory, buffer.spare_capacity_mut());
        while let Some(entry) = entries.next() {
            self.count(directory, &entry?, &mut level.directories)?;
        }
        self.buffer = buffer;
        Ok(level)
    }

    fn count(
        &mut self,
        directory: &OwnedFd,
        entry: &RawDirEntry<'_>,
        directories: &mut Vec<CString>,
    ) -> Result<(), Error> {
        let name = entry.file_name();
        if matches!(name.to_bytes(), b"." | b"..") {
            return Ok(());
        }
        self.counted.files += 1;
        if self.counted.files.is_multiple_of(NAMES_A_TELL) {
            (self.tell)(self.counted.files);
        }
        let (kind, found) = match entry.file_type() {
            FileType::RegularFile | FileType::Unknown => {
                let found = statat(directory, name, AtFlags::SYMLINK_NOFOLLOW)?;
                (FileType::from_raw_mode(found.st_mode), Some(found))
            }
            other => (other, None),
        };
        match (kind, found) {
            (FileType::Directory, _) => directories.push(name.to_owned()),
            (FileType::RegularFile, Some(found))
                if found.st_nlink == 1 || self.seen.insert(inode(&found)) =>
            {
                let size = u64::try_from(found.st_size).unwrap_or(0);
                self.counted.bytes = self.counted.bytes.saturating_add(size);
            }
            _ => {}
        }
        Ok(())
    }
}

fn enter(directory: BorrowedFd<'_>, name: &std::ffi::CStr) -> Result<OwnedFd, Error> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    Ok(openat(directory, name, flags, Mode::empty())?)
}

/// As [`enter`]; one that is closed to its owner is opened up, and its mode comes along.
fn enter_anyhow(
    directory: &OwnedFd,
    name: &std::ffi::CStr,
) -> Result<(OwnedFd, Option<Mode>), Error> {
    match enter(directory.as_fd(), name) {
        Err(Error::Os(Errno::ACCESS)) => {
            let found = statat(directory, name, AtFlags::SYMLINK_NOFOLLOW)?;
            let mode = Mode::from_raw_mode(found.st_mode);
            chmodat(directory, name, mode | ACCESS, AtFlags::empty())?;
            Ok((enter(directory.as_fd(), name)?, Some(mode)))
        }
        other => Ok((other?, None)),
    }
}

// The widths of these fields differ between architectures.
#[allow(clippy::useless_conversion)]
fn inode(stat: &Stat) -> (u64, u64) {
    (stat.st_dev.into(), stat.st_ino.into())
}
