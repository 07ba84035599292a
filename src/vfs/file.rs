//! The operations on open files. Growth is reserved in the quota before a write and settled after it.

use bytes::{Bytes, BytesMut};
use rustix::io::Errno;

use super::access::Operation;
use super::home::Vfs;
use super::open_file::{End, OpenFile};
use super::record::{RecordedOperation, Used};
use crate::error::Error;
use crate::quota::Usage;
use crate::store::{Changes, Metadata};

impl Vfs {
    /// Closes a file and records the transfer. Can report lost data. A safely overwritten file is replaced
    /// now.
    pub fn close(&self, file: OpenFile) -> Result<(), Error> {
        let path = file.path.clone();
        self.record(RecordedOperation::Close(&path), self.end(file, End::Closed))
    }

    /// Closes a file that the server itself has used as part of another operation.
    pub(super) fn close_unnoted(&self, file: OpenFile) -> Result<(), Error> {
        self.end(file, End::Closed)
    }

    /// Closes a file whose session ended first: a safely overwritten file stays as it was, and the received
    /// data is kept beside it.
    pub fn abandon(&self, file: OpenFile) -> Result<(), Error> {
        let path = file.path.clone();
        self.record(RecordedOperation::Close(&path), self.end(file, End::Cut))
    }

    fn end(&self, file: OpenFile, end: End) -> Result<(), Error> {
        let missing = file.history.gap.why();
        // The client does not know the offset of appended data.
        if let (false, Some(start)) = (file.how.append, file.history.gap.hidden_at())
            && start >= file.history.size
        {
            // A client resumes from the size. This keeps all earlier data, and what another handle has cut
            // stays cut.
            let _ = self.resize_from(&file, None, |size| (start < size).then_some(start));
        }
        let synced = match end {
            End::Closed => self.sync_if_asked(&file),
            End::Cut => Ok(()),
        };
        let OpenFile {
            file,
            tracked,
            path,
            overwrite,
            new_in,
            history,
            ..
        } = file;
        let inode = tracked.inode();
        let closed = match overwrite {
            Some(overwrite) => self.end_overwrite(&overwrite, file, &path, synced, end),
            None => synced.and(file.close()),
        };
        let closed = match missing {
            Some(why) if end == End::Closed => closed.and(Err(Error::Missing(why.into()))),
            _ => closed,
        };
        drop(tracked);
        let outcome = match new_in {
            Some(directory) if end == End::Closed => closed.and(directory.sync_names()),
            _ => closed,
        };
        self.record_transfers(&Used {
            path: &path,
            history: &history,
            failure: history.failure.get().copied().or(outcome.err()),
            end,
            inode,
        });
        outcome
    }

    /// Syncs, if configured, before a file is closed or replaces another.
    pub(super) fn sync_if_asked(&self, file: &OpenFile) -> Result<(), Error> {
        if file.how.write && self.session.syncs_on_close() {
            file.file.sync()
        } else {
            Ok(())
        }
    }

    /// Appends `length` bytes from `offset` to `out`, fewer only at the end of the file.
    pub fn read(
        &self,
        file: &mut OpenFile,
        offset: u64,
        length: usize,
        out: &mut BytesMut,
    ) -> Result<usize, Error> {
        self.check_kept(file, Operation::Read)?;
        let count = file.readable()?.read(offset, length, out)?;
        file.was_read(offset, count);
        Ok(count)
    }

    /// Writes chunks at `offset`, or at the end of a file opened to append. A write that would exceed the
    /// quota writes nothing.
    pub fn write(&self, file: &mut OpenFile, offset: u64, chunks: &[Bytes]) -> Result<(), Error> {
        let length: usize = chunks.iter().map(Bytes::len).sum();
        if length == 0 {
            return file.writable().map(drop);
        }
        let outcome = match self.check_kept(file, Operation::Write) {
            Ok(()) => self.write_counted(file, offset, chunks, length as u64),
            Err(error) => Err((offset, 0, error)),
        };
        match outcome {
            Ok(start) => {
                file.was_written(offset, start, length);
                Ok(())
            }
            Err((start, stored, error)) => {
                if file.how.write {
                    let end = offset.saturating_add(length as u64);
                    file.history.gap.refused(offset..end, error);
                }
                if stored > 0 {
                    file.was_written(offset, start, stored);
                }
                // The pipelined writes fail, too: all are one event.
                let is_known = file.history.failure.get().is_some();
                file.spoil(error);
                if is_known {
                    return Err(error);
                }
                self.record(RecordedOperation::Write(&file.path), Err(error))
            }
        }
    }

