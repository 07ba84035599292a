//! Safe overwrites: an upload over an existing file goes to a new file beside it, which takes the name when
//! it is closed. See docs/adr/0007.
//!
//! The overwriting session sees the new file already. When it does anything else with that file by path,
//! the new file takes the name immediately, and the handle continues in it.

use std::mem;
use std::sync::{Arc, Mutex};

use rustix::io::Errno;
use tracing::info;

use super::access::{Location, Operation};
use super::home::Vfs;
use super::names::{last_name, name_is_gone};
use super::open_file::{End, OpenFile, Overwrite, Pending, Stage, lock};
use crate::error::{Error, KeptPart, UnfinishedOverwrite};
use crate::quota::Usage;
use crate::store::{Changes, File, Metadata, OpenHow, PART, Replacement};
use crate::values::path::VPath;

impl Vfs {
    /// Returns whether truncating this path replaces the file. Partial uploads are resumed instead: nobody
    /// would find a partial file of a partial file.
    pub(super) fn replaces(&self, path: &VPath) -> bool {
        let (_, name) = path.split_last();
        self.session.overwrites_safely() && !name.ends_with(PART)
    }

    /// Opens a new file that is to replace an existing one.
    pub(super) fn overwrite(
        &self,
        at: &Location<'_>,
        how: &OpenHow,
        announced: Option<u64>,
    ) -> Result<OpenFile, Error> {
        let change = self.ledger().begin();
        let _names = change.names();
        let old = self.open_tracked(at, how)?;
        self.check_open(&old, Operation::Overwrite)?;
        let found = old.metadata()?;
        // Both exist for a while.
        change.check_room(Usage::bytes(announced.unwrap_or(0)))?;
        let name = change.reserve(Usage::files(1))?;
        let (file, place) = at.store.replacement(&at.path, how, &found)?;
        name.keep();
        let mut file = self.tracked(file, at, how)?.made();
        self.remember(&file);
        let overwrite = Arc::new(Overwrite {
            inode: found.inode,
            place,
            stage: Mutex::new(Stage::Pending(Pending {
                _old: old,
                new: file.twin(),
                spoilt: false,
            })),
        });
        self.overwrites.add(overwrite.clone());
        file.overwrite = Some(overwrite);
        Ok(file)
    }

    /// Returns the attributes that this session sees: those of the new file if it is overwriting it.
    pub(super) fn as_written(&self, found: Metadata) -> Result<Metadata, Error> {
        let overwrite = self.overwrites.of(found.inode);
        let new = overwrite.and_then(|one| one.pending(|pending| pending.new.metadata()));
        new.unwrap_or(Ok(found))
    }

    /// Changes the new file if this session is overwriting the file at this path.
    pub(super) fn change_new(
        &self,
        place: &Location<'_>,
        changes: &Changes,
    ) -> Option<Result<(), Error>> {
        self.overwrite_of(place)?.pending(|pending| {
            let (size, rest) = self.change_both(&pending.new, changes);
            pending.spoilt |= size.is_err();
            size.and(rest)
        })
    }

    /// If this session is overwriting the file: returns whether the new file can still take its name. After
    /// a failure the existing file keeps it.
    pub(super) fn overwriting(&self, place: &Location<'_>) -> Option<bool> {
        self.overwrite_of(place)?.pending(|pending| !pending.spoilt)
    }

    fn overwrite_of(&self, place: &Location<'_>) -> Option<Arc<Overwrite>> {
        if self.overwrites.is_empty() {
            return None;
        }
        // The operation itself reports a bad path.
        let found = place.store.metadata(&place.path, place.is_followed());
        let found = found.ok()?;
        self.overwrites.of(found.inode)
    }

    /// Runs before another operation on the file at this path: if this session is overwriting it, the new
    /// file takes the name now.
    pub(super) fn finish_early(&self, place: &Location<'_>) -> Result<(), Error> {
        let Some(overwrite) = self.overwrite_of(place) else {
            return Ok(());
        };
        self.overwrites.forget(&overwrite);
        let mut stage = lock(&overwrite.stage);
        let Stage::Pending(pending) = &*stage else {
            return Ok(());
        };
        let (new, spoilt) = (&pending.new, pending.spoilt);
        let outcome = if spoilt {
            Err(None)
        } else {
            self.sync_if_asked(new)
                .and_then(|()| self.commit(&*overwrite.place))
                .map_err(Some)
        };
        *stage = match outcome {
            Ok(()) => Stage::Done,
            Err(cause) => Stage::Failed(self.keep(&*overwrite.place, new.path(), cause)),
        };
        match (&*stage, spoilt) {
            // The client knows that data is missing.
            (Stage::Failed(error), false) => Err(*error),
            _ => Ok(()),
        }
    }

