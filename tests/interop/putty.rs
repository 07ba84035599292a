//! PuTTY's psftp.

use std::fs;

use crate::common::files::{assert_same, cut, random_tree, tree_of};
use crate::common::programs::{ppk, psftp, psftp_with};
use crate::common::{MIB, TRANSFER, TestServer, have, random_file, run, run_ok};

#[test]
fn it_puts_gets_resumes_and_manages() {
    if !have(&["psftp"]) {
        return;
    }
    let server = TestServer::start();
    let psftp = |script: &str| run_ok(&mut psftp(&server, script), TRANSFER).out();
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
    let said = run(&mut psftp(&server, "mv a.txt b.txt\n"), TRANSFER).describe();
    assert!(said.contains("failure"), "{said}");
    assert_eq!(fs::read(server.at_home("b.txt")).unwrap(), b"b.txt");
    run_ok(
        &mut psftp(&server, "mget *.txt\nrm *.txt\ncd /\npwd\n"),
        TRANSFER,
    );
    assert_eq!(fs::read(server.local("a.txt")).unwrap(), b"a.txt");
    assert!(!server.at_home("a.txt").exists() && !server.at_home("b.txt").exists());
}

#[test]
fn it_logs_in_with_a_key() {
    if !have(&["psftp", "puttygen"]) {
        return;
    }
    let server = TestServer::start();
    let key = ["-i".into(), ppk(&server).into()];
    let said = run_ok(&mut psftp_with(&server, &key, "pwd\n"), TRANSFER);
    assert!(
        said.out().contains("Remote directory is /"),
        "{}",
        said.describe()
    );
    let wrong = ["-pw".into(), "wrong".into()];
    run(&mut psftp_with(&server, &wrong, "pwd\n"), TRANSFER).failed();
}
