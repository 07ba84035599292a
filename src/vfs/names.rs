//! What becomes of the figures when a name goes.

use std::sync::Arc;

use crate::error::Error;
use crate::quota::{Change, Ledger, Tracked, Usage};
use crate::store::{Kind, Metadata};

/// If a name is the last one of a file: the file, tracked like an open one. `look` tells what has the
/// name. The caller holds the names, so that nobody opens it any more.
pub(super) fn last_name(
    ledger: &Arc<Ledger>,
    look: impl Fn() -> Result<Metadata, Error>,
) -> Result<Option<Tracked>, Error> {
    let found = look()?;
    if found.kind() != Kind::File || found.links > 1 {
        return Ok(None);
    }
    let tracked = ledger.track(found.inode);
    // Looked at anew: whoever had it open until now may have written to it.
    tracked.hold_size(|| Ok(look()?.size))?;
    Ok(Some(tracked))
}

/// A file that is still open keeps its bytes until it is closed, when `last` is dropped by its last
/// holder.
pub(super) fn name_is_gone(change: &Change<'_>, last: Option<Tracked>) {
    match last {
        Some(file) => file.lost_its_name(),
        None => change.release(Usage::files(1)),
    }
}
