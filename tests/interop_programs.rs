//! Debian's clients as programs: rclone, lftp, curl, psftp and sshfs; each byte for byte.

#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

mod common;

use std::fs;
use std::path::Path;
use std::process::Command;

use common::files::{assert_same, random_tree, tree_of};
use common::programs::{Mount, curl, lftp, psftp, rclone};
use common::{MIB, STEP, TRANSFER, TestServer, have, random_file, run_ok};

/// A file of the client's with random bytes.
fn local_file(server: &TestServer, name: &str, length: u64) -> std::path::PathBuf {
    let path = server.local(name);
    random_file(&path, length, length);
    path
}

/// The first `length` bytes of a file, as a cut transfer leaves them.
fn cut(from: &Path, to: &Path, length: usize) {
    let whole = fs::read(from).unwrap();
    fs::write(to, &whole[..length]).unwrap();
}

// ---- rclone

#[test]
fn rclone_copies_syncs_checks_moves_and_tells_the_space() {
    if !have(&["rclone"]) {
        return;
    }
    let server = TestServer::start();
    let rclone = |args: &[&str]| run_ok(&mut rclone(&server, args), TRANSFER);
    random_tree(&server.local("tree"), 1);
    rclone(&["copy", "--create-empty-src-dirs", "tree", "there:tree"]);
    assert_eq!(
        tree_of(&server.at_home("tree")),
        tree_of(&server.local("tree"))
    );
    rclone(&["check", "--download", "tree", "there:tree"]);
    rclone(&["copy", "--create-empty-src-dirs", "there:tree", "back"]);
    assert_eq!(
        tree_of(&server.local("back")),
        tree_of(&server.local("tree"))
    );

    // A sync removes what is gone, and copies nothing that is there: times were kept.
    let name = tree_of(&server.local("tree"))
        .into_iter()
        .find(|(_, sum)| sum != "/")
        .unwrap()
        .0;
    fs::remove_file(server.local("tree").join(&name)).unwrap();
    let said = rclone(&["sync", "-v", "tree", "there:tree"]).err();
    assert!(!said.contains("Copied"), "{said}");
    assert_eq!(
        tree_of(&server.at_home("tree")),
        tree_of(&server.local("tree"))
    );

    random_file(&server.local("one"), 1000, 2);
    rclone(&["copyto", "one", "there:one"]);
    rclone(&["moveto", "there:one", "there:folder/two"]);
    assert!(!server.at_home("one").exists());
    assert_same(&server.local("one"), &server.at_home("folder/two"));
    assert!(
        rclone(&["lsl", "there:folder"]).out().contains("1000"),
        "lsl"
    );
    assert!(
        rclone(&["about", "there:"]).out().contains("Free:"),
        "about"
    );
    rclone(&["mkdir", "there:empty"]);
    rclone(&["rmdir", "there:empty"]);
    rclone(&["purge", "there:tree"]);
    assert!(!server.at_home("tree").exists());
}

// ---- lftp

#[test]
fn lftp_puts_gets_resumes_mirrors_and_renames() {
    if !have(&["lftp"]) {
        return;
    }
    let server = TestServer::start();
    let lftp = |script: &str| run_ok(&mut lftp(&server, script), TRANSFER);
    let file = local_file(&server, "file", 5 * MIB as u64 + 7);
    lftp("put file; get file -o back");
    assert_same(&file, &server.at_home("file"));
    assert_same(&file, &server.local("back"));
    for length in [1, 32 * 1024 + 1, 4 * MIB] {
        cut(&file, &server.at_home("file"), length);
        lftp("put -c file");
        assert_same(&file, &server.at_home("file"));
        cut(&file, &server.local("back"), length);
        lftp("get -c file -o back");
        assert_same(&file, &server.local("back"));
    }
    lftp("pget -n 4 file -o parallel");
    assert_same(&file, &server.local("parallel"));

    random_tree(&server.local("tree"), 2);
    lftp("mirror -R tree tree; mirror tree mirrored");
    assert_eq!(
        tree_of(&server.at_home("tree")),
        tree_of(&server.local("tree"))
    );
    assert_eq!(
        tree_of(&server.local("mirrored")),
        tree_of(&server.local("tree"))
    );
    assert!(lftp("cls -l").out().contains("file"));
    lftp("mv file renamed; mkdir d; mv renamed d/; rm -r tree; chmod 600 d/renamed");
    assert_same(&file, &server.at_home("d/renamed"));
    assert!(!server.at_home("tree").exists());
}

// ---- curl

