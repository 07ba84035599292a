//! Logins: which succeed, and which do not.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::process::Command;
use std::time::{Duration, Instant};

use crate::common::command::run_with_input;
use crate::common::connection::{Connection, Options};
use crate::common::server::{make_key, with_password};
use crate::common::wire::string;
use crate::common::{HOST, PASSWORD, STEP, TestServer, USER, have, run, run_ok};
use russh::keys::HashAlg;

/// A batch of sftp that only logs in.
fn sftp_with_key(server: &TestServer, key: &str, algorithms: &str) -> Command {
    let batch = server.local(&crate::common::random_name("batch"));
    fs::write(&batch, "pwd\n").unwrap();
    let mut sftp = Command::new("sftp");
    sftp.arg("-F")
        .arg(server.ssh_config())
        .arg("-i")
        .arg(server.local(key));
    sftp.args(["-o", &format!("PubkeyAcceptedAlgorithms={algorithms}")]);
    sftp.arg("-b")
        .arg(batch)
        .arg(HOST)
        .env_remove("SSH_AUTH_SOCK");
    sftp
}

#[test]
fn one_prompt_takes_one_answer() {
    let server = TestServer::start();
    let answered = |answers: &[&str]| {
        let answers: Vec<_> = answers.iter().map(|&answer| answer.to_owned()).collect();
        let connection = Connection::open(&server, &Options::default());
        connection
            .answer_prompts(USER, move |_| answers.clone())
            .unwrap()
    };
    assert!(answered(&[PASSWORD]));
    for answers in [
        &[][..],
        &[PASSWORD, ""],
        &[PASSWORD, PASSWORD],
        &["", PASSWORD],
    ] {
        assert!(!answered(answers), "{} answers", answers.len());
    }
}

#[test]
fn a_password_opens_the_account_in_both_ways_of_asking() {
    if !have(&["sshpass"]) {
        return;
    }
    let server = TestServer::start();
    for method in ["password", "keyboard-interactive"] {
        let sftp = |password: &str| {
            let mut sftp = with_password(&server, password, "sftp");
            sftp.args(["-o", &format!("PreferredAuthentications={method}"), HOST]);
            run_with_input(&mut sftp, b"pwd\n", STEP)
        };
        assert!(sftp(PASSWORD).ok().out().contains("/"), "{method}");
        sftp("wrong").failed();
        sftp("").failed();
    }
}

#[test]
fn every_kind_of_key_opens_the_account_and_another_key_does_not() {
    let server = TestServer::start();
    let kinds: &[(&str, &[&str], &str)] = &[
        ("e", &["-t", "ed25519"], "ssh-ed25519"),
        ("p256", &["-t", "ecdsa", "-b", "256"], "ecdsa-sha2-nistp256"),
        ("p384", &["-t", "ecdsa", "-b", "384"], "ecdsa-sha2-nistp384"),
        ("p521", &["-t", "ecdsa", "-b", "521"], "ecdsa-sha2-nistp521"),
        ("rsa", &["-t", "rsa", "-b", "2048"], "rsa-sha2-256"),
        ("rsa", &[], "rsa-sha2-512"),
    ];
    for (name, keygen, algorithm) in kinds {
        if !keygen.is_empty() {
            make_key(&server.local(name), keygen);
        }
        let fresh = !keygen.is_empty();
        if fresh {
            // Not known yet; the ssh_config's own key is of another kind.
            if *name != "e" {
                run(&mut sftp_with_key(&server, name, algorithm), STEP).failed();
            }
            let public = server.local(&format!("{name}.pub"));
            server
                .admin(&["user", "key", "add", USER, public.to_str().unwrap()], "")
                .ok();
        }
        run_ok(&mut sftp_with_key(&server, name, algorithm), STEP);
    }
}

#[test]
fn rsa_with_sha1_is_refused_though_the_key_is_right() {
    let server = TestServer::start();
    make_key(&server.local("rsa"), &["-t", "rsa", "-b", "2048"]);
    let public = server.local("rsa.pub");
    server
        .admin(&["user", "key", "add", USER, public.to_str().unwrap()], "")
        .ok();
    let connection = Connection::open(&server, &Options::default());
    let key = server.local("rsa");
    assert!(!connection.key(USER, &key, None).unwrap().success());
    assert!(
        connection
            .key(USER, &key, Some(HashAlg::Sha256))
            .unwrap()
            .success()
    );
}

#[test]
fn a_wrong_password_leaves_further_tries_until_the_limit() {
    let server = TestServer::start_with(&[("login.max_attempts", "4")]);
    let connection = Connection::open(&server, &Options::default());
    assert!(!connection.password(USER, "wrong").unwrap().success());
    assert!(!connection.password(USER, "wrong too").unwrap().success());
    assert!(connection.password(USER, PASSWORD).unwrap().success());
    let stranger = Connection::open(&server, &Options::default());
    let tries = (0..10)
        .take_while(|_| stranger.password(USER, "wrong").is_ok())
        .count();
    assert!(tries <= 5, "{tries} tries on one connection");
}

