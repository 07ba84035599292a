//! What the rules of the account allow: the one table of what each verb needs, and what is granted where.

use std::borrow::Cow;

use rustix::io::Errno;

use crate::error::Error;
use crate::rules::{Denied, Granted, Permission};
use crate::store::Store;
use crate::values::path::VPath;

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
    pub(super) const fn is_of_new(self) -> bool {
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
    pub(super) granted: Granted,
    pub(super) generation: u32,
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
    pub(super) last: Last,
    /// One set of permissions holds for the whole home.
    pub(super) is_everywhere: bool,
    /// A directory with permissions of its own lies here or below.
    pub(super) is_held: bool,
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
