//! Changes by an operator apply to open sessions.

mod load;
mod unreadable;

use std::fs;
use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::common::connection::{Connection, Options};
use crate::common::held::Held;
use crate::common::programs::rclone;
use crate::common::server::with_password;
use crate::common::wire::code;
use crate::common::{Output, PASSWORD, STEP, TestServer, USER, wait_until};
use crate::quota::scene::{NEW, Scene, assert_done, assert_exceeded};

/// Time for a change to apply after a notification.
const TOLD: Duration = Duration::from_secs(1);
/// Time for a change that the server must notice by itself, on a busy machine.
const NOTICED: Duration = Duration::from_secs(5);

/// Runs `landfall user ARGS...`; returns its output.
#[track_caller]
fn user(server: &TestServer, args: &[&str]) -> String {
    server.admin(&[&["user"], args].concat(), "").ok().out()
}

#[track_caller]
fn set(server: &TestServer, options: &[&str]) -> String {
    user(server, &[&["set", USER], options].concat())
}

#[track_caller]
fn assert_told(output: &Output, words: &str) {
    assert!(!output.status.success());
    assert!(output.err().contains(words), "{}", output.describe());
}

/// A session that has logged in with a password.
fn by_password(server: &TestServer, password: &str) -> Connection {
    let connection = Connection::open(server, &Options::default());
    let login = connection.password(USER, password).unwrap();
    assert!(login.success(), "the password was refused");
    connection
}

#[track_caller]
fn assert_ended(connection: &Connection) {
    wait_until("the session is ended", TOLD, || connection.is_closed());
}

#[test]
fn a_quota_holds_at_once_in_every_open_session() {
    let scene = Scene::with(1000, 10);
    let (mut one, mut other) = (scene.log_in(), scene.log_in());
    let file = one.opened("/f", NEW);
    assert_exceeded(&one.try_write(&file, 0, &[1; 2000]));
    let said = set(&scene.server, &["--quota", "2000"]);
    assert_eq!(
        said,
        "The quota of alice is 2000 bytes, and 10 files\nUpdated 2 open sessions\n"
    );
    assert_done(&one.try_write(&file, 0, &[1; 2000]));
    assert_eq!(other.space_available().user_total, 2000);
    // It may be less than the usage: then nothing grows, and nothing is lost.
    set(&scene.server, &["--quota", "1500", "--max-files", "1"]);
    assert_exceeded(&one.try_write(&file, 2000, b"x"));
    assert_done(&one.try_write(&file, 0, &[2; 2000]));
    let more = other.open("/g", NEW, &Default::default());
    assert_eq!(more.code(), code::FAILURE, "{more:?}");
    set(&scene.server, &["--quota", "none", "--max-files", "none"]);
    assert_done(&one.try_write(&file, 0, &[3; 5000]));
    scene.server.admin(&["session", "list"], "").accepted();
}

#[test]
fn a_client_in_the_middle_of_an_upload_feels_its_quota() {
    let server = TestServer::start();
    let big = fs::File::create(server.local("big")).unwrap();
    big.set_len(8 << 30).unwrap();
    let mut held = Held::open(&server);
    held.say("put big");
    let arrived = || fs::metadata(server.at_home("big")).map_or(0, |found| found.len());
    wait_until("the upload has begun", STEP, || arrived() > 8 << 20);
    set(&server, &["--quota", "1MiB", "--max-files", "10"]);
    let output = held.running.wait(STEP);
    assert!(
        output.err().contains("Quota exceeded"),
        "{}",
        output.describe()
    );
    assert!(arrived() < 8 << 30);
}

