//! The permissions of the account: the table of what each operation needs, and what applies where.

use std::borrow::Cow;

use rustix::io::Errno;

use crate::error::Error;
use crate::rules::{Denied, Granted, Permission};
use crate::store::Store;
use crate::values::path::VPath;

/// An operation on a file, directory or link.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Operation {
    List,
    Look,
    ReadLink,
    Read,
    Hash,
    Write,
    /// Write to an existing file.
    Overwrite,
    /// Change times, mode or owner.
    Change,
    Remove,
    MakeDirectory,
    Rename,
    Link,
}

impl Operation {
    /// The table: sets of permissions, any of which is enough; and whether an account that may create files
    /// may do this to what its own session has created.
    const fn needs(self) -> (&'static [&'static [Permission]], bool) {
        use Permission::{
            Attributes, Delete, Download, Links, List, Mkdir, Overwrite, Rename, Upload,
        };
        match self {
            Self::List => (&[&[List]], false),
            // Everybody may see the attributes of directories.
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

    /// Returns whether the operation concerns a new file before it takes the name of an existing one. All
    /// others concern the file that has the name in the end.
    pub(super) const fn is_of_new(self) -> bool {
        matches!(self, Self::Look | Self::Change)
    }

    /// Refuses the operation unless it is permitted, or the session has created the file.
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

/// What the last component of a path refers to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Last {
    /// The target, if it is a link.
    Followed,
    /// The file or link itself.
    Itself,
}

impl Last {
    /// Returns this for a lookup: a path that must be a directory follows a link.
    pub(super) fn of(path: &VPath, follow: bool) -> Self {
        if follow || path.names_directory() {
            Self::Followed
        } else {
            Self::Itself
        }
    }
}

/// The permissions on an open file, cached until the account changes.
#[derive(Debug, Clone, Copy)]
pub(super) struct Pass {
    pub(super) granted: Granted,
    pub(super) generation: u32,
}

impl Pass {
    /// No permissions.
    #[cfg(test)]
    pub(super) const NOTHING: Self = Self {
        granted: Granted::NOTHING,
        generation: 0,
    };
}

/// The location of an operation.
pub(super) struct Location<'a> {
    pub(super) path: Cow<'a, VPath>,
    pub(super) store: &'a dyn Store,
    pub(super) pass: Pass,
    pub(super) last: Last,
    /// One set of permissions holds in the whole home.
    pub(super) is_everywhere: bool,
    /// A directory with its own permissions is here or below.
    pub(super) is_held: bool,
}

impl Location<'_> {
    /// Refuses the operation unless it is permitted here.
    pub(super) fn check(&self, operation: Operation) -> Result<(), Error> {
        operation.check(self.pass.granted, || false)
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

    /// Refuses to move it if a rule is bound to its name, whether or not a directory exists there: nothing
    /// is moved away from it, and no link or moved directory takes its place.
    pub(super) fn check_movable(&self) -> Result<(), Error> {
        if self.is_held {
            return Err(Error::NotAllowed(Denied::HasOwnRules));
        }
        Ok(())
    }

    /// Returns whether both have the same permissions.
    pub(super) fn is_alike(&self, other: &Location<'_>) -> bool {
        self.pass.granted == other.pass.granted
    }
}
