//! The time of another account's logins and small requests while one account hashes as much as it can.

use std::time::{Duration, Instant};

use crate::common::busy::{CHANNELS, hash_without_end};
use crate::common::connection::{Connection, Options};
use crate::common::{PASSWORD, TestServer, USER};

const GREEDY: &str = "eve";
const CONNECTIONS: usize = 50;
const LOGINS: usize = 30;
const REQUESTS: usize = 1000;
/// The machine has other work, too.
const TRIES: usize = 3;
/// What two busy processors may add to a login, and to a request.
const LOGIN_NOISE: Duration = Duration::from_millis(50);
const REQUEST_NOISE: Duration = Duration::from_millis(10);
/// Before threads were shared among accounts, each hash held one.
const THREADS: u64 = 150;

#[derive(Debug)]
struct Seen {
    login: Duration,
    /// Of REALPATH, which goes to the blocking pool.
    request: Duration,
    threads: u64,
}

/// The 99th percentiles.
fn look(server: &TestServer) -> Seen {
    let mut threads = 0;
    let login = p99(LOGINS, || {
        threads = threads.max(server.threads());
        let connection = Connection::open(server, &Options::default());
        assert!(connection.password(USER, PASSWORD).unwrap().success());
    });
    let mut sftp = Connection::logged_in(server).sftp();
    let request = p99(REQUESTS, || {
        sftp.realpath("/");
    });
    Seen {
        login,
        request,
        threads: threads.max(server.threads()),
    }
}

fn p99(times: usize, mut act: impl FnMut()) -> Duration {
    let timed = |_| {
        let began = Instant::now();
        act();
        began.elapsed()
    };
    let mut times: Vec<_> = (0..times).map(timed).collect();
    times.sort();
    times[times.len() * 99 / 100]
}

#[test]
fn beside_an_account_that_hashes_without_end_logins_and_requests_take_less_than_twice_as_long() {
    let server = TestServer::start();
    server.add_user(GREEDY, PASSWORD, &[&server.public_key()]);
    let mut all = Vec::new();
    for _ in 0..TRIES {
        let idle = look(&server);
        let hashing = hash_without_end(&server, GREEDY, CONNECTIONS);
        let beside = look(&server);
        drop(hashing);
        println!(
            "idle {idle:?}, beside {} hashes {beside:?}",
            CONNECTIONS * CHANNELS
        );
        assert!(beside.threads < THREADS, "{} threads", beside.threads);
        if beside.login < idle.login * 2 + LOGIN_NOISE
            && beside.request < idle.request * 2 + REQUEST_NOISE
        {
            return;
        }
        all.push((idle, beside));
    }
    panic!("{all:?}");
}
