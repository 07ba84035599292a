//! Clients with an account that send and ask as much as they can: what they cost the server, and the
//! others.

use std::fs;
use std::thread;
use std::time::Duration;

use crate::common::connection::{Connection, Options};
use crate::common::raw::{Ended, RawSftp};
use crate::common::wire::{self, Reply, flag};
use crate::common::{KIB, MIB, PASSWORD, STEP, TestServer, USER, bytes_of};

const SESSIONS: usize = 100;
/// What one of them may hold of the server's memory.
const EACH_KIB: u64 = 4 * 1024;
const NAMES: usize = 3000;

/// What a hostile client asks for, again and again.
#[derive(Clone, Copy, Debug)]
enum Flood {
    /// The largest READs.
    Reads,
    /// READDIRs of a large directory, with as many directories open as the server lets it.
    Lists,
    /// Small requests with small replies.
    Stats,
}

const ALL: [Flood; 3] = [Flood::Reads, Flood::Lists, Flood::Stats];

fn server() -> TestServer {
    let server = TestServer::start_with(&[("server.max_connections", "300")]);
    fs::write(server.at_home("file"), bytes_of(MIB, 1)).unwrap();
    fs::create_dir(server.at_home("names")).unwrap();
    for number in 0..NAMES {
        fs::write(server.at_home(&format!("names/{number:0>40}")), "").unwrap();
    }
    server
}

/// A session that is ready to flood, and what it sends.
fn attacker(server: &TestServer, flood: Flood) -> (RawSftp, Vec<u8>) {
    let mut sftp = RawSftp::over_ssh(server.ssh().args(["-o", "LogLevel=QUIET"]));
    sftp.init();
    let mut block = Vec::new();
    match flood {
        Flood::Reads => {
            let handle = sftp.opened("file", flag::READ);
            for _ in 0..1000 {
                let read = sftp.body(wire::READ).string(&handle);
                block.extend(read.u64(0).u32(255 * KIB as u32).packet());
            }
        }
        Flood::Lists => {
            let mut handles = Vec::new();
            while let Reply::Handle { handle, .. } = sftp.with_string(wire::OPENDIR, "names") {
                sftp.with_string(wire::READDIR, &handle);
                handles.push(handle);
            }
            assert_eq!(handles.len(), 256);
            for handle in handles.iter().cycle().take(1000) {
                block.extend(sftp.body(wire::READDIR).string(handle).packet());
            }
        }
        Flood::Stats => {
            for _ in 0..1000 {
                block.extend(sftp.body(wire::STAT).string("names").packet());
            }
        }
    }
    (sftp, block)
}

/// Sends until nothing more is taken.
fn send_all_it_can(sftp: &mut RawSftp, block: &[u8]) {
    let mut sent = 0;
    while sftp.try_send_bytes(block, Duration::from_secs(3)) {
        sent += block.len();
        assert!(sent < 32 * MIB, "nothing holds it");
    }
}

#[test]
fn a_hundred_sessions_that_never_read_hold_less_than_four_mebibytes_each() {
    let server = server();
    let honest = |server: &TestServer| {
        let mut sftp = RawSftp::over_ssh(&mut server.ssh());
        sftp.init();
        let handle = sftp.opened("file", flag::READ);
        let read = sftp.body(wire::READ).string(&handle).u64(0).u32(1000);
        sftp.send(&read);
        assert_eq!(sftp.reply_within(STEP).data().len(), 1000);
    };
    honest(&server);
    let before = server.memory_kib("VmRSS");
    let mut sessions: Vec<RawSftp> = thread::scope(|scope| {
        let starting: Vec<_> = (0..8)
            .map(|thread| {
                let server = &server;
                scope.spawn(move || {
                    let mut started = Vec::new();
                    for number in (thread..SESSIONS).step_by(8) {
                        started.push(attacker(server, ALL[number % ALL.len()]));
                    }
                    // All of these at the same time, each till it is held.
                    thread::scope(|scope| {
                        for (sftp, block) in &mut started {
                            scope.spawn(|| send_all_it_can(sftp, block));
                        }
                    });
                    started
                })
            })
            .collect();
        let started = starting.into_iter().flat_map(|one| one.join().unwrap());
        started.map(|(sftp, _)| sftp).collect()
    });
    assert_eq!(sessions.len(), SESSIONS);
    honest(&server);
    let grown = server.memory_kib("VmRSS").saturating_sub(before);
    let each = grown / SESSIONS as u64;
    println!("{SESSIONS} hostile sessions: {each} KiB each");
    assert!(
        each < EACH_KIB,
        "{each} KiB for each of {SESSIONS} sessions"
    );
    // None of them was cut off: who reads on gets on.
    for sftp in &mut sessions {
        assert!(!matches!(sftp.try_packet(STEP), Err(Ended::Closed)));
    }
}

/// A hash of a password takes 19 MiB, and strangers can ask for as many as they like.
#[test]
fn guessing_passwords_takes_the_memory_of_the_hashes_at_work_and_no_more() {
    const AT_WORK: u64 = 2;
    let server = TestServer::start_with(&[
        ("login.argon2_memory", "\"19MiB\""),
        ("login.parallel_hashes", &AT_WORK.to_string()),
    ]);
    let before = server.memory_kib("VmHWM");
    thread::scope(|scope| {
        for _ in 0..6 {
            scope.spawn(|| {
                for _ in 0..8 {
                    let connection = Connection::open(&server, &Options::default());
                    assert!(connection.password(USER, PASSWORD).unwrap().success());
                }
            });
        }
    });
    let grown = server.memory_kib("VmHWM").saturating_sub(before);
    println!("48 logins by password: grown by {grown} KiB");
    assert!(grown < (AT_WORK * 19 + 16) * 1024, "grown by {grown} KiB");
}