    /// Removes the partial new file after a failed overwrite, if the client removes the file: the existing
    /// file becomes visible again.
    pub(super) fn remove_spoilt(&self, place: &Location<'_>) -> Option<Result<(), Error>> {
        let overwrite = self.overwrite_of(place)?;
        let spoilt = overwrite.pending(|pending| pending.spoilt);
        if spoilt != Some(true) {
            return None;
        }
        self.overwrites.forget(&overwrite);
        let removed = self.discard(&*overwrite.place);
        let kept = removed.map_or(KeptPart::Hidden, |()| KeptPart::Nothing);
        let failed = Error::Unfinished(UnfinishedOverwrite::new(None, kept));
        *lock(&overwrite.stage) = Stage::Failed(failed);
        Some(removed)
    }

    /// Closes the file of an overwriting handle. `synced` is whether it is known to be on disk.
    pub(super) fn end_overwrite(
        &self,
        overwrite: &Overwrite,
        file: Arc<dyn File>,
        path: &VPath,
        synced: Result<(), Error>,
        end: End,
    ) -> Result<(), Error> {
        self.overwrites.forget(overwrite);
        let place = &*overwrite.place;
        let stage = mem::replace(&mut *lock(&overwrite.stage), Stage::Done);
        let outcome = match stage {
            Stage::Done => synced.and(file.close()),
            Stage::Failed(error) => file.close().and(Err(error)),
            Stage::Pending(pending) => {
                let Pending { _old, new, spoilt } = pending;
                // Only its last holder can close a file.
                drop(new);
                let stored = synced.and(file.close());
                let outcome = match stored {
                    _ if spoilt || end == End::Cut => Err(None),
                    Ok(()) => self.commit(place).map_err(Some),
                    Err(error) => Err(Some(error)),
                };
                outcome.map_err(|cause| self.keep(place, path, cause))
            }
        };
        if outcome.is_ok() && end == End::Closed && self.session.syncs_on_close() {
            return place.sync_names();
        }
        outcome
    }

    /// Gives the new file its name.
    fn commit(&self, place: &dyn Replacement) -> Result<(), Error> {
        let change = self.ledger().begin();
        let _names = change.names();
        let replaced = match last_name(self.ledger(), || place.replaced()) {
            Ok(last) => Some(last),
            // Somebody else has removed it.
            Err(Error::Os(Errno::NOENT)) => None,
            Err(error) => return Err(error),
        };
        place.commit()?;
        if let Some(last) = replaced {
            name_is_gone(&change, last);
        }
        Ok(())
    }

    /// Keeps the existing file, and the data of the new one where it can be resumed.
    fn keep(&self, place: &dyn Replacement, path: &VPath, cause: Option<Error>) -> Error {
        let kept = self.keep_counted(place);
        let (user, peer) = (self.session.user(), self.session.peer());
        let unfinished = UnfinishedOverwrite::new(cause, kept);
        info!(user, %peer, ?path, "upload not completed: {unfinished}");
        Error::Unfinished(unfinished)
    }

    fn keep_counted(&self, place: &dyn Replacement) -> KeptPart {
        match place.hidden() {
            Err(_) => KeptPart::Nothing,
            Ok(found) if found.size > 0 => {
                let change = self.ledger().begin();
                let _names = change.names();
                place.keep().map_or(KeptPart::Hidden, |()| KeptPart::Part)
            }
            Ok(_) => self
                .discard(place)
                .map_or(KeptPart::Hidden, |()| KeptPart::Nothing),
        }
    }

    fn discard(&self, place: &dyn Replacement) -> Result<(), Error> {
        let change = self.ledger().begin();
        let _names = change.names();
        let last = last_name(self.ledger(), || place.hidden())?;
        place.discard()?;
        name_is_gone(&change, last);
        Ok(())
    }
}
