//! Disks of the audit log that are full or hang. Only the audit log is on them.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use super::{ACCESS, OPERATIONS, noted, of_kind, trail};
use crate::common::connection::{Connection, Options};
use crate::common::wire::{Attrs, code};
use crate::common::{MIB, STEP, TestServer, bytes_of, run_ok, wait_until};
use crate::disks::faulty::FaultyDisk;
use crate::disks::small::SmallDisk;

/// Bind mounts that put the files of the audit log on another disk, until dropped.
struct Bound([PathBuf; 2]);

impl Drop for Bound {
    fn drop(&mut self) {
        for path in &self.0 {
            run_ok(Command::new("umount").arg("-l").arg(path), STEP);
        }
    }
}

/// A server with its audit log in this folder.
fn server_with_trail_in(folder: &Path, settings: &[(&str, &str)]) -> (TestServer, Bound) {
    let mut server = TestServer::start_with(settings);
    server.stop();
    let bound = Bound([ACCESS, OPERATIONS].map(|stream| {
        let name = format!("{stream}.jsonl");
        let (path, there) = (server.path("data").join(&name), folder.join(name));
        fs::write(&there, "").unwrap();
        fs::write(&path, "").unwrap();
        let mut mount = Command::new("mount");
        run_ok(mount.arg("--bind").arg(there).arg(&path), STEP);
        path
    }));
    server.serve();
    noted(&server, "the start", |one| one["event"] == "start");
    (server, bound)
}

/// To the last block, so that a line can be torn.
fn fill(disk: &SmallDisk) {
    let ballast = fs::File::create(disk.0.join("ballast")).unwrap();
    let mut size = 0;
    while rustix::io::pwrite(&ballast, &[0; 4096], size).is_ok_and(|count| count > 0) {
        size += 4096;
    }
}

fn can_log_in(server: &TestServer) -> bool {
    let connection = Connection::open(server, &Options::default());
    connection
        .key(server.user(), &server.key(), None)
        .is_ok_and(|result| result.success())
}

#[test]
fn a_full_disk_is_told_and_what_waits_is_noted_once_there_is_room() {
    let Some(disk) = SmallDisk::mount("audit", "size=1m,mode=700") else {
        return;
    };
    let (server, _bound) = server_with_trail_in(&disk.home(), &[]);
    let mut sftp = Connection::logged_in(&server).sftp();
    assert_eq!(sftp.mkdir("/first"), code::OK);
    noted(&server, "the first", |one| one["path"] == "/first");
    fill(&disk);
    for number in 0..500 {
        assert_eq!(sftp.mkdir(format!("/{number}")), code::OK);
    }
    wait_until("the log reports it", STEP, || {
        server
            .log()
            .contains("cannot write the audit log; trying again: No space left")
    });
    // No login is refused.
    assert!(can_log_in(&server));
    let part = fs::read_to_string(disk.home().join("audit-operations.jsonl")).unwrap();
    assert!(part.ends_with('\n'), "torn");
    disk.make_room();
    wait_until("all is noted", STEP, || {
        of_kind(&trail(&server), "mkdir").len() == 501
    });
    wait_until("the log reports that", STEP, || {
        server.log().contains("the audit log can be written again")
    });
    assert!(of_kind(&trail(&server), "lost").is_empty());
}

#[test]
fn with_refuse_nobody_logs_in_who_could_not_be_noted() {
    let Some(disk) = SmallDisk::mount("audit-refuse", "size=1m,mode=700") else {
        return;
    };
    let (server, _bound) =
        server_with_trail_in(&disk.home(), &[("audit.on_failure", "\"refuse\"")]);
    let mut sftp = Connection::logged_in(&server).sftp();
    fill(&disk);
    // Use up the rest of the last block.
    for number in 0..50 {
        assert_eq!(sftp.mkdir(format!("/{number}")), code::OK);
    }
    wait_until("nobody logs in", STEP, || !can_log_in(&server));
    let password = Connection::open(&server, &Options::default());
    let refused = password
        .password(server.user(), crate::common::PASSWORD)
        .unwrap();
    assert!(!refused.success());
    assert!(
        server
            .log()
            .contains("reason=\"the audit log cannot be written\"")
    );
    // Open sessions continue.
    assert_eq!(sftp.mkdir("/further"), code::OK);
    disk.make_room();
    wait_until("they log in again", STEP, || can_log_in(&server));
    let reason = "the audit log cannot be written";
    let refused = trail(&server)
        .iter()
        .filter(|one| one["reason"] == reason)
        .count();
    assert!(refused > 0, "those who were refused are noted afterwards");
}

