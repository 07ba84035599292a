//! The operations on paths.

use super::access::{Last, Location, Operation};
use super::home::{EXISTS, Vfs};
use super::names::{last_name, name_is_gone, of_link};
use super::open::WRITING;
use super::record::RecordedOperation;
use crate::error::Error;
use crate::quota::Usage;
use crate::rules::{Denied, Permission};
use crate::store::{Changes, Kind, Metadata};
use crate::values::path::VPath;

impl Vfs {
    /// Returns the attributes: `stat(2)`, or `lstat(2)` if `follow` is false.
    pub fn metadata(&self, path: &VPath, follow: bool) -> Result<Metadata, Error> {
        self.at(path, Last::of(path, follow), |place| self.looked_at(place))
    }

    pub(super) fn looked_at(&self, place: &Location<'_>) -> Result<Metadata, Error> {
        let found = place.store.metadata(&place.path, place.is_followed())?;
        if found.kind() != Kind::Directory {
            self.check_own(place, Operation::Look)?;
        }
        self.as_written(found)
    }

    /// Changes size, owner, permissions or times; of a link itself if `follow` is false.
    pub fn change(&self, path: &VPath, changes: &Changes, follow: bool) -> Result<(), Error> {
        let outcome = self.at(path, Last::of(path, follow), |place| {
            self.change_counted(place, changes)
        });
        self.record(RecordedOperation::Change(path, changes), outcome)
    }

    fn change_counted(&self, place: &Location<'_>, changes: &Changes) -> Result<(), Error> {
        let follow = place.is_followed();
        let (path, store) = (&place.path, place.store);
        let rest = Changes {
            size: None,
            ..*changes
        };
        if rest != Changes::default() || changes.size.is_none() {
            self.check_own(place, Operation::Change)?;
        }
        if changes.size.is_some() {
            self.check_own(place, Operation::Overwrite)?;
        }
        if let Some(outcome) = self.change_new(place, changes) {
            return outcome;
        }
        let Some(size) = changes.size else {
            return store.change(path, changes, follow);
        };
        if !follow && store.metadata(path, false)?.kind() == Kind::Symlink {
            return store.change(path, changes, follow);
        }
        let resized = self
            .open_existing(place, &WRITING, None)
            .and_then(|file| self.resize(&file, size, None));
        resized.and(store.change(path, &rest, follow))
    }

    /// Removes a file or link.
    pub fn remove_file(&self, path: &VPath) -> Result<(), Error> {
        let outcome = self.at(path, Last::Itself, |place| {
            place.check(Operation::Remove)?;
            place.check_movable()?;
            self.remove_allowed(place)
        });
        self.record(RecordedOperation::Remove(path), outcome)
    }

    pub(super) fn remove_allowed(&self, place: &Location<'_>) -> Result<(), Error> {
        self.remove_spoilt(place).unwrap_or_else(|| {
            self.finish_early(place)?;
            self.take_name(place, || place.store.remove_file(&place.path))
        })
    }

    /// Removes an empty directory.
    pub fn remove_directory(&self, path: &VPath) -> Result<(), Error> {
        let outcome = self.at(path, Last::Itself, |place| {
            place.check(Operation::Remove)?;
            place.check_movable()?;
            self.take_name(place, || place.store.remove_directory(&place.path))
        });
        self.record(RecordedOperation::RemoveDirectory(path), outcome)
    }

    /// Creates a directory.
    pub fn make_directory(&self, path: &VPath, permissions: Option<u32>) -> Result<(), Error> {
        let outcome = self.at(path, Last::Itself, |place| {
            place.check(Operation::MakeDirectory)?;
            let uses = Usage::files(1);
            self.add_name(uses, || {
                place.store.make_directory(&place.path, permissions)
            })?;
            self.remember_directory(place);
            Ok(())
        });
        self.record(RecordedOperation::MakeDirectory(path), outcome)
    }

    /// Creates the name `new` for the file `existing`. Both paths must have the same permissions, since a
    /// change through one name changes the file.
    pub fn hard_link(&self, existing: &VPath, new: &VPath) -> Result<(), Error> {
        let outcome = self.at_both(existing, new, |existing, new| {
            existing.check(Operation::Link)?;
            new.check(Operation::Link)?;
            new.check_movable()?;
            if !existing.is_alike(new) {
                return Err(Error::NotAllowed(Denied::Gains));
            }
            self.finish_early(existing)?;
            let uses = Usage::files(1);
            self.add_name(uses, || new.store.hard_link(&existing.path, &new.path))
        });
        self.record(RecordedOperation::Link(existing, new), outcome)
    }

