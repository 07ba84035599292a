//! Python's clients: paramiko and asyncssh, from the environment that tests/run makes.

#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

mod common;

use std::path::Path;
use std::process::Command;

use common::{TRANSFER, TestServer, run_ok, skip};

/// Made by tests/run.
const PYTHON: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/target/clients/bin/python");

fn exercise(script: &str) {
    if !Path::new(PYTHON).exists() {
        return skip("the Python clients are not installed (tests/run does it)");
    }
    let server = TestServer::start();
    let script = format!("{}/tests/clients/{script}", env!("CARGO_MANIFEST_DIR"));
    let mut client = Command::new(PYTHON);
    client
        .args([
            &script,
            "127.0.0.1",
            &server.port().to_string(),
            server.user(),
        ])
        .args([server.key(), server.path("client")]);
    run_ok(&mut client, TRANSFER);
}

#[test]
fn paramiko_moves_resumes_renames_and_prefetches_a_whole_gibibyte() {
    exercise("paramiko_client.py");
}

#[test]
fn asyncssh_moves_trees_copies_on_the_server_and_knows_the_extensions() {
    exercise("asyncssh_client.py");
}