#[test]
fn rclone_in_the_middle_of_an_upload_ends_with_its_account() {
    if !crate::common::have(&["rclone"]) {
        return;
    }
    let server = TestServer::start();
    let big = fs::File::create(server.local("big")).unwrap();
    big.set_len(1 << 30).unwrap();
    let args = ["copyto", "--retries", "1", "--low-level-retries", "1"];
    let limit = ["--bwlimit", "4M", "big", "there:big"];
    let mut rclone = rclone(&server, &[&args[..], &limit].concat());
    let mut running = crate::common::Running::start(rclone.stdin(std::process::Stdio::null()));
    let uploads = || {
        let said = server.admin(&["session", "list", "--json"], "").accepted();
        said.contains("\"upload\"")
    };
    wait_until("the upload has begun", STEP, uploads);
    assert!(running.is_running());
    let said = set(&server, &["--disabled"]);
    let output = running.wait(STEP);
    assert!(!output.status.success(), "{}", output.describe());
    // The server may have noticed the change, and rclone left, before the command notified it.
    let log = server.log();
    assert!(
        log.contains("This account has been disabled"),
        "{said}{log}"
    );
    let said = server.admin(&["session", "list"], "").accepted();
    assert_eq!(said, "There are no open sessions\n");
}

#[test]
fn safe_overwrites_begin_with_the_next_file() {
    let scene = Scene::new();
    set(&scene.server, &["--safe-overwrite", "off"]);
    let mut s = scene.log_in();
    s.put("/f", b"old");
    let file = s.opened("/f", NEW);
    assert!(scene.hidden_paths().is_empty());
    assert_eq!(s.close(&file), code::OK);
    let said = set(&scene.server, &["--safe-overwrite", "on"]);
    assert!(said.ends_with("safely\nUpdated 1 open session\n"), "{said}");
    let file = s.opened("/f", NEW);
    assert_eq!(scene.hidden_paths().len(), 1);
    assert_eq!(s.close(&file), code::OK);
}

#[test]
fn permissions_hold_at_once_for_what_is_open_too() {
    let scene = Scene::new();
    let mut s = scene.log_in();
    s.put("/old", b"old");
    let file = s.opened("/new", NEW);
    assert_done(&s.try_write(&file, 0, b"before"));
    let said = set(&scene.server, &["--permissions", "read-only"]);
    assert!(said.ends_with("\nUpdated 1 open session\n"), "{said}");
    let refused = s.try_write(&file, 6, b"after");
    assert_eq!(refused.code(), code::PERMISSION_DENIED, "{refused:?}");
    assert_eq!(s.remove("/old"), code::PERMISSION_DENIED);
    assert_eq!(s.get("/old"), b"old");
    set(&scene.server, &["--permissions", "full"]);
    assert_eq!(s.write(&file, 6, b"after"), code::OK);
    assert_eq!(s.remove("/old"), code::OK);
}

#[test]
fn who_is_disabled_removed_moved_or_expired_is_told_and_gone() {
    for (args, words) in [
        (&["set", USER, "--disabled"][..], "has been disabled"),
        (&["set", USER, "--expires", "2020-01-01"], "has expired"),
        (
            &["set", USER, "--network", "192.0.2.0/24"],
            "from your address",
        ),
        (&["set", USER, "--home", "elsewhere"], "has moved"),
        (&["rm", USER], "has been removed"),
    ] {
        let server = TestServer::start();
        server.add_user("bob", PASSWORD, &[&server.public_key()]);
        let his = Connection::open(&server, &Options::default());
        assert!(his.key("bob", &server.key(), None).unwrap().success());
        let held = Held::open(&server);
        let said = user(&server, args);
        assert_told(&held.ended(), words);
        // The server may have noticed the change, and the client left, before the command notified it.
        let is_said = said.ends_with("\nClosed 1 open session\n");
        assert!(is_said || server.log().contains(words), "{said}");
        assert!(!his.is_closed(), "{args:?}");
    }
}

#[test]
fn what_takes_nothing_away_ends_nothing() {
    let server = TestServer::start();
    let mut held = Held::open(&server);
    let home = server.home().to_str().unwrap().to_owned();
    for options in [
        &["--network", "127.0.0.0/8"][..],
        &["--expires", "2099-01-01"],
        &["--enabled"],
        &["--home", &home],
        &["--max-sessions", "1"],
    ] {
        let said = set(&server, options);
        assert!(said.ends_with("Updated 1 open session\n"), "{said}");
        held.assert_alive();
    }
    held.leave();
    let said = set(&server, &["--network", "none"]);
    assert!(!said.contains("open session"), "{said}");
}

