//! Tests that measure time, and want the machine for themselves.

#![allow(
    missing_docs,
    unreachable_pub,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

mod bandwidth;
#[allow(dead_code, unused_imports)]
mod common;
#[allow(dead_code)]
mod disks;
mod fair_share;
mod hashing_timing;
mod held_back;
mod login_timing;
mod near;
mod stuck_timing;
