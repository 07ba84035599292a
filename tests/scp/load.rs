//! Clients that wait, stop or are slow: memory stays bounded, no thread is blocked, and others
//! continue.

use std::fs;
use std::process::Command;
use std::thread::sleep;
use std::time::Duration;

use rustix::process::Signal;

use super::raw::RawScp;
use crate::common::connection::Connection;
use crate::common::files::assert_same;
use crate::common::{
    HOST, KIB, MIB, Running, STEP, TRANSFER, TestServer, against_openssh, bytes_of, random_file,
    wait_until,
};

fn download(server: &TestServer, name: &str, to: &str) -> Command {
    let mut scp = server.scp();
    scp.args(["-O", &format!("{HOST}:{name}"), to]);
    scp
}

#[test]
fn a_client_that_stops_reading_costs_no_memory_and_loses_nothing() {
    if against_openssh() {
        return;
    }
    let server = TestServer::start();
    random_file(&server.at_home("big"), 100 * MIB as u64, 1);
    fs::write(server.at_home("small"), "small").unwrap();
    let before = server.memory_kib("VmRSS:");
    let mut slow = Running::start(&mut download(&server, "big", "back"));
    let back = server.local("back");
    wait_until("it has begun", STEP, || {
        fs::metadata(&back).is_ok_and(|found| found.len() > MIB as u64)
    });
    slow.signal_group(Signal::STOP);
    sleep(Duration::from_secs(1));
    assert!(slow.is_running());
    let grown = server.memory_kib("VmHWM:") - before;
    assert!(grown < 32 * KIB as u64, "{grown} KiB more");
    let at_rest = server.cpu_time();
    sleep(Duration::from_millis(500));
    let used = server.cpu_time() - at_rest;
    assert!(
        used < Duration::from_millis(100),
        "{used:?} while nothing goes on"
    );
    // Others do not notice.
    Running::start(&mut download(&server, "small", "one"))
        .wait(STEP)
        .ok();
    slow.signal_group(Signal::CONT);
    slow.wait(TRANSFER).ok();
    assert_same(&server.at_home("big"), &back);
}

#[test]
fn clients_that_wait_hold_no_thread() {
    if against_openssh() {
        return;
    }
    let server = TestServer::start_with(&[("sftp.max_channels", "100")]);
    fs::write(server.at_home("file"), "file").unwrap();
    let threads = || {
        fs::read_dir(format!("/proc/{}/task", server.process_id()))
            .unwrap()
            .count()
    };
    let before = threads();
    let connection = Connection::logged_in(&server);
    let mut waiting = Vec::new();
    for number in 0..40 {
        let mut upload = RawScp::to(&connection, "scp -t .");
        upload.say(format!("C0644 1000000 up{number}"));
        upload.send("a beginning");
        let mut download = RawScp::start(&connection, "scp -f file");
        download.send("\0");
        download.line();
        waiting.extend([upload, download]);
    }
    let more = threads().saturating_sub(before);
    assert!(
        more < 20,
        "{more} threads more for {} clients",
        waiting.len()
    );
    let mut one_more = RawScp::to(&connection, "scp -t .");
    one_more.put("last", b"last");
    drop(waiting);
}

#[test]
fn single_bytes_are_no_cheap_way_to_take_memory() {
    if against_openssh() {
        return;
    }
    let server = TestServer::start();
    let connection = Connection::logged_in(&server);
    let before = server.memory_kib("VmRSS:");
    let data = bytes_of(50 * KIB, 1);
    let mut uploads: Vec<_> = (0..2)
        .map(|number| {
            let mut scp = RawScp::to(&connection, "scp -t .");
            scp.say(format!("C0644 {} up{number}", data.len()));
            scp
        })
        .collect();
    for byte in &data {
        for scp in &mut uploads {
            scp.send([*byte]);
        }
    }
    let grown = server.memory_kib("VmHWM:") - before;
    assert!(grown < 4 * KIB as u64, "{grown} KiB more");
    for (number, mut scp) in uploads.into_iter().enumerate() {
        scp.send("\0");
        scp.well();
        scp.send_eof();
        assert_eq!(scp.ended(), 0);
        assert_eq!(
            fs::read(server.at_home(&format!("up{number}"))).unwrap(),
            data
        );
    }
}

#[test]
fn long_answers_to_short_lines_are_no_cheap_way_to_take_memory() {
    if against_openssh() {
        return;
    }
    let server = TestServer::start();
    let path = vec!["x".repeat(250); 3].join("/");
    fs::create_dir_all(server.at_home(&path).join("d")).unwrap();
    let connection = Connection::logged_in(&server);
    let mut scp = RawScp::to(&connection, &format!("scp -t {path}"));
    let before = server.memory_kib("VmRSS:");
    let lines = 20_000;
    // So that nothing runs before everything has arrived.
    scp.say(format!("C0644 {} file", 256 * KIB));
    scp.send(
        [
            bytes_of(256 * KIB, 1),
            b"\0".to_vec(),
            b"C0644 1 d\n".repeat(lines),
        ]
        .concat(),
    );
    scp.well();
    for _ in 0..lines {
        assert!(scp.complaint().ends_with("/d: Is a directory"));
    }
    let grown = server.memory_kib("VmHWM:") - before;
    assert!(grown < 8 * KIB as u64, "{grown} KiB more");
    scp.put("last", b"last");
}

#[test]
fn a_pattern_that_fits_too_much_is_refused() {
    if against_openssh() {
        return;
    }
    let server = TestServer::start();
    fs::create_dir(server.at_home("many")).unwrap();
    for number in 0..10_001 {
        fs::write(server.at_home(&format!("many/{number:05}")), "").unwrap();
    }
    fs::write(server.at_home("after"), "after").unwrap();
    let connection = Connection::logged_in(&server);
    let looks_at_all = "many/*x ".repeat(30);
    for (patterns, words) in [
        ("many/*", "The pattern matches too many names (limit 10000)"),
        (
            looks_at_all.as_str(),
            "Too many names to compare with a pattern (limit 200000)",
        ),
    ] {
        let mut scp = RawScp::start(&connection, &format!("scp -f {patterns} after"));
        scp.send("\0");
        let mut said = scp.complaint();
        while said == "scp: many/*x: No such file or directory" {
            said = scp.complaint();
        }
        assert!(said.ends_with(words), "{said}");
        drop(scp);
    }
    let mut scp = RawScp::start(&connection, "scp -f many/* after");
    scp.send("\0");
    scp.complaint();
    assert_eq!(scp.line(), "C0644 5 after");
}
