//! An open file.

use std::any::Any;
use std::io::{IoSlice, IoSliceMut};
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::{Bytes, BytesMut};
use rustix::fs::{copy_file_range, fsync, ftruncate};
use rustix::io::{Errno, ReadWriteFlags, pread, preadv2, pwritev};

use super::inode::{self, Reach, Subject};
use crate::error::Error;
use crate::store::{Changes, File, Identity, Metadata, OpenHow, Space};

/// Most chunks that one `pwritev` accepts (Linux's IOV_MAX).
const CHUNKS: usize = 1024;
/// Most bytes that one call of `copy_to` copies, so that its caller can stop in between.
const COPY_AT_ONCE: u64 = 8 << 20;
/// Buffer size where the kernel cannot copy by itself.
const COPY_BUFFER: usize = 256 << 10;

const NOT_FOR_READING: Error = Error::Handle("The file is not open for reading");
const NOT_FOR_WRITING: Error = Error::Handle("The file is not open for writing");
const OVERLAP: Error = Error::Invalid("A file cannot be copied onto a part of itself");

pub(super) struct LocalFile {
    fd: OwnedFd,
    readable: bool,
    writable: bool,
    append: bool,
    /// The file system does not support `RWF_NOWAIT`.
    always_waits: AtomicBool,
}

impl LocalFile {
    pub(super) fn new(fd: OwnedFd, how: &OpenHow) -> Self {
        Self {
            fd,
            readable: how.read,
            writable: how.write || how.append,
            append: how.append,
            always_waits: AtomicBool::new(false),
        }
    }

    /// Returns whether the copy would change data that it has still to read.
    fn overlaps(
        &self,
        offset: u64,
        target: &Self,
        target_offset: u64,
        length: u64,
    ) -> Result<bool, Error> {
        let here = self.metadata()?;
        if here.inode != target.metadata()?.inode {
            return Ok(false);
        }
        let target_offset = if target.append {
            here.size
        } else {
            target_offset
        };
        let length = length.min(here.size.saturating_sub(offset));
        Ok(offset.abs_diff(target_offset) < length)
    }

    /// Copies in one call of the kernel; `None` if it cannot.
    fn copy_in_kernel(
        &self,
        mut offset: u64,
        target: &Self,
        mut target_offset: u64,
        length: usize,
    ) -> Result<Option<u64>, Error> {
        // The kernel refuses to copy to a file that is open to append.
        if target.append {
            return Ok(None);
        }
        loop {
            let (from, to) = (&mut offset, &mut target_offset);
            return match copy_file_range(&self.fd, Some(from), &target.fd, Some(to), length) {
                Err(Errno::INTR) => continue,
                // The end of the file, or a file system that returns 0 for "cannot".
                Ok(0) => Ok(None),
                Ok(copied) => Ok(Some(copied as u64)),
                Err(Errno::XDEV | Errno::INVAL | Errno::OPNOTSUPP | Errno::NOSYS) => Ok(None),
                Err(errno) => Err(errno.into()),
            };
        }
    }

    /// Copies through a buffer. Bytes copied before an error count; the next call meets the error.
    fn copy_by_hand(
        &self,
        offset: u64,
        target: &dyn File,
        target_offset: u64,
        length: usize,
    ) -> Result<u64, Error> {
        let mut copied = 0_usize;
        while copied < length {
            let done = copied as u64;
            let mut buffer = BytesMut::new();
            let outcome = self
                .read(
                    offset.saturating_add(done),
                    (length - copied).min(COPY_BUFFER),
                    &mut buffer,
                )
                .map_err(|error| (0, error))
                .and_then(|read| {
                    target.write(target_offset.saturating_add(done), &[buffer.freeze()])?;
                    Ok(read)
                });
            match outcome {
                Ok(0) => break,
                Ok(read) => copied += read,
                Err((0, error)) if copied == 0 => return Err(error),
                Err((stored, _)) => {
                    copied += stored;
                    break;
                }
            }
        }
        Ok(copied as u64)
    }
}

impl File for LocalFile {
    fn read_now(&self, offset: u64, out: &mut [u8]) -> Option<usize> {
        if !self.readable
            || self.always_waits.load(Ordering::Relaxed)
            || !is_range(offset, out.len())
        {
            return None;
        }
        let mut count = 0;
        while let Some(rest) = out.get_mut(count..).filter(|rest| !rest.is_empty()) {
            let rest = &mut [IoSliceMut::new(rest)];
            match preadv2(
                &self.fd,
                rest,
                offset + count as u64,
                ReadWriteFlags::NOWAIT,
            ) {
                // The end of the file. A smaller count before only meant that the rest is not in memory.
                Ok(0) => break,
                Ok(read) => count += read,
                Err(Errno::OPNOTSUPP | Errno::INVAL | Errno::NOSYS) => {
                    self.always_waits.store(true, Ordering::Relaxed);
                    return None;
                }
                // Not in memory, or a disk error, which `read` will report.
                Err(_) => return None,
            }
        }
        Some(count)
    }

