//! `landfall reload` and SIGHUP: a changed configuration applies, and no session ends because of it.

mod refused;

use std::fs;

use crate::common::connection::{Connection, Options};
use crate::common::held::Held;
use crate::common::raw::RawSftp;
use crate::common::wire::{code, flag};
use crate::common::{PASSWORD, STEP, TestServer, USER, run_ok, wait_until};

/// Adds lines of dotted keys to config.toml, and removes older lines of the same keys.
fn configure(server: &TestServer, settings: &[(&str, &str)]) {
    let file = server.path("config.toml");
    let old = fs::read_to_string(&file).unwrap();
    let is_set = |line: &&str| {
        settings
            .iter()
            .any(|(key, _)| line.starts_with(&format!("{key} =")))
    };
    let mut text: String = old
        .lines()
        .filter(|line| !is_set(line))
        .map(|line| format!("{line}\n"))
        .collect();
    for (key, value) in settings {
        text.push_str(&format!("{key} = {value}\n"));
    }
    fs::write(file, text).unwrap();
}

#[track_caller]
fn reload(server: &TestServer) -> String {
    server.admin(&["reload"], "").accepted()
}

/// Returns how many files a session may hold open.
fn handles(sftp: &mut RawSftp) -> usize {
    sftp.put("/f", b"");
    let opened = (0..20).map(|_| sftp.open("/f", flag::READ, &Default::default()));
    let replies: Vec<_> = opened.collect();
    replies
        .iter()
        .filter(|reply| matches!(reply, crate::common::wire::Reply::Handle { .. }))
        .count()
}

#[test]
fn new_sessions_have_the_new_settings_and_open_ones_go_on() {
    let server = TestServer::start_with(&[("sftp.max_handles", "3")]);
    let mut held = Held::open(&server);
    let old = Connection::logged_in(&server);
    let mut old_sftp = old.sftp();
    assert_eq!(handles(&mut old_sftp), 3);
    configure(
        &server,
        &[
            ("sftp.max_handles", "5"),
            ("sftp.umask", "\"077\""),
            ("uploads.safe_overwrite", "true"),
        ],
    );
    let said = reload(&server);
    assert!(
        said.contains("changed: sftp.max_handles, sftp.umask, uploads.safe_overwrite"),
        "{said}"
    );
    let mut new = Connection::logged_in(&server).sftp();
    assert_eq!(handles(&mut new), 5);
    // Existing sessions keep the value from their start.
    assert_eq!(handles(&mut old.sftp()), 3);
    held.assert_alive();
    assert!(server.log().contains("reload: changed: sftp.max_handles"));
    let said = reload(&server);
    assert_eq!(said, "no live setting has changed\n");
    held.leave();
}

