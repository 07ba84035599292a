//! Homes on a disk that hangs while the server starts, counts, sweeps, reloads or adds accounts: homes on
//! other disks do not wait for them. (Sessions on such a disk: `stuck`.)

use std::fs::{self, File};
use std::path::Path;
use std::time::{Duration, Instant, SystemTime};

use crate::common::connection::Connection;
use crate::common::wire::{code, flag};
use crate::common::{PASSWORD, Running, STEP, TestServer, USER, wait_until};
use crate::disks::faulty::FaultyDisk;

/// Accounts on the disk that hangs: more than are counted or swept there at once, and before [`USER`] by
/// name.
const SLOW: usize = 6;
const SLOW_NAME: &str = "a";
/// How long another account may wait, on a busy machine.
const SOON: Duration = Duration::from_secs(10);
/// A leftover temporary file of a killed server.
const LEFTOVER: &str = ".landfall-upload-0123456789abcdef";

/// A server that was killed while accounts on both disks were writing.
fn crashed(disk: &FaultyDisk) -> (TestServer, Vec<String>) {
    let settings = [
        ("uploads.sweep_after", "\"2d\""),
        ("log.level", "\"debug\""),
    ];
    let mut server = TestServer::start_with(&settings);
    let slow = disk.add_users(&server, SLOW_NAME, SLOW);
    let all = slow.iter().map(String::as_str).chain([USER]);
    let sessions: Vec<_> = all
        .map(|user| {
            let connection = Connection::logged_in_to(&server, user, &Default::default());
            let mut sftp = connection.sftp();
            let file = sftp.opened("f", flag::WRITE | flag::CREAT);
            assert_eq!(sftp.write(&file, 0, b"content"), code::OK);
            sftp
        })
        .collect();
    server.kill();
    drop(sessions);
    (server, slow)
}

fn leave_upload(home: &Path) {
    let left = File::create(home.join(LEFTOVER)).unwrap();
    let days = Duration::from_secs(3 * 24 * 3600);
    left.set_modified(SystemTime::now() - days).unwrap();
}

/// Returns whether the home was counted since the last start.
fn is_counted(server: &TestServer, user: &str) -> bool {
    let user = format!("user=\"{user}\"");
    let log = server.log();
    let mut lines = log
        .rsplit("using the configuration")
        .next()
        .unwrap()
        .lines();
    lines.any(|line| line.contains("files counted") && line.contains(&user))
}

#[test]
fn after_a_crash_homes_on_other_disks_are_counted_and_their_accounts_write() {
    let Some(disk) = FaultyDisk::mount() else {
        return;
    };
    let (mut server, slow) = crashed(&disk);
    let hanging = disk.hangs();
    server.serve();
    // An account on the disk that hangs waits for its own count only.
    let mut waiting: Vec<_> = slow
        .iter()
        .map(|user| Connection::logged_in_to(&server, user, &Default::default()).subsystem())
        .collect();
    wait_until("the other home is counted", SOON, || {
        is_counted(&server, USER)
    });
    let began = Instant::now();
    let mut sftp = Connection::logged_in(&server).sftp();
    sftp.put("new", b"content");
    assert!(began.elapsed() < SOON, "{:?}", began.elapsed());
    assert!(!slow.iter().any(|user| is_counted(&server, user)));
    drop(hanging);
    wait_until("all are counted", STEP, || {
        slow.iter().all(|user| is_counted(&server, user))
    });
    waiting.clear();
    let mut sftp = Connection::logged_in_to(&server, &slow[0], &Default::default()).sftp();
    sftp.put("new", b"content");
}

#[test]
fn a_requested_count_of_one_home_does_not_wait_for_a_disk_that_hangs() {
    let Some(disk) = FaultyDisk::mount() else {
        return;
    };
    let server = TestServer::start();
    disk.add_users(&server, SLOW_NAME, SLOW);
    fs::write(server.at_home("f"), "by hand").unwrap();
    let hanging = disk.hangs();
    let mut all = Running::start(&mut server.command(&["quota", "recount"]));
    wait_until("the command prints the other home", SOON, || {
        all.stdout_so_far().contains("(7 bytes) in 1 files")
    });
    let said = server.admin(&["quota", "recount", USER], "").ok().out();
    assert!(said.ends_with("(7 bytes) in 1 files\n"), "{said}");
    assert!(all.is_running());
    drop(hanging);
    let said = all.wait(STEP).ok().out();
    assert_eq!(said.lines().count(), SLOW + 1, "{said}");
}

#[test]
fn homes_that_nobody_has_logged_in_to_are_counted_though_others_are_on_a_disk_that_hangs() {
    let Some(disk) = FaultyDisk::mount() else {
        return;
    };
    let mut server = TestServer::start();
    server.stop();
    let slow = disk.add_users(&server, SLOW_NAME, SLOW);
    server.add_user("zoe", PASSWORD, &[]);
    fs::write(server.path("data/homes/zoe/f"), "by hand").unwrap();
    let hanging = disk.hangs();
    server.serve();
    let is_counted = |user: &str, bytes: &str| {
        let shown = server.admin(&["quota", "show", user, "--json"], "").ok();
        shown.out().contains(bytes)
    };
    wait_until("the other home is counted", SOON, || {
        is_counted("zoe", "\"used_bytes\": 7")
    });
    drop(hanging);
    wait_until("all are counted", STEP, || {
        slow.iter()
            .all(|user| is_counted(user, "\"used_bytes\": 0"))
    });
}