    /// Returns where the bytes were written; an error includes how many were.
    fn write_counted(
        &self,
        file: &OpenFile,
        offset: u64,
        chunks: &[Bytes],
        length: u64,
    ) -> Result<u64, (u64, usize, Error)> {
        let nothing = |error| (offset, 0, error);
        let target = file.writable().map_err(nothing)?;
        let change = self.ledger().begin();
        let mut size = file
            .tracked
            .hold_size(|| file.size_on_disk())
            .map_err(nothing)?;
        let before = size.get();
        let start = file.start(offset, before);
        let end = start
            .checked_add(length)
            .ok_or(nothing(Errno::FBIG.into()))?;
        let growth = change
            .reserve(Usage::bytes(end.saturating_sub(before)))
            .map_err(nothing)?;
        let outcome = target.write(offset, chunks);
        match outcome {
            Ok(()) => {
                size.set(before.max(end));
                growth.keep();
            }
            Err((stored, _)) => {
                let guess = before.max(start + stored as u64);
                let now = file.size_on_disk().unwrap_or(guess);
                size.set(now);
                growth.settle(Usage::bytes(now.saturating_sub(before)));
            }
        }
        outcome
            .map(|()| start)
            .map_err(|(stored, error)| (start, stored, error))
    }

    /// Refuses a file whose announced size does not fit.
    pub(super) fn check_room(&self, file: &OpenFile, announced: u64) -> Result<(), Error> {
        let change = self.ledger().begin();
        let size = file.tracked.hold_size(|| file.size_on_disk())?;
        change.check_room(Usage::bytes(announced.saturating_sub(size.get())))
    }

    /// Sets the size of an open file. `room` is the size that the client has announced: it is checked
    /// before anything is cut.
    pub(super) fn resize(&self, file: &OpenFile, new: u64, room: Option<u64>) -> Result<(), Error> {
        self.resize_from(file, room, |_| Some(new))
    }

    /// Sets the size to one computed from the current size; `None` keeps it.
    fn resize_from(
        &self,
        file: &OpenFile,
        room: Option<u64>,
        new: impl FnOnce(u64) -> Option<u64>,
    ) -> Result<(), Error> {
        let target = file.writable()?;
        let change = self.ledger().begin();
        let mut size = file.tracked.hold_size(|| file.size_on_disk())?;
        let before = size.get();
        let Some(new) = new(before) else {
            return Ok(());
        };
        if let Some(room) = room {
            change.check_room(Usage::bytes(room.saturating_sub(before)))?;
        }
        let growth = change.reserve(Usage::bytes(new.saturating_sub(before)))?;
        let outcome = target.change(&Changes {
            size: Some(new),
            ..Changes::default()
        });
        let now = match outcome {
            Ok(()) => new,
            Err(_) => file.size_on_disk().unwrap_or(before),
        };
        size.set(now);
        growth.settle(Usage::bytes(now.saturating_sub(before)));
        change.release(Usage::bytes(before.saturating_sub(now)));
        outcome
    }

    /// Returns the attributes: `fstat(2)`.
    pub fn file_metadata(&self, file: &OpenFile) -> Result<Metadata, Error> {
        file.metadata()
    }

    /// Changes an open file, whatever its name is now.
    pub fn change_file(&self, file: &mut OpenFile, changes: &Changes) -> Result<(), Error> {
        let outcome = self
            .check_change(file, changes)
            .and_then(|()| self.change_allowed(file, changes));
        if let (Ok(()), Some(size)) = (&outcome, changes.size) {
            file.history.gap.cut(size);
        }
        self.record(RecordedOperation::Change(&file.path, changes), outcome)
    }

    fn check_change(&self, file: &OpenFile, changes: &Changes) -> Result<(), Error> {
        if changes.size.is_some() {
            self.check_open(file, Operation::Write)?;
        }
        let rest = Changes {
            size: None,
            ..*changes
        };
        if rest == Changes::default() {
            return Ok(());
        }
        self.check_open(file, Operation::Change)
    }

    /// Changes a file without checking permissions, for the server's own use.
    pub(super) fn change_allowed(&self, file: &OpenFile, changes: &Changes) -> Result<(), Error> {
        let (size, rest) = self.change_both(file, changes);
        if let Err(error) = size {
            file.spoil(error);
        }
        size.and(rest)
    }

    /// Changes the size and the rest; returns both outcomes.
    pub(super) fn change_both(
        &self,
        file: &OpenFile,
        changes: &Changes,
    ) -> (Result<(), Error>, Result<(), Error>) {
        let size = match changes.size {
            Some(size) => self.resize(file, size, None),
            None => Ok(()),
        };
        let rest = Changes {
            size: None,
            ..*changes
        };
        (size, file.file.change(&rest))
    }

    /// Makes written data durable.
    pub fn sync(&self, file: &OpenFile) -> Result<(), Error> {
        self.record(RecordedOperation::Sync(&file.path), file.file.sync())
    }
}
