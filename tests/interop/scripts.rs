//! Clients that are libraries, each in a script or program of tests/clients: Python's paramiko, asyncssh and
//! fsspec, libssh2 and libssh by Python, Node's ssh2 and what is built on it, phpseclib, Go's pkg/sftp, JSch, sshj,
//! MINA and Commons VFS; and FileZilla, whose program for SFTP is driven as FileZilla drives it. tests/setup
//! installs them.

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::common::missing::unpacked;
use crate::common::programs::ppk;
use crate::common::{PASSWORD, TRANSFER, TestServer, have, python, run_ok, skip};

/// A server with this quota and an empty home.
fn with_quota(quota: &str) -> TestServer {
    let server = TestServer::start();
    let limit = ["user", "set", server.user(), "--quota", quota];
    server.admin(&limit, "").ok();
    server
}

/// `HOST PORT USER KEY FOLDER PASSWORD`
fn arguments(server: &TestServer) -> [OsString; 6] {
    [
        "127.0.0.1".into(),
        server.port().to_string().into(),
        server.user().into(),
        server.key().into(),
        server.path("client").into(),
        PASSWORD.into(),
    ]
}

/// Runs `script HOST PORT USER KEY FOLDER PASSWORD MORE...`.
fn exercise(server: &TestServer, interpreter: &Path, script: &str, more: &[&OsStr]) {
    let script = format!("{}/tests/clients/{script}", env!("CARGO_MANIFEST_DIR"));
    let mut client = Command::new(interpreter);
    run_ok(
        client.arg(script).args(arguments(server)).args(more),
        TRANSFER,
    );
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

/// Returns a file of target/clients, which tests/setup creates; without it, skips as [`skip`] does.
fn installed(path: &str) -> Option<PathBuf> {
    let clients = concat!(env!("CARGO_MANIFEST_DIR"), "/target/clients");
    let found = Some(Path::new(clients).join(path)).filter(|file| file.exists());
    if found.is_none() {
        skip(&format!(
            "target/clients/{path} is missing (tests/setup makes it)"
        ));
    }
    found
}

#[test]
fn fsspec_moves_finds_and_shows_the_quota() {
    exercise_python("fsspec_client.py", "8MiB");
}

#[test]
fn ssh2_of_node_streams_resumes_and_knows_the_extensions() {
    if have(&["node"]) && installed("node/node_modules/ssh2").is_some() {
        let server = with_quota("64MiB");
        exercise(&server, Path::new("node"), "ssh2_client.js", &[]);
    }
}

#[test]
fn ssh2_sftp_client_and_node_ssh_move_trees_and_show_the_quota() {
    if have(&["node"]) && installed("node/node_modules/node-ssh").is_some() {
        let server = with_quota("8MiB");
        exercise(&server, Path::new("node"), "node_wrappers.js", &[]);
    }
}

#[test]
fn phpseclib_moves_resumes_links_and_shows_the_quota() {
    if !have(&["php"]) {
        return;
    }
    if !Path::new("/usr/share/php/phpseclib3/autoload.php").exists() {
        return skip("phpseclib 3 is not installed (tests/setup does it)");
    }
    exercise(
        &with_quota("4MiB"),
        Path::new("php"),
        "phpseclib_client.php",
        &[],
    );
}

#[test]
fn pkg_sftp_of_go_moves_resumes_renames_and_makes_links() {
    if let Some(client) = installed("go/client") {
        let server = with_quota("8MiB");
        run_ok(Command::new(client).args(arguments(&server)), TRANSFER);
    }
}

/// Runs a source of tests/clients/java, compiled in memory, with a quota of 8 MiB.
fn exercise_java(source: &str) {
    // The list of the libraries is copied there last, when all exist.
    let Some(list) = have(&["java"]).then(|| installed("java/pom.xml")).flatten() else {
        return;
    };
    let mut client = Command::new("java");
    // A client runs for a second or two: optimizing takes longer than it saves.
    client.args(["-XX:TieredStopAtLevel=1", "-cp"]);
    client.arg(list.with_file_name("*"));
    client.arg(format!(
        "{}/tests/clients/java/{source}",
        env!("CARGO_MANIFEST_DIR")
    ));
    let server = with_quota("8MiB");
    run_ok(client.args(arguments(&server)), TRANSFER);
}

#[test]
fn jsch_moves_resumes_appends_and_makes_links() {
    exercise_java("Jsch.java");
}

#[test]
fn sshj_moves_resumes_renames_and_makes_links() {
    exercise_java("Sshj.java");
}

#[test]
fn mina_moves_resumes_and_is_a_file_system_on_its_own_channels() {
    exercise_java("Mina.java");
}

#[test]
fn commons_vfs_moves_appends_and_lists() {
    exercise_java("Vfs.java");
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
