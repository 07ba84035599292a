//! sshfs.

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};
use std::process::Command;
use std::time::{Duration, UNIX_EPOCH};

use crate::common::files::{assert_same, random_tree, tree_of};
use crate::common::programs::Mount;
use crate::common::{MIB, STEP, TRANSFER, TestServer, random_file, run_ok};

#[test]
fn it_mounts_the_home_as_a_file_system() {
    let server = TestServer::start();
    let Some(mount) = Mount::sshfs(&server) else {
        return;
    };
    random_tree(&server.local("tree"), 4);
    let mut copy = Command::new("cp");
    copy.args(["-r", "--preserve=mode,timestamps"])
        .arg(server.local("tree"))
        .arg(&mount.0);
    run_ok(&mut copy, TRANSFER);
    assert_eq!(
        tree_of(&server.at_home("tree")),
        tree_of(&server.local("tree"))
    );
    assert_eq!(tree_of(&mount.path("tree")), tree_of(&server.local("tree")));

    let file = server.local("file");
    random_file(&file, 9 * MIB as u64 + 5, 1);
    let mut dd = Command::new("dd");
    dd.arg(format!("if={}", file.display()))
        .arg(format!("of={}", mount.path("dd").display()));
    run_ok(dd.args(["bs=65536", "conv=fsync"]), TRANSFER);
    assert_same(&file, &server.at_home("dd"));
    assert_same(&file, &mount.path("dd"));

    fs::write(mount.path("log"), "one\n").unwrap();
    let appending = fs::OpenOptions::new().append(true).open(mount.path("log"));
    appending.unwrap().write_all(b"two\n").unwrap();
    assert_eq!(
        fs::read_to_string(server.at_home("log")).unwrap(),
        "one\ntwo\n"
    );
    let open = fs::OpenOptions::new().write(true).open(mount.path("log"));
    open.unwrap().set_len(2).unwrap();
    assert_eq!(fs::read_to_string(server.at_home("log")).unwrap(), "on");
    let df = run_ok(Command::new("df").arg(&mount.0), STEP).out();
    assert!(df.lines().count() == 2 && !df.contains(" 0 "), "{df}");
    fs::remove_dir_all(mount.path("tree")).unwrap();
    assert!(!server.at_home("tree").exists());
}

#[test]
fn names_links_permissions_and_times_are_those_of_a_file_system() {
    let server = TestServer::start();
    let Some(mount) = Mount::sshfs(&server) else {
        return;
    };
    fs::write(mount.path("a"), "first").unwrap();
    fs::write(mount.path("b"), "second").unwrap();
    // A rename replaces, as programs expect that save to a new file first.
    fs::rename(mount.path("a"), mount.path("b")).unwrap();
    assert_eq!(fs::read(server.at_home("b")).unwrap(), b"first");
    assert!(!server.at_home("a").exists());

    symlink("b", mount.path("link")).unwrap();
    let target = |path| fs::read_link(path).unwrap();
    assert_eq!(target(server.at_home("link")).to_str(), Some("b"));
    assert_eq!(target(mount.path("link")).to_str(), Some("b"));
    assert_eq!(fs::read(mount.path("link")).unwrap(), b"first");
    fs::hard_link(mount.path("b"), mount.path("hard")).unwrap();
    let inode = |name: &str| fs::metadata(server.at_home(name)).unwrap().ino();
    assert_eq!(inode("b"), inode("hard"));

    fs::set_permissions(mount.path("b"), fs::Permissions::from_mode(0o640)).unwrap();
    let file = fs::File::options()
        .write(true)
        .open(mount.path("b"))
        .unwrap();
    let then = UNIX_EPOCH + Duration::from_secs(1_000_000_000);
    file.set_times(fs::FileTimes::new().set_accessed(then).set_modified(then))
        .unwrap();
    drop(file);
    for path in [server.at_home("b"), mount.path("b")] {
        let found = fs::metadata(path).unwrap();
        assert_eq!(found.mode() & 0o7777, 0o640);
        assert_eq!(
            (found.atime(), found.mtime()),
            (1_000_000_000, 1_000_000_000)
        );
    }

    fs::create_dir_all(mount.path("d/e")).unwrap();
    fs::rename(mount.path("d"), mount.path("f")).unwrap();
    assert!(server.at_home("f/e").is_dir());
    assert!(fs::remove_dir(mount.path("f")).is_err());
    fs::remove_dir(mount.path("f/e")).unwrap();
    fs::remove_file(mount.path("link")).unwrap();
    assert!(server.at_home("b").exists() && !server.at_home("link").exists());
    assert!(fs::metadata(mount.path("missing")).is_err());
}
