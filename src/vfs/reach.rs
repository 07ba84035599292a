//! The one place where a path becomes the location of an operation.
//!
//! Where one set of permissions holds for the whole home, the path is used as it is. Where directories have
//! their own, links could lead from one to another: the path is resolved first, the permissions of the
//! result are checked, and the operation acts on exactly that, in a store that follows no links. If a link
//! appears meanwhile, the store returns `ELOOP` and everything is tried again.

use std::borrow::Cow;

use rustix::io::Errno;

use super::access::{Last, Location, Operation, Pass};
use super::home::Vfs;
use super::open_file::{OpenDirectory, OpenFile};
use crate::error::Error;
use crate::rules::{Granted, Permission, Permissions};
use crate::values::path::VPath;

/// How often a path is resolved again because a link has appeared in it.
const TRIES: u32 = 4;

impl Vfs {
    /// Runs `act` at the location of a path.
    pub(super) fn at<T>(
        &self,
        path: &VPath,
        last: Last,
        act: impl Fn(&Location<'_>) -> Result<T, Error>,
    ) -> Result<T, Error> {
        self.settled(|permissions, generation| {
            act(&self.place(permissions, generation, path, last)?)
        })
    }

    /// Runs `act` at the locations of two paths, without following links in the last component.
    pub(super) fn at_both<T>(
        &self,
        one: &VPath,
        other: &VPath,
        act: impl Fn(&Location<'_>, &Location<'_>) -> Result<T, Error>,
    ) -> Result<T, Error> {
        self.settled(|permissions, generation| {
            let one = self.place(permissions, generation, one, Last::Itself)?;
            let other = self.place(permissions, generation, other, Last::Itself)?;
            act(&one, &other)
        })
    }

    /// Runs with the current permissions; again if a link appeared in a resolved path.
    pub(super) fn settled<T>(
        &self,
        act: impl Fn(&Permissions, u32) -> Result<T, Error>,
    ) -> Result<T, Error> {
        let generation = self.session.generation();
        let account = self.session.account();
        let permissions = &account.settings.rules.permissions;
        let mut outcome = act(permissions, generation);
        if permissions.everywhere().is_none() {
            for _ in 1..TRIES {
                if !matches!(outcome, Err(Error::Os(Errno::LOOP))) {
                    break;
                }
                outcome = act(permissions, generation);
            }
        }
        outcome
    }

    pub(super) fn place<'a>(
        &'a self,
        permissions: &Permissions,
        generation: u32,
        path: &'a VPath,
        last: Last,
    ) -> Result<Location<'a>, Error> {
        if let Some(granted) = permissions.everywhere() {
            return Ok(Location {
                path: Cow::Borrowed(path),
                store: &*self.store,
                pass: Pass {
                    granted,
                    generation,
                },
                last,
                is_everywhere: true,
                is_held: false,
            });
        }
        let path = self.resolved(path, last)?;
        Ok(Location {
            pass: Pass {
                granted: permissions.at(&path),
                generation,
            },
            is_held: permissions.has_rules_within(&path),
            path: Cow::Owned(path),
            store: &*self.without_links,
            last,
            is_everywhere: false,
        })
    }

    /// Resolves the links of a path, except in the last component if that refers to itself.
    fn resolved(&self, path: &VPath, last: Last) -> Result<VPath, Error> {
        let (directory, name) = path.split_as_written();
        match last {
            Last::Followed => self.store.canonical(path),
            // A path without a name of its own cannot be operated on.
            Last::Itself if name == b"." => Ok(path.clone()),
            Last::Itself => {
                let mut place = self.store.canonical(&VPath::parse(directory)?)?.absolute();
                place.push(b'/');
                place.extend_from_slice(name);
                Ok(VPath::parse(&place)?)
            }
        }
    }

    /// Refuses the operation unless it is permitted here, or the session has created the file.
    pub(super) fn check_own(
        &self,
        place: &Location<'_>,
        operation: Operation,
    ) -> Result<(), Error> {
        operation.check(place.pass.granted, || self.is_own(place, operation))
    }

    /// Returns whether the session has created the file of the operation.
    fn is_own(&self, place: &Location<'_>, operation: Operation) -> bool {
        let found = place.store.identity(&place.path, place.is_followed());
        found.is_ok_and(|found| self.session.made().has(&found))
            || self
                .overwriting(place)
                .is_some_and(|succeeds| succeeds || operation.is_of_new())
    }

    /// Remembers a created directory if any permission is missing there.
    pub(super) fn remember_directory(&self, place: &Location<'_>) {
        if place.pass.granted != Granted::FULL
            && let Ok(identity) = place.store.identity(&place.path, false)
        {
            self.session.made().add(identity);
        }
    }

    pub(super) fn remember(&self, file: &OpenFile) {
        if file.pass.granted != Granted::FULL
            && let Ok(identity) = file.file.identity()
        {
            self.session.made().add(identity);
        }
    }

    /// Refuses the operation unless it is permitted on an open file now, or the session has created the
    /// file.
    pub(super) fn check_open(&self, file: &OpenFile, operation: Operation) -> Result<(), Error> {
        let is_own = || {
            let found = file.file.identity();
            found.is_ok_and(|found| self.session.made().has(&found))
        };
        let inode = || Ok(file.file.metadata()?.inode);
        let now = self.renewed(file.pass, &file.path, inode);
        operation.check(now.granted, is_own)
    }

    /// Checks as [`Self::check_open`] does, and caches the result for frequent operations.
    pub(super) fn check_kept(
        &self,
        file: &mut OpenFile,
        operation: Operation,
    ) -> Result<(), Error> {
        if file.pass.generation != self.session.generation() {
            let inode = || Ok(file.file.metadata()?.inode);
            file.pass = self.renewed(file.pass, &file.path, inode);
        }
        operation.check(file.pass.granted, || false)
    }

    /// Returns whether a permission holds, without blocking; false if that is unknown.
    pub(super) fn is_granted_now(&self, file: &OpenFile, permission: Permission) -> bool {
        file.pass.generation == self.session.generation() && file.pass.granted.has(permission)
    }

    /// Refuses the operation unless it is permitted on an open directory now, or the session has created
    /// it.
    pub(super) fn check_directory(
        &self,
        directory: &mut OpenDirectory,
        operation: Operation,
    ) -> Result<(), Error> {
        let OpenDirectory {
            directory,
            path,
            pass,
        } = directory;
        *pass = self.renewed(*pass, path, || Ok(directory.metadata()?.inode));
        operation.check(pass.granted, || {
            let found = directory.identity();
            found.is_ok_and(|found| self.session.made().has(&found))
        })
    }

    /// Returns the permissions on an open file or directory after a change of the account. Where
    /// directories have their own permissions, the path must still lead to it.
    fn renewed(
        &self,
        pass: Pass,
        path: &VPath,
        inode: impl Fn() -> Result<(u64, u64), Error>,
    ) -> Pass {
        if pass.generation == self.session.generation() {
            return pass;
        }
        let found = self.at(path, Last::Followed, |place| {
            let is_it =
                place.is_everywhere || place.store.metadata(&place.path, true)?.inode == inode()?;
            Ok(Pass {
                granted: if is_it {
                    place.pass.granted
                } else {
                    Granted::NOTHING
                },
                ..place.pass
            })
        });
        // After a failure the next request looks again.
        found.unwrap_or(Pass {
            granted: Granted::NOTHING,
            ..pass
        })
    }
}
