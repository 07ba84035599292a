//! Floods: unauthenticated clients, and accounts without permissions, write a limited part of the audit
//! log, which still counts all their actions.

use std::fs;
use std::net::Ipv4Addr;
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;

use super::events::assert_fits_the_schema;
use super::{ACCESS, OPERATIONS, noted, of_kind, old_files, stream, trail};
use crate::common::connection::{Connection, Options};
use crate::common::flood::source;
use crate::common::server::make_key;
use crate::common::wire::code;
use crate::common::{TestServer, USER, metrics, wait_until};

/// Both streams rotate soon and keep one old file: what is rotated away is lost.
const SMALL: [(&str, &str); 5] = [
    ("audit.file_size", "\"512KiB\""),
    ("audit.keep", "1"),
    ("audit.on_failure", "\"refuse\""),
    ("admission.penalties", "false"),
    metrics::ON,
];

/// Returns the bytes of all files of a stream.
fn size(server: &TestServer, stream: &str) -> u64 {
    let mut files = old_files(server, stream);
    files.push(format!("{stream}.jsonl"));
    let sizes = files
        .iter()
        .map(|name| fs::metadata(server.path("data").join(name)).map_or(0, |found| found.len()));
    sizes.sum()
}

fn count(events: &[Value], like: impl Fn(&Value) -> bool) -> u64 {
    let like = events.iter().filter(|one| like(one));
    like.map(|one| one["count"].as_u64().unwrap_or(1)).sum()
}

fn refused_logins(server: &TestServer) -> f64 {
    metrics::value(
        server,
        "landfall_logins_total{method=\"publickey\",result=\"refused\"}",
    )
}

/// Offers a wrong key again and again, under long names that JSON escapes. Returns their bytes.
fn offer_in_vain(server: &TestServer, from: Ipv4Addr, connections: usize) -> usize {
    let options = Options {
        from: Some(from),
        ..Options::default()
    };
    let mut sent = 0;
    for connection in 0..connections {
        let Ok(client) = Connection::try_open(server, &options) else {
            continue;
        };
        for number in 0..9 {
            let name = format!("{connection}-{number}{}", "\u{1}".repeat(20_000));
            if client.key(&name, &server.local("wrong"), None).is_err() {
                break;
            }
            sent += name.len();
        }
    }
    sent
}

#[test]
fn strangers_cannot_flush_who_came_and_no_count_is_lost() {
    let mut server = TestServer::start_with(&SMALL);
    make_key(&server.local("wrong"), &["-t", "ed25519"]);
    let mut sftp = Connection::logged_in(&server).sftp();
    assert_eq!(sftp.mkdir("/before"), code::OK);
    noted(&server, "the directory", |one| one["path"] == "/before");
    let before = (size(&server, ACCESS), size(&server, OPERATIONS));

    // One connection.
    let began = Instant::now();
    let sent = offer_in_vain(&server, source(700), 1);
    wait_until("they are noted", Duration::from_secs(10), || {
        count(&stream(&server, ACCESS), |one| one["ok"] == false) as f64 == refused_logins(&server)
    });
    let grown = size(&server, ACCESS) - before.0;
    println!("{sent} bytes of names on one connection: {grown} bytes of the audit log");
    assert!(grown < 16 << 10, "{grown}");

    // Many, from three addresses; beside them a user logs in.
    let sent: usize = thread::scope(|scope| {
        let floods: Vec<_> = (701..704)
            .map(|number| {
                let server = &server;
                scope.spawn(move || offer_in_vain(server, source(number), 12))
            })
            .collect();
        for _ in 0..5 {
            drop(Connection::logged_in(&server));
        }
        floods.into_iter().map(|flood| flood.join().unwrap()).sum()
    });
    let seconds = began.elapsed().as_secs();
    let refused = refused_logins(&server);
    assert!(refused > 100.0, "{refused}");
    let folded = metrics::value(&server, "landfall_audit_folded_total");
    assert!(folded > 0.0);
    server.stop();
    let grown = size(&server, ACCESS) - before.0;
    println!("{sent} bytes of names, {refused} refusals, {seconds} s: {grown} bytes");
    // Three addresses with their bursts, and then their rates; the logins; a line for each kind at the end.
    let most = 4 * (16 << 10) + 4 * 256 * (seconds + 1) + 10 * 400 + 16 * 600;
    assert!(grown < most, "{grown} of {most}");
    assert_eq!(size(&server, OPERATIONS), before.1);

    let events = stream(&server, ACCESS);
    let is_refusal = |one: &Value| one["event"] == "login" && one["ok"] == false;
    assert_eq!(count(&events, is_refusal) as f64, refused);
    let logins = of_kind(&events, "login");
    let ours = logins.iter().filter(|one| one["ok"] == true);
    assert_eq!(ours.count(), 6, "nobody who logs in is refused, or lost");
    assert_eq!(of_kind(&events, "account").len(), 1);
    for refusal in events.iter().filter(|one| is_refusal(one)) {
        let user = refusal["user"].as_str().unwrap();
        assert!(user.contains("…\\+") && user.len() < 300, "{user}");
    }
    assert_fits_the_schema(&server);
    let shown = server.admin(&["audit", "--event", "login"], "").ok().out();
    assert!(shown.contains(" all with the same source"), "{shown}");
}

