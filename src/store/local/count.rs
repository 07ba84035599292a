//! Counts the contents of a home.

use std::collections::HashSet;
use std::ffi::CStr;
use std::ops::ControlFlow;
use std::os::fd::{BorrowedFd, OwnedFd};

use rustix::fs::{AtFlags, FileType, Mode, RawDirEntry, statat};
use rustix::io::Errno;

use super::walk::{Visitor, WalkOptions, inode, walk};
use crate::error::Error;
use crate::store::Counted;

/// The rights to read names and sizes. An account can remove them from its own directories, which count all
/// the same.
const OPTIONS: WalkOptions = WalkOptions {
    needs: Mode::RUSR.union(Mode::XUSR),
    one_mount: false,
};
/// Number of names between two progress reports.
const NAMES_A_TELL: u64 = 1 << 18;

const CHANGED: Error =
    Error::Refused("The home was changed by another program while it was counted");

/// Counts the contents of a directory.
pub(super) fn count(home: BorrowedFd<'_>, tell: &mut dyn FnMut(u64)) -> Result<Counted, Error> {
    let mut count = Count {
        counted: Counted::default(),
        linked: HashSet::new(),
        to_enter: 0,
        tell,
    };
    walk(home, OPTIONS, &mut count)?;
    if count.to_enter == 0 {
        Ok(count.counted)
    } else {
        Err(CHANGED)
    }
}

struct Count<'a> {
    counted: Counted,
    /// Inodes with several names: at most half as many as the account has files.
    linked: HashSet<(u64, u64)>,
    /// Directories seen and not entered yet.
    to_enter: u64,
    tell: &'a mut dyn FnMut(u64),
}

impl Visitor for Count<'_> {
    fn see(
        &mut self,
        directory: &OwnedFd,
        entry: &RawDirEntry<'_>,
        kind: FileType,
    ) -> Result<ControlFlow<()>, Error> {
        self.counted.files += 1;
        if self.counted.files.is_multiple_of(NAMES_A_TELL) {
            (self.tell)(self.counted.files);
        }
        match kind {
            FileType::Directory => self.to_enter += 1,
            // The size of a link is the length of its target.
            FileType::RegularFile | FileType::Symlink => {
                let found = statat(directory, entry.file_name(), AtFlags::SYMLINK_NOFOLLOW)
                    .map_err(changed)?;
                if found.st_nlink == 1 || self.linked.insert(inode(&found)) {
                    let size = u64::try_from(found.st_size).unwrap_or(0);
                    self.counted.bytes = self.counted.bytes.saturating_add(size);
                }
            }
            _ => {}
        }
        Ok(ControlFlow::Continue(()))
    }

    fn enters(&mut self, _name: &CStr) -> bool {
        self.to_enter = self.to_enter.saturating_sub(1);
        true
    }

    fn cannot_enter(
        &mut self,
        _directory: &OwnedFd,
        _name: &CStr,
        cause: Error,
    ) -> Result<(), Error> {
        Err(match cause {
            Error::Os(errno) => changed(errno),
            other => other,
        })
    }
}

/// Only a local user can change a name between two calls.
fn changed(errno: Errno) -> Error {
    match errno {
        Errno::NOENT | Errno::NOTDIR | Errno::LOOP => CHANGED,
        errno => errno.into(),
    }
}
