//! Usage and quota of an account, exact at every moment.
//!
//! Usage consists of bytes and files. Bytes are the apparent sizes of regular files and the lengths of symbolic
//! links' targets; each inode counts once, whatever the number of its names, until its last name is removed and
//! its last handle is closed. Files are the names below the home (file, directory or link); an open inode
//! without a name counts as one.
//!
//! Growth is reserved before it happens and settled after it: [`Ledger::begin`], then [`Change::reserve`], then
//! the operation, then [`Reservation::settle`]. Locks are taken in this order:
//! 1. `gate`: shared for a change; exclusive for a count of the home.
//! 2. `names`: exclusive to add, remove or replace a name; shared to open a file by its name until it is
//!    [tracked](Ledger::track).
//! 3. `open`: the table of open inodes.
//! 4. the size of an open inode: held while it is written or resized.
//! 5. `books`: the usage.

mod books;
mod deferred_close;
mod deferred_files;
mod inodes;
mod keeper;
mod ledger;
mod ledgers;
mod locks;
mod stored_usage;
#[cfg(test)]
mod tests;
mod tracked;
mod usage;

pub use self::deferred_close::Closer;
pub use self::deferred_files::{DEFERRED_AT_MOST, DeferredFile};
pub use self::keeper::{AccountHome, StoredUsage, distrust_all};
pub use self::ledger::{Change, Ledger, Reservation};
pub use self::ledgers::{CountHome, Ledgers, Member};
pub use self::stored_usage::{stored_usage_of, stored_usage_of_all};
pub use self::tracked::{HeldSize, Tracked};
pub use self::usage::{Limits, Usage};