#[test]
fn curl_uploads_downloads_resumes_appends_and_lists() {
    if !have(&["curl"]) {
        return;
    }
    let server = TestServer::start();
    let curl = |path: &str, args: &[&str]| run_ok(&mut curl(&server, path, args), TRANSFER);
    let file = local_file(&server, "file", 3 * MIB as u64 + 1);
    curl("/new/deep/file", &["--ftp-create-dirs", "-T", "file"]);
    assert_same(&file, &server.at_home("new/deep/file"));
    curl("/new/deep/file", &["-o", "back"]);
    assert_same(&file, &server.local("back"));
    for length in [1, 30_001, 2 * MIB] {
        cut(&file, &server.at_home("new/deep/file"), length);
        curl("/new/deep/file", &["-C", "-", "-T", "file"]);
        assert_same(&file, &server.at_home("new/deep/file"));
        cut(&file, &server.local("back"), length);
        curl("/new/deep/file", &["-C", "-", "-o", "back"]);
        assert_same(&file, &server.local("back"));
    }
    fs::write(server.at_home("log"), "one\n").unwrap();
    fs::write(server.local("two"), "two\n").unwrap();
    curl("/log", &["--append", "-T", "two"]);
    assert_eq!(
        fs::read_to_string(server.at_home("log")).unwrap(),
        "one\ntwo\n"
    );
    let listing = curl(
        "/",
        &["-Q", "rename /log /renamed", "-Q", "chmod 600 /renamed"],
    )
    .out();
    assert!(
        listing.contains("renamed") && listing.contains("new"),
        "{listing}"
    );
    assert!(!server.at_home("log").exists());
}

// ---- PuTTY

#[test]
fn psftp_puts_gets_resumes_and_manages() {
    if !have(&["psftp"]) {
        return;
    }
    let server = TestServer::start();
    let psftp = |script: &str| run_ok(&mut psftp(&server, script), TRANSFER).out();
    let file = local_file(&server, "file", 5 * MIB as u64 + 9);
    psftp("put file\nget file back\n");
    assert_same(&file, &server.at_home("file"));
    assert_same(&file, &server.local("back"));
    cut(&file, &server.at_home("file"), MIB + 1);
    cut(&file, &server.local("back"), 2 * MIB - 1);
    psftp("reput file\nreget file back\n");
    assert_same(&file, &server.at_home("file"));
    assert_same(&file, &server.local("back"));
    let said = psftp("mkdir d\nmv file d/renamed\nchmod 600 d/renamed\nls d\nmkdir e\nrmdir e\n");
    assert!(
        said.contains("-rw-------") && said.contains("renamed"),
        "{said}"
    );
    assert_same(&file, &server.at_home("d/renamed"));
    random_tree(&server.local("tree"), 3);
    psftp("put -r tree\nget -r tree tree-back\n");
    assert_eq!(
        tree_of(&server.at_home("tree")),
        tree_of(&server.local("tree"))
    );
    assert_eq!(
        tree_of(&server.local("tree-back")),
        tree_of(&server.local("tree"))
    );
}

// ---- sshfs

#[test]
fn sshfs_mounts_the_home_as_a_file_system() {
    let server = TestServer::start();
    let Some(mount) = Mount::sshfs(&server) else {
        return;
    };
    let point = mount.0.clone();

    random_tree(&server.local("tree"), 4);
    let mut copy = Command::new("cp");
    copy.args(["-r", "--preserve=mode,timestamps"])
        .arg(server.local("tree"))
        .arg(&point);
    run_ok(&mut copy, TRANSFER);
    assert_eq!(
        tree_of(&server.at_home("tree")),
        tree_of(&server.local("tree"))
    );
    assert_eq!(tree_of(&point.join("tree")), tree_of(&server.local("tree")));

    let file = local_file(&server, "file", 9 * MIB as u64 + 5);
    let mut dd = Command::new("dd");
    dd.arg(format!("if={}", file.display()))
        .arg(format!("of={}", point.join("dd").display()));
    run_ok(dd.args(["bs=65536", "conv=fsync"]), TRANSFER);
    assert_same(&file, &server.at_home("dd"));
    assert_same(&file, &point.join("dd"));

    fs::write(point.join("log"), "one\n").unwrap();
    let mut log = fs::OpenOptions::new()
        .append(true)
        .open(point.join("log"))
        .unwrap();
    std::io::Write::write_all(&mut log, b"two\n").unwrap();
    drop(log);
    assert_eq!(
        fs::read_to_string(server.at_home("log")).unwrap(),
        "one\ntwo\n"
    );
    fs::OpenOptions::new()
        .write(true)
        .open(point.join("log"))
        .unwrap()
        .set_len(2)
        .unwrap();
    assert_eq!(fs::read_to_string(server.at_home("log")).unwrap(), "on");
    fs::rename(point.join("log"), point.join("dd")).unwrap();
    assert_eq!(fs::read_to_string(server.at_home("dd")).unwrap(), "on");
    std::os::unix::fs::symlink("dd", point.join("link")).unwrap();
    assert_eq!(fs::read_to_string(point.join("link")).unwrap(), "on");
    fs::hard_link(point.join("dd"), point.join("hard")).unwrap();
    assert_eq!(fs::read_to_string(server.at_home("hard")).unwrap(), "on");
    let df = run_ok(Command::new("df").arg(&point), STEP).out();
    assert!(df.lines().count() == 2 && !df.contains(" 0 "), "{df}");
    fs::remove_dir_all(point.join("tree")).unwrap();
    assert!(!server.at_home("tree").exists());
}
