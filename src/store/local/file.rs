//! An open regular file.

use std::any::Any;
use std::io::{IoSlice, IoSliceMut};
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::{Bytes, BytesMut};
use rustix::fs;
use rustix::io::{self, Errno, ReadWriteFlags};

use super::change;
use crate::error::Error;
use crate::store::{Changes, File, Metadata, ReadNow, Space};

/// Pieces in one call of `pwritev`: Linux's IOV_MAX.
const PIECES: usize = 1024;

/// One call of `copy_to` moves at most this much, so that its caller can stop in between.
const COPY_AT_ONCE: u64 = 8 * 1024 * 1024;

/// Buffer of a copy that the kernel cannot do by itself.
const COPY_BUFFER: usize = 256 * 1024;

pub(super) struct LocalFile {
    fd: OwnedFd,
    append: bool,
    /// Does this file system know RWF_NOWAIT? Found out by trying.
    nowait: AtomicBool,
}

impl LocalFile {
    pub(super) fn new(fd: OwnedFd, append: bool) -> Self {
        Self {
            fd,
            append,
            nowait: AtomicBool::new(true),
        }
    }

    fn copy_through_memory(
        &self,
        offset: u64,
        target: &dyn File,
        target_offset: u64,
        length: u64,
    ) -> Result<u64, Error> {
        let mut buffer = BytesMut::new();
        let length = usize::try_from(length)
            .unwrap_or(COPY_BUFFER)
            .min(COPY_BUFFER);
        let count = self.read(offset, length, &mut buffer)?;
        match target.write(target_offset, &[buffer.freeze()]) {
            Ok(()) => Ok(count as u64),
            // What was stored counts; the next call meets the error again if it lasts.
            Err((stored, _)) if stored > 0 => Ok(stored as u64),
            Err((_, error)) => Err(error),
        }
    }
}

impl File for LocalFile {
    fn read_now(&self, offset: u64, length: usize, out: &mut BytesMut) -> ReadNow {
        if !self.nowait.load(Ordering::Relaxed) {
            return ReadNow::Some(0);
        }
        let start = out.len();
        out.resize(start + length, 0);
        let space = out.get_mut(start..).unwrap_or_default();
        let slices = &mut [IoSliceMut::new(space)];
        let read = io::preadv2(&self.fd, slices, offset, ReadWriteFlags::NOWAIT);
        if matches!(read, Err(Errno::OPNOTSUPP | Errno::INVAL | Errno::NOSYS)) {
            self.nowait.store(false, Ordering::Relaxed);
        }
        let count = read.unwrap_or(0);
        out.truncate(start + count);
        if count == length {
            ReadNow::All(count)
        } else {
            ReadNow::Some(count)
        }
    }

    fn read(&self, offset: u64, length: usize, out: &mut BytesMut) -> Result<usize, Error> {
        let start = out.len();
        out.resize(start + length, 0);
        let mut count = 0;
        let outcome = loop {
            let space = out.get_mut(start + count..).unwrap_or_default();
            if space.is_empty() {
                break Ok(());
            }
            match io::pread(&self.fd, space, offset.saturating_add(count as u64)) {
                Ok(0) => break Ok(()),
                Ok(more) => count += more,
                Err(Errno::INTR) => {}
                Err(errno) => break Err(errno),
            }
        };
        out.truncate(start + count);
        match outcome {
            // What came before the error is told; the next read meets it again.
            Err(errno) if count == 0 => Err(errno.into()),
            _ => Ok(count),
        }
    }

    fn write(&self, offset: u64, pieces: &[Bytes]) -> Result<(), (usize, Error)> {
        let mut stored = 0;
        let mut slices: Vec<IoSlice<'_>> = pieces.iter().map(|piece| IoSlice::new(piece)).collect();
        let mut rest = slices.as_mut_slice();
        // Empty pieces at the front would look like a write of nothing.
        IoSlice::advance_slices(&mut rest, 0);
        while !rest.is_empty() {
            let now = rest.get(..PIECES).unwrap_or(rest);
            match io::pwritev(&self.fd, now, offset.saturating_add(stored as u64)) {
                Ok(0) => return Err((stored, Errno::IO.into())),
                Ok(count) => {
                    stored += count;
                    IoSlice::advance_slices(&mut rest, count);
                }
                Err(Errno::INTR) => {}
                Err(errno) => return Err((stored, errno.into())),
            }
        }
        Ok(())
    }

    fn metadata(&self) -> Result<Metadata, Error> {
        Ok(super::metadata(&fs::fstat(&self.fd)?))
    }

    fn change(&self, changes: &Changes) -> Result<(), Error> {
        if let Some(size) = changes.size {
            fs::ftruncate(&self.fd, size)?;
        }
        change::opened(&self.fd, changes)
    }

    fn sync(&self) -> Result<(), Error> {
        Ok(fs::fsync(&self.fd)?)
    }

    fn space(&self) -> Result<Space, Error> {
        Ok(super::space(&fs::fstatvfs(&self.fd)?))
    }

    fn copy_to(
        &self,
        offset: u64,
        target: &dyn File,
        target_offset: u64,
        length: u64,
    ) -> Result<u64, Error> {
        let length = length.min(COPY_AT_ONCE);
        let (mut from, mut to) = (offset, target_offset);
        if let Some(local) = target.as_any().downcast_ref::<Self>()
            // The kernel refuses to copy to the end of a file opened to append.
            && !local.append
        {
            let size = usize::try_from(length).unwrap_or(COPY_BUFFER);
            let done =
                fs::copy_file_range(&self.fd, Some(&mut from), &local.fd, Some(&mut to), size);
            match done {
                // Other file systems, and kernels that cannot do it between these two. A count of
                // 0 may also mean a file without a size, as in /proc.
                Err(Errno::XDEV | Errno::INVAL | Errno::OPNOTSUPP | Errno::NOSYS | Errno::PERM)
                | Ok(0) => {}
                done => return Ok(done? as u64),
            }
        }
        self.copy_through_memory(offset, target, target_offset, length)
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}
