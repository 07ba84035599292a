//! PuTTY's psftp, and its pscp over SFTP.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::time::{Duration, UNIX_EPOCH};

use crate::common::files::{assert_same, cut, random_tree, tree_of};
use crate::common::programs::{ppk, psftp, putty, putty_password};
use crate::common::{MIB, PASSWORD, TRANSFER, TestServer, USER, have, random_file, run, run_ok};

#[test]
fn it_puts_gets_resumes_and_manages() {
    if !have(&["psftp"]) {
        return;
    }
    let server = TestServer::start();
    let login = putty_password(PASSWORD);
    let psftp = |script: &str| run_ok(&mut psftp(&server, &login, script), TRANSFER).out();
    let file = server.local("file");
    random_file(&file, 5 * MIB as u64 + 9, 1);
    psftp("put file\nget file back\n");
    assert_same(&file, &server.at_home("file"));
    assert_same(&file, &server.local("back"));
    for length in [1, MIB + 1, 2 * MIB - 1] {
        cut(&file, &server.at_home("file"), length);
        cut(&file, &server.local("back"), length);
        psftp("reput file\nreget file back\n");
        assert_same(&file, &server.at_home("file"));
        assert_same(&file, &server.local("back"));
    }
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

#[test]
fn it_refuses_to_replace_and_removes_by_patterns() {
    if !have(&["psftp"]) {
        return;
    }
    let server = TestServer::start();
    for name in ["a.txt", "b.txt", "c.bin"] {
        fs::write(server.at_home(name), name).unwrap();
    }
    let login = putty_password(PASSWORD);
    let psftp = |script: &str| run(&mut psftp(&server, &login, script), TRANSFER);
    let said = psftp("mv a.txt b.txt\n").describe();
    assert!(said.contains("failure"), "{said}");
    assert_eq!(fs::read(server.at_home("b.txt")).unwrap(), b"b.txt");
    psftp("mget *.txt\nrm *.txt\ncd /\npwd\n").ok();
    assert_eq!(fs::read(server.local("a.txt")).unwrap(), b"a.txt");
    assert!(!server.at_home("a.txt").exists() && !server.at_home("b.txt").exists());
    assert!(server.at_home("c.bin").exists());
}

#[test]
fn it_logs_in_with_a_key() {
    if !have(&["psftp", "puttygen"]) {
        return;
    }
    let server = TestServer::start();
    let key = ["-i".into(), ppk(&server).into()];
    let said = run_ok(&mut psftp(&server, &key, "pwd\n"), TRANSFER);
    assert!(
        said.out().contains("Remote directory is /"),
        "{}",
        said.describe()
    );
    let wrong = putty_password("wrong");
    run(&mut psftp(&server, &wrong, "pwd\n"), TRANSFER).failed();
}

#[test]
fn pscp_over_sftp_copies_trees_both_ways_and_keeps_times() {
    if !have(&["pscp"]) {
        return;
    }
    let server = TestServer::start();
    random_tree(&server.local("tree"), 4);
    let file = "tree/sub/file-1.bin";
    let old = fs::File::options().write(true).open(server.local(file));
    let then = UNIX_EPOCH + Duration::from_secs(1_000_000_000);
    old.unwrap().set_modified(then).unwrap();
    let pscp = |from: &str, to: &str| {
        let mut pscp = putty(&server, "pscp", &putty_password(PASSWORD));
        run_ok(pscp.args(["-sftp", "-r", "-p", from, to]), TRANSFER);
    };
    // Over SFTP it creates directories only inside an existing one.
    fs::create_dir(server.local("back")).unwrap();
    pscp("tree", &format!("{USER}@127.0.0.1:"));
    pscp(&format!("{USER}@127.0.0.1:tree"), "back");
    let whole = tree_of(&server.local("tree"));
    assert_eq!(tree_of(&server.at_home("tree")), whole);
    assert_eq!(tree_of(&server.local("back/tree")), whole);
    for copy in [server.at_home(file), server.local("back").join(file)] {
        assert_eq!(fs::metadata(copy).unwrap().mtime(), 1_000_000_000);
    }
}