#[test]
fn a_session_ends_when_its_account_expires_meanwhile() {
    let server = TestServer::start();
    let held = Held::open(&server);
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    let soon = i64::try_from(now.as_secs()).unwrap() + 3;
    let soon = landfall::values::time::rfc3339(soon);
    let said = set(&server, &["--expires", &soon]);
    assert!(said.ends_with("Updated 1 open session\n"), "{said}");
    wait_until("the log says so", Duration::from_secs(3) + NOTICED, || {
        server.log().contains("closing a session")
    });
    assert_told(&held.ended(), "has expired");
}

#[test]
fn another_password_ends_the_sessions_that_came_by_the_old_one() {
    let server = TestServer::start();
    let old = by_password(&server, PASSWORD);
    let mut by_key = Held::open(&server);
    let said = server.admin(
        &["user", "passwd", USER, "--password-stdin"],
        "the new one\n",
    );
    assert_eq!(
        said.accepted(),
        "alice has a new password\nUpdated 1 open session\nClosed 1 open session\n"
    );
    assert_ended(&old);
    by_key.assert_alive();
    let new = by_password(&server, "the new one");
    user(&server, &["passwd", USER, "--no-password"]);
    assert_ended(&new);
    by_key.assert_alive();
}

#[test]
fn a_real_client_that_typed_the_old_password_is_told() {
    let server = TestServer::start();
    let held = Held::over(with_password(&server, PASSWORD, "sftp"));
    server
        .admin(
            &["user", "passwd", USER, "--password-stdin"],
            "the new one\n",
        )
        .accepted();
    assert_told(
        &held.ended(),
        "The password of this account has been changed",
    );
}

#[test]
fn a_removed_key_ends_the_sessions_that_came_by_it() {
    let server = TestServer::start();
    let second = server.local("second");
    crate::common::server::make_key(&second, &["-t", "ed25519"]);
    let public = second.with_extension("pub");
    let said = user(&server, &["key", "add", USER, public.to_str().unwrap()]);
    assert!(!said.contains("open session"), "{said}");
    let with = |key: &Path| {
        let connection = Connection::open(&server, &Options::default());
        assert!(connection.key(USER, key, None).unwrap().success());
        connection
    };
    let (by_second, by_first, by_word) = (
        with(&second),
        with(&server.key()),
        by_password(&server, PASSWORD),
    );
    let listed = server
        .admin(&["user", "key", "list", USER, "--json"], "")
        .accepted();
    let listed: serde_json::Value = serde_json::from_str(&listed).unwrap();
    let text = fs::read_to_string(&public).unwrap();
    let of_second =
        |key: &&serde_json::Value| text.starts_with(key["public_key"].as_str().unwrap());
    let key = listed.as_array().unwrap().iter().find(of_second).unwrap();
    let said = user(
        &server,
        &["key", "rm", USER, key["fingerprint"].as_str().unwrap()],
    );
    assert!(
        said.contains("Updated 2 open sessions\nClosed 1 open session\n"),
        "{said}"
    );
    assert_ended(&by_second);
    assert!(!by_first.is_closed() && !by_word.is_closed());
}

#[test]
fn more_sessions_than_allowed_are_refused_with_words_and_those_that_are_open_stay() {
    let server = TestServer::start();
    let mut first = Held::open(&server);
    let mut second = Held::open(&server);
    let said = set(&server, &["--max-sessions", "1"]);
    assert!(said.contains("from the next login on"), "{said}");
    let output = crate::common::run(&mut server.sftp_batch(&[], "pwd\n"), STEP);
    assert_told(&output, "its limit of concurrent sessions (1)");
    assert!(server.log().contains("reason=\"This account has reached"));
    first.assert_alive();
    second.assert_alive();
    first.leave();
    second.leave();
    wait_until("both are gone", STEP, || {
        server.admin(&["session", "list"], "").accepted() == "There are no open sessions\n"
    });
    Held::open(&server).leave();
}

