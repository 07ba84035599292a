//! OpenSSH's sftp and scp. With TESTS_AGAINST=openssh the same tests run against OpenSSH's server.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;

use crate::common::files::{assert_same, random_tree, tree_of};
use crate::common::{HOST, KIB, MIB, STEP, TRANSFER, TestServer, random_file, run, run_ok};

/// Runs sftp commands, which must all succeed; returns the output.
fn sftp(server: &TestServer, lines: &str) -> String {
    run_ok(&mut server.sftp_batch(&[], lines), TRANSFER).out()
}

#[test]
fn files_and_folders_are_made_moved_listed_and_removed() {
    let server = TestServer::start();
    random_file(&server.local("file"), 100_000, 1);
    let said = sftp(
        &server,
        "pwd\nmkdir folder\ncd folder\npwd\nput file\nls -l\nln file hard\nln -s file link\n\
         rename file renamed\nchmod 640 renamed\nls -la\nget renamed back\ndf -h\n",
    );
    assert!(said.contains("/folder"), "{said}");
    assert!(said.contains("-rw-r-----"), "{said}");
    assert!(said.contains("%Capacity"), "{said}");
    assert_same(&server.local("file"), &server.local("back"));
    let folder = server.at_home("folder");
    assert_same(&server.local("file"), &folder.join("renamed"));
    assert_same(&server.local("file"), &folder.join("hard"));
    assert_eq!(
        fs::metadata(folder.join("renamed")).unwrap().mode() & 0o7777,
        0o640
    );
    assert_eq!(
        fs::read_link(folder.join("link")).unwrap(),
        OsStr::new("file")
    );
    sftp(&server, "rm folder/*\nrmdir folder\n");
    assert!(!folder.exists());
}

#[test]
fn renames_replace_unless_they_must_not_and_links_are_read_and_removed() {
    let server = TestServer::start();
    for name in ["a", "b", "c"] {
        fs::write(server.local(name), name).unwrap();
    }
    // -f sends fsync after the last byte.
    sftp(&server, "put -f a\nput b\nput c\nrename a b\n");
    assert_eq!(fs::read(server.at_home("b")).unwrap(), b"a");
    assert!(!server.at_home("a").exists());
    // -l sends the draft's rename.
    run(&mut server.sftp_batch(&[], "rename -l b c\n"), STEP).failed();
    assert_eq!(fs::read(server.at_home("c")).unwrap(), b"c");
    sftp(&server, "rename -l b d\nln d hard\nsymlink d link\n");
    let inode = |name: &str| fs::metadata(server.at_home(name)).unwrap().ino();
    assert_eq!(inode("d"), inode("hard"));
    assert_eq!(
        fs::read_link(server.at_home("link")).unwrap(),
        OsStr::new("d")
    );
    // A read follows the link; a removal removes the link.
    let said = sftp(&server, "get link back\nls -l\nrm link\n");
    assert_eq!(fs::read(server.local("back")).unwrap(), b"a");
    assert!(said.contains("lrwxrwxrwx"), "{said}");
    assert!(server.at_home("d").exists() && !server.at_home("link").exists());
}

#[test]
fn owners_stay_and_permissions_change_but_not_those_of_links() {
    let server = TestServer::start();
    fs::write(server.at_home("f"), "f").unwrap();
    let owner = fs::metadata(server.at_home("f")).unwrap();
    let (uid, gid) = (owner.uid(), owner.gid());
    let lines = format!("chmod 604 f\nchown {uid} f\nchgrp {gid} f\nls -ln f\n");
    let said = sftp(&server, &lines);
    assert!(said.contains("-rw----r--"), "{said}");
    let found = fs::metadata(server.at_home("f")).unwrap();
    assert_eq!(
        (found.mode() & 0o7777, found.uid(), found.gid()),
        (0o604, uid, gid)
    );
    // -h applies to the link itself, which has no permissions to change.
    std::os::unix::fs::symlink("f", server.at_home("link")).unwrap();
    run(&mut server.sftp_batch(&[], "chmod -h 600 link\n"), STEP).failed();
    if !server.is_reference() {
        sftp(&server, &format!("chmod -h 606 f\nchown -h {uid} link\n"));
        let mode = fs::metadata(server.at_home("f")).unwrap().mode();
        assert_eq!(mode & 0o777, 0o606);
    }
}