#[test]
fn the_question_for_methods_costs_nothing_and_names_them_all() {
    let server = TestServer::start();
    let connection = Connection::open(&server, &Options::default());
    let began = Instant::now();
    let answer = connection.none("nobody at all").unwrap();
    let took = began.elapsed();
    let text = format!("{answer:?}");
    for method in ["PublicKey", "Password", "KeyboardInteractive"] {
        assert!(text.contains(method), "{text}");
    }
    assert!(took.as_millis() < 1000, "{took:?}");
}

#[test]
fn names_that_are_not_there_are_refused_like_wrong_passwords() {
    let server = TestServer::start();
    // So many failures would ban an address without a login.
    Connection::logged_in(&server);
    let huge = "x".repeat(10_000);
    for user in [
        "nobody", "", "../alice", "alice\0", "ALICE", "\u{202e}", &huge,
    ] {
        let connection = Connection::open(&server, &Options::default());
        assert!(
            !connection.password(user, PASSWORD).unwrap().success(),
            "{user:?}"
        );
        assert!(
            !connection.key(user, &server.key(), None).unwrap().success(),
            "{user:?}"
        );
    }
    Connection::logged_in(&server).sftp().assert_alive();
}

#[test]
fn changes_to_accounts_are_felt_at_the_next_login() {
    let server = TestServer::start();
    let login = |user: &str, password: &str| {
        let connection = Connection::open(&server, &Options::default());
        connection.password(user, password).unwrap().success()
    };
    assert!(!login("bob", "first"));
    server.add_user("bob", "first", &[]);
    assert!(login("bob", "first"));
    server
        .admin(&["user", "passwd", "bob", "--password-stdin"], "second\n")
        .ok();
    assert!(!login("bob", "first"));
    assert!(login("bob", "second"));
    server.admin(&["user", "rm", "bob"], "").ok();
    assert!(!login("bob", "second"));
    assert!(login(USER, PASSWORD));
}

#[test]
fn the_first_start_makes_an_account_and_prints_it_once() {
    let mut server = TestServer::start_without_accounts(&[]);
    let told = || {
        server
            .stdout_lines()
            .iter()
            .any(|line| line.contains("adds more"))
    };
    crate::common::wait_until("the account to be told", STEP, told);
    let said = server.stdout_lines().join("\n");
    let after = |word: &str| {
        let line = said
            .lines()
            .find(|line| line.trim_start().starts_with(word))
            .unwrap();
        line.split_whitespace().last().unwrap().to_owned()
    };
    let (user, password) = (after("user"), after("password"));
    assert!(
        said.contains(&format!("sftp -P {} {user}@127.0.0.1", server.port())),
        "{said}"
    );
    let connection = Connection::open(&server, &Options::default());
    assert!(connection.password(&user, &password).unwrap().success());
    connection.sftp().assert_alive();
    drop(connection);
    assert!(!server.log().contains(&password));
    server.stop();
    server.serve();
    let again = server.stdout_lines().join("\n");
    assert!(
        !again.contains(&password) && !again.contains("password"),
        "{again}"
    );
}

/// For commands see tests/commands.rs.
#[test]
fn forwarding_is_refused_and_disturbs_nothing() {
    let server = TestServer::start();
    let connection = Connection::logged_in(&server);
    assert!(connection.forward_to(22).is_err());
    assert!(connection.listen_for_us().is_err());
    connection.sftp().assert_alive();
}

#[test]
fn a_client_that_never_logs_in_is_let_go() {
    let server = TestServer::start_with(&[("login.grace_time", "\"1s\"")]);
    let connection = Connection::open(&server, &Options::default());
    crate::common::wait_until("the connection to be closed", STEP, || {
        connection.is_closed()
    });
    // A client that sends nothing at all, not even an identification.
    let mut silent = std::net::TcpStream::connect(server.address()).unwrap();
    silent.set_read_timeout(Some(STEP)).unwrap();
    let mut said = Vec::new();
    let _ = std::io::Read::read_to_end(&mut silent, &mut said);
    assert!(said.starts_with(b"SSH-2.0-Landfall"));
}

