//! What the rules of the account allow: the one table of what each verb needs, and the one place where
//! a path becomes the place that a verb acts on.
//!
//! Where one set of permissions holds for the whole home, a path is used as it is. Where directories
//! have their own, links could lead from one to the other: then the path is resolved first, the rules
//! are asked about what came out, and the verb acts on exactly that, in a store that follows no links.
//! If somebody puts a link there in between, the store says `ELOOP`, and all of it is tried again.

use std::borrow::Cow;

use rustix::io::Errno;

use super::{OpenDirectory, OpenFile, Vfs};
use crate::error::Error;
use crate::rules::{Denied, Granted, Permission, Permissions};
use crate::store::Store;
use crate::values::path::VPath;

/// How often a path is resolved anew because somebody has put a link into it.
const TRIES: u32 = 4;

/// What is done with a file, directory or link.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verb {
    List,
    Look,
    ReadLink,
    Read,
    Hash,
    Write,
    /// Write to one that is there.
    Overwrite,
    /// Change times, mode or owner.
    Change,
    Remove,
    MakeDirectory,
    Rename,
    Link,
}

impl Verb {
    /// The table: sets of permissions each of which is enough; and whether who may make something may do
    /// this to what the session itself has made.
    const fn needs(self) -> (&'static [&'static [Permission]], bool) {
        use Permission::{
            Attributes, Delete, Download, Links, List, Mkdir, Overwrite, Rename, Upload,
        };
        match self {
            Self::List => (&[&[List]], false),
            // Directories may be looked at by all.
            Self::Look => (&[&[List], &[Download]], true),
            Self::ReadLink => (&[&[List]], false),
            Self::Read => (&[&[Download]], false),
            Self::Hash => (&[&[Download]], true),
            Self::Write => (&[&[Upload]], false),
            Self::Overwrite => (&[&[Upload, Overwrite]], true),
            Self::Change => (&[&[Attributes]], true),
            Self::Remove => (&[&[Delete]], false),
            Self::MakeDirectory => (&[&[Mkdir]], false),
            Self::Rename => (&[&[Rename]], true),
            Self::Link => (&[&[Links]], false),
        }
    }

    /// Is it done to the new file while that has not taken the name of the old one? All else is done to what
    /// has the name in the end.
    const fn is_of_new(self) -> bool {
        matches!(self, Self::Look | Self::Change)
    }

    /// Refused unless it is granted, or done to something that the session has made.
    pub(super) fn check(
        self,
        granted: Granted,
        is_own: impl FnOnce() -> bool,
    ) -> Result<(), Error> {
        let (enough, own) = self.needs();
        let makes = granted.has(Permission::Upload) || granted.has(Permission::Mkdir);
        if enough.iter().any(|set| granted.has_all(set)) || (own && makes && is_own()) {
            return Ok(());
        }
        let mut wanted = enough.iter().flat_map(|set| set.iter());
        let missing = wanted.find(|permission| !granted.has(**permission));
        Err(missing.map_or(Errno::PERM.into(), |missing| (*missing).into()))
    }
}

/// What the last name of a path stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Last {
    /// For what it leads to, if it is a link.
    Followed,
    /// For itself.
    Itself,
}

impl Last {
    /// What it stands for in a path to look at: what can only be a directory is never a link.
    pub(super) fn of(path: &VPath, follow: bool) -> Self {
        if follow || path.names_directory() {
            Self::Followed
        } else {
            Self::Itself
        }
    }
}

/// What was granted on something that is open, when the account was last looked at.
#[derive(Debug, Clone, Copy)]
pub(super) struct Pass {
    granted: Granted,
    generation: u32,
}

impl Pass {
    /// Nothing was granted.
    #[cfg(test)]
    pub(super) const NOTHING: Self = Self {
        granted: Granted::NOTHING,
        generation: 0,
    };
}

/// Where a verb acts.
pub(super) struct Place<'a> {
    pub(super) path: Cow<'a, VPath>,
    pub(super) store: &'a dyn Store,
    pub(super) pass: Pass,
    last: Last,
    /// One set of permissions holds for the whole home.
    is_everywhere: bool,
    /// A directory with permissions of its own lies here or below.
    is_held: bool,
}

impl Place<'_> {
    /// Refused unless it is granted here.
    pub(super) fn check(&self, verb: Verb) -> Result<(), Error> {
        verb.check(self.pass.granted, || false)
    }

    pub(super) fn has(&self, permission: Permission) -> bool {
        self.pass.granted.has(permission)
    }

    pub(super) fn has_all(&self, permissions: &[Permission]) -> bool {
        self.pass.granted.has_all(permissions)
    }

    pub(super) fn is_followed(&self) -> bool {
        self.last == Last::Followed
    }

    /// Its name must stay what it is while rules are bound to it, whether a directory is there yet or not:
    /// nothing is moved from there, and no link or moved directory comes there.
    pub(super) fn check_movable(&self) -> Result<(), Error> {
        if self.is_held {
            return Err(Error::NotAllowed(Denied::HeldInPlace));
        }
        Ok(())
    }

    /// Do the same permissions hold at both?
    pub(super) fn is_alike(&self, other: &Place<'_>) -> bool {
        self.pass.granted == other.pass.granted
    }
}

