//! The verbs that sftp, scp and the small commands share: each checks what it must, lets the store
//! act, and records what came of it. Nothing reaches a home in any other way.
//!
//! All verbs may block and run on the blocking pool; [`OpenFile::read_now`] is the exception.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::io::Errno;

mod copy;
mod file;
mod hash;
mod names;
mod record;
mod replace;
mod sweep;

pub use self::file::OpenFile;
pub use self::hash::Part;
use self::names::{last_name, name_is_gone};
use self::record::Deed;
use self::replace::Overwrites;
pub use self::sweep::{is_stale, sweep};

use crate::error::Error;
use crate::path::VPath;
use crate::quota::{Ledger, Usage};
use crate::session::Session;
use crate::store::{Changes, Directory, Entry, File, Kind, Metadata, OpenHow, Space, Store};

const EXISTS: Error = Error::Os(Errno::EXIST);

const READING: OpenHow = OpenHow {
    read: true,
    write: false,
    append: false,
    create: false,
    truncate: false,
    exclusive: false,
    permissions: None,
};

/// The size of a block where a quota holds, in bytes.
const QUOTA_BLOCK: u64 = 1024;

/// Space in bytes, as space-available tells it (draft-ietf-secsh-filexfer-13, section 9.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Room {
    /// On the disk.
    pub total: u64,
    /// Free on the disk.
    pub free: u64,
    /// What the account may use.
    pub user_total: u64,
    /// What it may use beyond what it does.
    pub user_free: u64,
    /// What is allocated at once.
    pub block: u64,
}

/// The home of one session, through its verbs.
pub struct Vfs {
    session: Arc<Session>,
    store: Arc<dyn Store>,
    overwrites: Overwrites,
    /// Set when nobody waits for the result any more: long verbs stop.
    cancelled: Arc<AtomicBool>,
}

impl Vfs {
    /// The verbs on this store, for this session.
    pub fn new(session: Arc<Session>, store: Arc<dyn Store>, cancelled: Arc<AtomicBool>) -> Self {
        Self {
            session,
            store,
            overwrites: Overwrites::default(),
            cancelled,
        }
    }

    /// Whose home it is.
    pub fn session(&self) -> &Session {
        &self.session
    }

    /// Long verbs ask now and then whether somebody still waits for them.
    fn check_awaited(&self) -> Result<(), Error> {
        if self.cancelled.load(Ordering::Relaxed) {
            return Err(Error::Refused("The session has ended"));
        }
        Ok(())
    }

    fn ledger(&self) -> &Arc<Ledger> {
        self.session.ledger()
    }

    /// Opens a regular file; `announced` is the size that the client says it will have.
    pub fn open(
        &self,
        path: &VPath,
        mut how: OpenHow,
        announced: Option<u64>,
    ) -> Result<OpenFile, Error> {
        how.write |= how.append;
        let file = self.record(Deed::Open(path), self.open_counted(path, &how, announced))?;
        Ok(file.for_client(self.session.transfers(), announced))
    }

    /// Opens a regular file to send it to the client.
    pub fn open_to_send(&self, path: &VPath) -> Result<OpenFile, Error> {
        self.open(path, READING, None)
    }

    /// Opens a regular file to read it here.
    pub fn open_to_read(&self, path: &VPath) -> Result<OpenFile, Error> {
        self.record(Deed::Open(path), self.open_counted(path, &READING, None))
    }

