//! The verbs that sftp, scp and the small commands share: each checks what it must, lets the store
//! act, and records what came of it. Nothing reaches a home in any other way.
//!
//! All verbs may block and run on the blocking pool; [`OpenFile::read_now`] is the exception.

use std::fmt::Debug;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::{Bytes, BytesMut};
use tracing::{debug, info};

use crate::error::Error;
use crate::path::VPath;
use crate::session::Session;
use crate::store::{Changes, Directory, File, Metadata, OpenHow, Space, Store};

/// A range that the source does not have is an error only if it was asked for, as in OpenSSH.
const ENDS_EARLY: Error = Error::Invalid("The source file ends before the range does");

/// A file that a session holds open, and what it did with it.
pub struct OpenFile {
    file: Arc<dyn File>,
    path: VPath,
    how: OpenHow,
    read: u64,
    written: u64,
}

impl OpenFile {
    /// The file, if it was opened for reading.
    pub fn readable(&self) -> Result<&Arc<dyn File>, Error> {
        if self.how.read {
            Ok(&self.file)
        } else {
            Err(Error::Handle("File was not opened for reading"))
        }
    }

    /// The file, if it was opened for writing.
    pub fn writable(&self) -> Result<&Arc<dyn File>, Error> {
        if self.how.write {
            Ok(&self.file)
        } else {
            Err(Error::Handle("File was not opened for writing"))
        }
    }

    /// Fills `out` without ever waiting for a disk, as [`File::read_now`]; false if that cannot be.
    pub fn read_now(&mut self, offset: u64, out: &mut [u8]) -> bool {
        let filled = self
            .readable()
            .is_ok_and(|file| file.read_now(offset, out) == out.len());
        if filled {
            self.read += out.len() as u64;
        }
        filled
    }
}

/// The home of one session, through its verbs.
pub struct Vfs {
    session: Arc<Session>,
    store: Arc<dyn Store>,
    /// Set when nobody waits for the result any more: long verbs stop.
    cancelled: Arc<AtomicBool>,
}

impl Vfs {
    /// The verbs on this store, for this session.
    pub fn new(session: Arc<Session>, store: Arc<dyn Store>, cancelled: Arc<AtomicBool>) -> Self {
        Self {
            session,
            store,
            cancelled,
        }
    }

    /// Whose home it is.
    pub fn session(&self) -> &Session {
        &self.session
    }

    /// Opens a regular file.
    pub fn open(&self, path: VPath, mut how: OpenHow) -> Result<OpenFile, Error> {
        how.write |= how.append;
        let file = self.record("open", &path, self.store.open(&path, &how))?;
        Ok(OpenFile {
            file,
            path,
            how,
            read: 0,
            written: 0,
        })
    }