impl Vfs {
    /// Lets `act` do something at the place to which a path leads.
    pub(super) fn at<T>(
        &self,
        path: &VPath,
        last: Last,
        act: impl Fn(&Place<'_>) -> Result<T, Error>,
    ) -> Result<T, Error> {
        self.settled(|permissions, generation| {
            act(&self.place(permissions, generation, path, last)?)
        })
    }

    /// The same with two paths, whose last names stand for themselves.
    pub(super) fn at_both<T>(
        &self,
        one: &VPath,
        other: &VPath,
        act: impl Fn(&Place<'_>, &Place<'_>) -> Result<T, Error>,
    ) -> Result<T, Error> {
        self.settled(|permissions, generation| {
            let one = self.place(permissions, generation, one, Last::Itself)?;
            let other = self.place(permissions, generation, other, Last::Itself)?;
            act(&one, &other)
        })
    }

    /// Acts with the permissions of now; again if a link came into a path that was resolved.
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
    ) -> Result<Place<'a>, Error> {
        if let Some(granted) = permissions.everywhere() {
            return Ok(Place {
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
        Ok(Place {
            pass: Pass {
                granted: permissions.at(&path),
                generation,
            },
            is_held: permissions.hold_in_place(&path),
            path: Cow::Owned(path),
            store: &*self.without_links,
            last,
            is_everywhere: false,
        })
    }

    /// The path without links in it, but for its last name if that stands for itself.
    fn resolved(&self, path: &VPath, last: Last) -> Result<VPath, Error> {
        let (directory, name) = path.split_as_written();
        match last {
            Last::Followed => self.store.canonical(path),
            // Without a name of its own nothing can be done with it.
            Last::Itself if name == b"." => Ok(path.clone()),
            Last::Itself => {
                let mut place = self.store.canonical(&VPath::parse(directory)?)?.absolute();
                place.push(b'/');
                place.extend_from_slice(name);
                Ok(VPath::parse(&place)?)
            }
        }
    }

    /// Refused unless it is granted here, or done to something that the session has made.
    pub(super) fn check_own(&self, place: &Place<'_>, verb: Verb) -> Result<(), Error> {
        verb.check(place.pass.granted, || self.is_own(place, verb))
    }

    /// Has the session made what the verb acts on?
    fn is_own(&self, place: &Place<'_>, verb: Verb) -> bool {
        let found = place.store.identity(&place.path, place.is_followed());
        found.is_ok_and(|found| self.session.made().has(&found))
            || self
                .overwriting(place)
                .is_some_and(|succeeds| succeeds || verb.is_of_new())
    }

    /// Remembers what was made, if there is anything that is not granted there.
    pub(super) fn remember_directory(&self, place: &Place<'_>) {
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

    /// Refused unless it is granted now on an open file, or the session has made that.
    pub(super) fn check_open(&self, file: &OpenFile, verb: Verb) -> Result<(), Error> {
        let is_own = || {
            let found = file.file.identity();
            found.is_ok_and(|found| self.session.made().has(&found))
        };
        let inode = || Ok(file.file.metadata()?.inode);
        let now = self.renewed(file.pass, &file.path, inode);
        verb.check(now.granted, is_own)
    }

    /// The same for one that is used often: what was found is kept.
    pub(super) fn check_kept(&self, file: &mut OpenFile, verb: Verb) -> Result<(), Error> {
        if file.pass.generation != self.session.generation() {
            let inode = || Ok(file.file.metadata()?.inode);
            file.pass = self.renewed(file.pass, &file.path, inode);
        }
        verb.check(file.pass.granted, || false)
    }

    /// The same without anything that could block: false if that must be found out.
    pub(super) fn is_granted_now(&self, file: &OpenFile, permission: Permission) -> bool {
        file.pass.generation == self.session.generation() && file.pass.granted.has(permission)
    }

    /// Refused unless it is granted now on an open directory, or the session has made that.
    pub(super) fn check_directory(
        &self,
        directory: &mut OpenDirectory,
        verb: Verb,
    ) -> Result<(), Error> {
        let OpenDirectory {
            directory,
            path,
            pass,
        } = directory;
        *pass = self.renewed(*pass, path, || Ok(directory.metadata()?.inode));
        verb.check(pass.granted, || {
            let found = directory.identity();
            found.is_ok_and(|found| self.session.made().has(&found))
        })
    }

    /// What is granted on something that was opened by this path, if the account was changed since.
    /// Where directories have permissions of their own, the path must still lead to it.
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
        // What cannot be found is looked for again at the next request.
        found.unwrap_or(Pass {
            granted: Granted::NOTHING,
            ..pass
        })
    }
}