#[test]
fn a_disk_that_hangs_slows_nobody_and_what_it_does_not_take_is_counted() {
    let Some(disk) = FaultyDisk::mount() else {
        return;
    };
    let (server, _bound) =
        server_with_trail_in(&disk.home(), &[("audit.on_failure", "\"refuse\"")]);
    let mut sftp = Connection::logged_in(&server).sftp();
    noted(&server, "the login", |one| one["event"] == "login");
    server.add_user("bob", "another secret", &[&server.public_key()]);
    let options = Options::default();
    let mut bob = Connection::logged_in_to(&server, "bob", &options).sftp();
    // A long path, so that few events fill the queue.
    let mut path = String::new();
    for _ in 0..12 {
        path.push('/');
        path.push_str(&"n".repeat(250));
        assert_eq!(sftp.mkdir(&path), code::OK);
    }
    let made = |events: &[serde_json::Value]| of_kind(events, "mkdir").len();
    wait_until("they are noted", STEP, || made(&trail(&server)) == 12);
    let hanging = disk.hangs();
    let began = Instant::now();
    sftp.put("/file", &bytes_of(16 * MIB, 1));
    assert!(sftp.get("/file") == bytes_of(16 * MIB, 1));
    // No request waits for the disk of the audit log, which hangs for as long as `hanging` lives.
    assert!(
        began.elapsed() < Duration::from_secs(20),
        "{:?}",
        began.elapsed()
    );
    // Whether the disk accepts them is not known yet; after a while that counts as a failure.
    wait_until("nobody logs in", STEP, || !can_log_in(&server));
    let attrs = Attrs {
        times: Some((1, 2)),
        ..Attrs::default()
    };
    let mut changes: u64 = 0;
    let mut slowest = Duration::ZERO;
    while !server.log().contains("events are lost") || !changes.is_multiple_of(100) {
        let began = Instant::now();
        assert_eq!(sftp.setstat(&path, &attrs), code::OK);
        slowest = slowest.max(began.elapsed());
        changes += 1;
        assert!(changes < 100_000, "the queue has no end");
    }
    // Events of another account are not lost.
    for number in 0..20 {
        assert_eq!(bob.mkdir(format!("/of-bob-{number}")), code::OK);
    }
    assert!(slowest < Duration::from_secs(2), "{slowest:?}");
    assert!(server.memory_kib("VmRSS") < 200 * 1024);
    drop(hanging);
    wait_until("it is noted how many were lost", STEP, || {
        !of_kind(&trail(&server), "lost").is_empty()
    });
    assert_eq!(sftp.mkdir("/last"), code::OK);
    noted(&server, "the last", |one| one["path"] == "/last");
    let events = trail(&server);
    let of_bob = of_kind(&events, "mkdir");
    let of_bob = of_bob.iter().filter(|one| one["user"] == "bob");
    assert_eq!(of_bob.count(), 20);
    let lost: u64 = of_kind(&events, "lost")
        .iter()
        .map(|one| one["count"].as_u64().unwrap())
        .sum();
    let refused_logins = of_kind(&events, "login")
        .iter()
        .filter(|one| one["ok"] == false)
        .count();
    let kept = of_kind(&events, "setstat").len() as u64;
    assert!(
        lost > 0 && kept + lost >= changes,
        "{kept} + {lost} of {changes}"
    );
    // Few others could be lost, since nothing else has happened meanwhile.
    assert!(kept + lost <= changes + 10, "{kept} + {lost} of {changes}");
    assert!(refused_logins > 0);
    wait_until("they log in again", STEP, || can_log_in(&server));
}
