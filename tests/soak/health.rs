//! The resources that the server uses and holds while it is idle.

use std::fmt;
use std::fs;
use std::thread::sleep;
use std::time::Duration;

use serde_json::Value;

use crate::common::files::{disk_use, wait_until};
use crate::common::metrics;
use crate::common::{STEP, TestServer};
use crate::worker::Account;

/// For a debug build, with the memory that the allocator keeps in each of its arenas.
const MEMORY_TO_SPARE: u64 = 12 * 1024;

/// tokio's blocking pool ends idle threads after 10 s.
const UNTIL_IDLE_THREADS_END: Duration = Duration::from_secs(11);
/// One thread for each database connection that was needed at the same time as others.
const DATABASE_THREADS: usize = 3;

/// The resources of one server at rest, round after round.
pub struct Health {
    files_at_start: usize,
    threads_at_start: usize,
    samples: Vec<Sample>,
}

/// At one time.
pub struct Sample {
    files: usize,
    threads: usize,
    memory_kib: u64,
}

impl fmt::Display for Sample {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            files,
            threads,
            memory_kib,
        } = self;
        write!(
            out,
            "{files} descriptors, {threads} threads, {memory_kib} KiB"
        )
    }
}

impl Sample {
    fn of(server: &TestServer) -> Self {
        let threads = fs::read_dir(format!("/proc/{}/task", server.process_id()));
        Self {
            files: server.open_files(),
            threads: threads.unwrap().count(),
            memory_kib: server.memory_kib("VmRSS"),
        }
    }
}

impl Health {
    /// Of a server that has had sessions and now has none. Each server that starts on the same folder must
    /// be like it.
    pub fn at_start(server: &TestServer) -> Self {
        sleep(UNTIL_IDLE_THREADS_END);
        let now = Sample::of(server);
        Self {
            files_at_start: now.files,
            threads_at_start: now.threads,
            samples: Vec::new(),
        }
    }

    /// Another server continues.
    pub fn restarted(&mut self) {
        self.samples.clear();
    }

    pub fn last(&self) -> Option<&Sample> {
        self.samples.last()
    }

    /// Checks the server after all sessions have ended: nothing is open, and the usage equals the disk.
    pub fn examine(&mut self, server: &TestServer, accounts: &[Account], waits_for_threads: bool) {
        let json = |args: &[&str]| -> Value {
            let said = server.admin(&[args, &["--json"]].concat(), "").ok().out();
            serde_json::from_str(&said).unwrap()
        };
        wait_until("all sessions have ended", STEP, || {
            json(&["session", "list"]).as_array().unwrap().is_empty()
        });
        let idle = [
            "landfall_connections",
            "landfall_sessions",
            "landfall_backlog_bytes",
            "landfall_blocking_tasks",
            "landfall_audit_lost_total",
        ];
        for name in idle {
            wait_until(&format!("{name} is 0"), STEP, || {
                metrics::value(server, name) == 0.0
            });
        }
        for account in accounts {
            let there = disk_use(&server.path("data/homes").join(account.name));
            let shown = || {
                let shown = json(&["quota", "show", account.name]);
                let shown = shown.as_array().unwrap()[0].clone();
                let figure = |key: &str| shown[key].as_u64().unwrap();
                (figure("used_bytes"), figure("used_files"))
            };
            let name = account.name;
            wait_until(
                &format!("the figures of {name} are {there:?}"),
                STEP,
                || shown() == there,
            );
            server.admin(&["quota", "recount", name], "").ok();
            assert_eq!(shown(), there, "{name} after a recount");
        }
        wait_until("all files are closed", STEP, || {
            server.open_files() <= self.files_at_start
        });
        if waits_for_threads {
            // Threads for blocking calls end after some idle time.
            let enough = self.threads_at_start + DATABASE_THREADS;
            wait_until(&format!("no more than {enough} threads"), STEP, || {
                Sample::of(server).threads <= enough
            });
        }
        self.samples.push(Sample::of(server));
    }

    /// Expects that memory does not grow from the second third to the last; the first is for warming up.
    pub fn assert_flat(&self) {
        let third = self.samples.len() / 3;
        assert!(third > 0, "too few rounds without a restart");
        let most = |samples: &[Sample]| {
            let sizes = samples.iter().map(|sample| sample.memory_kib);
            sizes.max().unwrap()
        };
        let middle = most(&self.samples[third..2 * third]);
        let last = most(&self.samples[2 * third..]);
        println!("memory at rest: {middle} KiB at most, then {last} KiB");
        assert!(
            last <= middle + MEMORY_TO_SPARE,
            "{middle} KiB, then {last} KiB"
        );
    }
}