    fn read(&self, offset: u64, length: usize, out: &mut BytesMut) -> Result<usize, Error> {
        if !self.readable {
            return Err(NOT_FOR_READING);
        }
        if !is_range(offset, length) {
            return Err(Errno::INVAL.into());
        }
        let mut error = None;
        let read = append(out, length, |space| {
            let mut read = 0;
            while let Some(rest) = space.get_mut(read..).filter(|rest| !rest.is_empty()) {
                match pread(&self.fd, rest, offset.saturating_add(read as u64)) {
                    Ok(0) => break,
                    Ok(more) => read += more,
                    Err(Errno::INTR) => {}
                    Err(errno) => {
                        error = Some(errno);
                        return 0;
                    }
                }
            }
            read
        });
        match error {
            Some(errno) => Err(errno.into()),
            None => Ok(read),
        }
    }

    fn write(&self, offset: u64, chunks: &[Bytes]) -> Result<(), (usize, Error)> {
        if !self.writable {
            return Err((0, NOT_FOR_WRITING));
        }
        // The kernel decides where to append; the offset is ignored.
        let offset = if self.append { 0 } else { offset };
        if !is_position(offset) {
            return Err((0, Errno::FBIG.into()));
        }
        let mut stored = 0;
        for batch in chunks.chunks(CHUNKS) {
            let mut slices: Vec<IoSlice<'_>> = batch
                .iter()
                .filter(|chunk| !chunk.is_empty())
                .map(|chunk| IoSlice::new(chunk))
                .collect();
            let mut left = slices.as_mut_slice();
            while !left.is_empty() {
                match pwritev(&self.fd, left, offset.saturating_add(stored as u64)) {
                    // Never seen for a regular file; it must not become an endless loop.
                    Ok(0) => return Err((stored, Errno::IO.into())),
                    Ok(more) => {
                        stored += more;
                        IoSlice::advance_slices(&mut left, more);
                    }
                    Err(Errno::INTR) => {}
                    Err(errno) => return Err((stored, errno.into())),
                }
            }
        }
        Ok(())
    }

    fn metadata(&self) -> Result<Metadata, Error> {
        inode::metadata(&self.fd)
    }

    fn identity(&self) -> Result<Identity, Error> {
        inode::identity(&self.fd)
    }

    fn change(&self, changes: &Changes) -> Result<(), Error> {
        let size = match changes.size {
            Some(_) if !self.writable => Err(NOT_FOR_WRITING),
            Some(size) => resize(&self.fd, size),
            None => Ok(()),
        };
        let subject = Subject {
            reach: Reach::Open,
            is_home: false,
        };
        size.and(inode::change(&self.fd, changes, subject))
    }

    fn sync(&self) -> Result<(), Error> {
        Ok(fsync(&self.fd)?)
    }

    fn close(self: Arc<Self>) -> Result<(), Error> {
        let Some(file) = Arc::into_inner(self) else {
            return Err(Error::Handle("The file is still in use"));
        };
        match nix::unistd::close(file.fd) {
            // Linux has closed it all the same.
            Ok(()) | Err(nix::errno::Errno::EINTR) => Ok(()),
            Err(errno) => Err(Errno::from_raw_os_error(errno as i32).into()),
        }
    }

    fn space(&self) -> Result<Space, Error> {
        inode::space(&self.fd)
    }

    fn copy_to(
        &self,
        offset: u64,
        target: &dyn File,
        target_offset: u64,
        length: u64,
    ) -> Result<u64, Error> {
        if !self.readable {
            return Err(NOT_FOR_READING);
        }
        let now = usize::try_from(length.min(COPY_AT_ONCE)).unwrap_or(COPY_BUFFER);
        if let Some(target) = target.as_any().downcast_ref::<Self>() {
            if !target.writable {
                return Err(NOT_FOR_WRITING);
            }
            if self.overlaps(offset, target, target_offset, length)? {
                return Err(OVERLAP);
            }
            if let Some(copied) = self.copy_in_kernel(offset, target, target_offset, now)? {
                return Ok(copied);
            }
        }
        self.copy_by_hand(offset, target, target_offset, now)
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

/// Sets the size of a file that is open for writing.
pub(super) fn resize(fd: impl AsFd, size: u64) -> Result<(), Error> {
    if !is_position(size) {
        return Err(Errno::FBIG.into());
    }
    loop {
        match ftruncate(&fd, size) {
            Err(Errno::INTR) => {}
            other => return Ok(other?),
        }
    }
}

/// Returns whether the kernel supports this offset: beyond, it is negative, and -1 even means "the current
/// position".
fn is_position(offset: u64) -> bool {
    i64::try_from(offset).is_ok()
}

/// Returns whether the kernel supports the end of this range.
fn is_range(offset: u64, length: usize) -> bool {
    offset.checked_add(length as u64).is_some_and(is_position)
}

/// Lets `fill` put up to `length` bytes after the contents of `out`, and keeps as many as it returns.
fn append(out: &mut BytesMut, length: usize, fill: impl FnOnce(&mut [u8]) -> usize) -> usize {
    let start = out.len();
    out.resize(start + length, 0);
    let filled = fill(out.get_mut(start..).unwrap_or_default());
    out.truncate(start + filled);
    filled
}