    fn open_counted(
        &self,
        path: &VPath,
        how: &OpenHow,
        announced: Option<u64>,
    ) -> Result<OpenFile, Error> {
        if how.truncate && !how.write {
            return Err(Error::Invalid("To truncate, open for writing"));
        }
        self.finish_early(path, true)?;
        if !how.create {
            return self.open_existing(path, how, announced);
        }
        // Who truncates nearly always makes a new file; who does not, goes on with an old one.
        if !how.exclusive && !how.truncate {
            match self.open_existing(path, how, announced) {
                Err(Error::Os(Errno::NOENT)) => {}
                other => return other,
            }
        }
        let refused = match self.make(path, how, true, announced) {
            Err(error @ (EXISTS | Error::Quota(_))) if !how.exclusive => error,
            other => return other,
        };
        match self.open_existing(path, how, announced) {
            // There is a link, and what it leads to is not there: that is what is made.
            Err(Error::Os(Errno::NOENT)) if refused == EXISTS => {
                match self.make(path, how, false, announced) {
                    Err(EXISTS) => self.open_existing(path, how, announced),
                    other => other,
                }
            }
            Err(Error::Os(Errno::NOENT)) => Err(refused),
            other => other,
        }
    }

    /// Opens a file that is there; truncates or replaces it if asked to, once what is announced is
    /// known to fit.
    fn open_existing(
        &self,
        path: &VPath,
        how: &OpenHow,
        announced: Option<u64>,
    ) -> Result<OpenFile, Error> {
        let existing = OpenHow {
            create: false,
            exclusive: false,
            truncate: false,
            ..*how
        };
        if how.truncate && self.replaces(path) {
            return self.overwrite(path, &existing, announced);
        }
        let opening = self.ledger().opening();
        let file = self.open_tracked(path, &existing)?;
        drop(opening);
        if how.truncate {
            self.resize(&file, 0, announced)?;
            return Ok(file.made());
        } else if let (true, Some(announced)) = (how.write, announced) {
            self.check_room(&file, announced)?;
        }
        Ok(file)
    }

    /// Makes a file that is not there; through a link only if it need not be `exclusive`.
    fn make(
        &self,
        path: &VPath,
        how: &OpenHow,
        exclusive: bool,
        announced: Option<u64>,
    ) -> Result<OpenFile, Error> {
        let change = self.ledger().begin();
        change.check_room(Usage::bytes(announced.unwrap_or(0)))?;
        let name = change.reserve(Usage::files(1))?;
        let _names = change.names();
        if !exclusive && self.store.metadata(path, true).is_ok() {
            return Err(EXISTS);
        }
        let new = OpenHow {
            exclusive,
            truncate: false,
            ..*how
        };
        let mut directory = None;
        if exclusive {
            directory = self.directory_to_sync(path)?;
        }
        let file = self.open_tracked(path, &new)?;
        name.keep();
        if !exclusive {
            // Where a link leads that led to nothing is known only now.
            directory = self.directory_to_sync(path)?;
        }
        Ok(file.made().new_in(directory))
    }

    /// Opens and counts the handle. The caller holds the names.
    fn open_tracked(&self, path: &VPath, how: &OpenHow) -> Result<OpenFile, Error> {
        self.tracked(self.store.open(path, how)?, path, how)
    }

    fn tracked(&self, file: Box<dyn File>, path: &VPath, how: &OpenHow) -> Result<OpenFile, Error> {
        let found = file.metadata()?;
        let tracked = self.ledger().track(found.inode);
        let path = path.clone();
        Ok(OpenFile::new(file, tracked, path, *how, found.size))
    }

    /// The directory in which a new name must be durable when its file is closed.
    fn directory_to_sync(&self, path: &VPath) -> Result<Option<Box<dyn Directory>>, Error> {
        if !self.session.syncs_on_close() {
            return Ok(None);
        }
        let place = self.store.canonical(path)?;
        let (directory, _) = place.split_last();
        Ok(Some(self.store.open_directory(&VPath::parse(directory)?)?))
    }

    /// Opens a directory for listing.
    pub fn open_directory(&self, path: &VPath) -> Result<Box<dyn Directory>, Error> {
        self.record(Deed::List(path), self.store.open_directory(path))
    }

