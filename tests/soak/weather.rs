//! What operators and accidents do to the server during the test.

use std::thread::sleep;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::common::files::Random;
use crate::common::{STEP, TestServer, USER};
use crate::trouble::Trouble;
use crate::worker::Totals;

/// The maximum quota of the accounts with little room, in MiB.
const ROOM: u64 = 24;
const TIGHT: [&str; 2] = ["carol", "dave"];

pub struct Weather {
    random: Random,
    rounds: u64,
}

impl Weather {
    pub fn new(seed: u64) -> Self {
        Self {
            random: Random::new(!seed),
            rounds: 0,
        }
    }

    /// Makes room again before a round.
    pub fn calm(&self, server: &TestServer) {
        self.set_room(server, ROOM);
    }

    fn set_room(&self, server: &TestServer, room: u64) {
        for name in TIGHT {
            let quota = format!("{room}MiB");
            let set = ["user", "set", name, "--quota", &quota];
            server.admin(&set, "").ok();
        }
    }

    /// Disturbs the server until then; `renewed` is called for each new server.
    pub fn blow(
        &mut self,
        server: &mut TestServer,
        until: Instant,
        restarts: bool,
        trouble: &Trouble,
        totals: &Totals,
        mut renewed: impl FnMut(&TestServer),
    ) {
        self.rounds += 1;
        let length = until.saturating_duration_since(Instant::now());
        let share = 20 + self.random.below(60) as u32;
        let mut restart_at = restarts.then(|| Instant::now() + length * share / 100);
        while Instant::now() < until {
            if restart_at.is_some_and(|at| at <= Instant::now()) {
                restart_at = None;
                trouble.meanwhile(None, || self.restart(server, totals));
                renewed(server);
            }
            self.blast(server, trouble, totals);
            sleep(Duration::from_millis(500 + self.random.below(1500)));
        }
    }

    /// By SIGTERM and SIGKILL in turn.
    fn restart(&self, server: &mut TestServer, totals: &Totals) {
        if self.rounds.is_multiple_of(2) {
            server.kill();
            totals.add("servers killed", 1);
        } else {
            let status = server.stop().unwrap();
            assert!(status.success(), "the server ended with {status}");
            totals.add("servers stopped", 1);
        }
        server.serve();
    }

    fn blast(&mut self, server: &TestServer, trouble: &Trouble, totals: &Totals) {
        match self.random.below(8) {
            0 | 1 => self.end_a_session(server, trouble, totals),
            2 => {
                let name = ["bob", USER][self.random.below(2) as usize];
                trouble.meanwhile(Some(name), || {
                    server.admin(&["user", "set", name, "--disabled"], "").ok();
                    sleep(Duration::from_millis(700));
                    server.admin(&["user", "set", name, "--enabled"], "").ok();
                });
                totals.add("accounts disabled and enabled", 1);
            }
            3 | 4 => {
                let room = 4 + self.random.below(ROOM - 4);
                self.set_room(server, room);
                totals.add("quotas changed", 1);
            }
            5 => {
                server.admin(&["quota", "recount"], "").ok();
                totals.add("recounts under load", 1);
            }
            6 => {
                server.admin(&["reload"], "").ok();
                totals.add("reloads", 1);
            }
            _ => {
                let set = ["user", "set", USER, "--upload-rate"];
                let rate = ["none", "50MiB/s"][self.random.below(2) as usize];
                server.admin(&[&set[..], &[rate]].concat(), "").ok();
                totals.add("speeds changed", 1);
            }
        }
    }

    fn end_a_session(&mut self, server: &TestServer, trouble: &Trouble, totals: &Totals) {
        let listed = server.admin(&["session", "list", "--json"], "").ok().out();
        let listed: Value = serde_json::from_str(&listed).unwrap();
        let sessions = listed.as_array().unwrap();
        if sessions.is_empty() {
            return;
        }
        let one = &sessions[self.random.below(sessions.len() as u64) as usize];
        let (id, user) = (one["id"].to_string(), one["user"].as_str().unwrap());
        let ended = trouble.meanwhile(Some(user), || {
            let ended = server.admin(&["session", "kill", &id, "--reason", "weather"], "");
            // Its client must notice it.
            sleep(STEP / 100);
            ended
        });
        // It may have ended by itself.
        totals.add("sessions ended", u64::from(ended.status.success()));
    }
}