#[test]
fn what_needs_a_restart_is_named_and_the_rest_is_taken_up() {
    let server = TestServer::start();
    configure(
        &server,
        &[
            ("server.shards", "7"),
            ("server.listen", r#"["127.0.0.1:1"]"#),
            ("login.max_attempts", "2"),
        ],
    );
    for _ in 0..2 {
        let said = reload(&server);
        assert!(
            said.contains("changed, takes effect at a restart: server.listen, server.shards\n"),
            "{said}"
        );
    }
    let connection = Connection::open(&server, &Options::default());
    for _ in 0..3 {
        let login = connection.password(USER, "wrong");
        assert!(!login.is_ok_and(|login| login.success()));
    }
    assert_eq!(server.log().matches("login refused").count(), 2);
    wait_until("two attempts are the end", STEP, || connection.is_closed());
}

#[test]
fn a_faulty_config_is_refused_with_all_its_faults_and_the_old_one_stays() {
    let server = TestServer::start_with(&[("sftp.max_handles", "3")]);
    let mut held = Held::open(&server);
    let good = fs::read_to_string(server.path("config.toml")).unwrap();
    let lines = good.lines().count();
    let bad = format!("{good}sftp.max_channels = 0\nlog.level = \"loud\"\nsftp.umask = \"077\"\n");
    fs::write(server.path("config.toml"), bad).unwrap();
    let refused = server.admin(&["reload"], "").refused();
    for (line, words) in [
        (lines + 1, "max_channels is 0"),
        (lines + 2, "level is \"loud\""),
    ] {
        assert!(
            refused.contains(&format!("config.toml:{line}:")),
            "{refused}"
        );
        assert!(refused.contains(words), "{refused}");
        assert!(server.log().contains(words), "{}", server.log());
    }
    server.hang_up();
    wait_until("the log says so again", STEP, || {
        server.log().matches("reload refused").count() >= 4
    });
    held.assert_alive();
    let mut sftp = Connection::logged_in(&server).sftp();
    assert_eq!(handles(&mut sftp), 3);
    fs::write(server.path("config.toml"), good).unwrap();
    reload(&server);
    held.leave();
}

#[test]
fn host_keys_are_exchanged_for_new_connections() {
    let server = TestServer::start();
    let mut held = Held::open(&server);
    let key = server.path("keys/ssh_host_ed25519_key");
    for file in [key.clone(), key.with_extension("pub")] {
        fs::remove_file(file).unwrap();
    }
    crate::common::server::make_key(&key, &["-t", "ed25519"]);
    // Not before the reload.
    assert!(Connection::try_open(&server, &Options::default()).is_err());
    reload(&server);
    // A test connection accepts only the host key on the disk.
    drop(Connection::logged_in(&server));
    held.assert_alive();
    fs::write(&key, "nonsense").unwrap();
    let refused = server.admin(&["reload"], "").refused();
    assert!(refused.contains("is not a private key"), "{refused}");
    held.assert_alive();
}

#[test]
fn the_log_level_passwords_and_connections_follow_a_hangup() {
    let server = TestServer::start_with(&[
        ("log.level", "\"error\""),
        // Half of the connections may be before login: the check whether the server runs, and one session.
        ("server.max_connections", "4"),
    ]);
    let first = Connection::logged_in(&server);
    assert!(!server.log().contains("login user="), "{}", server.log());
    configure(
        &server,
        &[
            ("log.level", "\"info\""),
            // An account may have a quarter of them.
            ("server.max_connections", "28"),
            ("login.argon2_passes", "2"),
        ],
    );
    server.hang_up();
    wait_until("it is taken up", STEP, || {
        server.log().contains("reload: changed")
    });
    let more: Vec<_> = (0..6).map(|_| Connection::logged_in(&server)).collect();
    assert!(server.log().contains("login user="));
    drop(more);
    let connection = Connection::open(&server, &Options::default());
    assert!(connection.password(USER, PASSWORD).unwrap().success());
    drop(connection);
    configure(&server, &[("server.max_connections", "1")]);
    reload(&server);
    // Nobody is disconnected, and nobody is admitted while there are too many.
    assert!(!first.is_closed());
    // One client may have been admitted while there was still room.
    run_ok(&mut server.sftp_batch(&[], "pwd\n"), STEP);
    let mut waiting = crate::common::Running::start(&mut server.sftp_batch(&[], "pwd\n"));
    std::thread::sleep(std::time::Duration::from_millis(1500));
    assert!(waiting.is_running());
    drop(first);
    waiting.wait(STEP).ok();
}

#[test]
fn without_a_server_there_is_nothing_to_reload() {
    let mut server = TestServer::start();
    assert!(server.stop().unwrap().success());
    let words = server.admin(&["reload"], "").refused();
    assert!(words.contains("no server runs on"), "{words}");
}

#[test]
fn fifty_reloads_beside_a_transfer_disturb_nothing() {
    let server = TestServer::start();
    let content = crate::common::bytes_of(64 << 20, 5);
    fs::write(server.at_home("big"), &content).unwrap();
    let mut held = Held::open(&server);
    held.say("get big");
    for number in 0..50 {
        let handles = (10 + number).to_string();
        configure(&server, &[("sftp.max_handles", &handles)]);
        if number % 2 == 0 {
            reload(&server);
        } else {
            server.hang_up();
        }
    }
    held.assert_alive();
    assert!(fs::read(server.local("big")).unwrap() == content);
    let mut sftp = Connection::logged_in(&server).sftp();
    assert_eq!(sftp.remove("/big"), code::OK);
    held.leave();
}
