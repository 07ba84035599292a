//! The rules of an account for logins: from where, how, and until when.

use std::process::Command;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::common::command::run_with_input;
use crate::common::connection::{Connection, Options};
use crate::common::programs::{ppk, psftp};
use crate::common::server::with_password;
use crate::common::{
    HOST, Output, PASSWORD, STEP, TestServer, USER, have, python, run, wait_until,
};

fn set(server: &TestServer, options: &[&str]) {
    let args = [&["user", "set", USER], options].concat();
    server.admin(&args, "").ok();
}

/// Logs in with the key alone.
fn by_key(server: &TestServer) -> Output {
    run(&mut server.sftp_batch(&[], "pwd\n"), STEP)
}

/// Logs in with the password alone.
fn by_password(server: &TestServer, password: &str) -> Output {
    let mut sftp = with_password(server, password, "sftp");
    run_with_input(sftp.arg(HOST), b"pwd\n", STEP)
}

/// Logs in with the key, and this password at the prompt.
fn by_both(server: &TestServer, password: &str, method: &str) -> Output {
    let mut sftp = Command::new("sshpass");
    sftp.args(["-e", "sftp", "-v", "-F"])
        .arg(server.ssh_config())
        .args(["-o", "BatchMode=no", "-o", "NumberOfPasswordPrompts=1"])
        .args([
            "-o",
            &format!("PreferredAuthentications=publickey,{method}"),
            HOST,
        ])
        .env("SSHPASS", password)
        .env_remove("SSH_AUTH_SOCK")
        .current_dir(server.path("client"));
    run_with_input(&mut sftp, b"pwd\n", STEP)
}

fn refusals(server: &TestServer, reason: &str) -> usize {
    let log = server.log();
    let lines = log.lines().filter(|line| line.contains("login refused"));
    lines.filter(|line| line.contains(reason)).count()
}

#[test]
fn a_refused_login_looks_like_a_wrong_password_to_the_client_and_not_to_the_operator() {
    if !have(&["sshpass"]) {
        return;
    }
    let server = TestServer::start();
    set(&server, &["--disabled"]);
    let wrong = by_password(&server, "wrong").failed();
    set(&server, &["--enabled"]);
    by_key(&server).ok();
    by_password(&server, PASSWORD).ok();
    for (closed, open, reason) in [
        (
            ["--disabled"].as_slice(),
            ["--enabled"].as_slice(),
            "disabled",
        ),
        (
            &["--expires", "2020-01-01"],
            &["--expires", "2099-01-01"],
            "expired",
        ),
        (
            &["--network", "10.0.0.0/8"],
            &["--network", "127.0.0.0/8"],
            "networks",
        ),
        (&["--network", "::1"], &["--network", "none"], "networks"),
    ] {
        set(&server, closed);
        let key = by_key(&server).failed();
        let password = by_password(&server, PASSWORD).failed();
        assert_eq!(password.err(), wrong.err());
        assert!(
            key.err().contains("Permission denied"),
            "{}",
            key.describe()
        );
        assert!(refusals(&server, reason) > 0, "{reason}: {}", server.log());
        set(&server, open);
        by_key(&server).ok();
        by_password(&server, PASSWORD).ok();
    }
}

#[test]
fn an_account_expires_at_its_time() {
    let server = TestServer::start();
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap()
        .as_secs();
    let soon = landfall::values::time::rfc3339(i64::try_from(now).unwrap() + 4);
    set(&server, &["--expires", &soon]);
    by_key(&server).ok();
    std::thread::sleep(Duration::from_secs(5));
    by_key(&server).failed();
}

