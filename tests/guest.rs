//! The guest: disabled by default; then without a password, and read-only.

use std::fs;
use std::process::Command;

use crate::common::connection::{Connection, Options};
use crate::common::server::make_key;
use crate::common::wire::{code, flag};
use crate::common::{HOST, PASSWORD, STEP, TestServer, USER, run};

const GUEST: (&str, &str) = ("guest.enabled", "true");

fn connect(server: &TestServer) -> Connection {
    Connection::open(server, &Options::default())
}

/// OpenSSH's sftp as the guest, without a key and a password.
fn sftp(server: &TestServer, lines: &str) -> Command {
    let mut sftp = server.sftp_batch(
        &["-o", "User=guest", "-o", "PubkeyAuthentication=no"],
        lines,
    );
    sftp.env_remove("SSH_AUTH_SOCK");
    sftp
}

#[test]
fn without_the_config_there_is_no_guest() {
    let server = TestServer::start();
    let connection = connect(&server);
    assert!(!connection.none("guest").unwrap().success());
    assert!(!connection.password("guest", "").unwrap().success());
    let list = server.admin(&["user", "list"], "").ok().out();
    assert!(!list.contains("guest"), "{list}");
}

#[test]
fn a_guest_gets_in_with_nothing_and_with_anything() {
    let server = TestServer::start_with(&[GUEST]);
    assert!(connect(&server).none("guest").unwrap().success());
    assert!(
        connect(&server)
            .password("guest", "what@ever")
            .unwrap()
            .success()
    );
    assert!(connect(&server).keyboard_interactive("guest", "").unwrap());
    let key = server.local("unknown");
    make_key(&key, &["-t", "ed25519"]);
    assert!(connect(&server).key("guest", &key, None).unwrap().success());
    // For nobody else.
    let connection = connect(&server);
    for name in [USER, "nobody", "Guest", "guest "] {
        assert!(!connection.none(name).unwrap().success(), "{name}");
        assert!(
            !connection.password(name, "what@ever").unwrap().success(),
            "{name}"
        );
    }
    assert!(connect(&server).password(USER, PASSWORD).unwrap().success());
}

#[test]
fn a_guest_reads_and_changes_nothing() {
    let server = TestServer::start_with(&[GUEST]);
    let home = server.path("data/homes/guest");
    fs::write(home.join("file"), "for all").unwrap();
    fs::write(server.local("mine"), "mine").unwrap();
    run(&mut sftp(&server, "get file\nls -l\n"), STEP).ok();
    assert_eq!(fs::read(server.local("file")).unwrap(), b"for all");
    for line in [
        "put mine",
        "put mine file",
        "rm file",
        "mkdir d",
        "rename file f",
        "chmod 600 file",
    ] {
        run(&mut sftp(&server, line), STEP).failed();
    }
    let mut scp = server.scp();
    scp.args(["-O", "-o", "User=guest", "mine", &format!("{HOST}:")]);
    run(&mut scp, STEP).failed();
    assert_eq!(fs::read_dir(home).unwrap().count(), 1);
}

#[test]
fn an_operator_says_what_a_guest_may_do() {
    let settings = [
        GUEST,
        ("guest.name", "\"visitor\""),
        ("guest.home", "\"public\""),
        (
            "guest.permissions",
            r#"["read-only", "/incoming=upload-only"]"#,
        ),
        ("guest.quota", "\"1KiB\""),
        ("guest.max_files", "3"),
        ("guest.max_sessions", "1"),
    ];
    let server = TestServer::start_with(&settings);
    let shown = server
        .admin(&["user", "show", "visitor", "--json"], "")
        .ok();
    let shown: serde_json::Value = serde_json::from_slice(&shown.stdout).unwrap();
    assert_eq!(shown["home"], server.path("public").to_str().unwrap());
    assert_eq!(
        (&shown["declared"], &shown["quota"]),
        (&true.into(), &1024.into())
    );
    fs::create_dir(server.path("public/incoming")).unwrap();
    let first = connect(&server);
    assert!(first.none("visitor").unwrap().success());
    let mut sftp = first.sftp();
    sftp.put("incoming/file", &[0; 1000]);
    let handle = sftp.opened("incoming/more", flag::WRITE | flag::CREAT);
    assert_eq!(sftp.write(&handle, 0, &[0; 100]), code::FAILURE);
    let refused = sftp.open("file", flag::WRITE | flag::CREAT, &Default::default());
    assert_eq!(refused.code(), code::PERMISSION_DENIED);
    // A second session gets the reason.
    let second = connect(&server);
    let _ = second.none("visitor");
    crate::common::wait_until("the second session ends", STEP, || second.is_closed());
    assert!(
        server.log().contains("its limit of concurrent sessions"),
        "{}",
        server.log()
    );
}

