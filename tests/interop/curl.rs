//! curl, on libssh2.

use std::fs;
use std::os::unix::fs::MetadataExt as _;

use crate::common::files::{assert_same, cut};
use crate::common::programs::curl;
use crate::common::{
    MIB, PASSWORD, STEP, TRANSFER, TestServer, USER, have, random_file, run, run_ok,
};

#[test]
fn it_uploads_downloads_resumes_appends_and_lists() {
    if !have(&["curl"]) {
        return;
    }
    let server = TestServer::start();
    let curl = |path: &str, args: &[&str]| run_ok(&mut curl(&server, path, args), TRANSFER);
    let file = server.local("file");
    random_file(&file, 3 * MIB as u64 + 1, 1);
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
    let part = curl("/new/deep/file", &["--range", "1000000-1000009"]);
    assert_eq!(part.stdout, fs::read(&file).unwrap()[1_000_000..1_000_010]);
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
    assert!(listing.contains("-rw-------"), "{listing}");
    assert!(
        listing.contains(" renamed") && listing.contains(" new"),
        "{listing}"
    );
    assert!(!server.at_home("log").exists());
}

#[test]
fn its_quoted_commands_change_names_links_permissions_and_times() {
    if !have(&["curl"]) {
        return;
    }
    let server = TestServer::start();
    fs::write(server.at_home("file"), "content").unwrap();
    fs::write(server.at_home("other"), "other").unwrap();
    let quote = |command: &str| run(&mut curl(&server, "/", &["-l", "-Q", command]), STEP);
    for command in [
        "mkdir /folder",
        "symlink /file /folder/link",
        "chmod 640 /file",
        "atime \"9 Sep 2001 01:46:40 GMT\" /file",
        "mtime \"9 Sep 2001 01:46:41 GMT\" /file",
        "rename /file /folder/moved",
    ] {
        let said = quote(command).ok().out();
        assert!(
            said.lines().any(|name| name == "other"),
            "{command}: {said}"
        );
    }
    let moved = fs::metadata(server.at_home("folder/moved")).unwrap();
    assert_eq!(moved.mode() & 0o777, 0o640);
    assert_eq!(
        (moved.atime(), moved.mtime()),
        (1_000_000_000, 1_000_000_001)
    );
    let link = fs::read_link(server.at_home("folder/link")).unwrap();
    assert_eq!(link.to_str(), Some("/file"));
    let space = run_ok(
        &mut curl(&server, "/", &["-D", "-", "-Q", "statvfs /"]),
        STEP,
    )
    .out();
    assert!(space.contains("f_bavail: "), "{space}");

    // Impossible requests are refused, and set the program's exit status.
    for command in [
        "mkdir /folder",
        "rmdir /folder",
        "rename /other /folder/moved",
        "rm /missing",
        "chown 4000000000 /other",
    ] {
        let refused = quote(command).failed();
        assert_eq!(refused.status.code(), Some(21), "{}", refused.describe());
    }
    for command in ["rm /folder/link", "rm /folder/moved", "rmdir /folder"] {
        quote(command).ok();
    }
    assert!(!server.at_home("folder").exists());
    // Checks whether a file exists.
    run_ok(&mut curl(&server, "/other", &["-I"]), STEP);
    let missing = run(&mut curl(&server, "/missing", &["-I"]), STEP);
    assert_eq!(missing.status.code(), Some(78), "{}", missing.describe());
}

#[test]
fn it_logs_in_with_a_password() {
    if !have(&["curl"]) {
        return;
    }
    let server = TestServer::start();
    fs::write(server.at_home("file"), "content").unwrap();
    // The last of several --user counts.
    let with = |password: &str| {
        let user = format!("{USER}:{password}");
        run(
            &mut curl(&server, "/file", &["--user", &user, "--key", "/dev/null"]),
            STEP,
        )
    };
    assert_eq!(with(PASSWORD).ok().out(), "content");
    assert_eq!(with("wrong").failed().status.code(), Some(67));
}
