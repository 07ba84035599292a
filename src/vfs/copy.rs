//! Copies on the server: ranges of open files, and whole files by path. They are heavy work, carried out in
//! slices.

use rustix::io::Errno;

use super::access::{Last, Operation};
use super::home::Vfs;
use super::open_file::OpenFile;
use super::record::RecordedOperation;
use crate::error::Error;
use crate::quota::Usage;
use crate::store::{Changes, OpenHow, READING, unsigned_seconds};
use crate::values::path::VPath;

/// A range beyond the source's end is an error only if the client gave a length, as in OpenSSH.
const ENDS_EARLY: Error = Error::Invalid("The range extends beyond the end of the source file");
/// Bytes per slice. Nobody else writes to the target during a slice.
const SLICE: u64 = 8 << 20;

/// A copy between two open files in progress.
pub struct Copying {
    offset: u64,
    /// `None` is to the end of the source.
    length: Option<u64>,
    target_offset: u64,
    progress: Option<Progress>,
}

#[derive(Clone, Copy)]
struct Progress {
    /// Bytes that remain.
    missing: u64,
    /// The source ended before the range.
    is_too_long: bool,
}

impl Copying {
    /// Makes a copy from an offset of the source to one of the target.
    pub fn new(offset: u64, length: Option<u64>, target_offset: u64) -> Self {
        Self {
            offset,
            length,
            target_offset,
            progress: None,
        }
    }
}

/// A copy of a file by path in progress.
pub struct CopyingFile {
    from: VPath,
    to: VPath,
    overwrite: bool,
    open: Option<OpenCopy>,
}

struct OpenCopy {
    source: OpenFile,
    target: OpenFile,
    /// The target's inode.
    inode: (u64, u64),
    at_its_end: Changes,
    copying: Copying,
}

impl CopyingFile {
    /// Makes a copy; an existing target is refused unless `overwrite`.
    pub fn new(from: VPath, to: VPath, overwrite: bool) -> Self {
        Self {
            from,
            to,
            overwrite,
            open: None,
        }
    }
}

impl Vfs {
    /// Copies a slice of a file with its permissions and times (copy-file of
    /// draft-ietf-secsh-filexfer-extensions-00, section 6); returns false if more remains. The target of a
    /// failed copy is removed.
    pub fn copy_file_on(&self, copy: &mut CopyingFile) -> Result<bool, Error> {
        let outcome = self.copy_named_on(copy);
        if outcome == Ok(false) {
            return outcome;
        }
        self.record(RecordedOperation::Copy(&copy.from, &copy.to), outcome)
    }

    fn copy_named_on(&self, copy: &mut CopyingFile) -> Result<bool, Error> {
        let mut open = match copy.open.take() {
            Some(open) => open,
            None => self.open_copy(copy)?,
        };
        let copied = self.copy_spoiling(&open.source, &open.target, &mut open.copying);
        if copied == Ok(false) {
            copy.open = Some(open);
            return copied;
        }
        let OpenCopy { target, inode, .. } = open;
        let copied = copied.and_then(|_| self.change_allowed(&target, &open.at_its_end));
        let copied = copied.and(self.close_unnoted(target));
        let is_made = || self.inode_of(&copy.to, Last::Itself) == Ok(inode);
        if copied.is_err() && !copy.overwrite && is_made() {
            // Nobody has seen it.
            let _ = self.at(&copy.to, Last::Itself, |place| self.remove_allowed(place));
        }
        copied.map(|()| true)
    }

    fn open_copy(&self, copy: &CopyingFile) -> Result<OpenCopy, Error> {
        let source = self.opened_unnoted(&copy.from, Some(Operation::Read), &READING, None)?;
        let found = source.file.metadata()?;
        if copy.overwrite && self.inode_of(&copy.to, Last::Followed) == Ok(found.inode) {
            return Err(Error::Invalid("A file cannot be copied onto itself"));
        }
        let making = OpenHow {
            write: true,
            create: true,
            truncate: copy.overwrite,
            exclusive: !copy.overwrite,
            // Nobody else reads it before it has its final permissions.
            permissions: Some(0o600),
            ..OpenHow::default()
        };
        let target = self.opened_unnoted(&copy.to, None, &making, Some(found.size))?;
        Ok(OpenCopy {
            source,
            inode: target.file.metadata()?.inode,
            target,
            at_its_end: Changes {
                permissions: Some(found.mode),
                times: Some((unsigned_seconds(found.atime), unsigned_seconds(found.mtime))),
                ..Changes::default()
            },
            copying: Copying::new(0, None, 0),
        })
    }