    /// The next entry of a directory; `None` at the end.
    pub fn next_entry(&self, directory: &mut dyn Directory) -> Result<Option<Entry>, Error> {
        let Some(Entry { name, metadata }) = directory.next()? else {
            return Ok(None);
        };
        let metadata = self.as_written(metadata)?;
        Ok(Some(Entry { name, metadata }))
    }

    /// `stat(2)`, or `lstat(2)` if `follow` is false.
    pub fn metadata(&self, path: &VPath, follow: bool) -> Result<Metadata, Error> {
        self.as_written(self.store.metadata(path, follow)?)
    }

    /// Changes size, owner, permissions or times; of a link itself if `follow` is false.
    pub fn change(&self, path: &VPath, changes: &Changes, follow: bool) -> Result<(), Error> {
        let outcome = self.change_counted(path, changes, follow);
        self.record(Deed::Change(path, changes), outcome)
    }

    fn change_counted(&self, path: &VPath, changes: &Changes, follow: bool) -> Result<(), Error> {
        if let Some(outcome) = self.change_new(path, changes, follow) {
            return outcome;
        }
        let Some(size) = changes.size else {
            return self.store.change(path, changes, follow);
        };
        if !follow && self.store.metadata(path, false)?.kind() == Kind::Symlink {
            return self.store.change(path, changes, follow);
        }
        let to_write = OpenHow {
            write: true,
            ..OpenHow::default()
        };
        let resized = self
            .open_existing(path, &to_write, None)
            .and_then(|file| self.resize(&file, size, None));
        let rest = Changes {
            size: None,
            ..*changes
        };
        resized.and(self.store.change(path, &rest, follow))
    }

    /// Removes a name that is not a directory.
    pub fn remove_file(&self, path: &VPath) -> Result<(), Error> {
        self.record(Deed::Remove(path), self.remove_counted(path))
    }

    fn remove_counted(&self, path: &VPath) -> Result<(), Error> {
        self.remove_spoilt(path).unwrap_or_else(|| {
            self.finish_early(path, false)?;
            self.take_name(path, || self.store.remove_file(path))
        })
    }

    /// Removes an empty directory.
    pub fn remove_directory(&self, path: &VPath) -> Result<(), Error> {
        let outcome = self.take_name(path, || self.store.remove_directory(path));
        self.record(Deed::RemoveDirectory(path), outcome)
    }

    /// Makes a directory.
    pub fn make_directory(&self, path: &VPath, permissions: Option<u32>) -> Result<(), Error> {
        let outcome = self.add_name(|| self.store.make_directory(path, permissions));
        self.record(Deed::MakeDirectory(path), outcome)
    }

    /// Makes `new` another name of `existing`.
    pub fn hard_link(&self, existing: &VPath, new: &VPath) -> Result<(), Error> {
        let outcome = self
            .finish_early(existing, false)
            .and_then(|()| self.add_name(|| self.store.hard_link(existing, new)));
        self.record(Deed::Link(existing, new), outcome)
    }

    /// Makes a symbolic link.
    pub fn symlink(&self, target: &[u8], link: &VPath) -> Result<(), Error> {
        let outcome = self.add_name(|| self.store.symlink(target, link));
        self.record(Deed::Symlink { target, link }, outcome)
    }

    /// Renames; an existing `to` is replaced atomically if `replace`, else refused.
    pub fn rename(&self, from: &VPath, to: &VPath, replace: bool) -> Result<(), Error> {
        let outcome = self.rename_counted(from, to, replace);
        self.record(Deed::Rename(from, to), outcome)
    }

    fn rename_counted(&self, from: &VPath, to: &VPath, replace: bool) -> Result<(), Error> {
        self.finish_early(from, false)?;
        self.finish_early(to, false)?;
        let rename = || self.store.rename(from, to, replace);
        if replace {
            return self.replace_name(from, to, rename);
        }
        let change = self.ledger().begin();
        let _names = change.names();
        rename()
    }

