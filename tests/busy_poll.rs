//! The server busy-polls for clients that send each request right after a reply, and for no others. In a
//! file of its own, so that no other test runs beside it.

use std::fs;
use std::time::Duration;

use crate::common::connection::Connection;
use crate::common::process::number_in;
use crate::common::raw::RawSftp;
use crate::common::{STEP, TestServer, skip, wait_until};

const REQUESTS: u64 = 2000;

/// Returns how often the only worker thread of a server has slept so far.
fn naps_of(server: &TestServer) -> u64 {
    let tasks = fs::read_dir(format!("/proc/{}/task", server.process_id())).unwrap();
    let mut tasks = tasks.map(|task| fs::read_to_string(task.unwrap().path().join("status")));
    let shard = tasks.find_map(|status| {
        status
            .ok()
            .filter(|status| status.starts_with("Name:\tshard-0\n"))
    });
    number_in(&shard.unwrap(), "voluntary_ctxt_switches")
}

/// Returns how often the thread of a client sleeps during these requests, with a pause after each reply.
fn naps(server: &TestServer, sftp: &mut RawSftp, requests: u64, pause: Duration) -> u64 {
    let before = naps_of(server);
    for _ in 0..requests {
        sftp.stat("/").attrs();
        if !pause.is_zero() {
            std::thread::sleep(pause);
        }
    }
    naps_of(server) - before
}

#[test]
fn who_asks_again_at_once_is_waited_for_awake_and_nobody_else() {
    if std::thread::available_parallelism().unwrap().get() == 1 {
        return skip("nobody is waited for awake on a single processor");
    }
    let settings = [("server.shards", "1"), ("ssh.busy_poll", "false")];
    let sleepy = TestServer::start_with(&settings);
    let mut sftp = Connection::logged_in(&sleepy).sftp();
    let asleep = naps(&sleepy, &mut sftp, REQUESTS, Duration::ZERO);
    assert!(asleep > REQUESTS / 2, "{asleep}");

    let server = TestServer::start_with(&settings[..1]);
    let mut sftp = Connection::logged_in(&server).sftp();
    // On a busy machine no client is quick for long.
    wait_until(
        "it stays awake for a client that asks again at once",
        STEP,
        || naps(&server, &mut sftp, REQUESTS, Duration::ZERO) < asleep / 4,
    );

    // It sleeps for a slow client, and without work.
    let (slow, requests) = (Duration::from_millis(1), 300);
    let for_slow = naps(&server, &mut sftp, requests, slow);
    assert!(for_slow >= requests, "{for_slow}");
    let before = server.cpu_time();
    std::thread::sleep(Duration::from_secs(2));
    let used = server.cpu_time() - before;
    assert!(used < Duration::from_millis(200), "{used:?}");
}
