//! Opening files and directories.

use rustix::io::Errno;

use super::access::{Last, Location, Operation};
use super::home::{EXISTS, Vfs};
use super::open_file::{OpenDirectory, OpenFile};
use super::record::RecordedOperation;
use crate::error::Error;
use crate::quota::Usage;
use crate::store::{Changes, Directory, Entry, File, Metadata, OpenHow, READING};
use crate::values::path::VPath;

pub(super) const WRITING: OpenHow = OpenHow {
    read: false,
    write: true,
    ..READING
};

impl Vfs {
    /// Opens a regular file; `announced` is the size that the client has announced.
    pub fn open(
        &self,
        path: &VPath,
        mut how: OpenHow,
        announced: Option<u64>,
    ) -> Result<OpenFile, Error> {
        how.write |= how.append;
        let reading = how.read.then_some(Operation::Read);
        let file = self.opened(path, reading, &how, announced)?;
        Ok(file.for_client(self.session.transfers(), announced))
    }

    /// Opens a regular file to send it to the client.
    pub fn open_to_send(&self, path: &VPath) -> Result<OpenFile, Error> {
        self.open(path, READING, None)
    }

    /// Opens a regular file whose content the server reads and reports to the client.
    pub fn open_to_read(&self, path: &VPath) -> Result<OpenFile, Error> {
        self.opened(path, Some(Operation::Read), &READING, None)
    }

    /// Opens a regular file to send the client only its hashes.
    pub fn open_to_hash(&self, path: &VPath) -> Result<OpenFile, Error> {
        self.opened(path, Some(Operation::Hash), &READING, None)
    }

    fn opened(
        &self,
        path: &VPath,
        reading: Option<Operation>,
        how: &OpenHow,
        announced: Option<u64>,
    ) -> Result<OpenFile, Error> {
        let outcome = self.opened_unnoted(path, reading, how, announced);
        self.record(RecordedOperation::Open(path), outcome)
    }

    /// As [`Vfs::open`], for the server's own use as part of another operation; `reading` is the permission
    /// that reading it needs.
    pub(super) fn opened_unnoted(
        &self,
        path: &VPath,
        reading: Option<Operation>,
        how: &OpenHow,
        announced: Option<u64>,
    ) -> Result<OpenFile, Error> {
        self.at(path, Last::Followed, |place| {
            if let Some(reading) = reading {
                self.check_own(place, reading)?;
            }
            if how.write {
                place.check(Operation::Write)?;
            }
            self.open_counted(place, how, announced)
        })
    }

    pub(super) fn open_counted(
        &self,
        place: &Location<'_>,
        how: &OpenHow,
        announced: Option<u64>,
    ) -> Result<OpenFile, Error> {
        if how.truncate && !how.write {
            return Err(Error::Invalid("To truncate, open for writing"));
        }
        if how.create && place.path.names_directory() {
            // As open(2), it creates no directories.
            return Err(Errno::ISDIR.into());
        }
        self.finish_early(place)?;
        if !how.create {
            return self.open_existing(place, how, announced);
        }
        // A client that truncates nearly always creates a file; one that does not resumes an existing file.
        if !how.exclusive && !how.truncate {
            match self.open_existing(place, how, announced) {
                Err(Error::Os(Errno::NOENT)) => {}
                other => return other,
            }
        }
        let refused = match self.make(place, how, true, announced) {
            Err(error @ (EXISTS | Error::Quota(_))) if !how.exclusive => error,
            other => return other,
        };
        match self.open_existing(place, how, announced) {
            // The path is a link with a missing target, which is created.
            Err(Error::Os(Errno::NOENT)) if refused == EXISTS => {
                match self.make(place, how, false, announced) {
                    Err(EXISTS) => self.open_existing(place, how, announced),
                    other => other,
                }
            }
            Err(Error::Os(Errno::NOENT)) => Err(refused),
            other => other,
        }
    }

