//! The one walk through everything below a directory: for counting, sweeping and removing.
//!
//! Every step goes from one open directory to the next by name, without following links. Modes are changed
//! through descriptors only. So a name that somebody swaps during the walk leads nowhere else.
//!
//! However deep and wide the tree is, the walk holds three descriptors, [`NAMES`] names and a few words for
//! each level. Where a level has more directories, it is read again from where the walk stopped.

use std::ffi::{CStr, CString};
use std::ops::ControlFlow;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::fs::{
    AtFlags, FileType, Mode, OFlags, RawDir, RawDirEntry, ResolveFlags, SeekFrom, Stat, fchmod,
    fstat, openat, openat2, seek, statat,
};
use rustix::io::{Errno, retry_on_intr};

use super::inode::set_mode;
use crate::error::Error;

/// Most names of directories that are held; see [`Walk::names`].
pub(super) const NAMES: usize = 1024;
/// Bytes of names that one `getdents64` returns.
pub(super) const BUFFER: usize = 64 << 10;

const MOVED: Error = Error::Refused("Another program has moved a directory during the operation");

/// How a walk enters directories.
#[derive(Clone, Copy)]
pub(super) struct WalkOptions {
    /// The owner's rights to a directory during the walk. An account can remove them from its own
    /// directories; the walk restores the mode afterwards.
    pub(super) needs: Mode,
    /// Do not enter other mounts (`EXDEV`).
    pub(super) one_mount: bool,
}

/// The actions of a walk.
pub(super) trait Visitor {
    /// Called when a name is first read. [`ControlFlow::Break`] ends the walk early.
    fn see(
        &mut self,
        _directory: &OwnedFd,
        _entry: &RawDirEntry<'_>,
        _kind: FileType,
    ) -> Result<ControlFlow<()>, Error> {
        Ok(ControlFlow::Continue(()))
    }

    /// Returns whether to enter a directory.
    fn enters(&mut self, _name: &CStr) -> bool {
        true
    }

    /// Called for a directory that [was to be entered](Visitor::enters) and cannot be.
    fn cannot_enter(&mut self, directory: &OwnedFd, name: &CStr, cause: Error)
    -> Result<(), Error>;

    /// Called when everything below a directory has been visited.
    fn finish(&mut self, _directory: &OwnedFd) -> Result<(), Error> {
        Ok(())
    }

    /// Called when the walk leaves a directory for its parent.
    fn leave(&mut self) {}

    /// Finds the parent of the directory that the walk has just left, if it cannot be reached from there
    /// any more; `None` skips the rest of it.
    fn find_again(&mut self, cause: Error) -> Result<Option<OwnedFd>, Error> {
        Err(cause)
    }
}

/// Walks through everything below a directory, without the directory itself. Restores modes after an error
/// as well, as far as the way back can be found.
pub(super) fn walk(
    root: BorrowedFd<'_>,
    manner: WalkOptions,
    visitor: &mut impl Visitor,
) -> Result<(), Error> {
    let (directory, level) = manner.enter_by(root)?;
    let mut walk = Walk {
        manner,
        directory,
        level,
        above: Vec::new(),
        names: Vec::new(),
        buffer: Vec::with_capacity(BUFFER),
    };
    let outcome = walk.run(visitor);
    walk.give_back();
    outcome
}

/// A directory on the current path.
struct WalkLevel {
    inode: (u64, u64),
    /// Its directories that remain to be visited.
    left: usize,
    /// The position after the last visited one, where reading continues.
    resume: u64,
    /// The start of its names in [`Walk::names`].
    first: usize,
    /// The mode to restore.
    closed: Option<Mode>,
}

/// The name of a directory, and the read position after it.
struct WalkName {
    name: CString,
    next: u64,
}

struct Walk {
    manner: WalkOptions,
    directory: OwnedFd,
    level: WalkLevel,
    above: Vec<WalkLevel>,
    /// Directories to visit: those of the topmost level first, the next one of each level last. When there
    /// are too many, all are dropped and read again.
    names: Vec<WalkName>,
    buffer: Vec<u8>,
}

