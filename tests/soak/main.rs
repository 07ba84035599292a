//! A soak test: for MINUTES (default 5) real clients move files, while connections are cut and clients
//! killed at any byte, keys are exchanged at every mebibyte, sessions closed, accounts changed, quotas
//! reached, and the server stopped and killed. After each round the server must be as at its start: every
//! file has one of its possible contents, the usage equals the disk, and nothing is open. SEED=N repeats
//! the actions, though not their timing.
//!
//!     MINUTES=60 cargo test --test soak -- --nocapture

#![allow(
    missing_docs,
    unreachable_pub,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

mod clients;
#[path = "../common/mod.rs"]
#[allow(dead_code, unused_imports)]
mod common;
mod health;
mod trouble;
mod way;
mod weather;
mod worker;

use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::{Duration, Instant};

use common::{TestServer, USER, have};
use health::Health;
use trouble::Trouble;
use way::Way;
use weather::Weather;
use worker::{Account, Totals, Worker};

const ACCOUNTS: [Account; 4] = [
    Account {
        name: USER,
        safe_overwrite: false,
        is_tight: false,
    },
    Account {
        name: "bob",
        safe_overwrite: true,
        is_tight: false,
    },
    Account {
        name: "carol",
        safe_overwrite: false,
        is_tight: true,
    },
    Account {
        name: "dave",
        safe_overwrite: true,
        is_tight: true,
    },
];
/// The account of each worker.
const WORKERS: [usize; 7] = [0, 0, 0, 1, 1, 2, 3];
const SETTINGS: &[(&str, &str)] = &[
    common::metrics::ON,
    // The audit log starts a new file from time to time.
    ("audit.file_size", "\"1MiB\""),
    ("audit.keep", "3"),
];

/// The server's log after a worker has failed.
const KEPT_LOG: &str = concat!(env!("CARGO_TARGET_TMPDIR"), "/soak.log");

const PROGRAMS: [&str; 9] = [
    "sftp",
    "scp",
    "ssh",
    "rclone",
    "lftp",
    "curl",
    "sshfs",
    "fusermount3",
    "mountpoint",
];

fn given(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|value| value.parse().unwrap())
}

#[test]
fn after_every_round_the_server_is_as_at_its_start() {
    if !have(&PROGRAMS) || common::python().is_none() {
        return;
    }
    let minutes = given("MINUTES").unwrap_or(5);
    let seed = given("SEED").unwrap_or_else(|| {
        let now = std::time::UNIX_EPOCH.elapsed().unwrap();
        u64::from(now.subsec_nanos())
    });
    println!("SEED={seed} MINUTES={minutes}");
    let began = Instant::now();
    let whole = Duration::from_secs(60 * minutes);
    let round = (whole / 16).clamp(Duration::from_secs(10), Duration::from_secs(45));

    let mut server = TestServer::start_with(SETTINGS);
    for account in ACCOUNTS {
        if account.name != USER {
            server.add_user(account.name, common::PASSWORD, &[&server.public_key()]);
        }
        let safe = if account.safe_overwrite { "on" } else { "off" };
        let set = ["user", "set", account.name, "--safe-overwrite", safe];
        server.admin(&set, "").ok();
    }
    let port = Arc::new(AtomicU16::new(server.port()));
    let mut workers: Vec<_> = (0_u64..)
        .zip(WORKERS)
        .map(|(number, account)| {
            let way = Way::open(Arc::clone(&port));
            let account = ACCOUNTS[account];
            Worker::new(&server, number, account, way, seed ^ (number << 32))
        })
        .collect();
    let mut health = Health::at_start(&server);
    let totals = Totals::default();
    let mut weather = Weather::new(seed);

    while began.elapsed() < whole {
        // In the second half the server is not restarted, so that a leak shows.
        let restarts = began.elapsed() < whole / 2;
        let trouble = Trouble::default();
        weather.calm(&server);
        let until = Instant::now() + round;
        let went_well = std::thread::scope(|scope| {
            let mut at_work = Vec::new();
            for worker in &mut workers {
                let (trouble, totals) = (&trouble, &totals);
                at_work.push(scope.spawn(move || worker.work(until, trouble, totals)));
            }
            weather.blow(&mut server, until, restarts, &trouble, &totals, |server| {
                port.store(server.port(), Ordering::SeqCst);
                health.restarted();
            });
            at_work.into_iter().all(|worker| worker.join().is_ok())
        });
        if !went_well {
            fs::copy(server.path("log"), KEPT_LOG).unwrap();
            panic!("see above, and {KEPT_LOG}; SEED={seed}");
        }
        let at_rest = Instant::now();
        for worker in &mut workers {
            worker.tidy();
        }
        health.examine(&server, &ACCOUNTS, !restarts);
        for worker in &workers {
            worker.verify_all(&totals);
        }
        totals.add("rounds", 1);
        println!(
            "{:>5} s, {:>2} of them at rest: {}",
            began.elapsed().as_secs(),
            at_rest.elapsed().as_secs(),
            health.last().unwrap()
        );
    }
    println!(
        "SEED={seed}, {} s:
{}",
        began.elapsed().as_secs(),
        totals.lines()
    );
    health.assert_flat();
    drop(workers);
    server.admin(&["audit", "--json"], "").ok();
    assert!(server.stop().unwrap().success());
}
