//! What the operator's commands do. Account commands work on the database directly, whether or not
//! a server is running.

pub mod first_run;
mod input;
mod output;
mod remove_home;
pub mod user;

pub use self::output::print;
