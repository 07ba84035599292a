//! The engine: carries out one request after another with the operations of `vfs`, and encodes the replies.
//! Synchronous: it runs on the blocking pool, except for the requests in `now`.

mod check_file;
mod later;
mod now;
mod requests;
mod session;
mod unfinished;

pub use self::requests::MAX_DATA;
pub use self::session::Engine;