    /// Ends the use of a file and records what was moved.
    pub fn close(&self, file: OpenFile) {
        let OpenFile {
            path,
            read,
            written,
            ..
        } = file;
        let (user, peer) = (self.session.user(), self.session.peer());
        if written > 0 {
            info!(user, %peer, ?path, bytes = written, "upload");
        }
        if read > 0 {
            info!(user, %peer, ?path, bytes = read, "download");
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
        let count = file.readable()?.read(offset, length, out)?;
        file.read += count as u64;
        Ok(count)
    }

    /// Writes the pieces at `offset`, or at the end of a file opened to append.
    pub fn write(&self, file: &mut OpenFile, offset: u64, pieces: &[Bytes]) -> Result<(), Error> {
        let length: usize = pieces.iter().map(Bytes::len).sum();
        if length == 0 {
            return file.writable().map(drop);
        }
        match file.writable()?.write(offset, pieces) {
            Ok(()) => {
                file.written += length as u64;
                Ok(())
            }
            Err((stored, error)) => {
                file.written += stored as u64;
                self.record("write", &file.path, Err(error))
            }
        }
    }

    /// `fstat(2)`
    pub fn file_metadata(&self, file: &OpenFile) -> Result<Metadata, Error> {
        file.file.metadata()
    }

    /// Changes the open file itself, whatever its name is by now.
    pub fn change_file(&self, file: &OpenFile, changes: &Changes) -> Result<(), Error> {
        if changes.size.is_some() {
            file.writable()?;
        }
        self.record("change", &file.path, file.file.change(changes))
    }

    /// Makes what was written durable.
    pub fn sync(&self, file: &OpenFile) -> Result<(), Error> {
        self.record("fsync", &file.path, file.file.sync())
    }

    /// Space where an open file lies.
    pub fn file_space(&self, file: &OpenFile) -> Result<Space, Error> {
        file.file.space()
    }

    /// Copies `length` bytes (`None`: to the end) between two open files, on this machine only.
    /// Stops, with an error, when the session ends meanwhile.
    pub fn copy(
        &self,
        source: &dyn File,
        mut offset: u64,
        length: Option<u64>,
        target: &dyn File,
        mut target_offset: u64,
    ) -> Result<(), Error> {
        let asked = length.unwrap_or(u64::MAX);
        let mut missing = asked;
        // What is written behind the source's end in the same file would be copied again, for ever.
        let source_metadata = source.metadata()?;
        if source_metadata.inode == target.metadata()?.inode {
            missing = missing.min(source_metadata.size.saturating_sub(offset));
            let (first, second) = (offset.min(target_offset), offset.max(target_offset));
            if second - first < missing {
                return Err(Error::Invalid("A range cannot be copied onto itself"));
            }
        }
        let too_long = length.is_some() && missing < asked;
        while missing > 0 {
            if self.cancelled.load(Ordering::Relaxed) {
                return Err(Error::Refused("The session has ended"));
            }
            let copied = source.copy_to(offset, target, target_offset, missing)?;
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

    /// Opens a directory for listing.
    pub fn open_directory(&self, path: &VPath) -> Result<Box<dyn Directory>, Error> {
        self.record("list", path, self.store.open_directory(path))
    }

    /// `stat(2)`, or `lstat(2)` if `follow` is false.
    pub fn metadata(&self, path: &VPath, follow: bool) -> Result<Metadata, Error> {
        self.store.metadata(path, follow)
    }

    /// Changes size, owner, permissions or times; of a link itself if `follow` is false.
    pub fn change(&self, path: &VPath, changes: &Changes, follow: bool) -> Result<(), Error> {
        self.record("change", path, self.store.change(path, changes, follow))
    }

    /// Removes a name that is not a directory.
    pub fn remove_file(&self, path: &VPath) -> Result<(), Error> {
        self.record("remove", path, self.store.remove_file(path))
    }

    /// Makes a directory.
    pub fn make_directory(&self, path: &VPath, permissions: Option<u32>) -> Result<(), Error> {
        self.record("mkdir", path, self.store.make_directory(path, permissions))
    }

    /// Removes an empty directory.
    pub fn remove_directory(&self, path: &VPath) -> Result<(), Error> {
        self.record("rmdir", path, self.store.remove_directory(path))
    }

    /// Renames; an existing `to` is replaced atomically if `replace`, else refused.
    pub fn rename(&self, from: &VPath, to: &VPath, replace: bool) -> Result<(), Error> {
        self.record("rename", &(from, to), self.store.rename(from, to, replace))
    }

    /// Makes `new` another name of `existing`.
    pub fn hard_link(&self, existing: &VPath, new: &VPath) -> Result<(), Error> {
        self.record(
            "link",
            &(existing, new),
            self.store.hard_link(existing, new),
        )
    }

    /// Makes a symbolic link.
    pub fn symlink(&self, target: &[u8], link: &VPath) -> Result<(), Error> {
        self.record("symlink", link, self.store.symlink(target, link))
    }

    /// The bytes in a symbolic link.
    pub fn read_link(&self, path: &VPath) -> Result<Vec<u8>, Error> {
        self.store.read_link(path)
    }

    /// Where a path leads; a missing last name is no error.
    pub fn canonical(&self, path: &VPath) -> Result<VPath, Error> {
        self.store.canonical(path)
    }

    /// Space where a path lies.
    pub fn space(&self, path: &VPath) -> Result<Space, Error> {
        self.store.space(path)
    }

    /// The one place where a verb's outcome is told.
    fn record<T>(
        &self,
        verb: &'static str,
        path: &dyn Debug,
        outcome: Result<T, Error>,
    ) -> Result<T, Error> {
        let (user, peer) = (self.session.user(), self.session.peer());
        match &outcome {
            Ok(_) => debug!(user, %peer, ?path, "{verb}"),
            Err(error) => debug!(user, %peer, ?path, %error, "{verb} failed"),
        }
        outcome
    }
}