    fn inode_of(&self, path: &VPath, last: Last) -> Result<(u64, u64), Error> {
        self.at(path, last, |place| {
            let found = place.store.metadata(&place.path, place.is_followed())?;
            Ok(found.inode)
        })
    }

    /// Copies a slice between two open files without sending data over the network; returns false if more
    /// remains. Stops with an error if the session ends. A copy that would exceed the quota does not start.
    pub fn copy_on(
        &self,
        source: &OpenFile,
        target: &OpenFile,
        copying: &mut Copying,
    ) -> Result<bool, Error> {
        let copied = self.copy_spoiling(source, target, copying);
        if copied == Ok(false) {
            return copied;
        }
        target.was_copied_to();
        self.record(
            RecordedOperation::Copy(source.path(), target.path()),
            copied,
        )
    }

    fn copy_spoiling(
        &self,
        source: &OpenFile,
        target: &OpenFile,
        copying: &mut Copying,
    ) -> Result<bool, Error> {
        let copied = self.copy_slice(source, target, copying);
        if let Err(error) = copied {
            target.spoil(error);
        }
        copied
    }

    fn copy_slice(
        &self,
        source: &OpenFile,
        target: &OpenFile,
        copying: &mut Copying,
    ) -> Result<bool, Error> {
        let mut progress = match copying.progress {
            Some(progress) => progress,
            None => self.check_copy(source, target, copying)?,
        };
        let mut left = SLICE;
        while progress.missing > 0 {
            if left == 0 {
                copying.progress = Some(progress);
                return Ok(false);
            }
            self.check_awaited()?;
            let most = progress.missing.min(left);
            let copied = self.copy_some(source, target, copying, most)?;
            if copied == 0 {
                return match copying.length {
                    Some(_) => Err(ENDS_EARLY),
                    None => Ok(true),
                };
            }
            progress.missing -= copied;
            left -= copied;
            copying.offset += copied;
            // A file opened to append ignores the offset.
            copying.target_offset = copying.target_offset.saturating_add(copied);
        }
        if progress.is_too_long {
            return Err(ENDS_EARLY);
        }
        Ok(true)
    }

    /// Checks that the copy is permitted and fits.
    fn check_copy(
        &self,
        source: &OpenFile,
        target: &OpenFile,
        copying: &Copying,
    ) -> Result<Progress, Error> {
        let (offset, target_offset) = (copying.offset, copying.target_offset);
        if i64::try_from(offset).is_err() {
            return Err(Errno::INVAL.into());
        }
        self.check_open(source, Operation::Read)?;
        self.check_open(target, Operation::Write)?;
        let (from, to) = (
            source.readable()?.metadata()?,
            target.writable()?.metadata()?,
        );
        let asked = copying.length.unwrap_or(u64::MAX);
        let there = asked.min(from.size.saturating_sub(offset));
        let start = target.start(target_offset, to.size);
        let growth = start.saturating_add(there).saturating_sub(to.size);
        let mut missing = asked;
        // A copy past the source's end into the same file would never end.
        if from.inode == to.inode {
            missing = there;
            if offset.abs_diff(target_offset) < missing {
                return Err(Error::Invalid("A range cannot be copied onto itself"));
            }
        }
        if there > 0 {
            self.ledger().begin().check_room(Usage::bytes(growth))?;
        }
        Ok(Progress {
            missing,
            is_too_long: copying.length.is_some() && missing < asked,
        })
    }

    /// Copies and counts at most this many bytes. Returns 0 only at the end of the source.
    fn copy_some(
        &self,
        source: &OpenFile,
        target: &OpenFile,
        copying: &Copying,
        most: u64,
    ) -> Result<u64, Error> {
        let (offset, target_offset) = (copying.offset, copying.target_offset);
        let change = self.ledger().begin();
        let mut size = target.tracked.hold_size(|| target.size_on_disk())?;
        let before = size.get();
        // Nobody else changes the size of the target; if it is also the source, this copy does.
        let there = source.size_on_disk()?.saturating_sub(offset);
        let count = most.min(there);
        if count == 0 {
            return Ok(0);
        }
        let start = target.start(target_offset, before);
        let end = start.checked_add(count).ok_or(Errno::FBIG)?;
        let growth = change.reserve(Usage::bytes(end.saturating_sub(before)))?;
        let outcome = source
            .file
            .copy_to(offset, &*target.file, target_offset, count);
        let now = match outcome {
            Ok(copied) => before.max(start.saturating_add(copied)),
            Err(_) => target.size_on_disk().unwrap_or(before),
        };
        size.set(now);
        growth.settle(Usage::bytes(now.saturating_sub(before)));
        outcome
    }
}
