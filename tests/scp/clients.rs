//! Other clients of the protocol: PuTTY's pscp, curl (libssh2) and Python's asyncssh.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::process::Command;
use std::time::{Duration, UNIX_EPOCH};

use crate::common::files::{assert_same, random_tree, tree_of};
use crate::common::programs::curl_by;
use crate::common::{
    MIB, Output, PASSWORD, STEP, TRANSFER, TestServer, USER, against_openssh, have, python,
    random_file, run, run_ok,
};
use crate::quota::scene::{LIMIT, Scene};

/// `pscp -scp ARGS...`; arguments with a colon at the start are paths on the server.
fn pscp(server: &TestServer, args: &[&str]) -> Output {
    let mut keygen = Command::new("ssh-keygen");
    keygen
        .arg("-lf")
        .arg(server.path("keys/ssh_host_ed25519_key.pub"));
    let said = run_ok(&mut keygen, STEP).out();
    let fingerprint = said.split_whitespace().nth(1).unwrap();
    let mut command = Command::new("pscp");
    command
        .args(["-scp", "-batch", "-hostkey", fingerprint, "-pw", PASSWORD])
        .args(["-P", &server.port().to_string()])
        .env("HOME", server.path("client"))
        .current_dir(server.path("client"));
    for arg in args {
        match arg.strip_prefix(':') {
            Some(path) => command.arg(format!("{USER}@127.0.0.1:{path}")),
            None => command.arg(arg),
        };
    }
    run(&mut command, TRANSFER)
}

fn keep_time(path: &std::path::Path) {
    let then = UNIX_EPOCH + Duration::from_secs(1_234_567_890);
    fs::File::open(path).unwrap().set_modified(then).unwrap();
}

#[test]
fn pscp_moves_files_and_trees_and_shows_what_is_wrong() {
    if !have(&["pscp"]) || against_openssh() {
        return;
    }
    let server = TestServer::start();
    random_file(&server.local("file"), 5 * MIB as u64 + 9, 1);
    keep_time(&server.local("file"));
    pscp(&server, &["-p", "file", ":'it is here'"]).ok();
    assert_same(&server.local("file"), &server.at_home("it is here"));
    pscp(&server, &["-p", ":'it is here'", "back"]).ok();
    assert_same(&server.local("file"), &server.local("back"));
    for path in [server.at_home("it is here"), server.local("back")] {
        assert_eq!(fs::metadata(path).unwrap().mtime(), 1_234_567_890);
    }
    random_tree(&server.local("tree"), 2);
    pscp(&server, &["-r", "tree", ":new"]).ok();
    assert_eq!(
        tree_of(&server.at_home("new")),
        tree_of(&server.local("tree"))
    );
    pscp(&server, &["-r", ":new", "tree-back"]).ok();
    assert_eq!(
        tree_of(&server.local("tree-back")),
        tree_of(&server.local("tree"))
    );

    let said = pscp(&server, &[":missing", "back"]).failed();
    let all = said.out() + &said.err();
    assert!(
        all.contains("scp: missing: No such file or directory"),
        "{}",
        said.describe()
    );
    fs::create_dir(server.at_home("file")).unwrap();
    random_file(&server.local("other"), 100, 3);
    let said = pscp(&server, &["file", "other", ":."]).failed();
    let all = said.out() + &said.err();
    assert!(
        all.contains("scp: ./file: Is a directory"),
        "{}",
        said.describe()
    );
    assert_same(&server.local("other"), &server.at_home("other"));
}

/// `curl scp://...`
fn curl(server: &TestServer, path: &str, args: &[&str]) -> Output {
    run(&mut curl_by(server, "scp", path, args), TRANSFER)
}

#[test]
fn curl_uploads_and_downloads_and_is_told_what_is_wrong() {
    if !have(&["curl"]) || against_openssh() {
        return;
    }
    let scene = Scene::with(8 << 20, 100);
    let server = &scene.server;
    fs::create_dir(server.at_home("a b")).unwrap();
    for size in [0, 1, 32_768, 3 * MIB as u64 + 1] {
        random_file(&server.local("file"), size, size);
        curl(server, "/a%20b/it's", &["-T", "file"]).ok();
        // It exits before the server has confirmed the upload.
        crate::common::wait_until("it is all there", STEP, || {
            fs::metadata(server.at_home("a b/it's")).is_ok_and(|found| found.len() == size)
        });
        assert_same(&server.local("file"), &server.at_home("a b/it's"));
        if size > 0 {
            curl(server, "/a%20b/it's", &["-o", "back"]).ok();
            assert_same(&server.local("file"), &server.local("back"));
        }
    }
    let said = curl(server, "/missing", &["-o", "back"]).failed();
    // "The resource referenced in the URL does not exist."
    assert_eq!(said.status.code(), Some(78), "{}", said.describe());
    random_file(&server.local("file"), 9 << 20, 1);
    let said = curl(server, "/big", &["-T", "file"]).failed();
    // "Failed starting the upload", without a reason.
    assert_eq!(said.status.code(), Some(25), "{}", said.describe());
    assert!(!server.at_home("big").exists());
    scene.assert_exact_soon(&mut scene.log_in());
}

#[test]
fn asyncssh_moves_trees_both_ways() {
    let Some(python) = python() else { return };
    if against_openssh() {
        return;
    }
    let scene = Scene::with(4 * LIMIT, 1000);
    let server = &scene.server;
    random_tree(&server.local("tree"), 5);
    let script = server.local("tree/sub/file-1.bin");
    fs::set_permissions(&script, fs::Permissions::from_mode(0o751)).unwrap();
    keep_time(&script);
    random_file(&server.local("big"), 5 * LIMIT, 6);
    let mut client = Command::new(python);
    client
        .arg(concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/tests/clients/asyncssh_scp.py"
        ))
        .args(["127.0.0.1", &server.port().to_string(), server.user()])
        .args([server.key(), server.path("client")]);
    run_ok(&mut client, TRANSFER);
    for copy in [server.at_home("there"), server.local("back")] {
        assert_eq!(tree_of(&copy), tree_of(&server.local("tree")));
        let found = fs::metadata(copy.join("sub/file-1.bin")).unwrap();
        assert_eq!(
            (found.mode() & 0o7777, found.mtime()),
            (0o751, 1_234_567_890)
        );
    }
    scene.assert_exact_soon(&mut scene.log_in());
}