impl Walk {
    fn run(&mut self, visitor: &mut impl Visitor) -> Result<(), Error> {
        let mut is_new = true;
        loop {
            if is_new && self.see_all(visitor)?.is_break() {
                return Ok(());
            }
            is_new = match self.next()? {
                Some(name) => visitor.enters(&name) && self.descend(&name, visitor)?,
                None => {
                    visitor.finish(&self.directory)?;
                    if !self.ascend(visitor)? {
                        return Ok(());
                    }
                    false
                }
            };
        }
    }

    fn see_all(&mut self, visitor: &mut impl Visitor) -> Result<ControlFlow<()>, Error> {
        let Self {
            directory,
            level,
            names,
            buffer,
            ..
        } = self;
        level.first = names.len();
        let outcome = read(directory, buffer, |entry, kind| {
            if kind == FileType::Directory {
                level.left += 1;
                if names.len() < level.first + NAMES / 2 {
                    names.push(WalkName::of(entry));
                }
            }
            visitor.see(directory, entry, kind)
        });
        self.next_one_last();
        outcome
    }

    /// Continues to read this level.
    fn read_on(&mut self) -> Result<(), Error> {
        let Self {
            directory,
            level,
            names,
            buffer,
            ..
        } = self;
        level.first = names.len();
        seek(&*directory, SeekFrom::Start(level.resume))?;
        let _enough = read(directory, buffer, |entry, kind| {
            if kind == FileType::Directory {
                names.push(WalkName::of(entry));
            }
            Ok(if names.len() < level.first + NAMES / 2 {
                ControlFlow::Continue(())
            } else {
                ControlFlow::Break(())
            })
        })?;
        self.next_one_last();
        Ok(())
    }

    fn next_one_last(&mut self) {
        let own = self.names.get_mut(self.level.first..);
        own.unwrap_or_default().reverse();
    }

    /// Returns the next directory of this level.
    fn next(&mut self) -> Result<Option<CString>, Error> {
        if self.level.left > 0 && self.names.len() <= self.level.first {
            self.read_on()?;
        }
        // There can be fewer than were counted: somebody removes directories meanwhile.
        if self.level.left == 0 || self.names.len() <= self.level.first {
            return Ok(None);
        }
        self.level.left -= 1;
        Ok(self.names.pop().map(|WalkName { name, next }| {
            self.level.resume = next;
            name
        }))
    }

    /// Enters a directory; returns false if it could not.
    fn descend(&mut self, name: &CStr, visitor: &mut impl Visitor) -> Result<bool, Error> {
        match self.manner.enter(self.directory.as_fd(), name) {
            Ok((directory, level)) => {
                if self.names.len() > NAMES / 2 {
                    self.names.clear();
                }
                self.directory = directory;
                self.above.push(std::mem::replace(&mut self.level, level));
                Ok(true)
            }
            Err(cause) => {
                visitor.cannot_enter(&self.directory, name, cause)?;
                visitor.leave();
                Ok(false)
            }
        }
    }

    /// Returns to the nearest parent that can be found; returns false if there is none.
    fn ascend(&mut self, visitor: &mut impl Visitor) -> Result<bool, Error> {
        loop {
            let Some(parent) = self.above.last() else {
                return Ok(false);
            };
            visitor.leave();
            let outer = match parent.reopen(&self.directory) {
                Ok(outer) => Some(outer),
                Err(cause) => visitor.find_again(cause)?.filter(|found| parent.is(found)),
            };
            let found = outer.is_some();
            self.step_up(outer);
            if found {
                return Ok(true);
            }
        }
    }

    /// Restores the directory's mode, and continues in its parent.
    fn step_up(&mut self, outer: Option<OwnedFd>) {
        if let Some(mode) = self.level.closed.take() {
            // Nothing more can be done; the purpose of the walk does not depend on it.
            let _ = fchmod(&self.directory, mode);
        }
        let Some(parent) = self.above.pop() else {
            return;
        };
        self.level = parent;
        match outer {
            Some(outer) => self.directory = outer,
            // The mode belongs to another directory than the open one.
            None => self.level.closed = None,
        }
    }

    /// Returns to the start of the walk, and restores all modes on the way.
    fn give_back(&mut self) {
        while let Some(parent) = self.above.last() {
            let Ok(outer) = parent.reopen(&self.directory) else {
                break;
            };
            self.step_up(Some(outer));
        }
        self.step_up(None);
    }
}

