//! Tests of flood control.

#![allow(clippy::unwrap_used)]

use std::net::{IpAddr, Ipv4Addr};

use serde_json::Value;

use super::super::event::LoginEvent;
use super::*;
use crate::observe::outcome::{LoginMethod, RefusalReason};

/// Feeds events, and records what is written.
struct Log {
    floods: Floods,
    now: Instant,
    lines: Vec<Value>,
    bytes: [usize; 2],
}

impl Log {
    fn new() -> Self {
        let now = Instant::now();
        Self {
            floods: Floods::new(now),
            now,
            lines: Vec::new(),
            bytes: [0; 2],
        }
    }

    fn write(&mut self, lines: impl IntoIterator<Item = (AuditStream, Vec<u8>)>) {
        for (stream, line) in lines {
            self.bytes[stream as usize] += line.len();
            self.lines.push(serde_json::from_slice(&line).unwrap());
        }
    }

    fn login(&mut self, user: &str, from: u32, reason: Option<&str>) {
        let who = Actor {
            user: user.to_owned(),
            peer: (IpAddr::V4(Ipv4Addr::from_bits(from)), 1).into(),
            session: None,
        };
        let event = Event::Login(LoginEvent {
            ok: reason.is_none(),
            method: LoginMethod::Password,
            reason,
            key: None,
            client: "SSH-2.0-x".into(),
        });
        let taken = self.floods.take(Some(&who), &event, self.now);
        self.write(taken);
    }

    fn refused(&mut self, user: &str, session: u64, action: &str, path: &str) {
        let who = Actor {
            user: user.to_owned(),
            peer: ([127, 0, 0, 1], 1).into(),
            session: Some(session),
        };
        let event = Event::Refused {
            action,
            path: path.into(),
            reason: RefusalReason::Permission,
            message: "no".to_owned(),
        };
        let taken = self.floods.take(Some(&who), &event, self.now);
        self.write(taken);
    }

    fn pass(&mut self, seconds: u64) {
        for _ in 0..seconds {
            self.now += Duration::from_secs(1);
            let due = self.floods.due(self.now, false);
            self.write(due);
        }
    }

    fn end(&mut self) {
        let due = self.floods.due(self.now, true);
        self.write(due);
        assert!(!self.floods.has_folds());
    }

    fn count(&self, like: impl Fn(&Value) -> bool) -> u64 {
        let like = self.lines.iter().filter(|line| like(line));
        like.map(|line| line["count"].as_u64().unwrap_or(1)).sum()
    }
}

#[test]
fn what_a_client_does_now_and_then_is_written_event_by_event() {
    let mut log = Log::new();
    for number in 0..300 {
        log.login("anna", 1, Some("wrong"));
        log.refused("anna", 7, "open", &format!("/{number}"));
        log.login("anna", 1, None);
        log.pass(2);
    }
    assert_eq!(log.lines.len(), 900);
    assert!(log.lines.iter().all(|line| line["count"].is_null()));
}

#[test]
fn a_flood_from_one_address_is_bounded_and_counted() {
    let mut log = Log::new();
    for second in 0..60 {
        for number in 0..1000 {
            log.login(&format!("user{}", number % 2), 1, Some("wrong"));
        }
        // Another client is refused meanwhile, now and then.
        log.login(
            "anna",
            2,
            Some(if second % 2 == 0 { "late" } else { "early" }),
        );
        log.pass(1);
    }
    log.end();
    let most = SOURCE.burst + 90 * SOURCE.per_second + 60 * 200;
    assert!(log.bytes[0] < most as usize, "{}", log.bytes[0]);
    assert_eq!(log.count(|line| line["reason"] == "wrong"), 60_000);
    let anna = |line: &Value| line["user"] == "anna";
    assert_eq!(log.lines.iter().filter(|line| anna(line)).count(), 60);
    let folded = log.lines.iter().find(|line| !line["count"].is_null());
    let same = serde_json::json!(["source", "user", "method", "reason"]);
    assert_eq!(folded.unwrap()["same"], same);
}

