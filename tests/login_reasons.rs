//! Why a login failed: the operator's log, the audit log and `landfall user why` give the reason, and the
//! client never does.

use std::collections::BTreeSet;
use std::fs;
use std::net::{Ipv4Addr, TcpStream};

use serde_json::Value;

use crate::common::connection::{Connection, Options};
use crate::common::server::make_key;
use crate::common::{HOST, PASSWORD, STEP, TestServer, USER, run, wait_until};

const CLOSED: &str = "connection closed without a login";

/// Returns the lines of connections without a login, except those that sent nothing: the start of the test
/// server makes some.
fn closed(server: &TestServer) -> Vec<String> {
    let log = server.log();
    let lines = log.lines().filter(|line| line.contains(CLOSED));
    let lines = lines.filter(|line| !line.contains("the client sent nothing"));
    lines.map(str::to_owned).collect()
}

/// Waits for the line of the `number`th of these connections.
#[track_caller]
fn closed_as(server: &TestServer, number: usize) -> String {
    wait_until("the connection is closed", STEP, || {
        closed(server).len() >= number
    });
    let mut lines = closed(server);
    assert_eq!(lines.len(), number, "{lines:#?}");
    lines.remove(number - 1)
}

/// Returns the last reason in the audit log for a user.
fn audited(server: &TestServer, user: &str) -> String {
    let args = ["audit", "--user", user, "--event", "login", "--json"];
    let mut last = None;
    wait_until("the refusal is in the audit log", STEP, || {
        let said = server.admin(&args, "").accepted();
        let refused = |line: &&str| line.contains("\"ok\":false");
        last = said.lines().rfind(refused).map(str::to_owned);
        last.is_some()
    });
    let event: Value = serde_json::from_str(&last.unwrap()).unwrap();
    event["reason"].as_str().unwrap_or_default().to_owned()
}

fn admin(server: &TestServer, args: &[&str]) {
    server.admin(args, "").ok();
}

#[test]
fn each_reason_is_in_both_logs_and_the_client_sees_the_same_refusal() {
    let server = TestServer::start();
    let key = server.key();
    let expired = server.local("expired.pub");
    let public = fs::read_to_string(server.public_key()).unwrap();
    fs::write(&expired, format!("expiry-time=\"20200101Z\" {public}")).unwrap();
    for name in ["disabled", "expired", "elsewhere", "late-key", "steps"] {
        server.add_user(name, PASSWORD, &[]);
    }
    let no_password = ["user", "add", "no-password", "--no-password"];
    admin(&server, &no_password);
    admin(&server, &["user", "set", "disabled", "--disabled"]);
    admin(
        &server,
        &["user", "set", "expired", "--expires", "2020-01-01"],
    );
    admin(
        &server,
        &["user", "set", "elsewhere", "--network", "10.0.0.0/8"],
    );
    let (expired, public) = (expired.to_str().unwrap(), server.public_key());
    admin(&server, &["user", "key", "add", "late-key", expired]);
    admin(
        &server,
        &["user", "key", "add", "steps", public.to_str().unwrap()],
    );
    admin(
        &server,
        &["user", "set", "steps", "--login", "publickey+password"],
    );
    let cases = [
        ("nobody", "no such user"),
        (USER, "wrong password"),
        ("no-password", "the account has no password"),
        ("disabled", "the account is disabled"),
        ("expired", "the account has expired"),
        (
            "elsewhere",
            "the address is in none of the account's networks",
        ),
        ("late-key", "the key has expired"),
        ("steps", "the key was accepted, and no password followed"),
    ];
    let mut answers = BTreeSet::new();
    for (number, (user, reason)) in (1..).zip(cases) {
        // Each from its own address, so that none is banned.
        let from = u8::try_from(number).unwrap();
        let options = Options {
            from: Some(Ipv4Addr::new(127, 0, 11, from)),
            ..Options::default()
        };
        let connection = Connection::open(&server, &options);
        match user {
            "late-key" => {
                let answer = connection.key(user, &key, None).unwrap();
                answers.insert(format!("{answer:?}"));
            }
            "steps" => drop(connection.key(user, &key, None).unwrap()),
            _ => {
                let password = if user == USER { "wrong" } else { PASSWORD };
                let answer = connection.password(user, password).unwrap();
                answers.insert(format!("{answer:?}"));
            }
        }
        drop(connection);
        let line = closed_as(&server, number);
        for part in [
            format!("user=\"{user}\""),
            format!("reason=\"{reason}\""),
            "client=\"SSH-2.0-LandfallTest_1.0\"".to_owned(),
        ] {
            assert!(line.contains(&part), "{part}: {line}");
        }
        assert_eq!(audited(&server, user), reason);
    }
    assert_eq!(answers.len(), 1, "{answers:#?}");
}

#[test]
fn a_session_too_many_has_its_reason() {
    let server = TestServer::start();
    admin(&server, &["user", "set", USER, "--max-sessions", "1"]);
    let held = Connection::logged_in(&server);
    held.sftp().assert_alive();
    let late = Connection::open(&server, &Options::default());
    let _ = late.key(USER, &server.key(), None);
    wait_until("the other session is refused", STEP, || late.is_closed());
    let reason = "This account has reached its limit of concurrent sessions (1)";
    let log = server.log();
    let refused = log.lines().find(|line| line.contains("login refused"));
    assert!(refused.is_some_and(|line| line.contains(reason)), "{log}");
    assert_eq!(audited(&server, USER), reason);
    let shown = server.admin(&["user", "why", USER], "").accepted();
    assert!(
        shown.contains("refused: 1 of 1 sessions are open"),
        "{shown}"
    );
}

