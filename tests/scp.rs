//! scp's older protocol: real clients, and any lines. With TESTS_AGAINST=openssh the same tests run
//! against OpenSSH's own scp, but for those of what only Landfall has.

#![allow(
    missing_docs,
    unreachable_pub,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

mod common;

#[path = "scp/clients.rs"]
mod clients;
#[path = "scp/lines.rs"]
mod lines;
#[path = "scp/links.rs"]
mod links;
#[path = "scp/load.rs"]
mod load;
#[path = "scp/openssh.rs"]
mod openssh;
#[path = "scp/quota.rs"]
mod quota;
#[path = "scp/raw.rs"]
mod raw;
#[path = "quota/scene.rs"]
#[allow(dead_code)]
mod scene;
