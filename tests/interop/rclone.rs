//! rclone.

use std::fs::{self, File};
use std::process::Command;
use std::time::{Duration, UNIX_EPOCH};

use crate::common::command::Output;
use crate::common::files::{assert_same, random_tree, tree_of};
use crate::common::programs::rclone;
use crate::common::{
    PASSWORD, STEP, TRANSFER, TestServer, bytes_of, have, random_file, run, run_ok,
};

fn modified(path: &std::path::Path, seconds: u64) {
    let time = UNIX_EPOCH + Duration::from_secs(seconds);
    let file = File::options().write(true).open(path).unwrap();
    file.set_modified(time).unwrap();
}

#[test]
fn it_copies_syncs_checks_moves_and_tells_the_space() {
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

    // A sync removes missing files, and copies nothing that exists: times were kept.
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

#[test]
fn it_finds_by_hashes_what_sizes_and_times_do_not_show() {
    if !have(&["rclone"]) {
        return;
    }
    let server = TestServer::start();
    let rclone = |args: &[&str]| -> Output { run(&mut rclone(&server, args), TRANSFER) };
    fs::create_dir(server.local("tree")).unwrap();
    for (name, seed) in [("same", 1), ("it's \\ odd", 2), ("other", 3)] {
        fs::write(server.local("tree").join(name), bytes_of(70_000, seed)).unwrap();
        modified(&server.local("tree").join(name), 1_000_000_000);
    }
    rclone(&["copy", "tree", "there:tree"]).ok();

    // The server's hashes equal those that rclone computes here.
    for kind in ["MD5", "SHA1"] {
        let [here, there] = ["tree", "there:tree"].map(|folder| {
            let listed = rclone(&["hashsum", kind, folder]).ok().out();
            let mut lines: Vec<String> = listed.lines().map(str::to_owned).collect();
            lines.sort();
            lines
        });
        assert_eq!(here.len(), 3, "{kind}: {here:?}");
        assert_eq!(here, there, "{kind}");
    }

    // Other bytes of the same size and time.
    fs::write(server.at_home("tree/other"), bytes_of(70_000, 4)).unwrap();
    modified(&server.at_home("tree/other"), 1_000_000_000);
    let said = rclone(&["sync", "-v", "tree", "there:tree"]).ok().err();
    assert!(!said.contains("Copied"), "{said}");
    rclone(&["check", "tree", "there:tree"]).failed();
    let said = rclone(&["sync", "-v", "--checksum", "tree", "there:tree"]);
    let said = said.ok().err();
    assert_eq!(said.matches("Copied").count(), 1, "{said}");
    rclone(&["check", "tree", "there:tree"]).ok();

    // Encrypted by the client, and checked by the hashes of the encrypted files.
    let obscured = run_ok(Command::new("rclone").args(["obscure", "secret"]), STEP).out();
    let crypt = format!(":crypt,remote='there:crypt',password={}:", obscured.trim());
    rclone(&["copy", "tree", &crypt]).ok();
    rclone(&["cryptcheck", "tree", &crypt]).ok();
    let stored = server.at_home("crypt");
    let stored = fs::read_dir(stored).unwrap().next().unwrap().unwrap();
    fs::write(stored.path(), "spoilt").unwrap();
    rclone(&["cryptcheck", "tree", &crypt]).failed();
}

#[test]
fn it_streams_reads_parts_sets_times_and_follows_links() {
    if !have(&["rclone"]) {
        return;
    }
    let server = TestServer::start();
    // Of unknown length, through `rcat`.
    let mut rcat = rclone(&server, &["rcat", "there:stream"]);
    let content = bytes_of(900_001, 5);
    crate::common::command::run_with_input(&mut rcat, &content, TRANSFER).ok();
    assert_eq!(fs::read(server.at_home("stream")).unwrap(), content);
    let rclone = |args: &[&str]| run_ok(&mut rclone(&server, args), TRANSFER);
    let part = rclone(&["cat", "--offset", "500000", "--count", "7", "there:stream"]);
    assert_eq!(part.stdout, content[500_000..500_007]);

    rclone(&["touch", "-t", "2001-09-09T01:46:40", "there:stream"]);
    std::os::unix::fs::symlink("stream", server.at_home("link")).unwrap();
    for name in ["stream", "link"] {
        let listed = rclone(&["lsl", &format!("there:{name}")]).out();
        assert!(listed.contains("900001 2001-09-09 01:46:40"), "{listed}");
    }
    // In the largest chunks that the server accepts.
    rclone(&["copyto", "--sftp-chunk-size", "255k", "there:link", "back"]);
    assert_same(&server.at_home("stream"), &server.local("back"));
    rclone(&["deletefile", "there:link"]);
    assert!(server.at_home("stream").exists() && !server.at_home("link").exists());

    // Many files at once, on several connections and channels.
    fs::create_dir(server.local("many")).unwrap();
    for number in 0..200 {
        let path = server.local("many").join(format!("{number}"));
        random_file(&path, 30_000, number);
    }
    rclone(&["copy", "--transfers", "16", "many", "there:many"]);
    rclone(&["check", "--checkers", "16", "many", "there:many"]);
    assert_eq!(
        tree_of(&server.at_home("many")),
        tree_of(&server.local("many"))
    );
}

#[test]
fn it_logs_in_with_a_password() {
    if !have(&["rclone"]) {
        return;
    }
    let server = TestServer::start();
    fs::write(server.at_home("file"), "content").unwrap();
    let cat = |password: &str| {
        let obscured = run_ok(Command::new("rclone").args(["obscure", password]), STEP).out();
        let login = ["--sftp-key-file", "", "--sftp-pass", obscured.trim()];
        let file = ["--low-level-retries", "1", "cat", "there:file"];
        run(&mut rclone(&server, &[login, file].concat()), TRANSFER)
    };
    assert_eq!(cat(PASSWORD).ok().out(), "content");
    cat("wrong").failed();
}
