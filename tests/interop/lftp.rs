//! lftp.

use std::fs;
use std::os::unix::fs::MetadataExt as _;

use crate::common::files::{assert_same, cut, random_tree, tree_of};
use crate::common::programs::{lftp, lftp_with};
use crate::common::{MIB, PASSWORD, TRANSFER, TestServer, have, random_file, run, run_ok};

#[test]
fn it_puts_gets_resumes_mirrors_and_renames() {
    if !have(&["lftp"]) {
        return;
    }
    let server = TestServer::start();
    let lftp = |script: &str| run_ok(&mut lftp(&server, script), TRANSFER);
    let file = server.local("file");
    random_file(&file, 5 * MIB as u64 + 7, 1);
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

#[test]
fn its_mirrors_take_only_what_is_newer_go_on_where_they_were_cut_and_delete() {
    if !have(&["lftp"]) {
        return;
    }
    let server = TestServer::start();
    let lftp = |script: &str| run_ok(&mut lftp(&server, script), TRANSFER).out();
    random_tree(&server.local("tree"), 3);
    lftp("mirror -R tree tree");
    let same = || {
        assert_eq!(
            tree_of(&server.at_home("tree")),
            tree_of(&server.local("tree"))
        );
    };
    same();
    // Times were kept, so nothing is left to do, in both directions.
    let counts = |said: &str| said.contains("New: ") || said.contains("Modified: ");
    for script in [
        "mirror -Rv --only-newer tree tree",
        "mirror -v --only-newer tree tree",
    ] {
        let said = lftp(script);
        assert!(!counts(&said), "{script}: {said}");
    }
    // One was cut, one is new, one is removed.
    let big = "sub/file-300001.bin";
    cut(
        &server.local("tree").join(big),
        &server.at_home("tree").join(big),
        100_000,
    );
    fs::write(server.local("tree/new"), "new").unwrap();
    fs::remove_file(server.local("tree/sub/file-1.bin")).unwrap();
    lftp("mirror -Rc --delete tree tree");
    same();
    // In the other direction.
    cut(
        &server.at_home("tree").join(big),
        &server.local("tree").join(big),
        100_000,
    );
    fs::remove_dir_all(server.at_home("tree/with space")).unwrap();
    lftp("mirror -c --delete tree tree");
    same();
}

#[test]
fn it_makes_links_folders_and_times_and_counts_what_is_there() {
    if !have(&["lftp"]) {
        return;
    }
    let server = TestServer::start();
    fs::write(server.local("a"), "first").unwrap();
    fs::write(server.local("b"), "second").unwrap();
    let file = fs::File::options()
        .write(true)
        .open(server.local("a"))
        .unwrap();
    let then = std::time::UNIX_EPOCH + std::time::Duration::from_secs(1_000_000_000);
    file.set_modified(then).unwrap();
    let ok = |script: &str| run_ok(&mut lftp(&server, script), TRANSFER).out();
    ok("mkdir -p x/y; cd x/y; mput a b; ln -s a link; chmod 640 b");
    let there = |name: &str| server.at_home("x/y").join(name);
    assert_eq!(fs::read_link(there("link")).unwrap().to_str(), Some("a"));
    assert_eq!(fs::read_to_string(there("link")).unwrap(), "first");
    assert_eq!(fs::metadata(there("a")).unwrap().mtime(), 1_000_000_000);
    assert_eq!(fs::metadata(there("b")).unwrap().mode() & 0o777, 0o640);
    let listed = ok("cls -l x/y");
    assert!(
        listed.contains("-rw-r-----") && listed.contains("link@ -> a"),
        "{listed}"
    );
    let found = ok("find x; du -a -b x");
    for line in ["x/y/link\n", "5\tx/y/a\n", "6\tx/y/b\n"] {
        assert!(found.contains(line), "{line:?} in {found}");
    }
    assert_eq!(ok("cat x/y/link"), "first");
    // It has no rename that replaces.
    run(&mut lftp(&server, "mv x/y/a x/y/b"), TRANSFER).failed();
    assert_eq!(fs::read_to_string(there("b")).unwrap(), "second");
    ok("mrm x/y/*; rmdir x/y");
    assert!(!server.at_home("x/y").exists());
}

#[test]
fn it_logs_in_with_a_password() {
    if !have(&["lftp"]) {
        return;
    }
    let server = TestServer::start();
    fs::write(server.at_home("file"), "content").unwrap();
    let ask = "-o BatchMode=no -o PubkeyAuthentication=no";
    let mut cat = lftp_with(&server, PASSWORD, ask, "cat file");
    assert_eq!(run_ok(&mut cat, TRANSFER).out(), "content");
}