    /// Opens an existing file; truncates or replaces it if requested, once the announced size is known to
    /// fit.
    pub(super) fn open_existing(
        &self,
        place: &Location<'_>,
        how: &OpenHow,
        announced: Option<u64>,
    ) -> Result<OpenFile, Error> {
        let existing = OpenHow {
            create: false,
            exclusive: false,
            truncate: false,
            ..*how
        };
        if how.truncate && self.replaces(&place.path) {
            return self.overwrite(place, &existing, announced);
        }
        let opening = self.ledger().opening();
        let file = self.open_tracked(place, &existing)?;
        drop(opening);
        if how.write {
            self.check_open(&file, Operation::Overwrite)?;
        }
        if how.truncate {
            self.resize(&file, 0, announced)?;
            return Ok(file.made());
        } else if let (true, Some(announced)) = (how.write, announced) {
            self.check_room(&file, announced)?;
        }
        Ok(file)
    }

    /// Creates a missing file, through a link only unless `exclusive`.
    fn make(
        &self,
        place: &Location<'_>,
        how: &OpenHow,
        exclusive: bool,
        announced: Option<u64>,
    ) -> Result<OpenFile, Error> {
        let change = self.ledger().begin();
        change.check_room(Usage::bytes(announced.unwrap_or(0)))?;
        let name = change.reserve(Usage::files(1))?;
        let _names = change.names();
        if !exclusive && place.store.metadata(&place.path, true).is_ok() {
            return Err(EXISTS);
        }
        let new = OpenHow {
            exclusive,
            truncate: false,
            ..*how
        };
        let mut directory = None;
        if exclusive {
            directory = self.directory_to_sync(&place.path)?;
        }
        let file = self.open_tracked(place, &new)?;
        name.keep();
        self.remember(&file);
        if !exclusive {
            // The target of a broken link is known only now.
            directory = self.directory_to_sync(&place.path)?;
        }
        Ok(file.made().new_in(directory))
    }

    /// Opens a file and tracks the handle. The caller holds the lock of names.
    pub(super) fn open_tracked(
        &self,
        place: &Location<'_>,
        how: &OpenHow,
    ) -> Result<OpenFile, Error> {
        self.tracked(place.store.open(&place.path, how)?, place, how)
    }

    pub(super) fn tracked(
        &self,
        file: Box<dyn File>,
        place: &Location<'_>,
        how: &OpenHow,
    ) -> Result<OpenFile, Error> {
        let found = file.metadata()?;
        let tracked = self.ledger().track(found.inode);
        Ok(OpenFile::new(file, tracked, place, *how, found.size))
    }

    /// Returns the directory in which a new name must be durable when its file is closed.
    fn directory_to_sync(&self, path: &VPath) -> Result<Option<Box<dyn Directory>>, Error> {
        if !self.session.syncs_on_close() {
            return Ok(None);
        }
        let place = self.store.canonical(path)?;
        let (directory, _) = place.split_last();
        Ok(Some(self.store.open_directory(&VPath::parse(directory)?)?))
    }

    /// Opens a directory for listing.
    pub fn open_directory(&self, path: &VPath) -> Result<OpenDirectory, Error> {
        let outcome = self.at(path, Last::Followed, |place| {
            place.check(Operation::List)?;
            Ok(OpenDirectory {
                directory: place.store.open_directory(&place.path)?,
                path: place.path.clone().into_owned(),
                pass: place.pass,
            })
        });
        self.record(RecordedOperation::List(path), outcome)
    }

    /// Returns the next entry of a directory; `None` at the end.
    pub fn next_entry(&self, open: &mut OpenDirectory) -> Result<Option<Entry>, Error> {
        self.check_directory(open, Operation::List)?;
        let Some(Entry { name, metadata }) = open.directory.next()? else {
            return Ok(None);
        };
        let metadata = self.as_written(metadata)?;
        Ok(Some(Entry { name, metadata }))
    }

    /// Returns the attributes of an open directory: `fstat(2)`.
    pub fn directory_metadata(&self, open: &OpenDirectory) -> Result<Metadata, Error> {
        open.directory.metadata()
    }

    /// Changes an open directory, whatever its name is now.
    pub fn change_directory(
        &self,
        open: &mut OpenDirectory,
        changes: &Changes,
    ) -> Result<(), Error> {
        let outcome = self
            .check_directory(open, Operation::Change)
            .and_then(|()| open.directory.change(changes));
        self.record(RecordedOperation::Change(&open.path, changes), outcome)
    }
}
