//! Python's clients: paramiko and asyncssh, from the environment that tests/run makes.

#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

mod common;

use std::process::Command;

use common::{TRANSFER, TestServer, python, run_ok};

fn exercise(script: &str) {
    let Some(python) = python() else { return };
    let server = TestServer::start();
    let script = format!("{}/tests/clients/{script}", env!("CARGO_MANIFEST_DIR"));
    let mut client = Command::new(python);
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
