//! Files and directories that a session holds open, and safe overwrites in progress.

use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::access::{Location, Pass};
use super::history::FileHistory;
use crate::error::Error;
use crate::observe::outcome::Direction;
use crate::quota::Tracked;
use crate::session::transfers::{Transfers, UnderWay};
use crate::store::{Directory, File, Metadata, OpenHow, Replacement};
use crate::values::path::VPath;

/// An open file of a session, and the history of its use.
pub struct OpenFile {
    // Closed before its tracking ends: its bytes count until then.
    pub(super) file: Arc<dyn File>,
    pub(super) tracked: Arc<Tracked>,
    pub(super) path: VPath,
    pub(super) how: OpenHow,
    /// The overwrite that this file belongs to.
    pub(super) overwrite: Option<Arc<Overwrite>>,
    /// The directory of its new name, if that must be durable.
    pub(super) new_in: Option<Box<dyn Directory>>,
    pub(super) pass: Pass,
    /// It was opened for reading without waiting for a disk.
    pub(super) from_memory: bool,
    pub(super) history: Box<FileHistory>,
}

impl OpenFile {
    pub(super) fn new(
        file: Box<dyn File>,
        tracked: Tracked,
        place: &Location<'_>,
        how: OpenHow,
        size: u64,
    ) -> Self {
        Self {
            file: Arc::from(file),
            tracked: Arc::new(tracked),
            path: place.path.clone().into_owned(),
            how,
            overwrite: None,
            new_in: None,
            pass: place.pass,
            from_memory: false,
            history: Box::new(FileHistory {
                size,
                ..FileHistory::default()
            }),
        }
    }

    /// Marks it as created or truncated by opening it.
    pub(super) fn made(mut self) -> Self {
        (self.history.size, self.history.is_new) = (0, true.into());
        self
    }

    /// Records that the content does not come from the client.
    pub(super) fn was_copied_to(&self) {
        self.history.is_new.store(false, Ordering::Relaxed);
    }

    /// Records the client's transfer, with its announced size.
    pub(super) fn for_client(mut self, transfers: &Arc<Transfers>, announced: Option<u64>) -> Self {
        let begin = |direction, expected| transfers.begin(self.path.clone(), direction, expected);
        let size = Some(self.history.size);
        let download = self.how.read.then(|| begin(Direction::Download, size));
        let upload = self.how.write.then(|| begin(Direction::Upload, announced));
        (self.history.download, self.history.upload) = (download, upload);
        self
    }

    /// Sets the directory of its new name.
    pub(super) fn new_in(self, directory: Option<Box<dyn Directory>>) -> Self {
        Self {
            new_in: directory,
            ..self
        }
    }

    /// Returns a second reference to the same file.
    pub(super) fn twin(&self) -> Self {
        Self {
            file: self.file.clone(),
            tracked: self.tracked.clone(),
            path: self.path.clone(),
            how: self.how,
            overwrite: None,
            new_in: None,
            pass: self.pass,
            from_memory: false,
            history: Box::default(),
        }
    }

    pub(super) fn path(&self) -> &VPath {
        &self.path
    }

    pub(super) fn metadata(&self) -> Result<Metadata, Error> {
        self.file.metadata()
    }

    /// Records that data is missing: the file must not replace an existing one.
    pub(super) fn spoil(&self, why: Error) {
        // The first reason stays.
        let _ = self.history.failure.set(why);
        if let Some(overwrite) = &self.overwrite {
            overwrite.spoil();
        }
    }

    /// Returns the file if it was opened for reading.
    pub(super) fn readable(&self) -> Result<&dyn File, Error> {
        if self.how.read {
            Ok(&*self.file)
        } else {
            Err(Error::Handle("File was not opened for reading"))
        }
    }

    /// Returns the file if it was opened for writing.
    pub(super) fn writable(&self) -> Result<&dyn File, Error> {
        if self.how.write {
            Ok(&*self.file)
        } else {
            Err(Error::Handle("File was not opened for writing"))
        }
    }

    pub(super) fn size_on_disk(&self) -> Result<u64, Error> {
        Ok(self.file.metadata()?.size)
    }

    /// Returns the actual offset of a write to `offset`.
    pub(super) fn start(&self, offset: u64, size: u64) -> u64 {
        if self.how.append { size } else { offset }
    }

    pub(super) fn download(&self) -> Option<&UnderWay> {
        self.history.download.as_ref()
    }

    pub(super) fn upload(&self) -> Option<&UnderWay> {
        self.history.upload.as_ref()
    }

    pub(super) fn was_read(&self, offset: u64, length: usize) {
        if let Some(download) = self.download() {
            download.moved(offset, length as u64);
        }
    }

    /// Records that bytes sent for `offset` were written at `start`.
    pub(super) fn was_written(&mut self, offset: u64, start: u64, length: usize) {
        let end = offset.saturating_add(length as u64);
        self.history.gap.written(offset..end);
        if let Some(upload) = self.upload() {
            upload.moved(start, length as u64);
        }
    }
}

/// An open directory of a session.
pub struct OpenDirectory {
    pub(super) directory: Box<dyn Directory>,
    pub(super) path: VPath,
    pub(super) pass: Pass,
}

#[cfg(test)]
impl OpenDirectory {
    /// Makes one without permissions, for tests.
    pub(crate) fn granted_nothing(directory: Box<dyn Directory>) -> Self {
        Self {
            directory,
            path: VPath::home(),
            pass: Pass::NOTHING,
        }
    }
}

/// The overwrites of a session in progress.
#[derive(Default)]
pub(super) struct Overwrites(Mutex<Vec<Arc<Overwrite>>>);

impl Overwrites {
    /// Returns the overwrite of this existing file.
    pub(super) fn of(&self, inode: (u64, u64)) -> Option<Arc<Overwrite>> {
        let pending = lock(&self.0);
        pending.iter().find(|one| one.inode == inode).cloned()
    }

    pub(super) fn is_empty(&self) -> bool {
        lock(&self.0).is_empty()
    }

    pub(super) fn add(&self, overwrite: Arc<Overwrite>) {
        lock(&self.0).push(overwrite);
    }

    pub(super) fn forget(&self, overwrite: &Overwrite) {
        lock(&self.0).retain(|other| !std::ptr::eq(&**other, overwrite));
    }
}

/// A safe overwrite. The session finds it by the existing file; the handle has it, too.
pub(super) struct Overwrite {
    /// The existing file.
    pub(super) inode: (u64, u64),
    pub(super) place: Box<dyn Replacement>,
    pub(super) stage: Mutex<Stage>,
}

pub(super) enum Stage {
    Pending(Pending),
    /// The new file has the name.
    Done,
    /// The existing file has kept the name, which the handle's CLOSE will report.
    Failed(Error),
}

pub(super) struct Pending {
    /// Held open, so that no other file gets its inode number.
    pub(super) _old: OpenFile,
    /// The file of the handle.
    pub(super) new: OpenFile,
    /// Data that should have been written is missing.
    pub(super) spoilt: bool,
}

/// How a handle is closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    /// The client has closed it.
    Closed,
    /// The session ended first.
    Cut,
}

impl Overwrite {
    /// Runs `see` on it if it is pending.
    pub(super) fn pending<T>(&self, see: impl FnOnce(&mut Pending) -> T) -> Option<T> {
        match &mut *lock(&self.stage) {
            Stage::Pending(pending) => Some(see(pending)),
            Stage::Done | Stage::Failed(_) => None,
        }
    }

    /// Records that data is missing: the existing file must stay.
    pub(super) fn spoil(&self) {
        self.pending(|pending| pending.spoilt = true);
    }
}

pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
