//! Tests that measure time, and run alone.

#![allow(
    missing_docs,
    unreachable_pub,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

mod bandwidth;
mod busy_poll;
#[allow(dead_code, unused_imports)]
mod common;
#[allow(dead_code)]
mod disks;
mod fair_share;
mod hashing_timing;
mod login_timing;
mod quickack;
mod stuck_timing;
