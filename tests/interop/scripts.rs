//! Clients that are libraries, each in a script of tests/clients: Python's paramiko and asyncssh,
//! libssh2 and libssh by Python, Node's ssh2; and FileZilla, whose program for SFTP is driven as
//! FileZilla drives it. tests/run installs them.

use std::ffi::OsStr;
use std::path::Path;
use std::process::Command;

use crate::common::missing::unpacked;
use crate::common::programs::ppk;
use crate::common::{PASSWORD, TRANSFER, TestServer, have, python, run_ok, skip};

/// A server whose account may use so much, and has used nothing.
fn with_quota(quota: &str) -> TestServer {
    let server = TestServer::start();
    let limit = ["user", "set", server.user(), "--quota", quota];
    server.admin(&limit, "").ok();
    server
}

/// Runs `script HOST PORT USER KEY FOLDER PASSWORD MORE...`.
fn exercise(server: &TestServer, interpreter: &Path, script: &str, more: &[&OsStr]) {
    let script = format!("{}/tests/clients/{script}", env!("CARGO_MANIFEST_DIR"));
    let mut client = Command::new(interpreter);
    client
        .arg(script)
        .args(["127.0.0.1", &server.port().to_string(), server.user()])
        .args([server.key(), server.path("client")])
        .arg(PASSWORD)
        .args(more);
    run_ok(&mut client, TRANSFER);
}

fn exercise_python(script: &str, quota: &str) {
    if let Some(python) = python() {
        exercise(&with_quota(quota), python, script, &[]);
    }
}

#[test]
fn paramiko_moves_resumes_renames_and_prefetches_a_whole_gibibyte() {
    exercise_python("paramiko_client.py", "2GiB");
}

#[test]
fn asyncssh_moves_trees_copies_on_the_server_and_knows_the_extensions() {
    exercise_python("asyncssh_client.py", "64MiB");
}

#[test]
fn libssh2_moves_resumes_and_is_told_of_the_quota_by_its_code() {
    exercise_python("libssh2_client.py", "8MiB");
}

#[test]
fn libssh_moves_and_makes_links_in_the_order_of_the_draft() {
    exercise_python("libssh_client.py", "8MiB");
}

#[test]
fn ssh2_of_node_streams_resumes_and_knows_the_extensions() {
    let installed = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/target/clients/node/node_modules/ssh2"
    );
    if !have(&["node"]) {
        return;
    }
    if !Path::new(installed).exists() {
        return skip("Node's ssh2 is not installed (tests/run does it)");
    }
    let server = with_quota("64MiB");
    exercise(&server, Path::new("node"), "ssh2_client.js", &[]);
}

#[test]
fn filezilla_moves_resumes_lists_and_manages() {
    let Some(fzsftp) = unpacked("filezilla", "fzsftp") else {
        return;
    };
    if !have(&["python3", "puttygen"]) {
        return;
    }
    let server = with_quota("32MiB");
    let key = ppk(&server);
    let more = [fzsftp.as_ref(), key.as_ref()];
    exercise(&server, Path::new("python3"), "filezilla_client.py", &more);
}