#[test]
fn homes_are_swept_though_others_are_on_a_disk_that_hangs() {
    let Some(disk) = FaultyDisk::mount() else {
        return;
    };
    let mut server = TestServer::start_with(&[("uploads.sweep_after", "\"2d\"")]);
    let slow = disk.add_users(&server, SLOW_NAME, SLOW);
    let homes = slow.iter().map(|user| disk.home().join(user));
    let homes: Vec<_> = homes.collect();
    server.stop();
    homes.iter().for_each(|home| leave_upload(home));
    leave_upload(server.home());
    let hanging = disk.hangs();
    server.serve();
    let left = server.at_home(LEFTOVER);
    wait_until("the other home is swept", STEP, || !left.exists());
    drop(hanging);
    wait_until("all homes are swept", STEP, || {
        homes.iter().all(|home| !home.join(LEFTOVER).exists())
    });
}

/// Checks requests and logins of another account, until a command ends or the time is over.
#[track_caller]
fn assert_served_beside(server: &TestServer, command: &mut Running) {
    let began = Instant::now();
    let mut sftp = Connection::logged_in(server).sftp();
    while began.elapsed() < Duration::from_secs(4) && command.is_running() {
        let asked = Instant::now();
        sftp.stat("/").attrs();
        Connection::logged_in(server).sftp().stat("/").attrs();
        assert!(asked.elapsed() < SOON, "{:?}", asked.elapsed());
    }
}

fn declare(server: &TestServer, users: &[(&str, &Path)]) {
    let text = fs::read_to_string(server.path("config.toml")).unwrap();
    let mut text = text.split("\n[user.").next().unwrap().to_owned() + "\n";
    for (name, home) in users {
        text.push_str(&format!("[user.{name}]\nhome = {home:?}\n"));
    }
    fs::write(server.path("config.toml"), text).unwrap();
}

#[test]
fn a_reload_that_meets_a_disk_that_hangs_freezes_nobody_and_is_refused_in_time() {
    let Some(disk) = FaultyDisk::mount() else {
        return;
    };
    let server = TestServer::start();
    let home = disk.home().join("zoe");
    declare(&server, &[("zoe", &home)]);
    let hanging = disk.hangs();
    let mut reload = Running::start(&mut server.command(&["reload"]));
    assert_served_beside(&server, &mut reload);
    // The database is not locked meanwhile either.
    server.add_user("bob", "a password", &[]);
    let said = reload.wait(STEP).failed().err();
    assert!(said.contains("does not answer"), "{said}");
    assert!(said.contains("config.toml"), "{said}");
    server.admin(&["user", "show", "zoe"], "").failed();
    drop(hanging);
    server.admin(&["reload"], "").ok();
    assert!(home.is_dir());
}

#[test]
fn a_declared_user_whose_disk_hangs_keeps_the_home_and_holds_up_no_reload_and_no_start() {
    let Some(disk) = FaultyDisk::mount() else {
        return;
    };
    let mut server = TestServer::start();
    let home = disk.home().join("zoe");
    let other = server.path("other");
    declare(&server, &[("zoe", &home)]);
    server.admin(&["reload"], "").ok();
    declare(&server, &[("zoe", &home), ("other", &other)]);
    let hanging = disk.hangs();
    let said = server.admin(&["reload"], "").ok().out();
    assert!(said.contains("declared users added: other"), "{said}");
    assert!(other.is_dir());
    server.kill();
    server.serve();
    Connection::logged_in(&server).sftp().stat("/").attrs();
    drop(hanging);
    let said = server.admin(&["user", "show", "zoe"], "").ok().out();
    assert!(said.contains(home.to_str().unwrap()), "{said}");
}

#[test]
fn a_command_that_waits_for_a_home_does_not_hold_the_database() {
    let Some(disk) = FaultyDisk::mount() else {
        return;
    };
    let server = TestServer::start();
    let home = disk.home().join("zoe");
    let home = home.to_str().unwrap();
    let hanging = disk.hangs();
    let add = ["user", "add", "zoe", "--no-password", "--home", home];
    for waits in [&add[..], &["user", "set", USER, "--home", home]] {
        let mut waiting = Running::start(&mut server.command(waits));
        std::thread::sleep(Duration::from_secs(1));
        assert!(waiting.is_running());
        let began = Instant::now();
        let name = format!("beside-{}", waits[1]);
        server.add_user(&name, "a password", &[]);
        assert!(began.elapsed() < SOON, "{:?}", began.elapsed());
        let said = waiting.wait(STEP).failed().err();
        assert!(
            said.contains(&format!("the disk of {home} does not answer")),
            "{said}"
        );
    }
    drop(hanging);
    server.admin(&add, "").ok();
}