#[test]
fn scp_expands_a_tilde_by_asking_the_server() {
    let server = TestServer::start();
    if server.is_reference() {
        return; // It looks for the home outside of what it is locked into.
    }
    fs::create_dir(server.at_home("d")).unwrap();
    fs::write(server.at_home("d/f"), "content").unwrap();
    let mut scp = server.scp();
    scp.args(["-s", &format!("{HOST}:~/d/f"), "back"]);
    run_ok(&mut scp, STEP);
    assert_eq!(fs::read(server.local("back")).unwrap(), b"content");
    let mut scp = server.scp();
    scp.args(["-s", "back", &format!("{HOST}:~alice/d/g")]);
    run_ok(&mut scp, STEP);
    assert_eq!(fs::read(server.at_home("d/g")).unwrap(), b"content");
}

#[test]
fn what_cannot_be_is_refused_and_changes_nothing() {
    let server = TestServer::start();
    fs::write(server.at_home("a"), "a").unwrap();
    fs::create_dir_all(server.at_home("full/inner")).unwrap();
    for line in [
        "get missing",
        "rm full",
        "rmdir full",
        "rmdir a",
        "mkdir a",
        "cd missing",
        "ln -s x a",
        "chmod 600 missing",
        "put missing-here",
    ] {
        run(&mut server.sftp_batch(&[], line), STEP).failed();
    }
    let here = tree_of(server.home()).into_iter().map(|(name, _)| name);
    let here: Vec<_> = here.filter(|name| !name.starts_with('.')).collect();
    assert_eq!(here, ["a", "full", "full/inner"]);
}

#[test]
fn trees_keep_bytes_modes_and_times_both_ways() {
    let server = TestServer::start();
    random_tree(&server.local("tree"), 2);
    let some = tree_of(&server.local("tree"))
        .into_iter()
        .find(|(_, sum)| sum != "/")
        .unwrap()
        .0;
    let touched = server.local("tree").join(&some);
    fs::set_permissions(
        &touched,
        std::os::unix::fs::PermissionsExt::from_mode(0o604),
    )
    .unwrap();
    let then = std::time::UNIX_EPOCH + std::time::Duration::from_secs(1_234_567_890);
    fs::File::options()
        .write(true)
        .open(&touched)
        .unwrap()
        .set_modified(then)
        .unwrap();
    sftp(&server, "put -rp tree\nget -rp tree back\n");
    assert_eq!(
        tree_of(&server.at_home("tree")),
        tree_of(&server.local("tree"))
    );
    assert_eq!(
        tree_of(&server.local("back")),
        tree_of(&server.local("tree"))
    );
    for copy in [
        server.at_home("tree").join(&some),
        server.local("back").join(&some),
    ] {
        let metadata = fs::metadata(copy).unwrap();
        assert_eq!(metadata.mode() & 0o777, 0o604);
        assert_eq!(metadata.mtime(), 1_234_567_890);
    }
}

#[test]
fn names_are_bytes_and_need_not_be_text() {
    let server = TestServer::start();
    let names: [&[u8]; 6] = [
        b"a b",
        b"it's",
        b"\"quoted\"",
        "\u{fc}n\u{ef}c\u{f6}d\u{e9} \u{1f980}".as_bytes(),
        b"\xff\xfe\x80",
        b"-dash",
    ];
    fs::create_dir(server.local("names")).unwrap();
    for name in names {
        fs::write(server.local("names").join(OsStr::from_bytes(name)), name).unwrap();
    }
    sftp(&server, "put -r names\nget -r names back\n");
    for folder in [server.at_home("names"), server.local("back")] {
        for name in names {
            assert_eq!(
                fs::read(folder.join(OsStr::from_bytes(name))).unwrap(),
                name,
                "{name:?}"
            );
        }
    }
}