#[test]
fn a_flood_from_many_addresses_is_bounded_and_counted() {
    let mut log = Log::new();
    for second in 0..60 {
        for number in 0..5000_u32 {
            let reason = if number % 10 == 0 { "late" } else { "wrong" };
            log.login(&format!("u{number}"), second * 5000 + number, Some(reason));
        }
        log.pass(1);
    }
    let while_it_lasts = log.bytes[0];
    log.end();
    let most = LOGINS.burst + 60 * LOGINS.per_second;
    assert!(while_it_lasts < most as usize + 8192, "{while_it_lasts}");
    assert!(log.bytes[0] < most as usize + 16_384, "{}", log.bytes[0]);
    assert_eq!(log.count(|_| true), 300_000);
    // Reasons are counted separately.
    assert_eq!(log.count(|line| line["reason"] == "late"), 30_000);
    // Ten minutes later all budgets are full.
    log.pass(600);
    let before = log.lines.len();
    log.login("anna", 77, Some("wrong"));
    assert!(log.lines.len() > before);
}

#[test]
fn addresses_of_one_network_have_one_budget_if_they_count_as_one() {
    let mut log = Log::new();
    log.floods.count_by(24, 64);
    for number in 0..20_000 {
        log.login("x", 0x0a00_0000 + number % 256, Some("wrong"));
    }
    assert!(
        log.bytes[0] < SOURCE.burst as usize + 1000,
        "{:?}",
        log.bytes
    );
    log.login("x", 0x0a00_0100, Some("wrong"));
    assert_eq!(log.lines.last().unwrap()["peer"], "10.0.1.0:1");
    log.end();
    assert_eq!(log.count(|_| true), 20_001);
}

#[test]
fn a_flood_of_requests_is_bounded_and_counted_and_of_one_account() {
    let mut log = Log::new();
    let path = "\u{1}".repeat(10_000);
    for _ in 0..60 {
        for number in 0..1000 {
            let action = ["open", "mkdir", "remove"][number % 3];
            log.refused("mallory", number as u64 % 40, action, &path);
        }
        log.refused("anna", 7, "open", "/secret");
        log.pass(1);
    }
    log.end();
    let most = ACCOUNT.burst + 60 * ACCOUNT.per_second + 60 * 300;
    assert!(log.bytes[1] < most as usize + 16_384, "{}", log.bytes[1]);
    assert_eq!(log.count(|line| line["user"] == "mallory"), 60_000);
    let anna = log.lines.iter().filter(|line| line["path"] == "/secret");
    assert_eq!(anna.count(), 60);
}

#[test]
fn a_flood_of_commands_that_there_are_not_is_bounded_and_counted() {
    let mut log = Log::new();
    let who = Actor {
        user: "bob".to_owned(),
        peer: ([127, 0, 0, 1], 1).into(),
        session: Some(7),
    };
    for number in 0..5000 {
        let event = Event::Command {
            line: format!("{number} {}", "x".repeat(10_000)),
            refused: true,
        };
        assert!(Floods::concern(&event));
        let taken = log.floods.take(Some(&who), &event, log.now);
        log.write(taken);
    }
    log.end();
    let bytes = log.bytes[AuditStream::Operations as usize];
    assert!(bytes < ACCOUNT.burst as usize + 8192, "{bytes}");
    assert_eq!(log.count(|line| line["refused"] == true), 5000);
    let folded = log.lines.iter().find(|line| !line["count"].is_null());
    assert_eq!(folded.unwrap()["same"], serde_json::json!(["user"]));
}

#[test]
fn logins_that_come_too_fast_are_whole_in_the_other_stream() {
    let mut log = Log::new();
    for _ in 0..10_000 {
        log.login("guest", 1, None);
    }
    log.login("anna", 1, None);
    assert_eq!(log.lines.len(), 10_001);
    let most = SESSIONS.burst as usize + 1000;
    assert!(
        log.bytes[0] < most && log.bytes[1] > most,
        "{:?}",
        log.bytes
    );
    assert!(!log.floods.has_folds());
}

#[test]
fn there_is_an_end_to_what_is_remembered() {
    let mut log = Log::new();
    for number in 0..20_000 {
        for _ in 0..3 {
            log.login("x", number, Some("wrong"));
        }
        log.refused(&format!("user{number}"), 1, "open", "/x");
    }
    assert!(log.floods.sources.budgets.len() <= MOST_OWNERS);
    assert!(log.floods.accounts.budgets.len() <= MOST_OWNERS);
    log.end();
    assert_eq!(log.count(|line| line["event"] == "login"), 60_000);
    assert_eq!(log.count(|line| line["event"] == "refused"), 20_000);
    // Once their budgets are full again, others have room.
    log.pass(600);
    log.login("x", 1 << 30, Some("wrong"));
    assert!(log.floods.sources.budgets.len() < 10);
}