#[test]
fn keys_offered_in_vain_and_too_many_attempts_have_one_line() {
    let server = TestServer::start_with(&[("login.max_attempts", "3")]);
    server.add_user("bob", PASSWORD, &[]);
    let mut ssh = server.ssh();
    let mut fingerprints = Vec::new();
    for name in ["one", "two", "three", "four"] {
        let key = server.local(name);
        make_key(&key, &["-t", "ed25519"]);
        let public = fs::read_to_string(key.with_extension("pub")).unwrap();
        let public = russh::keys::PublicKey::from_openssh(&public).unwrap();
        let fingerprint = public.fingerprint(russh::keys::HashAlg::Sha256);
        fingerprints.push(fingerprint.to_string());
        ssh.arg("-i").arg(key);
    }
    let refused = run(ssh.args(["-l", "bob", HOST, "quota"]), STEP).failed();
    let told = "Too many authentication";
    assert!(refused.err().contains(told), "{}", refused.describe());
    let line = closed_as(&server, 1);
    for part in [
        "reason=\"too many authentication attempts; the last one: unknown key\"",
        "keys_offered=",
        "attempts=3",
        &fingerprints[0],
    ] {
        assert!(line.contains(part), "{part}: {line}");
    }
    let log = server.log();
    assert!(!log.contains("login refused"), "{log}");
}

#[test]
fn a_key_exchange_without_a_common_algorithm_says_what_was_offered() {
    let server = TestServer::start();
    let offered = "KexAlgorithms=ecdh-sha2-nistp256,ecdh-sha2-nistp384";
    run(server.ssh().args(["-o", offered, HOST, "quota"]), STEP).failed();
    let line = closed_as(&server, 1);
    for part in [
        "peer=127.0.0.1:",
        "client=\"SSH-2.0-OpenSSH",
        "reason=\"no common kex algorithm\"",
        "offered=\"ecdh-sha2-nistp256,ecdh-sha2-nistp384",
        "remedy=\"ssh.algorithms = compatible\"",
    ] {
        assert!(line.contains(part), "{part}: {line}");
    }
    // A client that sends nothing at all has its line, too.
    drop(TcpStream::connect(server.address()).unwrap());
    drop(Connection::open(&server, &Options::default()));
    let line = closed_as(&server, 2);
    assert!(line.contains("tried no password and no key"), "{line}");
    assert!(server.log().contains("reason=\"the client sent nothing\""));
}

/// Returns the output of `landfall user why`.
#[track_caller]
fn why(server: &TestServer, args: &[&str]) -> String {
    server
        .admin(&[&["user", "why"], args].concat(), "")
        .accepted()
}

#[test]
fn user_why_says_what_would_happen_now() {
    let server = TestServer::start();
    let public = server.public_key();
    let shown = why(&server, &[USER]);
    assert!(shown.contains("password  ") && shown.contains("accepted if it is the right one"));
    assert!(
        shown.contains("has no refused login of this name"),
        "{shown}"
    );
    for (set, reason) in [
        (&["--disabled"][..], "refused: the account is disabled"),
        (
            &["--enabled", "--expires", "2020-01-01"],
            "refused: the account has expired",
        ),
        (
            &["--expires", "never", "--network", "10.0.0.0/8"],
            "in none of the account's networks",
        ),
        (
            &["--login", "publickey"],
            "refused: the account requires a key first",
        ),
        (
            &["--login", "publickey+password"],
            "accepted; the password comes next",
        ),
    ] {
        admin(&server, &[&["user", "set", USER], set].concat());
        let from = if reason.contains("networks") {
            "192.0.2.7"
        } else {
            "10.1.2.3"
        };
        let shown = why(&server, &[USER, from]);
        assert!(
            shown.contains(&format!("A login from {from} now")),
            "{shown}"
        );
        assert!(shown.contains(reason), "{reason}: {shown}");
    }
    // An expired key, beside a password that was never set.
    let expired = server.local("expired.pub");
    let text = fs::read_to_string(public).unwrap();
    fs::write(&expired, format!("expiry-time=\"20200101Z\" {text}")).unwrap();
    admin(&server, &["user", "add", "bob", "--no-password"]);
    admin(
        &server,
        &["user", "key", "add", "bob", expired.to_str().unwrap()],
    );
    let shown = why(&server, &["bob"]);
    for reason in [
        "refused: the account has no password",
        "refused: the key has expired",
    ] {
        assert!(shown.contains(reason), "{reason}: {shown}");
    }
    // An unknown name, and a banned address.
    let from = Ipv4Addr::new(127, 0, 12, 1);
    let options = Options {
        from: Some(from),
        ..Options::default()
    };
    while let Ok(connection) = Connection::try_open(&server, &options) {
        let _ = connection.password("bop", PASSWORD);
    }
    let shown = why(&server, &["bop"]);
    for part in [
        "There is no user bop",
        "no such user",
        "127.0.12.1 is banned until",
    ] {
        assert!(shown.contains(part), "{part}: {shown}");
    }
    let shown = why(&server, &["bob", "127.0.12.1"]);
    assert!(
        shown.contains("refused: 127.0.12.1 is banned until"),
        "{shown}"
    );
}

#[test]
fn user_why_says_without_a_server_what_it_cannot_know() {
    let mut server = TestServer::start();
    server.stop();
    let shown = why(&server, &[USER]);
    assert!(
        shown.contains("No server is running: bans and open sessions are unknown"),
        "{shown}"
    );
}
