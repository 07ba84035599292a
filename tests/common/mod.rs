//! The common part of black-box tests: a real server, real clients as programs, and deadlines.

pub mod ahead;
pub mod busy;
pub mod command;
pub mod connection;
pub mod database;
pub mod files;
pub mod flood;
pub mod held;
pub mod metrics;
pub mod missing;
pub mod operator;
pub mod process;
pub mod programs;
pub mod raw;
pub mod server;
pub mod session;
pub mod wire;

pub use command::{Output, Running, run, run_ok};
pub use files::{bytes_of, random_file, random_name, sha256_of, wait_until};
pub use missing::{have, python, skip};
pub use server::{HOST, PASSWORD, TestServer, USER, against_openssh};

use std::time::Duration;

/// Enough for a small step on a busy machine, and far too little for a hang.
pub const STEP: Duration = Duration::from_secs(60);
/// Enough for hundreds of megabytes in a debug build on a busy machine.
pub const TRANSFER: Duration = Duration::from_secs(300);

/// Kibibytes and mebibytes, in bytes.
pub const KIB: usize = 1024;
pub const MIB: usize = 1024 * KIB;
