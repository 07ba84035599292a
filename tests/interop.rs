//! The clients that people have, each with what it can do: files, folders, names, times, links,
//! space, hashes, resume. What each sends is in docs/clients.md.

#![allow(
    missing_docs,
    unreachable_pub,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

mod common;

#[path = "interop/curl.rs"]
mod curl;
#[path = "interop/jsch.rs"]
mod jsch;
#[path = "interop/lftp.rs"]
mod lftp;
#[path = "interop/putty.rs"]
mod putty;
#[path = "interop/rclone.rs"]
mod rclone;
#[path = "interop/scripts.rs"]
mod scripts;
#[path = "interop/sshfs.rs"]
mod sshfs;
