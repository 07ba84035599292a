//! Limits on what a connection may send before a login, and what it must send.

use std::io::{Read as _, Write as _};
use std::process::Command;
use std::time::{Duration, Instant};

use russh::keys::HashAlg;
use russh::keys::agent::AgentIdentity;

use crate::common::connection::{Connection, Options};
use crate::common::flood::{connect_from, source};
use crate::common::server::make_key;
use crate::common::{HOST, STEP, TestServer, against_openssh, python, run, run_ok};

#[test]
fn no_message_can_be_repeated_without_end() {
    let Some(python) = python() else { return };
    if against_openssh() {
        return;
    }
    let server = TestServer::start_with(&[("login.grace_time", "\"10m\"")]);
    let script = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/tests/clients/paramiko_loops.py"
    );
    for (number, (kind, most)) in [
        ("ignore", 20_000),
        ("service", 20_000),
        ("rekey", 500),
        ("prompts", 5000),
        ("unknown", 2000),
    ]
    .into_iter()
    .enumerate()
    {
        let mut loops = Command::new(python);
        let from = source(501 + number).to_string();
        loops
            .arg(script)
            .args(["127.0.0.1", &server.port().to_string(), &from, kind]);
        let count: usize = run_ok(&mut loops, STEP * 4).out().trim().parse().unwrap();
        assert!(count > 10 && count < most, "{kind}: {count}");
    }
    // They count as penalties.
    let listed = server.admin(&["ban", "list"], "").accepted();
    let metrics = server.log();
    assert!(
        listed.starts_with("No address") || listed.contains("abuse"),
        "{listed}{metrics}"
    );
}

#[test]
fn methods_and_keys_cannot_be_asked_for_without_end() {
    if against_openssh() {
        return;
    }
    let server = TestServer::start();
    let open = |number| {
        Connection::open(
            &server,
            &Options {
                from: Some(source(number)),
                ..Options::default()
            },
        )
    };
    let connection = open(511);
    let asked = (0..1000)
        .take_while(|_| connection.none("alice").is_ok())
        .count();
    assert!((9..=11).contains(&asked), "{asked}");
    // An acceptable key is offered, and never signed with.
    struct Never;
    struct Unsigned;
    impl From<russh::SendError> for Unsigned {
        fn from(_: russh::SendError) -> Self {
            Self
        }
    }
    impl russh::Signer for Never {
        type Error = Unsigned;

        async fn auth_sign(
            &mut self,
            _key: &AgentIdentity,
            _hash: Option<HashAlg>,
            _to_sign: Vec<u8>,
        ) -> Result<Vec<u8>, Self::Error> {
            Err(Unsigned)
        }
    }
    let public = std::fs::read_to_string(server.public_key()).unwrap();
    let public = russh::keys::PublicKey::from_openssh(&public).unwrap();
    let connection = open(512);
    let offers = (0..1000)
        .take_while(|_| {
            let _ = connection.signed_by(server.user(), public.clone(), Never);
            !connection.is_closed()
        })
        .count();
    assert!((20..=70).contains(&offers), "{offers}");
}

#[test]
fn ten_attempts_with_large_keys_from_an_agent_pass() {
    if against_openssh() {
        return;
    }
    let server = TestServer::start();
    // The request for the methods is the first attempt, and the eleventh would be one too many.
    let mut options = Vec::new();
    for number in 0..8 {
        let key = server.local(&format!("rsa-{number}"));
        make_key(&key, &["-t", "rsa", "-b", "3072"]);
        options.extend(["-i".to_owned(), key.display().to_string()]);
    }
    let config = std::fs::read_to_string(server.ssh_config()).unwrap();
    let own = format!("  IdentityFile {}\n", server.key().display());
    let without = server.local("ssh_config_without");
    std::fs::write(&without, config.replace(&own, "")).unwrap();
    let mut ssh = Command::new("ssh");
    ssh.arg("-F")
        .arg(&without)
        .args(&options)
        .arg("-i")
        .arg(server.key());
    run_ok(ssh.args(["-o", "RekeyLimit=16", HOST, "help"]), STEP);
}

#[test]
fn a_client_that_takes_nothing_is_let_go_in_time_too() {
    if against_openssh() {
        return;
    }
    let server = TestServer::start_with(&[("login.grace_time", "\"2s\"")]);
    let mut stream = connect_from(source(521), server.address()).unwrap();
    stream.set_read_timeout(Some(STEP)).unwrap();
    let began = Instant::now();
    stream.write_all(b"SSH-2.0-slow\r\n").unwrap();
    let mut said = Vec::new();
    let _ = stream.read_to_end(&mut said);
    assert!(said.starts_with(b"SSH-2.0-Landfall"));
    // login.grace_time, and some time for a busy machine.
    assert!(
        began.elapsed() < Duration::from_secs(5),
        "{:?}",
        began.elapsed()
    );
    let listed = run(&mut server.command(&["ban", "list"]), STEP).ok();
    assert!(
        listed.out().starts_with("No address"),
        "once is no ban: {}",
        listed.out()
    );
}
