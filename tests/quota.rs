//! Quotas, seen from outside: each way to grow, shrink and share, at the limit and beyond, with the
//! disk beside what the server says.

#![allow(
    missing_docs,
    unreachable_pub,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

mod common;

#[path = "quota/clients.rs"]
mod clients;
#[path = "disks/faulty.rs"]
mod faulty;
#[path = "quota/faulty_disk.rs"]
mod faulty_disk;
#[path = "quota/full_disk.rs"]
mod full_disk;
#[path = "quota/growth.rs"]
mod growth;
#[path = "quota/load.rs"]
#[allow(dead_code)]
mod load;
#[path = "quota/messages.rs"]
mod messages;
#[path = "quota/names.rs"]
mod names;
#[path = "quota/operator.rs"]
mod operator;
#[path = "quota/scene.rs"]
#[allow(dead_code)]
mod scene;
#[path = "quota/sessions.rs"]
mod sessions;
#[path = "disks/small.rs"]
mod small_disk;
