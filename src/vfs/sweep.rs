//! Removes temporary files that a crash left behind during safe overwrites, without a session.

use std::sync::Arc;

use super::names::{last_name, name_is_gone};
use crate::error::Error;
use crate::quota::Ledger;
use crate::store::{Kind, Metadata, Store};
use crate::values::path::VPath;

/// Returns whether this is a regular file that was last written before a time, in seconds since 1970.
pub fn is_stale(metadata: &Metadata, before: i64) -> bool {
    metadata.kind() == Kind::File && metadata.mtime < before
}

/// Removes a name from [`Store::leftovers`] if its file [is stale](is_stale) and no session has it open.
/// Returns its size; `None` if it stays.
pub fn sweep(
    store: &dyn Store,
    ledger: &Arc<Ledger>,
    path: &VPath,
    before: i64,
) -> Result<Option<u64>, Error> {
    let change = ledger.begin();
    let _names = change.names();
    let found = store.metadata(path, false)?;
    if !is_stale(&found, before) || ledger.is_open(found.inode) {
        return Ok(None);
    }
    let last = last_name(ledger, || store.metadata(path, false))?;
    store.remove_file(path)?;
    name_is_gone(&change, last);
    Ok(Some(found.size))
}