#[test]
fn an_address_of_ipv4_in_ipv6_is_one_of_ipv4() {
    let server = TestServer::start_with(&[("server.listen", r#"["[::ffff:127.0.0.1]:0"]"#)]);
    for (network, is_in) in [
        ("127.0.0.1", true),
        ("::/0", false),
        ("::ffff:127.0.0.0/104", true),
    ] {
        set(&server, &["--network", network]);
        let connection = Connection::open(&server, &Options::default());
        let result = connection.password(USER, PASSWORD).unwrap();
        assert_eq!(result.success(), is_in, "{network}");
    }
}

#[test]
fn a_key_alone_is_wanted() {
    if !have(&["sshpass"]) {
        return;
    }
    let server = TestServer::start();
    set(&server, &["--login", "publickey"]);
    by_key(&server).ok();
    by_password(&server, PASSWORD).failed();
    let connection = Connection::open(&server, &Options::default());
    assert!(!connection.keyboard_interactive(USER, PASSWORD).unwrap());
    assert!(
        refusals(&server, "requires a key first") >= 2,
        "{}",
        server.log()
    );
}

#[test]
fn openssh_gives_the_key_and_then_the_password_in_both_ways_of_asking() {
    if !have(&["sshpass"]) {
        return;
    }
    let server = TestServer::start();
    set(&server, &["--login", "publickey+password"]);
    for method in ["password", "keyboard-interactive"] {
        let said = by_both(&server, PASSWORD, method).ok();
        assert!(
            said.err().contains("partial success"),
            "{}",
            said.describe()
        );
        by_both(&server, "wrong", method).failed();
    }
    let half = by_key(&server).failed();
    assert!(half.err().contains("password"), "{}", half.describe());
    by_password(&server, PASSWORD).failed();
}

#[test]
fn each_step_is_for_one_name_and_in_order() {
    let server = TestServer::start();
    server.add_user("bob", "another password", &[]);
    for name in [USER, "bob"] {
        let set = ["user", "set", name, "--login", "publickey+password"];
        server.admin(&set, "").ok();
    }
    let key = server.key();
    let connect = || Connection::open(&server, &Options::default());
    // The password first counts for nothing, and the key then only as the first step.
    let connection = connect();
    assert!(!connection.password(USER, PASSWORD).unwrap().success());
    assert!(!connection.key(USER, &key, None).unwrap().success());
    assert!(connection.password(USER, PASSWORD).unwrap().success());
    // The key of one user is worthless for another.
    let connection = connect();
    assert!(!connection.key(USER, &key, None).unwrap().success());
    assert!(
        !connection
            .password("bob", "another password")
            .unwrap()
            .success()
    );
    // A wrong password can be repeated without the key.
    let connection = connect();
    assert!(!connection.key(USER, &key, None).unwrap().success());
    assert!(!connection.password(USER, "wrong").unwrap().success());
    assert!(connection.keyboard_interactive(USER, PASSWORD).unwrap());
    connection.sftp().assert_alive();
}

#[test]
fn the_second_step_checks_the_key_and_the_account_again() {
    let server = TestServer::start();
    let limited = server.local("limited.pub");
    let public = std::fs::read_to_string(server.public_key()).unwrap();
    let fingerprint = {
        let key = russh::keys::PublicKey::from_openssh(&public).unwrap();
        key.fingerprint(russh::keys::HashAlg::Sha256).to_string()
    };
    let admin = |args: &[&str]| {
        let input = format!("{PASSWORD}\n");
        server.admin(args, &input).ok();
    };
    let key_line = server.public_key().to_str().unwrap().to_owned();
    let limited_line = limited.to_str().unwrap().to_owned();
    let remove_key = ["user", "key", "rm", USER, &fingerprint];
    let add_key = ["user", "key", "add", USER, &key_line];
    let add_limited = ["user", "key", "add", USER, &limited_line];
    let remove = ["user", "rm", USER];
    let add_user = [
        "user",
        "add",
        USER,
        "--password-stdin",
        "--login",
        "publickey+password",
        "--key",
        &key_line,
    ];
    let set_to = |option: &'static str, value: &'static str| ["user", "set", USER, option, value];
    let (disable, enable) = (
        ["user", "set", USER, "--disabled"],
        ["user", "set", USER, "--enabled"],
    );
    /// Commands, one after the other.
    type Commands<'a> = &'a [&'a [&'a str]];
    // Changes, how they are made, and how they are undone.
    let cases: [(&str, Commands<'_>, Commands<'_>); 6] = [
        ("the key is removed", &[&remove_key], &[&add_key]),
        (
            "the key expires",
            &[&remove_key, &add_limited],
            &[&remove_key, &add_key],
        ),
        ("the account is disabled", &[&disable], &[&enable]),
        (
            "the account is for other addresses",
            &[&set_to("--network", "10.0.0.0/8")],
            &[&set_to("--network", "none")],
        ),
        (
            "only a key is taken",
            &[&set_to("--login", "publickey")],
            &[&set_to("--login", "publickey+password")],
        ),
        ("the account is another one", &[&remove, &add_user], &[]),
    ];
    set(&server, &["--login", "publickey+password"]);
    std::fs::write(&limited, format!("expiry-time=\"20200101Z\" {public}")).unwrap();
    for (what, change, back) in cases {
        let connection = Connection::open(&server, &Options::default());
        let first = connection.key(USER, &server.key(), None).unwrap();
        assert!(
            format!("{first:?}").contains("partial_success: true"),
            "{what}"
        );
        change.iter().for_each(|args| admin(args));
        let second = connection.password(USER, PASSWORD).unwrap();
        assert!(!second.success(), "{what}");
        // It starts again, if the account allows it.
        back.iter().for_each(|args| admin(args));
        assert!(
            !connection.password(USER, PASSWORD).unwrap().success(),
            "{what}"
        );
        assert!(!connection.key(USER, &server.key(), None).unwrap().success());
        assert!(
            connection.password(USER, PASSWORD).unwrap().success(),
            "{what}"
        );
        connection.sftp().assert_alive();
    }
    let lost = "the key of the first step is no longer accepted";
    assert_eq!(refusals(&server, lost), 3, "{}", server.log());
}

#[test]
fn a_change_during_the_second_step_leaves_no_session() {
    // The password hash takes so long that the change arrives during it.
    let server = TestServer::start_with(&[("login.argon2_passes", "60")]);
    set(&server, &["--login", "publickey+password"]);
    let public = server.public_key();
    let key = public.to_str().unwrap();
    let text = std::fs::read_to_string(&public).unwrap();
    let fingerprint = russh::keys::PublicKey::from_openssh(&text)
        .unwrap()
        .fingerprint(russh::keys::HashAlg::Sha256)
        .to_string();
    let changes: [(&[&str], &[&str]); 2] = [
        (
            &["key", "rm", USER, &fingerprint],
            &["key", "add", USER, key],
        ),
        (&["set", USER, "--disabled"], &["set", USER, "--enabled"]),
    ];
    for (change, back) in changes {
        let connection = Connection::open(&server, &Options::default());
        connection.key(USER, &server.key(), None).unwrap();
        let second = {
            let connection = connection.clone();
            std::thread::spawn(move || connection.password(USER, PASSWORD))
        };
        std::thread::sleep(Duration::from_millis(100));
        server.admin(&[&["user"], change].concat(), "").ok();
        // It is refused, or accepted by the earlier rules and then closed.
        let _ = second.join().unwrap();
        wait_until("no session is open", STEP, || {
            let list = server.admin(&["session", "list", "--json"], "").ok();
            !list.out().contains(USER)
        });
        server.admin(&[&["user"], back].concat(), "").ok();
    }
}

#[test]
fn psftp_gives_the_key_and_then_the_password() {
    if !have(&["psftp", "puttygen"]) {
        return;
    }
    let server = TestServer::start();
    set(&server, &["--login", "publickey+password"]);
    let key = ppk(&server);
    let login = |password: &str| {
        [
            "-i".into(),
            key.clone().into_os_string(),
            "-pw".into(),
            password.into(),
        ]
    };
    run(&mut psftp(&server, &login(PASSWORD), "pwd\n"), STEP).ok();
    run(&mut psftp(&server, &login("wrong"), "pwd\n"), STEP).failed();
}

#[test]
fn paramiko_gives_the_key_and_then_the_password() {
    let Some(python) = python() else {
        return;
    };
    let server = TestServer::start();
    set(&server, &["--login", "publickey+password"]);
    const SCRIPT: &str = "
import sys, paramiko
host, port, user, key, password = sys.argv[1:]
transport = paramiko.Transport((host, int(port)))
transport.start_client()
key = paramiko.Ed25519Key.from_private_key_file(key)
assert sorted(transport.auth_publickey(user, key)) == ['keyboard-interactive', 'password']
assert not transport.is_authenticated()
assert transport.auth_password(user, password) == []
assert paramiko.SFTPClient.from_transport(transport).listdir() == []
";
    let mut client = Command::new(python);
    client.args(["-c", SCRIPT, "127.0.0.1", &server.port().to_string(), USER]);
    client.arg(server.key()).arg(PASSWORD);
    run(&mut client, STEP).ok();
}
