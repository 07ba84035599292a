//! The change of usage when a name is removed.

use std::sync::Arc;

use crate::error::Error;
use crate::quota::{Change, Ledger, Tracked, Usage};
use crate::store::{Kind, Metadata};

/// What is released with a removed name.
pub(super) enum LastName {
    /// It is the last name of a file, which is tracked like an open one: it counts until its last handle is
    /// closed.
    File(Tracked),
    /// Usage that is released immediately.
    Use(Usage),
}

/// Returns what is released with a name. `look` returns its attributes. The caller holds the lock of names,
/// so that nobody can open it meanwhile.
pub(super) fn last_name(
    ledger: &Arc<Ledger>,
    look: impl Fn() -> Result<Metadata, Error>,
) -> Result<LastName, Error> {
    let found = look()?;
    let name = Usage::files(1);
    Ok(match found.kind() {
        _ if found.links > 1 => LastName::Use(name),
        Kind::File => {
            let tracked = ledger.track(found.inode);
            // Read again: a handle that was open until now may have written to it.
            tracked.hold_size(|| Ok(look()?.size))?;
            LastName::File(tracked)
        }
        Kind::Symlink => LastName::Use(of_link(found.size)),
        Kind::Directory | Kind::Other => LastName::Use(name),
    })
}

/// Returns the usage of a symbolic link with a target of this length.
pub(super) fn of_link(length: u64) -> Usage {
    Usage {
        bytes: length,
        files: 1,
    }
}

/// Settles the usage of a removed name. An open file counts its bytes until it is closed and the last
/// holder drops `last`.
pub(super) fn name_is_gone(change: &Change<'_>, last: LastName) {
    match last {
        LastName::File(file) => file.lost_its_name(),
        LastName::Use(gone) => change.release(gone),
    }
}