    /// Creates a symbolic link.
    pub fn symlink(&self, target: &[u8], link: &VPath) -> Result<(), Error> {
        let outcome = self.at(link, Last::Itself, |link| {
            link.check(Operation::Link)?;
            link.check_movable()?;
            let uses = of_link(target.len() as u64);
            self.add_name(uses, || link.store.symlink(target, &link.path))
        });
        self.record(RecordedOperation::Symlink { target, link }, outcome)
    }

    /// Renames; an existing `to` is replaced atomically if `replace`, and refused otherwise.
    pub fn rename(&self, from: &VPath, to: &VPath, replace: bool) -> Result<(), Error> {
        let outcome = self.at_both(from, to, |from, to| {
            self.check_rename(from, to)?;
            if !replace || to.has(Permission::Overwrite) {
                return self.rename_counted(from, to, replace);
            }
            match self.rename_counted(from, to, false) {
                Err(EXISTS) => Err(Permission::Overwrite.into()),
                other => other,
            }
        });
        self.record(RecordedOperation::Rename(from, to), outcome)
    }

    /// Checks a rename. Between equal permissions it needs `rename`. Otherwise it must not gain
    /// permissions: it needs what a copy and the removal of the old file need.
    fn check_rename(&self, from: &Location<'_>, to: &Location<'_>) -> Result<(), Error> {
        self.check_own(from, Operation::Rename)?;
        from.check_movable()?;
        to.check_movable()?;
        if from.is_alike(to) {
            return Ok(());
        }
        from.check(Operation::Remove)?;
        to.check(Operation::Rename)?;
        // A directory may contain anything, and a file may become one at this moment.
        let copied = [Permission::List, Permission::Download];
        let made = [Permission::Upload, Permission::Mkdir, Permission::Links];
        if from.has_all(&copied) && to.has_all(&made) {
            Ok(())
        } else {
            Err(Error::NotAllowed(Denied::Gains))
        }
    }

    fn rename_counted(
        &self,
        from: &Location<'_>,
        to: &Location<'_>,
        replace: bool,
    ) -> Result<(), Error> {
        self.finish_early(from)?;
        self.finish_early(to)?;
        let rename = || from.store.rename(&from.path, &to.path, replace);
        if replace {
            return self.replace_name(from, to, rename);
        }
        let change = self.ledger().begin();
        let _names = change.names();
        rename()
    }

    /// Runs `act`, which adds a name, after reserving its usage.
    fn add_name(&self, uses: Usage, act: impl FnOnce() -> Result<(), Error>) -> Result<(), Error> {
        let change = self.ledger().begin();
        let name = change.reserve(uses)?;
        let _names = change.names();
        act()?;
        name.keep();
        Ok(())
    }

    /// Runs `act`, which removes a name, and releases its usage.
    fn take_name(
        &self,
        place: &Location<'_>,
        act: impl FnOnce() -> Result<(), Error>,
    ) -> Result<(), Error> {
        let change = self.ledger().begin();
        let _names = change.names();
        let look = || place.store.metadata(&place.path, false);
        let last = last_name(self.ledger(), look)?;
        act()?;
        name_is_gone(&change, last);
        Ok(())
    }

    /// Runs `act`, which gives the name of `to` to `from`, and settles the usage.
    fn replace_name(
        &self,
        from: &Location<'_>,
        to: &Location<'_>,
        act: impl FnOnce() -> Result<(), Error>,
    ) -> Result<(), Error> {
        let change = self.ledger().begin();
        let _names = change.names();
        let found = |place: &Location<'_>| place.store.metadata(&place.path, false);
        let (Ok(replacing), Ok(replaced)) = (found(from), found(to)) else {
            return act();
        };
        // Two names of one file: both stay (rename(2)).
        if replacing.inode == replaced.inode {
            return act();
        }
        let last = last_name(self.ledger(), || found(to))?;
        act()?;
        name_is_gone(&change, last);
        Ok(())
    }

    /// Returns the target of a symbolic link.
    pub fn read_link(&self, path: &VPath) -> Result<Vec<u8>, Error> {
        self.at(path, Last::of(path, false), |place| {
            place.check(Operation::ReadLink)?;
            place.store.read_link(&place.path)
        })
    }

    /// Returns the path of `~user`: only the session's own account is known.
    pub fn home_of(&self, user: &[u8]) -> Result<VPath, Error> {
        if user.is_empty() || user == self.session.user().as_bytes() {
            return Ok(VPath::home());
        }
        let refused = Err(Error::Refused("Only your own home directory is known here"));
        self.record(RecordedOperation::FindHome(&VPath::parse(user)?), refused)
    }
}
