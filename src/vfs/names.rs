//! What becomes of the figures when a name goes.

use std::sync::Arc;

use crate::error::Error;
use crate::quota::{Change, Ledger, Tracked, Usage};
use crate::store::{Kind, Metadata};

/// What goes with a name that is taken away.
pub(super) enum LastName {
    /// It is the last name of a file, which is tracked like an open one: it counts until its last handle is
    /// closed.
    File(Tracked),
    /// What is given back at once.
    Use(Usage),
}

/// What goes with a name. `look` tells what has it. The caller holds the names, so that nobody opens it any
/// more.
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
            // Looked at anew: whoever had it open until now may have written to it.
            tracked.hold_size(|| Ok(look()?.size))?;
            LastName::File(tracked)
        }
        Kind::Symlink => LastName::Use(of_link(found.size)),
        Kind::Directory | Kind::Other => LastName::Use(name),
    })
}

/// What a symbolic link with a target of this length uses.
pub(super) fn of_link(length: u64) -> Usage {
    Usage {
        bytes: length,
        files: 1,
    }
}

/// A file that is still open keeps its bytes until it is closed, when `last` is dropped by its last
/// holder.
pub(super) fn name_is_gone(change: &Change<'_>, last: LastName) {
    match last {
        LastName::File(file) => file.lost_its_name(),
        LastName::Use(gone) => change.release(gone),
    }
}
