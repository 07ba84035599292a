//! The files of the audit log: rotation, and concurrent writers.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::thread;

use super::{ACCESS, OPERATIONS, noted, of_kind, old_files, stream, trail};
use crate::common::connection::Connection;
use crate::common::wire::code;
use crate::common::{Running, STEP, TestServer, USER, wait_until};

const SESSIONS: usize = 4;
const EACH: usize = 300;

#[test]
fn rotation_under_load_loses_and_tears_no_line() {
    let settings = [("audit.file_size", "\"4KiB\""), ("audit.keep", "10000")];
    let server = TestServer::start_with(&settings);
    let mut follow = server.command(&["audit", "--follow", "--json", "--since", "1h"]);
    let follower = Running::start(&mut follow);
    thread::scope(|scope| {
        for session in 0..SESSIONS {
            let server = &server;
            scope.spawn(move || {
                let mut sftp = Connection::logged_in(server).sftp();
                for number in 0..EACH {
                    assert_eq!(sftp.mkdir(format!("/{session}-{number}")), code::OK);
                }
            });
        }
        // Commands write to the same file while it is renamed.
        for number in 0..10 {
            let files = (number + 100_000).to_string();
            server
                .admin(&["user", "set", USER, "--max-files", &files], "")
                .ok();
        }
    });
    let made = |events: &[serde_json::Value]| {
        let paths = of_kind(events, "mkdir");
        let paths: BTreeSet<_> = paths.iter().map(|one| one["path"].to_string()).collect();
        (
            paths.len(),
            of_kind(events, "mkdir").len(),
            of_kind(events, "account").len(),
        )
    };
    let all = SESSIONS * EACH;
    // One event recorded the account's creation.
    let expected = (all, all, 11);
    wait_until("all is noted", STEP, || made(&trail(&server)) == expected);
    let mut files = old_files(&server, OPERATIONS);
    assert!(files.len() > all / 100, "{} files", files.len());
    files.extend(old_files(&server, ACCESS));
    for name in &files {
        let found = fs::metadata(server.path("data").join(name)).unwrap();
        assert!(found.len() < 64 << 10, "{name}: {}", found.len());
        assert_eq!(found.mode() & 0o777, 0o600, "{name}");
    }
    // A follower has seen the same.
    wait_until("the follower has printed all, once", STEP, || {
        made(&printed(&follower)) == expected
    });
    follower.kill();
}

/// The events that a program has printed so far.
fn printed(follower: &Running) -> Vec<serde_json::Value> {
    let text = follower.stdout_so_far();
    let whole = text.rsplit_once('\n').map_or("", |(lines, _)| lines);
    whole
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

#[test]
fn as_many_old_files_stay_as_are_to_be_kept_and_numbers_go_on() {
    let settings = [("audit.file_size", "\"4KiB\""), ("audit.keep", "2")];
    let mut server = TestServer::start_with(&settings);
    let mut sftp = Connection::logged_in(&server).sftp();
    let make = |sftp: &mut crate::common::raw::RawSftp, from: usize| {
        for number in from..from + 200 {
            assert_eq!(sftp.mkdir(format!("/{number}")), code::OK);
        }
    };
    make(&mut sftp, 0);
    noted(&server, "the last", |one| one["path"] == "/199");
    let first = old_files(&server, OPERATIONS);
    assert_eq!(first.len(), 2, "{first:?}");
    drop(sftp);
    server.stop();
    server.serve();
    make(&mut Connection::logged_in(&server).sftp(), 200);
    noted(&server, "the last", |one| one["path"] == "/399");
    let second = old_files(&server, OPERATIONS);
    assert_eq!(second.len(), 2, "{second:?}");
    assert!(second[0] > first[1], "{first:?} {second:?}");
    // The operations of clients have not removed logins.
    let access = stream(&server, ACCESS);
    assert_eq!(of_kind(&access, "start").len(), 2);
    assert_eq!(of_kind(&access, "account").len(), 1);
    assert!(old_files(&server, ACCESS).is_empty());
}

#[test]
fn a_log_of_one_file_for_everything_is_still_read() {
    let mut server = TestServer::start();
    server.stop();
    let path = server.path("data/audit.jsonl");
    let old = concat!(
        "{\"time\":\"2026-01-01T00:00:00.000Z\",\"event\":\"login\"}\n",
        "{\"time\":\"2026-01-01T00:00:01.000Z\",\"event\":\"mkdir\",\"path\":\"/old\"}\n",
    );
    let text = fs::read_to_string(&path).unwrap();
    fs::write(&path, format!("{old}{text}")).unwrap();
    let older = old.replace("2026", "2025").replace("/old", "/older");
    fs::write(
        server.path("data/audit-000007-20251231T000000Z.jsonl"),
        older,
    )
    .unwrap();
    server.serve();
    let mut sftp = Connection::logged_in(&server).sftp();
    assert_eq!(sftp.mkdir("/new"), code::OK);
    noted(&server, "the new one", |one| one["path"] == "/new");
    let made = ["audit", "--json", "--event", "mkdir"];
    let made = server.admin(&made, "").ok().out();
    let paths: Vec<_> = made
        .lines()
        .map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap()["path"].clone())
        .collect();
    assert_eq!(paths, ["/older", "/old", "/new"]);
}

