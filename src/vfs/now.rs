//! What is done at once, in a thread that must not wait for a disk: only what is in memory, is plainly
//! allowed, and is in nobody's way. Whatever else there is to say, the verbs themselves say it.

use std::sync::{Arc, RwLockReadGuard};

use super::access::{Last, Place, Verb};
use super::home::Vfs;
use super::open_file::{End, OpenFile};
use super::record::{Deed, Used};
use crate::quota::Tracked;
use crate::rules::Permission;
use crate::session::descriptors::HeldDescriptor;
use crate::store::{File, Metadata, READING};
use crate::values::path::VPath;

/// A file whose use has ended.
struct Closing {
    // In this order: until it is closed, it counts.
    _file: Arc<dyn File>,
    _tracked: Arc<Tracked>,
    _held: HeldDescriptor,
}

impl Vfs {
    /// As [`Vfs::metadata`]; `None` if that must tell.
    pub fn metadata_now(&self, path: &VPath, follow: bool) -> Option<Metadata> {
        let place = self.place_now(path, Last::of(path, follow))?;
        place.check(Verb::Look).ok()?;
        // Nobody takes its last name away meanwhile, so that nothing is given back here.
        let _opening = self.ledger().opening_now()?;
        place.store.metadata_now(&place.path, place.is_followed())
    }

    /// As [`Vfs::open_to_send`]; `None` if that must tell.
    pub fn open_now(&self, path: &VPath) -> Option<OpenFile> {
        let place = self.place_now(path, Last::Followed)?;
        place.check(Verb::Read).ok()?;
        let opening = self.ledger().opening_now()?;
        let file = place.store.open_now(&place.path)?;
        let file = self.tracked(file, &place, &READING).ok()?;
        drop(opening);
        let mut file = file.for_client(self.session.transfers(), None);
        file.from_memory = true;
        self.record(Deed::Open(path), Ok(file)).ok()
    }

    /// Where a verb acts that is not held up by permissions of directories or by what is being
    /// overwritten.
    fn place_now<'a>(&'a self, path: &'a VPath, last: Last) -> Option<Place<'a>> {
        if !self.overwrites.is_empty() {
            return None;
        }
        let generation = self.session.generation();
        let account = self.session.account();
        let permissions = &account.settings.rules.permissions;
        permissions.everywhere()?;
        self.place(permissions, generation, path, last).ok()
    }

    /// As [`Vfs::read`], but fills `out` ([`File::read_now`]); `None` if that must tell.
    pub fn read_now(&self, file: &OpenFile, offset: u64, out: &mut [u8]) -> Option<usize> {
        if !self.is_granted_now(file, Permission::Download) {
            return None;
        }
        let count = file.readable().ok()?.read_now(offset, out)?;
        file.was_read(offset, count);
        Some(count)
    }

    /// Can its use end at once? Only if it was opened so, still has a name, and is not to be read once more
    /// for the operator. Nobody takes its name away while the result is held.
    pub fn can_close_now(&self, file: &OpenFile) -> Option<RwLockReadGuard<'_, ()>> {
        if !file.from_memory || self.session.witness().wants_hashes() {
            return None;
        }
        let opening = self.ledger().opening_now()?;
        file.tracked.has_name().then_some(opening)
    }

    /// As [`Vfs::close`] of a file that [can be closed at once](Self::can_close_now), but for close(2),
    /// which is [put off](crate::quota::Ledger::close_later).
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
            story,
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
        self.record_moves(&Used {
            path: &path,
            story: &story,
            failure: None,
            end: End::Closed,
            inode,
        });
        let _: Result<(), _> = self.record(Deed::Close(&path), Ok(()));
    }
}
