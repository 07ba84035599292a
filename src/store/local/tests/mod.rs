//! Every operation on real directories: the allowed case, the refused case, then the disk.

mod confinement;
mod content;
mod count;
mod listings;
mod names;
mod now;
mod operations;
mod races;
mod replacement;
mod walks;

use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use bytes::BytesMut;
use tempfile::TempDir;

use super::LocalStore;
use crate::error::Error;
use crate::store::{File, OpenHow, READING as READ, Store};
use crate::values::path::VPath;

const WRITE: OpenHow = OpenHow {
    read: false,
    write: true,
    ..READ
};
const CREATE: OpenHow = OpenHow {
    create: true,
    ..WRITE
};

/// A home, with a directory beside it that must not be reachable from it.
struct Fixture {
    store: LocalStore,
    home: PathBuf,
    outside: PathBuf,
    _base: TempDir,
}

impl Fixture {
    fn new() -> Self {
        Self::within(TempDir::new().unwrap())
    }

    /// In memory if possible: for thousands of names.
    fn quick() -> Self {
        let base = TempDir::new_in("/dev/shm").or_else(|_| TempDir::new());
        Self::within(base.unwrap())
    }

    fn within(base: TempDir) -> Self {
        let home = base.path().join("home");
        let outside = base.path().join("outside");
        fs::create_dir(&home).unwrap();
        fs::create_dir_all(outside.join("deep")).unwrap();
        fs::write(outside.join("canary"), "outside").unwrap();
        fs::write(outside.join("deep/canary"), "outside").unwrap();
        Self {
            store: LocalStore::open(&home, 0o027).unwrap(),
            home,
            outside,
            _base: base,
        }
    }

    fn put(&self, name: &str, content: impl AsRef<[u8]>) {
        fs::write(self.home.join(name), content).unwrap();
    }

    fn content(&self, name: &str) -> Vec<u8> {
        fs::read(self.home.join(name)).unwrap()
    }

    fn link(&self, target: impl AsRef<Path>, name: &str) {
        std::os::unix::fs::symlink(target, self.home.join(name)).unwrap();
    }

    fn mode(&self, name: &str) -> u32 {
        fs::symlink_metadata(self.home.join(name)).unwrap().mode() & 0o7777
    }

    fn has(&self, name: &str) -> bool {
        fs::symlink_metadata(self.home.join(name)).is_ok()
    }

    /// Everything in reach of a reader of this path.
    fn read(&self, name: &str) -> Result<Vec<u8>, Error> {
        read_all(&*self.store.open(&path(name), &READ)?)
    }
}

fn path(raw: impl AsRef<[u8]>) -> VPath {
    VPath::parse(raw.as_ref()).unwrap()
}

fn read_all(file: &dyn File) -> Result<Vec<u8>, Error> {
    let mut out = BytesMut::new();
    file.read(0, 1 << 20, &mut out)?;
    Ok(out.to_vec())
}

/// Every name of a tree with everything that shows a change.
fn snapshot(root: &Path) -> Vec<String> {
    let mut found = Vec::new();
    let mut open = vec![root.to_owned()];
    while let Some(place) = open.pop() {
        let data = fs::symlink_metadata(&place).unwrap();
        let content = if data.is_file() {
            fs::read(&place).unwrap()
        } else if data.is_symlink() {
            let target = fs::read_link(&place).unwrap();
            target.as_os_str().as_bytes().to_vec()
        } else {
            Vec::new()
        };
        if data.is_dir() {
            open.extend(
                fs::read_dir(&place)
                    .unwrap()
                    .map(|entry| entry.unwrap().path()),
            );
        }
        found.push(format!(
            "{place:?} {:o} {}:{} links {} inode {} mtime {}.{} ctime {}.{} {:?}",
            data.mode(),
            data.uid(),
            data.gid(),
            data.nlink(),
            data.ino(),
            data.mtime(),
            data.mtime_nsec(),
            data.ctime(),
            data.ctime_nsec(),
            content
        ));
    }
    found.sort();
    found
}

/// The result of an operation without its value, for tables of refusals.
fn said<T>(outcome: Result<T, Error>) -> Result<(), Error> {
    outcome.map(drop)
}

fn opened(outcome: Result<Box<dyn File>, Error>) -> Box<dyn File> {
    outcome.unwrap()
}