#[test]
fn a_file_that_is_old_enough_is_gone_on_with_in_another() {
    let mut server = TestServer::start_with(&[("audit.file_age", "\"1s\"")]);
    thread::sleep(std::time::Duration::from_millis(2100));
    let mut sftp = Connection::logged_in(&server).sftp();
    assert_eq!(sftp.mkdir("/a"), code::OK);
    noted(&server, "the directory", |one| one["path"] == "/a");
    assert!(!old_files(&server, ACCESS).is_empty());
    // The age is that of the contents, whatever starts in between.
    drop(sftp);
    server.stop();
    let before = old_files(&server, ACCESS).len();
    thread::sleep(std::time::Duration::from_millis(2100));
    server.serve();
    wait_until("the old one is put away", STEP, || {
        old_files(&server, ACCESS).len() > before
    });
}

#[test]
fn half_a_line_of_a_crash_stays_by_itself_and_a_file_that_is_taken_away_is_made_anew() {
    let mut server = TestServer::start();
    server.stop();
    let path = server.path("data/audit.jsonl");
    let mut text = fs::read_to_string(&path).unwrap();
    text.push_str("{\"time\":\"2026-");
    fs::write(&path, text).unwrap();
    // A command, and then the server, append to it.
    server
        .admin(&["user", "set", USER, "--quota", "1GiB"], "")
        .ok();
    server.serve();
    wait_until("the start is noted", STEP, || {
        let text = fs::read_to_string(&path).unwrap();
        text.contains("\n{\"time\":\"2026-\n{") && text.matches("\"event\":\"start\"").count() == 2
    });
    let listed = server
        .admin(&["audit", "--json", "--event", "account", "start"], "")
        .ok()
        .out();
    assert_eq!(listed.lines().count(), 4, "{listed}");

    let mut sftp = Connection::logged_in(&server).sftp();
    assert_eq!(sftp.mkdir("/a"), code::OK);
    let operations = server.path("data/audit-operations.jsonl");
    wait_until("the directory is noted", STEP, || {
        fs::read_to_string(&operations).is_ok_and(|text| text.ends_with('\n'))
    });
    for (path, taken) in [(&path, "taken"), (&operations, "taken too")] {
        fs::rename(path, server.path("data").join(taken)).unwrap();
    }
    let mut sftp = Connection::logged_in(&server).sftp();
    assert_eq!(sftp.mkdir("/b"), code::OK);
    noted(&server, "the next", |one| one["path"] == "/b");
    noted(&server, "the login", |one| one["event"] == "login");
}

#[test]
fn without_it_nothing_is_noted() {
    let mut server = TestServer::start_with(&[("audit.enabled", "false")]);
    run_something(&server);
    server.stop();
    assert!(!server.path("data/audit.jsonl").exists());
    assert!(!server.path("data/audit-operations.jsonl").exists());
    let listed = server.admin(&["audit"], "").ok();
    assert_eq!(listed.out(), "");
}

fn run_something(server: &TestServer) {
    let mut sftp = Connection::logged_in(server).sftp();
    sftp.put("/f", b"content");
    server
        .admin(&["user", "set", USER, "--quota", "1GiB"], "")
        .ok();
}
