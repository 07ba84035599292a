//! A walk through a home that people work in, for what replacements can have left.

use std::ops::ControlFlow;
use std::os::fd::OwnedFd;
use std::thread::sleep;
use std::time::Duration;

use rustix::fs::{AtFlags, FileType, Mode, OFlags, RawDir, RawDirEntry, statat};

use super::replacement::is_hidden;
use super::resolve::Home;
use crate::error::Error;
use crate::path::VPath;

/// What `getdents64` fills at once.
const BUFFER: usize = 64 << 10;
/// A rest after so many names, since nobody waits for this walk.
const NAMES_TO_A_REST: u64 = 1 << 12;
const REST: Duration = Duration::from_millis(5);

/// Tells the paths of the regular files that have a hidden name, until it is told to stop. Of all
/// others only the names are read. Directories that cannot be entered, or are renamed meanwhile, are
/// passed over.
pub(super) fn leftovers(
    home: &Home,
    tell: &mut dyn FnMut(VPath) -> ControlFlow<()>,
) -> Result<(), Error> {
    let mut walk = Walk {
        buffer: Vec::with_capacity(BUFFER),
        names: 0,
        tell,
    };
    let mut levels = Vec::new();
    let mut next = Some((open(home, &VPath::home())?, VPath::home()));
    loop {
        if let Some((directory, path)) = next.take() {
            match walk.read(&directory, path) {
                ControlFlow::Continue(level) => levels.push(level),
                ControlFlow::Break(()) => return Ok(()),
            }
        }
        let Some(level) = levels.last_mut() else {
            return Ok(());
        };
        match level.directories.pop() {
            Some(name) => {
                next = level
                    .path_of(&name)
                    .and_then(|path| Some((open(home, &path).ok()?, path)));
            }
            None => drop(levels.pop()),
        }
    }
}

fn open(home: &Home, path: &VPath) -> Result<OwnedFd, Error> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW;
    home.resolve(path.relative(), flags, Mode::empty())
}

/// A directory on the way, and what is still to be walked in it.
struct Level {
    path: VPath,
    directories: Vec<Vec<u8>>,
}

impl Level {
    /// `None` if it is too long: nobody can have uploaded there.
    fn path_of(&self, name: &[u8]) -> Option<VPath> {
        VPath::parse(&[self.path.relative(), b"/", name].concat()).ok()
    }
}

struct Walk<'a> {
    buffer: Vec<u8>,
    names: u64,
    tell: &'a mut dyn FnMut(VPath) -> ControlFlow<()>,
}

impl Walk<'_> {
    fn read(&mut self, directory: &OwnedFd, path: VPath) -> ControlFlow<(), Level> {
        let mut level = Level {
            path,
            directories: Vec::new(),
        };
        let mut entries = RawDir::new(directory, self.buffer.spare_capacity_mut());
        while let Some(Ok(entry)) = entries.next() {
            self.names += 1;
            if self.names.is_multiple_of(NAMES_TO_A_REST) {
                sleep(REST);
            }
            let name = entry.file_name().to_bytes();
            match kind(directory, &entry) {
                FileType::Directory if !matches!(name, b"." | b"..") => {
                    level.directories.push(name.to_vec());
                }
                FileType::RegularFile if is_hidden(name) => {
                    if let Some(path) = level.path_of(name) {
                        (self.tell)(path)?;
                    }
                }
                _ => {}
            }
        }
        ControlFlow::Continue(level)
    }
}

/// Not every file system tells the kinds beside the names.
fn kind(directory: &OwnedFd, entry: &RawDirEntry<'_>) -> FileType {
    match entry.file_type() {
        FileType::Unknown => statat(directory, entry.file_name(), AtFlags::SYMLINK_NOFOLLOW)
            .map_or(FileType::Unknown, |found| {
                FileType::from_raw_mode(found.st_mode)
            }),
        known => known,
    }
}
