//! Operations that a thread may run that must not wait for a disk: data is in memory, the permission is
//! plain, and no lock is taken by others. In all other cases they return `None`, and the normal operation
//! runs.

use std::sync::{Arc, RwLockReadGuard};

use super::access::{Last, Location, Operation};
use super::home::Vfs;
use super::open_file::{End, OpenFile};
use super::record::{RecordedOperation, Used};
use crate::quota::Tracked;
use crate::rules::Permission;
use crate::session::descriptors::HeldDescriptor;
use crate::store::{File, Metadata, READING};
use crate::values::path::VPath;

/// A file that is being closed.
struct Closing {
    // In this order: the file counts until it is closed.
    _file: Arc<dyn File>,
    _tracked: Arc<Tracked>,
    _held: HeldDescriptor,
}

impl Vfs {
    /// As [`Vfs::metadata`]; `None` if that must run instead.
    pub fn metadata_now(&self, path: &VPath, follow: bool) -> Option<Metadata> {
        let place = self.place_now(path, Last::of(path, follow))?;
        place.check(Operation::Look).ok()?;
        // While this is held nobody removes its last name, so nothing is released here.
        let _opening = self.ledger().opening_now()?;
        place.store.metadata_now(&place.path, place.is_followed())
    }

    /// As [`Vfs::open_to_send`]; `None` if that must run instead.
    pub fn open_now(&self, path: &VPath) -> Option<OpenFile> {
        let place = self.place_now(path, Last::Followed)?;
        place.check(Operation::Read).ok()?;
        let opening = self.ledger().opening_now()?;
        let file = place.store.open_now(&place.path)?;
        let file = self.tracked(file, &place, &READING).ok()?;
        drop(opening);
        let mut file = file.for_client(self.session.transfers(), None);
        file.from_memory = true;
        self.record(RecordedOperation::Open(path), Ok(file)).ok()
    }

    /// Returns the location of an operation, unless directories have their own permissions or an overwrite
    /// is in progress.
    fn place_now<'a>(&'a self, path: &'a VPath, last: Last) -> Option<Location<'a>> {
        if !self.overwrites.is_empty() {
            return None;
        }
        let generation = self.session.generation();
        let account = self.session.account();
        let permissions = &account.settings.rules.permissions;
        permissions.everywhere()?;
        self.place(permissions, generation, path, last).ok()
    }

    /// As [`Vfs::read`], but fills `out` ([`File::read_now`]); `None` if that must run instead.
    pub fn read_now(&self, file: &OpenFile, offset: u64, out: &mut [u8]) -> Option<usize> {
        if !self.is_granted_now(file, Permission::Download) {
            return None;
        }
        let count = file.readable().ok()?.read_now(offset, out)?;
        file.was_read(offset, count);
        Some(count)
    }

    /// Returns a guard if the file can be closed now: it was opened here, still has a name, and needs no
    /// hash for the audit log. Nobody removes its name while the guard is held.
    pub fn can_close_now(&self, file: &OpenFile) -> Option<RwLockReadGuard<'_, ()>> {
        if !file.from_memory || self.session.recorder().wants_hashes() {
            return None;
        }
        let opening = self.ledger().opening_now()?;
        file.tracked.has_name().then_some(opening)
    }

    /// As [`Vfs::close`] for a file that [can be closed now](Self::can_close_now), except that close(2) is
    /// [deferred](crate::quota::Ledger::close_later).
    pub fn close_now(
        &self,
        file: OpenFile,
        held: HeldDescriptor,
        opening: RwLockReadGuard<'_, ()>,
    ) {
        let OpenFile {
            file,
            tracked,
            path,
            history,
            ..
        } = file;
        let inode = tracked.inode();
        let closing = Closing {
            _file: file,
            _tracked: tracked,
            _held: held,
        };
        self.ledger().close_later(&opening, Box::new(closing));
        drop(opening);
        self.record_transfers(&Used {
            path: &path,
            history: &history,
            failure: None,
            end: End::Closed,
            inode,
        });
        let _: Result<(), _> = self.record(RecordedOperation::Close(&path), Ok(()));
    }
}
