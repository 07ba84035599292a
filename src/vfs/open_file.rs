//! Files and directories that a session holds open, and the safe overwrites that some of them are.

use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::access::{Pass, Place};
use super::story::Story;
use crate::error::Error;
use crate::quota::Tracked;
use crate::session::transfers::{Direction, Transfers, UnderWay};
use crate::store::{Directory, File, Metadata, OpenHow, Replacement};
use crate::values::path::VPath;

/// A file that a session holds open, and what it did with it.
pub struct OpenFile {
    // Closed before it is no longer tracked: until then its bytes count.
    pub(super) file: Arc<dyn File>,
    pub(super) tracked: Arc<Tracked>,
    pub(super) path: VPath,
    pub(super) how: OpenHow,
    /// It is to take the place of another file.
    pub(super) overwrite: Option<Arc<Overwrite>>,
    /// Where its name is new, if that must be durable.
    pub(super) new_in: Option<Box<dyn Directory>>,
    pub(super) pass: Pass,
    /// It was opened to be read, and that without waiting for a disk.
    pub(super) from_memory: bool,
    pub(super) story: Box<Story>,
}

impl OpenFile {
    pub(super) fn new(
        file: Box<dyn File>,
        tracked: Tracked,
        place: &Place<'_>,
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
            story: Box::new(Story {
                size,
                ..Story::default()
            }),
        }
    }

    /// The same, which was made or cut by opening it.
    pub(super) fn made(mut self) -> Self {
        (self.story.size, self.story.is_new) = (0, true.into());
        self
    }

    /// What is in it has not come from the client.
    pub(super) fn was_copied_to(&self) {
        self.story.is_new.store(false, Ordering::Relaxed);
    }

    /// The same, for a client that moves bytes and may have announced how many.
    pub(super) fn for_client(mut self, transfers: &Arc<Transfers>, announced: Option<u64>) -> Self {
        let begin = |direction, expected| transfers.begin(self.path.clone(), direction, expected);
        let size = Some(self.story.size);
        let download = self.how.read.then(|| begin(Direction::Download, size));
        let upload = self.how.write.then(|| begin(Direction::Upload, announced));
        (self.story.download, self.story.upload) = (download, upload);
        self
    }

    /// The same, where its name is new in this directory.
    pub(super) fn new_in(self, directory: Option<Box<dyn Directory>>) -> Self {
        Self {
            new_in: directory,
            ..self
        }
    }

    /// The same file once more.
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
            story: Box::default(),
        }
    }

    pub(super) fn path(&self) -> &VPath {
        &self.path
    }

    pub(super) fn metadata(&self) -> Result<Metadata, Error> {
        self.file.metadata()
    }

    /// Something that should have been written to it was not: it must not take the place of an old
    /// file.
    pub(super) fn spoil(&self, why: Error) {
        // The first reason stays.
        let _ = self.story.failure.set(why);
        if let Some(overwrite) = &self.overwrite {
            overwrite.spoil();
        }
    }

    /// The file, if it was opened for reading.
    pub(super) fn readable(&self) -> Result<&dyn File, Error> {
        if self.how.read {
            Ok(&*self.file)
        } else {
            Err(Error::Handle("File was not opened for reading"))
        }
    }

    /// The file, if it was opened for writing.
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

    /// Where a write to `offset` really goes.
    pub(super) fn start(&self, offset: u64, size: u64) -> u64 {
        if self.how.append { size } else { offset }
    }

    pub(super) fn download(&self) -> Option<&UnderWay> {
        self.story.download.as_ref()
    }

    pub(super) fn upload(&self) -> Option<&UnderWay> {
        self.story.upload.as_ref()
    }

    pub(super) fn was_read(&self, offset: u64, length: usize) {
        if let Some(download) = self.download() {
            download.moved(offset, length as u64);
        }
    }

    /// Bytes that were sent for `offset` have gone to `start`.
    pub(super) fn was_written(&mut self, offset: u64, start: u64, length: usize) {
        let end = offset.saturating_add(length as u64);
        self.story.gap.written(offset..end);
        if let Some(upload) = self.upload() {
            upload.moved(start, length as u64);
        }
    }
}

/// A directory that a session holds open.
pub struct OpenDirectory {
    pub(super) directory: Box<dyn Directory>,
    pub(super) path: VPath,
    pub(super) pass: Pass,
}

#[cfg(test)]
impl OpenDirectory {
    /// For tests of what holds them.
    pub(crate) fn granted_nothing(directory: Box<dyn Directory>) -> Self {
        Self {
            directory,
            path: VPath::home(),
            pass: Pass::NOTHING,
        }
    }
}

/// The overwrites of a session that are under way.
#[derive(Default)]
pub(super) struct Overwrites(Mutex<Vec<Arc<Overwrite>>>);

impl Overwrites {
    /// The one of this old file.
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

/// An overwrite: the session finds it by the old file, and the handle has it.
pub(super) struct Overwrite {
    /// The old file.
    pub(super) inode: (u64, u64),
    pub(super) place: Box<dyn Replacement>,
    pub(super) stage: Mutex<Stage>,
}

pub(super) enum Stage {
    Pending(Pending),
    /// The new file has the name.
    Done,
    /// The old file has kept it, which the handle's CLOSE will say.
    Failed(Error),
}

pub(super) struct Pending {
    /// Held open, so that no other file gets its number.
    pub(super) _old: OpenFile,
    /// What the handle has.
    pub(super) new: OpenFile,
    /// Something that should have been written was not.
    pub(super) spoilt: bool,
}

/// How a handle ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    /// The client has closed it.
    Closed,
    /// The session has ended before.
    Cut,
}

impl Overwrite {
    /// Lets `see` have a look while it is pending.
    pub(super) fn pending<T>(&self, see: impl FnOnce(&mut Pending) -> T) -> Option<T> {
        match &mut *lock(&self.stage) {
            Stage::Pending(pending) => Some(see(pending)),
            Stage::Done | Stage::Failed(_) => None,
        }
    }

    /// Something that should have been written was not: the old file must stay.
    pub(super) fn spoil(&self) {
        self.pending(|pending| pending.spoilt = true);
    }
}

pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
