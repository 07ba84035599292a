//! A store without a disk, which has all files at once and stores nothing. The kernel's part of the work is
//! not counted anyway, and the valgrind of Debian 12 does not know `openat2`, which resolves every path of
//! a real home.

use std::any::Any;
use std::ops::ControlFlow;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use landfall::error::Error;
use landfall::store::{
    Changes, Counted, Directory, Entry, File, Identity, Metadata, NewFile, OpenHow, Space, Store,
};
use landfall::values::path::VPath;
use rustix::io::Errno;

/// Names in every directory.
pub(crate) const NAMES: u32 = 100;

/// Bytes in every file.
const SIZE: u64 = 1 << 30;

/// 2026-11-21 12:00 UTC.
const CHANGED: i64 = 1_795_262_400;

fn metadata(mode: u32, inode: u64) -> Metadata {
    Metadata {
        mode,
        size: SIZE,
        links: 1,
        uid: 1000,
        gid: 1000,
        atime: CHANGED,
        mtime: CHANGED,
        mtime_nanoseconds: 0,
        ctime: (CHANGED, 0),
        inode: (1, inode),
    }
}

/// There is a file at every path.
fn file_at(path: &VPath) -> Metadata {
    let bytes = path.relative().iter();
    let inode = bytes.fold(7, |inode: u64, byte| {
        inode.wrapping_mul(31).wrapping_add(u64::from(*byte))
    });
    metadata(0o100_644, inode)
}

/// No counted request does this.
fn unused<T>() -> Result<T, Error> {
    Err(Errno::NOSYS.into())
}

pub(crate) struct Disk;

impl Store for Disk {
    fn without_links(&self) -> Arc<dyn Store> {
        Arc::new(Self)
    }

    fn open(&self, path: &VPath, _: &OpenHow) -> Result<Box<dyn File>, Error> {
        Ok(Box::new(OnDisk(file_at(path))))
    }

    fn open_now(&self, path: &VPath) -> Option<Box<dyn File>> {
        Some(Box::new(OnDisk(file_at(path))))
    }

    fn open_directory(&self, _: &VPath) -> Result<Box<dyn Directory>, Error> {
        Ok(Box::new(Listing { next: 0 }))
    }

    fn metadata(&self, path: &VPath, _: bool) -> Result<Metadata, Error> {
        Ok(file_at(path))
    }

    fn metadata_now(&self, path: &VPath, _: bool) -> Option<Metadata> {
        Some(file_at(path))
    }

    fn replacement(&self, _: &VPath, _: &OpenHow, _: &Metadata) -> Result<NewFile, Error> {
        unused()
    }

    fn leftovers(&self, _: &mut dyn FnMut(VPath) -> ControlFlow<()>) -> Result<(), Error> {
        unused()
    }

    fn identity(&self, _: &VPath, _: bool) -> Result<Identity, Error> {
        unused()
    }

    fn change(&self, _: &VPath, _: &Changes, _: bool) -> Result<(), Error> {
        unused()
    }

    fn remove_file(&self, _: &VPath) -> Result<(), Error> {
        unused()
    }

    fn make_directory(&self, _: &VPath, _: Option<u32>) -> Result<(), Error> {
        unused()
    }

    fn remove_directory(&self, _: &VPath) -> Result<(), Error> {
        unused()
    }

    fn rename(&self, _: &VPath, _: &VPath, _: bool) -> Result<(), Error> {
        unused()
    }

    fn hard_link(&self, _: &VPath, _: &VPath) -> Result<(), Error> {
        unused()
    }

    fn symlink(&self, _: &[u8], _: &VPath) -> Result<(), Error> {
        unused()
    }

    fn read_link(&self, _: &VPath) -> Result<Vec<u8>, Error> {
        unused()
    }

    fn canonical(&self, _: &VPath) -> Result<VPath, Error> {
        unused()
    }

    fn space(&self, _: &VPath) -> Result<Space, Error> {
        unused()
    }

    fn count(&self, _: &mut dyn FnMut(u64)) -> Result<Counted, Error> {
        unused()
    }
}

struct OnDisk(Metadata);

impl File for OnDisk {
    fn read_now(&self, _: u64, out: &mut [u8]) -> Option<usize> {
        Some(out.len())
    }

    fn read(&self, _: u64, _: usize, _: &mut BytesMut) -> Result<usize, Error> {
        unused()
    }

    fn write(&self, _: u64, _: &[Bytes]) -> Result<(), (usize, Error)> {
        Ok(())
    }

    fn metadata(&self) -> Result<Metadata, Error> {
        Ok(self.0)
    }

    fn identity(&self) -> Result<Identity, Error> {
        unused()
    }

    fn change(&self, _: &Changes) -> Result<(), Error> {
        unused()
    }

    fn sync(&self) -> Result<(), Error> {
        unused()
    }

    fn close(self: Arc<Self>) -> Result<(), Error> {
        Ok(())
    }

    fn space(&self) -> Result<Space, Error> {
        unused()
    }

    fn copy_to(&self, _: u64, _: &dyn File, _: u64, _: u64) -> Result<u64, Error> {
        unused()
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

struct Listing {
    next: u32,
}

impl Directory for Listing {
    fn next(&mut self) -> Result<Option<Entry>, Error> {
        if self.next == NAMES {
            return Ok(None);
        }
        self.next += 1;
        Ok(Some(Entry {
            name: b"a-file-with-a-name".to_vec(),
            metadata: metadata(0o100_644, u64::from(self.next)),
        }))
    }

    fn metadata(&self) -> Result<Metadata, Error> {
        Ok(metadata(0o040_755, 0))
    }

    fn identity(&self) -> Result<Identity, Error> {
        unused()
    }

    fn change(&self, _: &Changes) -> Result<(), Error> {
        unused()
    }

    fn space(&self) -> Result<Space, Error> {
        unused()
    }

    fn sync_names(&self) -> Result<(), Error> {
        unused()
    }
}
