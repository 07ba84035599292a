//! What is done at once, in a thread that must not wait for a disk: only what is in memory, is plainly
//! allowed, and is in nobody's way. Whatever else there is to say, the verbs themselves say it.

use std::sync::Arc;

use super::file::OpenFile;
use super::record::{Deed, Used};
use super::replace::End;
use super::{Last, Place, Verb, Vfs};
use crate::descriptors::Held;
use crate::path::VPath;
use crate::quota::{Spent, Tracked};
use crate::rules::Permission;
use crate::store::{File, Metadata, READING};

/// A file whose use has ended.
struct Closing {
    // In this order: until it is closed, it counts.
    _file: Arc<dyn File>,
    _tracked: Arc<Tracked>,
    _held: Held,
}

impl Vfs {
    /// As [`Vfs::metadata`]; `None` if that must tell.
    pub fn metadata_now(&self, path: &VPath, follow: bool) -> Option<Metadata> {
        let place = self.place_now(path, Last::of(path, follow))?;
        place.check(Verb::Look).ok()?;
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
        let file = file.for_client(self.session.transfers(), None);
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

    /// Can its use end at once? Nothing was written by it, nothing is to be read for the operator, and
    /// nothing is given back by closing it.
    pub fn can_close_now(&self, file: &OpenFile) -> bool {
        let is_only_read = !file.how.write && file.overwrite.is_none() && file.new_in.is_none();
        is_only_read && file.tracked.has_name() && !self.session.witness().wants_hashes()
    }

    /// As [`Vfs::close`] of a file that [can be closed at once](Self::can_close_now), but for close(2),
    /// which is [put off](Self::take_spent).
    pub fn close_now(&self, file: OpenFile, held: Held) {
        let OpenFile {
            file,
            tracked,
            path,
            story,
            ..
        } = file;
        self.record_moves(&Used {
            path: &path,
            story: &story,
            has_failed: false,
            end: End::Closed,
            sha256: &|| None,
        });
        let _: Result<(), _> = self.record(Deed::Close(&path), Ok(()));
        self.ledger().close_later(Box::new(Closing {
            _file: file,
            _tracked: tracked,
            _held: held,
        }));
    }

    /// How many files there are in this home that are no longer in use, and open.
    pub fn spent(&self) -> usize {
        self.ledger().spent()
    }

    /// All of these, to be closed where it may block.
    pub fn take_spent(&self) -> Vec<Spent> {
        self.ledger().take_spent()
    }
}
