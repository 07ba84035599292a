//! What an account uses and may use, exact at every instant.
//!
//! Counted are the apparent sizes of regular files and the lengths of the targets of symbolic links, each
//! inode once however many names it has, until its last name is gone and its last handle is closed; and
//! every name below the home (file, directory or link), an inode that is open without a name counting as
//! one.
//!
//! Growth is reserved before it happens and settled after it: [`Ledger::begin`], then
//! [`Change::reserve`], then the verb, then [`Reservation::settle`]. The locks, in the order in
//! which they are taken:
//! 1. `gate`: every change holds it shared; a count of the home holds it alone.
//! 2. `names`: whoever adds, takes or replaces a name holds it alone; whoever opens a file by its
//!    name holds it shared until the file is [tracked](Ledger::track).
//! 3. `open`: the table of open inodes.
//! 4. the size of an open inode: held while it is written or resized.
//! 5. `books`: the figures.

mod books;
mod deferred_close;
mod figures;
mod inodes;
mod keeper;
mod ledger;
mod ledgers;
mod locks;
mod spent_files;
#[cfg(test)]
mod tests;
mod tracked;
mod usage;

pub use self::deferred_close::Closer;
pub use self::figures::{figures_of, figures_of_all};
pub use self::keeper::{AccountHome, StoredUsage, distrust_all};
pub use self::ledger::{Change, Ledger, Reservation};
pub use self::ledgers::{CountHome, Ledgers, Member};
pub use self::spent_files::{SPENT_AT_MOST, Spent};
pub use self::tracked::{HeldSize, Tracked};
pub use self::usage::{Limits, Usage};
