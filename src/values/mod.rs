//! Values that peers, operators and files write as text: paths, sizes, durations, times, names of accounts.

pub mod error_chain;
pub mod label;
pub mod path;
pub mod time;
pub mod units;
pub mod user_name;
