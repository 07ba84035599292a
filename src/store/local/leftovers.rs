//! Searches a home in use for files that replacements may have left behind.

use std::ffi::CStr;
use std::ops::ControlFlow;
use std::os::fd::OwnedFd;
use std::thread::sleep;
use std::time::Duration;

use rustix::fs::{FileType, Mode, OFlags, RawDirEntry};

use super::replacement::is_hidden;
use super::resolve::Home;
use super::walk::{Visitor, WalkOptions, walk};
use crate::error::Error;
use crate::values::path::VPath;

/// A home in use is not changed for it.
const OPTIONS: WalkOptions = WalkOptions {
    needs: Mode::empty(),
    one_mount: false,
};
/// Number of names between two pauses, since nobody waits for this walk.
const NAMES_TO_A_REST: u64 = 1 << 12;
const REST: Duration = Duration::from_millis(5);

/// Reports the paths of regular files with a hidden name until `tell` breaks. Of other files it reads only
/// the names. Skips directories that cannot be entered or are renamed meanwhile.
pub(super) fn leftovers(
    home: &Home,
    tell: &mut dyn FnMut(VPath) -> ControlFlow<()>,
) -> Result<(), Error> {
    let mut search = Search {
        home,
        path: Vec::new(),
        names: 0,
        tell,
    };
    walk(home.fd(), OPTIONS, &mut search)
}

struct Search<'a> {
    home: &'a Home,
    /// The path of the current directory: "/" and a name for each level.
    path: Vec<u8>,
    names: u64,
    tell: &'a mut dyn FnMut(VPath) -> ControlFlow<()>,
}

impl Search<'_> {
    /// Returns the path of a name; `None` if it is too long for an upload.
    fn path_of(&self, name: &[u8]) -> Option<VPath> {
        VPath::parse(&[&self.path, b"/".as_slice(), name].concat()).ok()
    }
}

impl Visitor for Search<'_> {
    fn see(
        &mut self,
        _directory: &OwnedFd,
        entry: &RawDirEntry<'_>,
        kind: FileType,
    ) -> Result<ControlFlow<()>, Error> {
        self.names += 1;
        if self.names.is_multiple_of(NAMES_TO_A_REST) {
            sleep(REST);
        }
        let name = entry.file_name().to_bytes();
        if kind == FileType::RegularFile
            && is_hidden(name)
            && let Some(path) = self.path_of(name)
        {
            return Ok((self.tell)(path));
        }
        Ok(ControlFlow::Continue(()))
    }

    fn enters(&mut self, name: &CStr) -> bool {
        let name = name.to_bytes();
        let can = self.path_of(name).is_some();
        if can {
            self.path.push(b'/');
            self.path.extend_from_slice(name);
        }
        can
    }

    fn cannot_enter(&mut self, _: &OwnedFd, _: &CStr, _: Error) -> Result<(), Error> {
        Ok(())
    }

    fn leave(&mut self) {
        let end = self.path.iter().rposition(|byte| *byte == b'/');
        self.path.truncate(end.unwrap_or(0));
    }

    fn find_again(&mut self, _cause: Error) -> Result<Option<OwnedFd>, Error> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW;
        let path = VPath::parse(&[b"/", self.path.as_slice()].concat())?;
        Ok(self
            .home
            .resolve(path.relative(), flags, Mode::empty())
            .ok())
    }
}
