//! The time of small requests while something beside them is stuck: less than twice the usual time.

use std::fs::File;
use std::time::{Duration, Instant};

use crate::common::connection::Connection;
use crate::common::raw::{InFlight, RawSftp};
use crate::common::wire::{self, flag};
use crate::common::{KIB, TestServer};
use crate::disks::faulty::FaultyDisk;

const REQUESTS: usize = 2000;
const STUCK: usize = 32;
/// The machine is not idle.
const TRIES: usize = 3;

/// Sends STATs, one after another.
fn p99(server: &TestServer) -> Duration {
    let mut sftp = Connection::logged_in(server).sftp();
    let mut times: Vec<_> = (0..REQUESTS)
        .map(|_| {
            let began = Instant::now();
            sftp.stat("/").attrs();
            began.elapsed()
        })
        .collect();
    times.sort();
    times[REQUESTS * 99 / 100]
}

#[track_caller]
fn assert_little_slower(what: &str, server: &TestServer, stick: impl Fn(bool)) {
    let mut seen = Vec::new();
    for _ in 0..TRIES {
        let without = p99(server);
        stick(true);
        let beside = p99(server);
        stick(false);
        println!("p99 of STAT: {without:?} alone, {beside:?} beside {what}");
        if beside < without * 2 {
            return;
        }
        seen.push((without, beside));
    }
    panic!("beside {what}: {seen:?}");
}

#[test]
fn a_small_request_beside_a_home_that_hangs_takes_less_than_twice_as_long() {
    let Some(disk) = FaultyDisk::mount() else {
        return;
    };
    let server = TestServer::start();
    disk.add_user(&server, "slow");
    let sessions: Vec<_> = (0..STUCK)
        .map(|_| Connection::logged_in_to(&server, "slow", &Default::default()).sftp())
        .collect();
    let sessions = std::sync::Mutex::new(sessions);
    assert_little_slower("32 sessions at a disk that hangs", &server, |hangs| {
        disk.hang(hangs);
        for sftp in &mut *sessions.lock().unwrap() {
            if hangs {
                let body = sftp.body(wire::STAT).string("/");
                sftp.send(&body);
            } else {
                sftp.reply();
            }
        }
    });
}

#[test]
fn a_small_request_beside_clients_that_stop_reading_takes_less_than_twice_as_long() {
    const LONG: u32 = 255 * KIB as u32;
    let server = TestServer::start();
    File::create(server.at_home("file"))
        .unwrap()
        .set_len(1 << 30)
        .unwrap();
    let sessions: Vec<_> = (0..8).map(|_| over_ssh(&server)).collect();
    let sessions = std::sync::Mutex::new(sessions);
    assert_little_slower("8 clients that stop reading", &server, |stops| {
        for (sftp, handle, in_flight) in &mut *sessions.lock().unwrap() {
            if stops {
                for number in 0..100 {
                    let body = sftp.body(wire::READ).string(&*handle);
                    let body = body.u64(number * u64::from(LONG)).u32(LONG);
                    in_flight.send(sftp, &body);
                }
            } else {
                while !in_flight.0.is_empty() {
                    in_flight.reply(sftp);
                }
            }
        }
        // Until every window and buffer is full.
        std::thread::sleep(Duration::from_secs(1));
    });
}

fn over_ssh(server: &TestServer) -> (RawSftp, Vec<u8>, InFlight) {
    let mut sftp = RawSftp::over_ssh(&mut server.ssh());
    sftp.init();
    let handle = sftp.opened("file", flag::READ);
    (sftp, handle, InFlight::default())
}