#[test]
fn an_account_that_may_do_nothing_cannot_flush_what_others_did_and_no_count_is_lost() {
    let mut server = TestServer::start_with(&SMALL);
    server.add_user("bob", "another secret", &[&server.public_key()]);
    let reads_only = ["user", "set", "bob", "--permissions", "read-only"];
    server.admin(&reads_only, "").ok();
    let options = Options::default();
    let mut alice = Connection::logged_in(&server).sftp();
    assert_eq!(alice.mkdir("/before"), code::OK);
    let elsewhere = alice.extended("expand-path@openssh.com", |body| body.string("~bob/x"));
    assert_eq!(elsewhere.code(), code::PERMISSION_DENIED);
    noted(&server, "the refusal", |one| one["event"] == "refused");
    let before = size(&server, OPERATIONS);

    let began = Instant::now();
    let (sessions, each) = (4, 500);
    thread::scope(|scope| {
        for session in 0..sessions {
            let (server, options) = (&server, &options);
            scope.spawn(move || {
                let mut bob = Connection::logged_in_to(server, "bob", options).sftp();
                for number in 0..each {
                    // Nearly the longest path, of characters that take six bytes in JSON.
                    let deep = format!("/{}", "\u{1}".repeat(250)).repeat(15);
                    let path = format!("/{session}-{number}{deep}");
                    assert_eq!(bob.mkdir(path), code::PERMISSION_DENIED);
                }
            });
        }
        // Others continue and log in, even with `on_failure = "refuse"`.
        for number in 0..5 {
            let mut alice = Connection::logged_in(&server).sftp();
            assert_eq!(alice.mkdir(format!("/beside{number}")), code::OK);
        }
    });
    let seconds = began.elapsed().as_secs();
    server.stop();
    let grown = size(&server, OPERATIONS) - before;
    let asked = sessions * each;
    println!("{asked} requests of 3,800 bytes in {seconds} s: {grown} bytes of the audit log");
    let most = (256 << 10) + 4096 * (seconds + 1) + 32 * 1024;
    assert!(grown < most, "{grown} of {most}");

    let events = trail(&server);
    let of_bob = |one: &Value| one["event"] == "refused" && one["user"] == "bob";
    assert_eq!(count(&events, of_bob), asked as u64);
    let of_alice = |one: &Value| one["event"] == "refused" && one["user"] == USER;
    assert_eq!(count(&events, of_alice), 1);
    let made: Vec<_> = of_kind(&events, "mkdir")
        .iter()
        .map(|one| one["path"].as_str().unwrap().to_owned())
        .collect();
    let mut expected = vec!["/before".to_owned()];
    expected.extend((0..5).map(|number| format!("/beside{number}")));
    assert_eq!(made, expected);
    let logins = of_kind(&events, "login");
    assert_eq!(logins.len(), sessions + 6);
    assert!(logins.iter().all(|one| one["ok"] == true));
    assert_fits_the_schema(&server);
}
