//! Arbitrary lines from a client: valid ones are understood, all others are refused with a message.

use std::fs;
use std::os::unix::fs::MetadataExt;

use super::raw::RawScp;
use crate::common::connection::Connection;
use crate::common::{MIB, STEP, TestServer, against_openssh, bytes_of, wait_until};

/// Returns how many descriptors of the home and its content the server has open.
fn open_at_home(server: &TestServer) -> usize {
    fs::read_dir(format!("/proc/{}/fd", server.process_id()))
        .unwrap()
        .filter_map(|entry| fs::read_link(entry.ok()?.path()).ok())
        .filter(|path| path.starts_with(server.home()))
        .count()
}

/// Returns the names in the home, sorted.
fn names(server: &TestServer) -> Vec<String> {
    let mut names: Vec<String> = fs::read_dir(server.home())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

#[test]
fn files_directories_times_and_modes_go_up_line_by_line() {
    let server = TestServer::start_for_commands();
    let connection = Connection::logged_in(&server);
    let mut scp = RawScp::to(&connection, "scp -pr -t .");
    scp.say("T1000000000 0 1100000000 999999");
    scp.say("D0750 0 outer");
    scp.put("first", b"1");
    scp.say("T1200000000 0 1300000000 0");
    scp.say("C0640 4 second");
    // In as many pieces as the client likes.
    for byte in b"two\n" {
        scp.send([*byte]);
    }
    scp.send("\0");
    scp.well();
    scp.say("D0700 0 inner");
    scp.say("E");
    scp.say("E");
    scp.put("empty", b"");
    scp.send_eof();
    assert_eq!(scp.ended(), 0);
    assert_eq!(names(&server), ["empty", "outer"]);
    let stat = |name: &str| fs::metadata(server.at_home(name)).unwrap();
    let outer = stat("outer");
    assert_eq!(
        (outer.mode() & 0o7777, outer.mtime()),
        (0o750, 1_000_000_000)
    );
    let second = stat("outer/second");
    assert_eq!(
        (second.mode() & 0o7777, second.mtime()),
        (0o640, 1_200_000_000)
    );
    assert_eq!(second.atime(), 1_300_000_000);
    assert_eq!(fs::read(server.at_home("outer/first")).unwrap(), b"1");
    assert_eq!(fs::read(server.at_home("outer/second")).unwrap(), b"two\n");
    assert_eq!(
        (stat("outer/inner").mode() & 0o7777, stat("empty").len()),
        (0o700, 0)
    );
}

#[test]
fn several_lines_may_come_at_once() {
    let server = TestServer::start_for_commands();
    let connection = Connection::logged_in(&server);
    let mut scp = RawScp::start(&connection, "scp -r -t .");
    scp.send("T1 0 1 0\nC0644 3 a\none\0D0755 0 d\nC0644 0 b\n\0E\nC0600 5 c\nthree\0");
    scp.send_eof();
    for _ in 0..10 {
        scp.well();
    }
    assert_eq!(scp.ended(), 0);
    assert_eq!(names(&server), ["a", "c", "d"]);
    assert_eq!(fs::read(server.at_home("a")).unwrap(), b"one");
    assert_eq!(fs::read(server.at_home("c")).unwrap(), b"three");
}

#[test]
fn lines_that_cannot_be_meant_end_it_and_make_nothing() {
    let server = TestServer::start_for_commands();
    let connection = Connection::logged_in(&server);
    let mut lines: Vec<(String, &str)> = Vec::new();
    for name in ["a/b", "/etc/passwd", "../x", "/", ".", "..", ""] {
        lines.push((format!("C0644 1 {name}"), "unexpected filename"));
        lines.push((format!("D0755 0 {name}"), "unexpected filename"));
    }
    for size in [
        "-1",
        "x",
        "",
        "0x10",
        "9223372036854775808",
        "99999999999999999999999",
    ] {
        lines.push((format!("C0644 {size} a"), "size"));
    }
    for mode in ["", "644", "0888", "rwxr", "-644", "+644", "00644", "100644"] {
        lines.push((format!("C{mode} 1 a"), "mode"));
    }
    for times in [
        "",
        "1",
        "1 0 1",
        "-1 0 1 0",
        "x 0 1 0",
        "1 0 1 0 0",
        "1 123456789 1 0",
    ] {
        lines.push((format!("T{times}"), "time"));
    }
    for garbage in ["hello", "GET / HTTP/1.1", "c0644 1 a", "\u{fffd}"] {
        lines.push((garbage.to_owned(), ""));
    }
    for (line, word) in &lines {
        let mut scp = RawScp::to(&connection, "scp -r -t .");
        scp.send(format!("{line}\n"));
        let said = scp.given_up();
        assert!(said.starts_with("scp: "), "{line}: {said}");
        assert!(said.contains(word), "{line}: {said}");
    }
    let mut scp = RawScp::to(&connection, "scp -t .");
    scp.send("D0755 0 d\n");
    assert_eq!(
        scp.given_up(),
        "scp: protocol error: received directory without -r"
    );
    let mut scp = RawScp::to(&connection, "scp -r -t .");
    scp.send("\n");
    assert_eq!(scp.given_up(), "scp: protocol error: unexpected <newline>");
    let nothing: [&str; 0] = [];
    assert_eq!(names(&server), nothing);
}

/// Lines that scp.c accepts, or truncates when they are too long.
#[test]
fn lines_that_openssh_lets_pass_are_refused_too() {
    if against_openssh() {
        return;
    }
    let server = TestServer::start();
    let connection = Connection::logged_in(&server);
    for (lines, word) in [
        (&["C0644 1 a\0b\n"][..], "unexpected filename"),
        (&["E\n"], "unexpected end of directory"),
        (&["T1 0 1 0\n", "T1 0 1 0\n"], "expected control record"),
        (
            &["D0755 0 d\n", "T1 0 1 0\n", "E\n"],
            "expected control record",
        ),
        (&["Ex\n"], "expected control record"),
    ] {
        let mut scp = RawScp::to(&connection, "scp -r -t .");
        let (last, first) = lines.split_last().unwrap();
        for line in first {
            scp.send(line);
            scp.well();
        }
        scp.send(last);
        let said = scp.given_up();
        assert!(said.contains(word), "{lines:?}: {said}");
    }
    for start in ["C0644 1 ", "C0644 1111", "\x01", "", "T"] {
        let mut scp = RawScp::to(&connection, "scp -t .");
        scp.send(start);
        scp.send("1".repeat(3000));
        assert_eq!(scp.given_up(), "scp: protocol error: line too long");
    }
    assert_eq!(names(&server), ["d"]);
}

#[test]
fn directories_end_at_a_depth_and_the_rest_goes_on() {
    if against_openssh() {
        return;
    }
    let server = TestServer::start();
    let connection = Connection::logged_in(&server);
    let mut scp = RawScp::to(&connection, "scp -r -t .");
    for _ in 0..100 {
        scp.say("D0755 0 d");
    }
    for _ in 0..3 {
        scp.send("D0755 0 d\n");
        let said = scp.complaint();
        assert!(
            said.ends_with("/d: Directories nested too deep (limit 100)"),
            "{said}"
        );
    }
    scp.put("deepest", b"x");
    for _ in 0..100 {
        scp.say("E");
    }
    scp.put("last", b"y");
    scp.send_eof();
    assert_eq!(scp.ended(), 1);
    assert_eq!(names(&server), ["d", "last"]);
    let deepest = server.at_home(&"d/".repeat(100));
    assert_eq!(fs::read_dir(deepest).unwrap().count(), 1);
}

#[test]
fn what_a_client_says_of_its_own_failures_is_remembered() {
    let server = TestServer::start_for_commands();
    let connection = Connection::logged_in(&server);
    let mut scp = RawScp::to(&connection, "scp -t .");
    scp.send("\x01scp: nothing: No such file or directory\n");
    scp.put("a", b"a");
    scp.say("C0644 3 b");
    scp.send("b\0\0\x01scp: b: Input/output error\n");
    scp.well();
    scp.send_eof();
    assert_eq!(scp.ended(), 1);
    assert_eq!(names(&server), ["a", "b"]);

    let mut scp = RawScp::to(&connection, "scp -t .");
    scp.send("\x02scp: the end\n");
    assert_eq!(scp.ended(), 1);
}

#[test]
fn data_cut_short_stays_and_fails() {
    let server = TestServer::start_for_commands();
    let connection = Connection::logged_in(&server);
    let data = bytes_of(3 * MIB, 1);
    let cuts = [1, 5000, 1_000_000];
    for (number, length) in cuts.into_iter().enumerate() {
        let mut scp = RawScp::to(&connection, "scp -t .");
        scp.say(format!("C0644 {} file{number}", data.len()));
        scp.send(&data[..length]);
        scp.send_eof();
        if against_openssh() {
            let _ = scp.answer();
            scp.ended();
            continue;
        }
        assert_eq!(scp.given_up(), "scp: protocol error: lost connection");
        let stored = fs::read(server.at_home(&format!("file{number}"))).unwrap();
        assert_eq!(stored, data[..length], "cut at {length}");
    }
    // In the middle of a line, and at its end.
    let mut scp = RawScp::to(&connection, "scp -t .");
    scp.send("C0644 1");
    scp.send_eof();
    assert!(scp.given_up().contains("lost connection"));
    let mut scp = RawScp::to(&connection, "scp -t .");
    scp.send_eof();
    assert_eq!(scp.ended(), 0);
}

#[test]
fn a_file_that_ends_without_a_last_word_is_whole() {
    // curl does this, too.
    if against_openssh() {
        return;
    }
    let server = TestServer::start();
    fs::write(server.at_home("a"), "something longer").unwrap();
    let connection = Connection::logged_in(&server);
    let mut scp = RawScp::to(&connection, "scp -p -t a");
    scp.say("T1000000000 0 1000000000 0");
    scp.say("C0600 3 name");
    scp.send("new");
    scp.send_eof();
    scp.well();
    assert_eq!(scp.ended(), 0);
    assert_eq!(fs::read(server.at_home("a")).unwrap(), b"new");
    let found = fs::metadata(server.at_home("a")).unwrap();
    assert_eq!(
        (found.mtime(), found.mode() & 0o7777),
        (1_000_000_000, 0o600)
    );
}

#[test]
fn a_file_that_cannot_be_made_is_answered_at_its_line_and_others_go_on() {
    let server = TestServer::start_for_commands();
    fs::create_dir(server.at_home("taken")).unwrap();
    fs::write(server.at_home("file"), "old").unwrap();
    let connection = Connection::logged_in(&server);
    let mut scp = RawScp::to(&connection, "scp -r -t .");
    scp.send("C0644 5 taken\n");
    assert_eq!(scp.complaint(), "scp: ./taken: Is a directory");
    scp.put("a", b"a");
    scp.send("D0755 0 file\n");
    assert_eq!(scp.complaint(), "scp: ./file: Not a directory");
    scp.send(format!("C0644 5 {}\n", "x".repeat(256)));
    assert!(scp.complaint().contains("too long"));
    scp.put("b", b"b");
    scp.send_eof();
    assert_eq!(scp.ended(), 1);
    assert_eq!(names(&server), ["a", "b", "file", "taken"]);
    assert_eq!(fs::read(server.at_home("file")).unwrap(), b"old");
}

#[test]
fn an_old_file_keeps_its_mode_and_loses_what_is_too_much() {
    use std::os::unix::fs::PermissionsExt;
    let server = TestServer::start_for_commands();
    let old = server.at_home("old");
    fs::write(&old, "a rather long content").unwrap();
    fs::set_permissions(&old, fs::Permissions::from_mode(0o604)).unwrap();
    let connection = Connection::logged_in(&server);
    let mut scp = RawScp::to(&connection, "scp -t old");
    scp.put("whatever", b"short");
    scp.send_eof();
    assert_eq!(scp.ended(), 0);
    assert_eq!(fs::read(&old).unwrap(), b"short");
    assert_eq!(fs::metadata(&old).unwrap().mode() & 0o7777, 0o604);
}

#[test]
fn new_modes_follow_the_umask_unless_they_are_kept_and_are_never_setuid() {
    let server = TestServer::start_for_commands();
    let connection = Connection::logged_in(&server);
    for (line, mode, expected) in [
        ("scp -r -t .", "0777", 0o755),
        ("scp -r -t .", "0666", 0o644),
        ("scp -r -t .", "0444", 0o444),
        ("scp -r -t .", "0000", 0),
        ("scp -r -t .", "7777", 0o755),
        ("scp -rp -t .", "0777", 0o777),
        ("scp -rp -t .", "0466", 0o466),
        ("scp -rp -t .", "6751", 0o751),
    ] {
        if against_openssh() && mode == "6751" {
            continue;
        }
        let mut scp = RawScp::to(&connection, line);
        let (file, folder) = (
            format!("f{mode}{}", line.len()),
            format!("d{mode}{}", line.len()),
        );
        scp.say(format!("D{mode} 0 {folder}"));
        scp.put("inside", b"x");
        scp.say("E");
        scp.say(format!("C{mode} 1 {file}"));
        scp.send("x\0");
        scp.well();
        scp.send_eof();
        assert_eq!(scp.ended(), 0);
        for name in [file, folder] {
            let found = fs::metadata(server.at_home(&name)).unwrap().mode() & 0o7777;
            assert_eq!(found, expected, "{line}: {name}");
        }
    }
}

#[test]
fn downloads_go_line_by_line_and_pass_over_what_is_not_taken() {
    let server = TestServer::start_for_commands();
    fs::create_dir(server.at_home("d")).unwrap();
    fs::write(server.at_home("d/inside"), "12345").unwrap();
    for (name, content) in [("a", "one"), ("b", "two"), ("c", "")] {
        fs::write(server.at_home(name), content).unwrap();
    }
    let connection = Connection::logged_in(&server);
    let mut scp = RawScp::start(&connection, "scp -f a missing d b c");
    scp.send("\0");
    assert_eq!(scp.line(), "C0644 3 a");
    // The client refuses this file.
    scp.send("\x01scp: no room\n");
    assert_eq!(scp.complaint(), "scp: missing: No such file or directory");
    assert_eq!(scp.complaint(), "scp: d: not a regular file");
    assert_eq!(scp.line(), "C0644 3 b");
    scp.send("\0");
    assert_eq!(scp.bytes(4), b"two\0");
    scp.send("\0");
    assert_eq!(scp.line(), "C0644 0 c");
    scp.send("\0");
    assert_eq!(scp.bytes(1), b"\0");
    scp.send("\0");
    assert_eq!(scp.ended(), 1);

    let mut scp = RawScp::start(&connection, "scp -rpf d");
    scp.send("\0");
    let times = scp.line();
    assert!(
        times.starts_with('T') && times.split(' ').count() == 4,
        "{times}"
    );
    scp.send("\0");
    assert_eq!(scp.line(), "D0755 0 d");
    scp.send("\0");
    scp.line();
    scp.send("\0");
    assert_eq!(scp.line(), "C0644 5 inside");
    scp.send("\0");
    assert_eq!(scp.bytes(6), b"12345\0");
    scp.send("\0");
    assert_eq!(scp.line(), "E");
    scp.send("\0");
    assert_eq!(scp.ended(), 0);
}

#[test]
fn a_download_ends_when_the_client_says_so_or_makes_no_sense() {
    let server = TestServer::start_for_commands();
    fs::write(server.at_home("a"), "one").unwrap();
    let connection = Connection::logged_in(&server);
    for answer in ["\x02enough\n", "what?\n"] {
        for well_before in [0, 1, 2] {
            let mut scp = RawScp::start(&connection, "scp -f a a");
            for step in 0..well_before {
                scp.send("\0");
                match step {
                    0 => drop(scp.line()),
                    _ => drop(scp.bytes(4)),
                }
            }
            scp.send(answer);
            assert_eq!(scp.ended(), 1, "{answer:?} after {well_before}");
        }
    }
    let mut scp = RawScp::start(&connection, "scp -f a");
    scp.send_eof();
    assert_eq!(scp.ended(), 1);
    if !against_openssh() {
        let mut scp = RawScp::start(&connection, "scp -f a");
        scp.send([b"\x01".to_vec(), vec![b'x'; 4000]].concat());
        assert_eq!(scp.given_up(), "scp: protocol error: line too long");
    }
}

#[test]
fn options_that_are_unknown_or_make_no_sense_are_refused_in_words() {
    if against_openssh() {
        return;
    }
    let server = TestServer::start();
    let connection = Connection::logged_in(&server);
    for (line, words) in [
        ("scp -t -S /bin/sh .", "unknown option -- S"),
        ("scp -oProxyCommand=id -f .", "unknown option -- o"),
        ("scp -t a b", "ambiguous target"),
        ("scp -t", "ambiguous target"),
        ("scp -f", "no file is named"),
        ("scp -t a(1)", "there is no shell"),
        ("scp -f $(id)", "there is no shell"),
        ("scp -t it's", "unterminated quote"),
        ("scp a b:c", "exactly one of -t and -f"),
        ("scp", "exactly one of -t and -f"),
    ] {
        let mut scp = RawScp::start(&connection, line);
        let said = scp.given_up();
        assert!(
            said.starts_with("scp: ") && said.contains(words),
            "{line}: {said}"
        );
    }
}

#[test]
fn scp_may_be_named_with_its_directory() {
    let server = TestServer::start_for_commands();
    let connection = Connection::logged_in(&server);
    for (number, line) in ["/usr/bin/scp -qt", " /usr/bin/../bin/scp -t"]
        .iter()
        .enumerate()
    {
        let name = format!("f{number}");
        let mut scp = RawScp::to(&connection, &format!("{line} {name}"));
        scp.put("x", b"named");
        scp.send_eof();
        assert_eq!(scp.ended(), 0, "{line}");
        assert_eq!(fs::read(server.at_home(&name)).unwrap(), b"named");
    }
}

#[test]
fn a_client_that_leaves_in_the_middle_leaves_nothing_open() {
    if against_openssh() {
        return;
    }
    let server = TestServer::start();
    let data = bytes_of(4 * MIB, 2);
    fs::create_dir_all(server.at_home("d/e")).unwrap();
    fs::write(server.at_home("d/e/big"), &data).unwrap();
    let connection = Connection::logged_in(&server);
    let mut upload = RawScp::to(&connection, "scp -r -t .");
    upload.say("D0755 0 up");
    upload.say(format!("C0644 {} big", data.len()));
    upload.send(&data[..3 * MIB]);
    let mut download = RawScp::start(&connection, "scp -r -f d");
    for line in [
        "D0755 0 d",
        "D0755 0 e",
        &format!("C0644 {} big", data.len()),
    ] {
        download.send("\0");
        assert_eq!(download.line(), line);
    }
    download.send("\0");
    download.bytes(MIB);
    // Each has the home and a file open; one of them has two directories open.
    assert_eq!(open_at_home(&server), 6);
    drop((upload, download, connection));
    wait_until("all is closed", STEP, || open_at_home(&server) == 0);
    let stored = fs::read(server.at_home("up/big")).unwrap();
    assert!(stored.len() <= 3 * MIB && data.starts_with(&stored));
    // All that the server had received is stored; some may still have been on its way.
    assert!(stored.len() >= MIB, "{}", stored.len());
}