#[test]
fn what_the_operator_sets_beside_the_config_stays_and_closing_ends_sessions() {
    let mut server = TestServer::start_with(&[GUEST]);
    server
        .admin(&["user", "set", "guest", "--network", "10.0.0.0/8"], "")
        .ok();
    assert!(!connect(&server).none("guest").unwrap().success());
    server.stop();
    server.serve();
    assert!(!connect(&server).none("guest").unwrap().success());
    server
        .admin(&["user", "set", "guest", "--network", "none"], "")
        .ok();
    let open = connect(&server);
    assert!(open.none("guest").unwrap().success());
    let config = fs::read_to_string(server.path("config.toml")).unwrap();
    let closed = config.replace("guest.enabled = true", "guest.enabled = false");
    // A reload without changes of the guest leaves its sessions alone.
    server.admin(&["reload"], "").ok();
    assert!(!open.is_closed());
    fs::write(server.path("config.toml"), closed).unwrap();
    server.admin(&["reload"], "").ok();
    crate::common::wait_until("the guest's session ends", STEP, || open.is_closed());
    assert!(!connect(&server).none("guest").unwrap().success());
    assert!(!connect(&server).password("guest", "").unwrap().success());
}

#[test]
fn what_the_config_says_of_a_guest_is_not_changed_by_commands() {
    let server = TestServer::start_with(&[GUEST]);
    for (command, said) in [
        (
            &["set", "guest", "--quota", "1GiB", "--disabled"][..],
            "quota, enabled",
        ),
        (&["set", "guest", "--permissions", "full"], "permissions"),
        (&["set", "guest", "--max-files", "9"], "max_files"),
        (&["set", "guest", "--max-sessions", "2"], "max_sessions"),
        (&["rm", "guest"], "enabled"),
    ] {
        let refused = server.admin(&[&["user"], command].concat(), "").refused();
        let words = format!("guest is the guest: change its {said} in config.toml");
        assert!(refused.contains(&words), "{refused}");
    }
    let passwd = ["user", "passwd", "guest", "--password-stdin"];
    let refused = server.admin(&passwd, "a password").refused();
    assert!(refused.contains("anybody can log in"), "{refused}");
    assert!(connect(&server).none("guest").unwrap().success());
}

/// It would make the next start fail.
#[test]
fn nobody_else_gets_the_name_of_the_guest_and_a_check_finds_who_has_it() {
    let server = TestServer::start();
    server.add_user("guest", "a password", &[]);
    let config = fs::read_to_string(server.path("config.toml")).unwrap();
    let with_guest = config.clone() + "guest.enabled = true\n";
    fs::write(server.path("config.toml"), &with_guest).unwrap();
    for command in [&["check"][..], &["reload"]] {
        let refused = server.admin(command, "").refused();
        assert!(refused.contains("a user guest already exists"), "{refused}");
    }
    server.admin(&["user", "rm", "guest"], "").accepted();
    server.admin(&["check"], "").accepted();
    // The check has created no account.
    let shown = server.admin(&["user", "show", "guest"], "").refused();
    assert!(shown.contains("no user guest"), "{shown}");
    let add = ["user", "add", "guest", "--no-password"];
    let refused = server.admin(&add, "").refused();
    assert!(
        refused.contains("guest is the guest of config.toml"),
        "{refused}"
    );
    let declared = config + &format!("[user.{USER}]\n");
    fs::write(server.path("config.toml"), declared).unwrap();
    let refused = server.admin(&["check"], "").refused();
    let words = format!("a user {USER} already exists, added by a command");
    assert!(refused.contains(&words), "{refused}");
}

#[test]
fn an_account_that_is_somebodys_does_not_become_the_guests() {
    let mut server = TestServer::start();
    server.add_user("guest", "a password", &[]);
    let config = fs::read_to_string(server.path("config.toml")).unwrap();
    fs::write(
        server.path("config.toml"),
        config + "guest.enabled = true\n",
    )
    .unwrap();
    let refused = server.admin(&["reload"], "").failed();
    assert!(
        refused.err().contains("a user guest already exists"),
        "{}",
        refused.describe()
    );
    assert!(!connect(&server).none("guest").unwrap().success());
    server.stop();
    let refused = server.admin(&["serve"], "").failed();
    assert!(
        refused.err().contains("a user guest already exists"),
        "{}",
        refused.describe()
    );
}
