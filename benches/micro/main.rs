//! The small steps of requests: `cargo bench --bench micro`, or with a word after `--` those whose names
//! contain it. The instructions of whole requests: `--bench instructions`.

#![allow(
    unreachable_pub, // Of what is shared with the tests.
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

use criterion::{criterion_group, criterion_main};

mod codec;
mod engine;
mod ledger;
#[path = "../requests/mod.rs"]
mod requests;
mod text;

criterion_group!(
    benches,
    codec::decode,
    codec::encode,
    text::paths,
    text::long_names,
    text::scp_lines,
    ledger::changes,
    ledger::open_inodes,
    engine::requests,
);
criterion_main!(benches);