#[test]
fn large_files_arrive_whole_with_any_request_size() {
    let server = TestServer::start();
    let big = server.local("big");
    random_file(&big, 300 * MIB as u64 + 1, 3);
    for (options, name) in [
        (&[][..], "a"),
        (&["-B", "4096", "-R", "128"], "b"),
        (&["-R", "1"], "c"),
    ] {
        if name != "a" {
            // Many small requests do not need a large file.
            random_file(&big, 20 * MIB as u64 + 3, 4);
        }
        let lines = format!("put big {name}\nget {name} back\n");
        run_ok(&mut server.sftp_batch(options, lines), TRANSFER);
        assert_same(&big, &server.at_home(name));
        assert_same(&big, &server.local("back"));
    }
    // An empty file.
    fs::write(server.local("empty"), "").unwrap();
    sftp(&server, "put empty\nget empty nothing\n");
    assert_eq!(fs::metadata(server.at_home("empty")).unwrap().len(), 0);
    assert_eq!(fs::metadata(server.local("nothing")).unwrap().len(), 0);
}

#[test]
fn a_copy_on_the_server_holds_the_same_bytes() {
    let server = TestServer::start();
    random_file(&server.at_home("a"), 20 * MIB as u64 + 5, 5);
    sftp(&server, "cp a b\n");
    assert_same(&server.at_home("a"), &server.at_home("b"));
}

#[test]
fn scp_in_sftp_mode_copies_both_ways_with_trees_and_times() {
    let server = TestServer::start();
    random_tree(&server.local("tree"), 6);
    let scp = |args: &[&str]| run_ok(server.scp().arg("-s").args(args), TRANSFER);
    let remote = |path: &str| format!("{HOST}:{path}");
    scp(&["-rp", "tree", &remote("tree")]);
    assert_eq!(
        tree_of(&server.at_home("tree")),
        tree_of(&server.local("tree"))
    );
    scp(&["-rp", &remote("tree"), "back"]);
    assert_eq!(
        tree_of(&server.local("back")),
        tree_of(&server.local("tree"))
    );
    random_file(&server.local("one"), 10 * MIB as u64, 7);
    // The existing file is longer: its rest must be removed.
    random_file(&server.at_home("one"), 12 * MIB as u64, 8);
    scp(&["one", &remote("one")]);
    assert_same(&server.local("one"), &server.at_home("one"));
    scp(&["-3", &remote("one"), &remote("two")]);
    assert_same(&server.local("one"), &server.at_home("two"));
}

#[test]
fn a_directory_of_20_000_names_is_listed_whole() {
    let server = TestServer::start();
    fs::create_dir(server.at_home("many")).unwrap();
    for number in 0..20_000 {
        fs::write(server.at_home(&format!("many/{number:05}")), "").unwrap();
    }
    let said = sftp(&server, "ls -1 many\n");
    let names = said
        .lines()
        .filter(|line| line.starts_with("many/"))
        .count();
    assert_eq!(names, 20_000);
}

/// Over a long distance, the upload speed depends on the window that is open, so the server must not hold
/// back a large part of it.
#[test]
fn a_window_is_given_back_in_small_steps() {
    let server = TestServer::start();
    random_file(&server.local("file"), (32 * MIB) as u64, 7);
    let mut put = server.sftp_batch(&["-o", "LogLevel=DEBUG2"], "put file\n");
    let said = run_ok(&mut put, TRANSFER).err();
    let steps: Vec<usize> = said
        .lines()
        .filter_map(|line| line.split_once("rcvd adjust ")?.1.trim().parse().ok())
        .collect();
    let given: usize = steps.iter().sum();
    assert!(given >= 30 * MIB, "{given} bytes of window in {steps:?}");
    let mean = given / steps.len();
    assert!(mean < 192 * KIB, "steps of {mean} bytes: {steps:?}");
}