#[test]
fn an_account_that_was_made_again_is_another_one() {
    let server = TestServer::start();
    let held = Held::open(&server);
    // The server is notified of neither.
    fs::remove_file(server.path("data/control.sock")).unwrap();
    user(&server, &["rm", USER]);
    server.add_user(USER, PASSWORD, &[&server.public_key()]);
    wait_until("the server notices", NOTICED, || {
        server.log().contains("closing a session")
    });
    assert_told(&held.ended(), "has been removed");
}

#[test]
fn the_server_notices_by_itself_what_it_is_not_told() {
    let scene = Scene::with(1000, 10);
    let mut s = scene.log_in();
    fs::remove_file(scene.server.path("data/control.sock")).unwrap();
    let said = set(&scene.server, &["--quota", "2000"]);
    assert_eq!(said, "The quota of alice is 2000 bytes, and 10 files\n");
    wait_until("the quota holds", NOTICED, || {
        s.space_available().user_total == 2000
    });
    set(&scene.server, &["--disabled"]);
    wait_until("the session is ended", NOTICED, || s.connection.is_closed());
}

#[test]
fn commands_at_the_same_time_lose_nothing_of_each_other() {
    let scene = Scene::with(1000, 10);
    let mut s = scene.log_in();
    let settings = [
        ["--quota", "7777"],
        ["--max-files", "77"],
        ["--safe-overwrite", "on"],
        ["--max-sessions", "7"],
        ["--expires", "2077-07-07"],
        ["--network", "127.0.0.0/8"],
        ["--upload-rate", "70MiB"],
        ["--download-rate", "77MiB"],
    ];
    for round in 0..3 {
        std::thread::scope(|scope| {
            for options in &settings {
                scope.spawn(|| set(&scene.server, options));
            }
        });
        let shown = scene
            .server
            .admin(&["user", "show", USER, "--json"], "")
            .accepted();
        let shown: serde_json::Value = serde_json::from_str(&shown).unwrap();
        let all: [(&str, serde_json::Value); 7] = [
            ("quota", 7777.into()),
            ("max_files", 77.into()),
            ("safe_overwrite", true.into()),
            ("max_sessions", 7.into()),
            ("networks", vec!["127.0.0.0/8"].into()),
            ("upload_rate", (70 << 20).into()),
            ("download_rate", (77 << 20).into()),
        ];
        for (name, value) in &all {
            assert_eq!(&shown[name], value, "{round} {name}: {shown}");
        }
        assert!(shown["expires"].as_str().unwrap().starts_with("2077"));
        let space = s.space_available();
        assert_eq!(space.user_total, 7777);
        scene.set(&[
            "--quota",
            "1",
            "--max-files",
            "1",
            "--safe-overwrite",
            "off",
        ]);
        scene.set(&["--max-sessions", "none", "--expires", "never"]);
        scene.set(&["--network", "none", "--upload-rate", "none"]);
        scene.set(&["--download-rate", "none"]);
    }
}

#[test]
fn no_login_outlives_a_change_that_overtook_it() {
    // An overtaken login has the wrong password, and all come from one address.
    let server = TestServer::start_with(&[("admission.penalties", "false")]);
    let mut password = PASSWORD.to_owned();
    for round in 0..12 {
        let next = format!("password {round}");
        let delay = Duration::from_millis(round * 3);
        let connections: Vec<_> = std::thread::scope(|scope| {
            let logins: Vec<_> = (0..6)
                .map(|_| {
                    scope.spawn(|| {
                        let connection = Connection::open(&server, &Options::default());
                        let login = connection.password(USER, &password);
                        login
                            .is_ok_and(|login| login.success())
                            .then_some(connection)
                    })
                })
                .collect();
            std::thread::sleep(delay);
            server
                .admin(
                    &["user", "passwd", USER, "--password-stdin"],
                    &format!("{next}\n"),
                )
                .accepted();
            logins
                .into_iter()
                .filter_map(|login| login.join().unwrap())
                .collect()
        });
        for connection in connections {
            wait_until("a session by the old password is ended", NOTICED, || {
                connection.is_closed()
            });
        }
        password = next;
    }
}
