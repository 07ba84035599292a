//! Copies on the server: parts of open files, and whole files by name.

use rustix::io::Errno;

use super::record::Deed;
use super::{Last, OpenFile, Verb, Vfs};
use crate::error::Error;
use crate::path::VPath;
use crate::quota::Usage;
use crate::store::{Changes, OpenHow, READING, unsigned_seconds};

/// A range that the source does not have is an error only if it was asked for, as in OpenSSH.
const ENDS_EARLY: Error = Error::Invalid("The source file ends before the range does");
/// Copied in one go, while nobody else writes to the target.
const COPY_AT_ONCE: u64 = 8 << 20;

impl Vfs {
    /// Copies a file with its permissions and times (copy-file of
    /// draft-ietf-secsh-filexfer-extensions-00, section 6). What is there under the name of the copy
    /// is refused unless `overwrite`; what was made of a copy that fails is removed.
    pub fn copy_file(&self, from: &VPath, to: &VPath, overwrite: bool) -> Result<(), Error> {
        let outcome = self.copy_named(from, to, overwrite);
        self.record(Deed::Copy(from, to), outcome)
    }

    fn copy_named(&self, from: &VPath, to: &VPath, overwrite: bool) -> Result<(), Error> {
        let source = self.opened_unnoted(from, Some(Verb::Read), &READING, None)?;
        let found = source.file.metadata()?;
        let inode_of = |path, last| {
            self.at(path, last, |place| {
                let found = place.store.metadata(&place.path, place.is_followed())?;
                Ok(found.inode)
            })
        };
        if overwrite && inode_of(to, Last::Followed) == Ok(found.inode) {
            return Err(Error::Invalid("A file cannot be copied onto itself"));
        }
        let making = OpenHow {
            write: true,
            create: true,
            truncate: overwrite,
            exclusive: !overwrite,
            // Nobody else reads it before it has the permissions that it shall have.
            permissions: Some(0o600),
            ..OpenHow::default()
        };
        let target = self.opened_unnoted(to, None, &making, Some(found.size))?;
        let made = target.file.metadata()?.inode;
        let as_source = Changes {
            permissions: Some(found.mode),
            times: Some((unsigned_seconds(found.atime), unsigned_seconds(found.mtime))),
            ..Changes::default()
        };
        let copied = self
            .copy_spoiling(&source, 0, None, &target, 0)
            .and_then(|()| self.change_allowed(&target, &as_source));
        let copied = copied.and(self.close_unnoted(target));
        if copied.is_err() && !overwrite && inode_of(to, Last::Itself) == Ok(made) {
            // Nobody knows of it yet.
            let _ = self.at(to, Last::Itself, |place| self.remove_allowed(place));
        }
        copied
    }

    /// Copies `length` bytes (`None`: to the end) between two open files, on this machine only.
    /// Stops, with an error, when the session ends meanwhile. What would exceed the quota is not
    /// begun.
    pub fn copy(
        &self,
        source: &OpenFile,
        offset: u64,
        length: Option<u64>,
        target: &OpenFile,
        target_offset: u64,
    ) -> Result<(), Error> {
        let copied = self.copy_spoiling(source, offset, length, target, target_offset);
        target.was_copied_to();
        self.record(Deed::Copy(source.path(), target.path()), copied)
    }

    fn copy_spoiling(
        &self,
        source: &OpenFile,
        offset: u64,
        length: Option<u64>,
        target: &OpenFile,
        target_offset: u64,
    ) -> Result<(), Error> {
        let copied = self.copy_parts(source, offset, length, target, target_offset);
        if copied.is_err() {
            target.spoil();
        }
        copied
    }

    fn copy_parts(
        &self,
        source: &OpenFile,
        mut offset: u64,
        length: Option<u64>,
        target: &OpenFile,
        mut target_offset: u64,
    ) -> Result<(), Error> {
        if i64::try_from(offset).is_err() {
            return Err(Errno::INVAL.into());
        }
        self.check_open(source, Verb::Read)?;
        self.check_open(target, Verb::Write)?;
        let (from, to) = (
            source.readable()?.metadata()?,
            target.writable()?.metadata()?,
        );
        let asked = length.unwrap_or(u64::MAX);
        let there = asked.min(from.size.saturating_sub(offset));
        let start = target.start(target_offset, to.size);
        let growth = start.saturating_add(there).saturating_sub(to.size);
        let mut missing = asked;
        // What is written behind the source's end in the same file would be copied again, for ever.
        if from.inode == to.inode {
            missing = there;
            if offset.abs_diff(target_offset) < missing {
                return Err(Error::Invalid("A range cannot be copied onto itself"));
            }
        }
        if there > 0 {
            self.ledger().begin().check_room(Usage::bytes(growth))?;
        }
        let too_long = length.is_some() && missing < asked;
        while missing > 0 {
            self.check_awaited()?;
            let copied = self.copy_some(source, offset, missing, target, target_offset)?;
            if copied == 0 {
                return if length.is_some() {
                    Err(ENDS_EARLY)
                } else {
                    Ok(())
                };
            }
            missing -= copied;
            offset += copied;
            // The offset means nothing to a file that is open to append, so it can be any.
            target_offset = target_offset.saturating_add(copied);
        }
        if too_long { Err(ENDS_EARLY) } else { Ok(()) }
    }

    /// Copies a part, and counts it. 0 only at the end of the source.
    fn copy_some(
        &self,
        source: &OpenFile,
        offset: u64,
        most: u64,
        target: &OpenFile,
        target_offset: u64,
    ) -> Result<u64, Error> {
        let change = self.ledger().begin();
        let mut size = target.tracked.hold_size(|| target.size_on_disk())?;
        let before = size.get();
        // Nobody else changes the size of the target; when that is the source too, it is this one.
        let there = source.size_on_disk()?.saturating_sub(offset);
        let count = most.min(there).min(COPY_AT_ONCE);
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