impl WalkLevel {
    /// Opens this directory from one inside it.
    fn reopen(&self, inner: &OwnedFd) -> Result<OwnedFd, Error> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let outer = openat(inner, c"..", flags, Mode::empty())?;
        if self.is(&outer) {
            Ok(outer)
        } else {
            Err(MOVED)
        }
    }

    fn is(&self, directory: &OwnedFd) -> bool {
        fstat(directory).is_ok_and(|found| inode(&found) == self.inode)
    }
}

impl WalkName {
    fn of(entry: &RawDirEntry<'_>) -> Self {
        Self {
            name: entry.file_name().to_owned(),
            next: entry.next_entry_cookie(),
        }
    }
}

impl WalkOptions {
    /// Opens a directory for reading, with the mode that the walk needs.
    fn enter(self, parent: BorrowedFd<'_>, name: &CStr) -> Result<(OwnedFd, WalkLevel), Error> {
        let flags = OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let mut how = ResolveFlags::NO_SYMLINKS;
        how.set(ResolveFlags::NO_XDEV, self.one_mount);
        let open =
            |access| retry_on_intr(|| openat2(parent, name, flags | access, Mode::empty(), how));
        match open(OFlags::RDONLY) {
            // O_PATH needs no permission, and refers to this directory whatever has its name later.
            Err(Errno::ACCESS) => self.enter_by(&open(OFlags::PATH)?),
            opened => {
                let directory = opened?;
                let level = self.open_up(&directory)?;
                Ok((directory, level))
            }
        }
    }

    /// Enters the directory of an `O_PATH` descriptor.
    fn enter_by(self, handle: impl AsFd) -> Result<(OwnedFd, WalkLevel), Error> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let level = self.open_up(&handle)?;
        match retry_on_intr(|| openat(&handle, c".", flags, Mode::empty())) {
            Ok(directory) => Ok((directory, level)),
            Err(errno) => {
                let _ = level.closed.map(|mode| set_mode(&handle, mode));
                Err(errno.into())
            }
        }
    }

    /// Gives a directory the mode that the walk needs. If that is refused, the directory belongs to another
    /// user, and may be readable all the same.
    fn open_up(self, directory: impl AsFd) -> Result<WalkLevel, Error> {
        let found = fstat(&directory)?;
        let mode = Mode::from_raw_mode(found.st_mode);
        let opened = |mode: &Mode| set_mode(&directory, *mode | self.needs).is_ok();
        Ok(WalkLevel {
            inode: inode(&found),
            left: 0,
            resume: 0,
            first: 0,
            closed: Some(mode)
                .filter(|mode| !mode.contains(self.needs))
                .filter(opened),
        })
    }
}

/// Reads the names in a directory from its current position.
pub(super) fn read(
    directory: &OwnedFd,
    buffer: &mut Vec<u8>,
    mut each: impl FnMut(&RawDirEntry<'_>, FileType) -> Result<ControlFlow<()>, Error>,
) -> Result<ControlFlow<()>, Error> {
    let mut entries = RawDir::new(directory, buffer.spare_capacity_mut());
    while let Some(entry) = entries.next() {
        let entry = match entry {
            // The directory was removed.
            Err(Errno::NOENT) => break,
            entry => entry?,
        };
        if matches!(entry.file_name().to_bytes(), b"." | b"..") {
            continue;
        }
        if each(&entry, kind(directory, &entry))?.is_break() {
            return Ok(ControlFlow::Break(()));
        }
    }
    Ok(ControlFlow::Continue(()))
}

/// Not every file system returns kinds with the names.
fn kind(directory: &OwnedFd, entry: &RawDirEntry<'_>) -> FileType {
    match entry.file_type() {
        FileType::Unknown => statat(directory, entry.file_name(), AtFlags::SYMLINK_NOFOLLOW)
            .map_or(FileType::Unknown, |found| {
                FileType::from_raw_mode(found.st_mode)
            }),
        known => known,
    }
}

// The widths of these fields differ between architectures.
#[allow(clippy::useless_conversion)]
pub(super) fn inode(stat: &Stat) -> (u64, u64) {
    (stat.st_dev.into(), stat.st_ino.into())
}