    /// Lets `act` add a name.
    fn add_name(&self, act: impl FnOnce() -> Result<(), Error>) -> Result<(), Error> {
        let change = self.ledger().begin();
        let name = change.reserve(Usage::files(1))?;
        let _names = change.names();
        act()?;
        name.keep();
        Ok(())
    }

    /// Lets `act` take the name of this path away.
    fn take_name(
        &self,
        path: &VPath,
        act: impl FnOnce() -> Result<(), Error>,
    ) -> Result<(), Error> {
        let change = self.ledger().begin();
        let _names = change.names();
        let last = last_name(self.ledger(), || self.store.metadata(path, false))?;
        act()?;
        name_is_gone(&change, last);
        Ok(())
    }

    /// Lets `act` give the name of `to` to `from`.
    fn replace_name(
        &self,
        from: &VPath,
        to: &VPath,
        act: impl FnOnce() -> Result<(), Error>,
    ) -> Result<(), Error> {
        let change = self.ledger().begin();
        let _names = change.names();
        let found = |path| self.store.metadata(path, false);
        let (Ok(replacing), Ok(replaced)) = (found(from), found(to)) else {
            return act();
        };
        // Two names of one file: then both stay (rename(2)).
        if replacing.inode == replaced.inode {
            return act();
        }
        let last = last_name(self.ledger(), || found(to))?;
        act()?;
        name_is_gone(&change, last);
        Ok(())
    }

    /// The bytes in a symbolic link.
    pub fn read_link(&self, path: &VPath) -> Result<Vec<u8>, Error> {
        self.store.read_link(path)
    }

    /// The path that `~user` stands for: only one's own home is known here.
    pub fn home_of(&self, user: &[u8]) -> Result<VPath, Error> {
        if user.is_empty() || user == self.session.user().as_bytes() {
            return Ok(VPath::home());
        }
        let refused = Err(Error::Refused("Only your own home directory is known here"));
        self.record(Deed::FindHome(&VPath::parse(user)?), refused)
    }

    /// Where a path leads; a missing last name is no error.
    pub fn canonical(&self, path: &VPath) -> Result<VPath, Error> {
        self.store.canonical(path)
    }

    /// Space where a path lies.
    pub fn space(&self, path: &VPath) -> Result<Space, Error> {
        Ok(self.within_quota(self.store.space(path)?))
    }

    /// Space where an open directory lies.
    pub fn directory_space(&self, directory: &dyn Directory) -> Result<Space, Error> {
        Ok(self.within_quota(directory.space()?))
    }

    /// Space where a path lies, in bytes.
    pub fn room(&self, path: &VPath) -> Result<Room, Error> {
        let space = self.store.space(path)?;
        let bytes = |blocks: u64| blocks.saturating_mul(space.block_size);
        let (total, free) = (bytes(space.blocks), bytes(space.blocks_available));
        let ledger = self.ledger();
        let tighter = |quota: Option<u64>, disk: u64| quota.map_or(disk, |quota| quota.min(disk));
        Ok(Room {
            total,
            free,
            user_total: tighter(ledger.limits().bytes, total),
            user_free: tighter(ledger.left().bytes, free),
            block: space.block_size,
        })
    }

    /// The tighter of the disk and the quota.
    fn within_quota(&self, space: Space) -> Space {
        let (limits, left) = (self.ledger().limits(), self.ledger().left());
        let mut space = space;
        if let (Some(limit), Some(left)) = (limits.bytes, left.bytes) {
            // Small enough for small quotas; both of them count in it.
            let blocks = |count: u64| count.saturating_mul(space.block_size) / QUOTA_BLOCK;
            space.blocks = blocks(space.blocks).min(limit / QUOTA_BLOCK);
            space.blocks_available = blocks(space.blocks_available).min(left / QUOTA_BLOCK);
            space.block_size = QUOTA_BLOCK;
        }
        if let (Some(limit), Some(left)) = (limits.files, left.files) {
            space.files = limit;
            space.files_available = space.files_available.min(left);
        }
        space
    }
}
