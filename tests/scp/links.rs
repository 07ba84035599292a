//! scp cannot leave the home, and links that form a loop end.

use std::fs;
use std::os::unix::fs::symlink;

use super::raw::RawScp;
use crate::common::connection::Connection;
use crate::common::{HOST, MIB, TRANSFER, TestServer, against_openssh, run};

const SECRET: &str = "nobody's business";

/// Returns a server with a folder beside the home, and links in the home that lead there.
fn with_links_out() -> TestServer {
    let server = TestServer::start();
    let outside = server.path("outside");
    fs::create_dir(&outside).unwrap();
    fs::write(outside.join("secret"), SECRET).unwrap();
    symlink(&outside, server.at_home("absolute")).unwrap();
    symlink("../../../outside", server.at_home("relative")).unwrap();
    symlink(outside.join("secret"), server.at_home("file")).unwrap();
    symlink("/proc/self/root", server.at_home("magic")).unwrap();
    server
}

#[test]
fn nothing_outside_is_sent() {
    if against_openssh() {
        return;
    }
    let server = with_links_out();
    let connection = Connection::logged_in(&server);
    let outside = server.path("outside/secret");
    for path in [
        "absolute/secret",
        "relative/secret",
        "file",
        "../../../outside/secret",
        "magic/etc/passwd",
        "/etc/passwd",
        outside.to_str().unwrap(),
        "absolute/*",
        "*/secret",
        "../*",
        "../../*",
    ] {
        let mut scp = RawScp::start(&connection, &format!("scp -r -f {path}"));
        scp.send("\0");
        if path.starts_with("../*") || path.starts_with("../../*") {
            // It resolves to the home itself, and none of its links can be followed.
            for _ in 0..4 {
                let said = scp.complaint();
                assert!(
                    said.ends_with("No such file or directory"),
                    "{path}: {said}"
                );
            }
        } else {
            assert_eq!(
                scp.complaint(),
                format!("scp: {path}: No such file or directory")
            );
        }
        assert_eq!(scp.ended(), 1, "{path}");
    }
}

#[test]
fn nothing_outside_is_stored() {
    if against_openssh() {
        return;
    }
    let server = with_links_out();
    let connection = Connection::logged_in(&server);
    for target in [
        "absolute",
        "relative/new",
        "absolute/secret",
        "../../../outside/new",
        server.path("outside/new").to_str().unwrap(),
    ] {
        let mut scp = RawScp::to(&connection, &format!("scp -r -t {target}"));
        scp.send("C0644 3 new\n");
        match scp.answer() {
            // `absolute` itself: its target is created in the home.
            Ok(()) => scp.send("new\0"),
            Err(said) => assert!(said.text.ends_with("No such file or directory"), "{said:?}"),
        }
        drop(scp);
        let mut scp = RawScp::to(&connection, &format!("scp -r -t {target}"));
        scp.send("D0755 0 new\n");
        let _ = scp.answer();
    }
    let found: Vec<_> = fs::read_dir(server.path("outside"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name())
        .collect();
    assert_eq!(found, ["secret"]);
    assert_eq!(
        fs::read_to_string(server.path("outside/secret")).unwrap(),
        SECRET
    );
}

#[test]
fn links_are_followed_and_circles_end() {
    let server = TestServer::start_for_commands();
    fs::create_dir_all(server.at_home("tree/sub")).unwrap();
    fs::write(server.at_home("tree/sub/file"), "file").unwrap();
    symlink("sub", server.at_home("tree/to-folder")).unwrap();
    symlink("sub/file", server.at_home("tree/to-file")).unwrap();
    symlink("nothing", server.at_home("tree/to-nothing")).unwrap();
    symlink(".", server.at_home("tree/sub/circle")).unwrap();
    let mut scp = server.scp();
    scp.args(["-O", "-r", &format!("{HOST}:tree"), "back"]);
    let said = run(&mut scp, TRANSFER).failed();
    assert!(
        said.err()
            .contains("scp: tree/to-nothing: No such file or directory\n"),
        "{}",
        said.describe()
    );
    assert!(
        said.err()
            .contains("/circle: Too many levels of symbolic links\n"),
        "{}",
        said.describe()
    );
    for name in ["to-file", "to-folder/file", "sub/circle/circle/file"] {
        let path = server.local("back").join(name);
        assert_eq!(fs::read_to_string(&path).unwrap(), "file", "{name}");
        let is_link =
            fs::symlink_metadata(server.local("back").join(name.split('/').next().unwrap()));
        assert!(!is_link.unwrap().is_symlink(), "{name}");
    }
}

#[test]
fn directories_that_are_too_deep_are_left_out_and_the_rest_is_sent() {
    if against_openssh() {
        return;
    }
    let server = TestServer::start();
    let deep = server.at_home(&"d/".repeat(130));
    fs::create_dir_all(&deep).unwrap();
    fs::write(deep.join("too-deep"), "x").unwrap();
    fs::write(server.at_home(&"d/".repeat(100)).join("deepest"), "y").unwrap();
    let mut scp = server.scp();
    scp.args(["-O", "-r", &format!("{HOST}:d"), "back"]);
    let said = run(&mut scp, TRANSFER).failed();
    assert!(
        said.err()
            .ends_with("/d: Directories nested too deep (limit 100)\n")
            && said.err().lines().count() == 1,
        "{}",
        said.describe()
    );
    let back = server.local("back").join("d/".repeat(99));
    let found: Vec<_> = fs::read_dir(back)
        .unwrap()
        .map(|entry| entry.unwrap().file_name())
        .collect();
    assert_eq!(found, ["deepest"]);
}

#[test]
fn a_file_that_shrinks_while_it_is_sent_is_filled_up_and_told() {
    let server = TestServer::start_for_commands();
    let (file, length) = (server.at_home("big"), 40 * MIB);
    let data = vec![b'x'; length];
    fs::write(&file, &data).unwrap();
    fs::write(server.at_home("next"), "next").unwrap();
    let connection = Connection::logged_in(&server);
    let mut scp = RawScp::start(&connection, "scp -f big next");
    scp.send("\0");
    assert_eq!(scp.line(), format!("C0644 {length} big"));
    // The client reads as fast as it can, so the file shrinks before anything is sent.
    fs::File::options()
        .write(true)
        .open(&file)
        .unwrap()
        .set_len(1000)
        .unwrap();
    scp.send("\0");
    let sent = scp.bytes(length);
    assert!(sent[..1000] == data[..1000] && sent[1000..].iter().all(|byte| *byte == 0));
    let said = scp.complaint();
    assert!(said.starts_with("scp: big: "), "{said}");
    scp.send("\0");
    assert_eq!(scp.line(), "C0644 4 next");
    scp.send("\0");
    assert_eq!(scp.bytes(5), b"next\0");
    scp.send("\0");
    assert_eq!(scp.ended(), 1);
}
