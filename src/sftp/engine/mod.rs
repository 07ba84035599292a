//! The engine: carries out one request after the other on the verbs of the vfs, and encodes the
//! replies. Synchronous: it runs on the blocking pool, but for what `now` has.

mod check_file;
mod later;
mod now;
mod requests;
mod session;
mod unfinished;

pub use self::requests::MAX_DATA;
pub use self::session::Engine;
