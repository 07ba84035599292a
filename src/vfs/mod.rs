//! The operations that sftp, scp and exec share: each checks permissions and quota, acts on the store, and
//! records the outcome. This room is the only way to a home.
//!
//! All operations may block and run on the blocking pool, except for those whose names end in `_now`.

mod access;
pub mod authorized_keys;
mod by_path;
mod canonical;
mod copy;
mod file;
mod finished_transfers;
mod gap;
mod hash;
mod hashing;
mod history;
mod home;
mod names;
mod now;
mod open;
mod open_file;
mod reach;
mod record;
mod replace;
mod space;
mod sweep;
mod unrecorded;

pub use self::copy::{Copying, CopyingFile};
pub use self::hashing::{Hashing, HashingFile, Part};
pub use self::home::Vfs;
pub use self::open_file::{OpenDirectory, OpenFile};
pub use self::space::Room;
pub use self::sweep::{is_stale, sweep};