#[test]
fn a_flood_of_logins_takes_no_more_memory_than_the_hashes_may() {
    let settings = [
        ("login.argon2_memory", "\"64MiB\""),
        ("login.parallel_hashes", "2"),
        // All come from one address, and all fail.
        ("admission.per_source", "100"),
        ("admission.penalties", "false"),
    ];
    let server = TestServer::start_with(&settings);
    let before = server.memory_kib("VmHWM");
    std::thread::scope(|scope| {
        for number in 0..50 {
            let server = &server;
            scope.spawn(move || {
                let connection = Connection::open(server, &Options::default());
                let user = if number % 2 == 0 { USER } else { "nobody" };
                assert!(!connection.password(user, "wrong").unwrap().success());
            });
        }
    });
    // Two hashes at once, and 1 MiB for each of 50 connections.
    let most = 2 * 64 * 1024 + 50 * 1024;
    let grown = server.memory_kib("VmHWM") - before;
    assert!(grown < most, "{grown} KiB more, {most} at most");
}

#[test]
fn a_password_is_nowhere_to_be_read() {
    let server = TestServer::start();
    Connection::logged_in(&server).sftp().assert_alive();
    let mut found = vec![server.log(), server.stdout_lines().join("\n")];
    for entry in fs::read_dir(server.path("data")).unwrap() {
        let path = entry.unwrap().path();
        if path.is_file() {
            assert_eq!(
                fs::metadata(&path).unwrap().mode() & 0o077,
                0,
                "{}",
                path.display()
            );
            found.push(String::from_utf8_lossy(&fs::read(path).unwrap()).into_owned());
        }
    }
    assert!(found.iter().any(|text| text.contains("$argon2id$")));
    assert!(found.iter().all(|text| !text.contains(PASSWORD)));
}

#[test]
fn the_host_key_is_made_once_and_kept_from_others() {
    let mut server = TestServer::start();
    let path = server.path("keys/ssh_host_ed25519_key");
    let key = fs::read(&path).unwrap();
    assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o600);
    server.stop();
    server.serve();
    assert_eq!(fs::read(&path).unwrap(), key);
    server.stop();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
    let refused = run(&mut server.command(&["serve"]), STEP).failed();
    assert!(refused.err().contains("chmod 600"), "{}", refused.err());
}

/// A message on the wire before the first keys (RFC 4253, section 6).
fn packet(message: &[u8]) -> Vec<u8> {
    let padding = 16 - (5 + message.len()) % 8;
    let length = u32::try_from(1 + message.len() + padding).unwrap();
    let mut packet = length.to_be_bytes().to_vec();
    packet.push(u8::try_from(padding).unwrap());
    packet.extend_from_slice(message);
    packet.resize(packet.len() + padding, 0);
    packet
}

/// How long it takes until the second of two packets in a row is carried out, for which there is no answer to
/// the first, and the client's system holds it back until it knows of that one (Nagle's algorithm).
fn time_of_a_second_packet(server: &TestServer) -> Duration {
    let cipher: &[u8] = b"aes256-gcm@openssh.com";
    let mac: &[u8] = b"hmac-sha2-256";
    let (exchange, host_key): (&[u8], &[u8]) = (b"curve25519-sha256", b"ssh-ed25519");
    let none: &[u8] = b"none";
    let lists = [
        exchange, host_key, cipher, cipher, mac, mac, none, none, b"", b"",
    ];
    // SSH_MSG_KEXINIT and SSH_MSG_DISCONNECT (RFC 4253, sections 7.1 and 11.1).
    let mut key_exchange = vec![20];
    key_exchange.extend_from_slice(&[7; 16]);
    lists
        .iter()
        .for_each(|list| string(&mut key_exchange, list));
    key_exchange.extend_from_slice(&[0; 5]);
    let mut disconnect = vec![1, 0, 0, 0, 11];
    string(&mut disconnect, b"done");
    string(&mut disconnect, b"");
    let mut stream = TcpStream::connect(server.address()).unwrap();
    stream.set_read_timeout(Some(STEP)).unwrap();
    stream.write_all(b"SSH-2.0-test\r\n").unwrap();
    // Its identification and its own SSH_MSG_KEXINIT.
    let (mut seen, mut buffer) = (0, [0; 4096]);
    while seen < 400 {
        seen += stream.read(&mut buffer).unwrap();
    }
    let began = Instant::now();
    stream.write_all(&packet(&key_exchange)).unwrap();
    stream.write_all(&packet(&disconnect)).unwrap();
    while stream.read(&mut buffer).unwrap() > 0 {}
    began.elapsed()
}

#[test]
fn nothing_is_held_back_as_the_key_exchange_begins() {
    let server = TestServer::start_with(&[("admission.penalties", "false")]);
    // 40 ms, Linux's delayed acknowledgement; a busy machine may take as long for other reasons.
    let quickest = (0..20).map(|_| time_of_a_second_packet(&server)).min();
    assert!(
        quickest.unwrap() < Duration::from_millis(30),
        "{quickest:?}"
    );
}
