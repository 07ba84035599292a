//! Disks that hang and clients that stop: nobody else notices, the operator sees it and can act, the
//! server stops in time, and the usage is exact afterwards. (A client that does not read: `under_load`; a
//! disk that is full or fails: `quota::full_disk`, `quota::faulty_disk`; the audit log on a disk that
//! hangs: `audit::disks`.)

use std::fs;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::common::connection::Connection;
use crate::common::files::disk_use;
use crate::common::metrics::{self, ON};
use crate::common::raw::{Ended, Event, Outgoing, RawSftp};
use crate::common::wire::{self, Attrs, Reply, code, flag};
use crate::common::{MIB, STEP, TestServer, bytes_of, wait_until};
use crate::disks::faulty::{FaultyDisk, Hanging};

/// ENOSYS.
const NOT_THERE: i32 = 38;
/// The account whose home is on the disk that hangs.
const SLOW: &str = "slow";
const SESSIONS: usize = 8;

fn with_slow_home(disk: &FaultyDisk, settings: &[(&str, &str)]) -> TestServer {
    let server = TestServer::start_with(&[&[ON], settings].concat());
    disk.add_user(&server, SLOW);
    ask_no_flush(disk);
    server
}

/// From now on the kernel closes files of the disk even while it hangs; otherwise not even a killed process
/// could end.
fn ask_no_flush(disk: &FaultyDisk) {
    disk.fail(&[("flush", NOT_THERE)]);
    let probe = disk.home().join("probe");
    fs::write(&probe, "").unwrap();
    fs::remove_file(probe).unwrap();
}

#[track_caller]
fn log_in(server: &TestServer, user: &str) -> Connection {
    Connection::logged_in_to(server, user, &Default::default())
}

fn sessions_of(server: &TestServer, user: &str) -> usize {
    let listed = server.admin(&["session", "list", "--json"], "").ok().out();
    let listed: Value = serde_json::from_str(&listed).unwrap();
    let sessions = listed.as_array().unwrap().iter();
    sessions.filter(|session| session["user"] == user).count()
}

/// Another account moves a file both ways on its own connection, as fast as usual.
#[track_caller]
fn assert_others_work(server: &TestServer) {
    let began = Instant::now();
    let data = bytes_of(4 * MIB, 1);
    let mut sftp = Connection::logged_in(server).sftp();
    sftp.put("/others", &data);
    assert!(sftp.get("/others") == data);
    assert_eq!(sftp.remove("/others"), code::OK);
    // Waiting for the disk would take until it works again.
    assert!(
        began.elapsed() < Duration::from_secs(5),
        "{:?}",
        began.elapsed()
    );
}

/// Uploads a part, and then one that the disk does not accept.
fn begin_upload(sftp: &mut RawSftp, path: &str) -> Vec<u8> {
    let handle = sftp.opened(path, flag::WRITE | flag::CREAT);
    assert_eq!(sftp.write(&handle, 0, &bytes_of(100_000, 2)), code::OK);
    handle
}

fn send_more(sftp: &mut RawSftp, handle: &[u8]) {
    let body = sftp.body(wire::WRITE).string(handle).u64(100_000);
    sftp.send(&body.string(bytes_of(30_000, 3)));
}

/// Starts as many sessions, each with an upload to the disk, which hangs from now on.
fn uploads_that_wait<'a>(
    server: &TestServer,
    disk: &'a FaultyDisk,
    sessions: usize,
) -> (Vec<RawSftp>, Hanging<'a>) {
    let mut uploads: Vec<_> = (0..sessions)
        .map(|number| {
            let mut sftp = log_in(server, SLOW).sftp();
            let handle = begin_upload(&mut sftp, &format!("/f{number}"));
            (sftp, handle)
        })
        .collect();
    let hanging = disk.hangs();
    for (sftp, handle) in &mut uploads {
        send_more(sftp, handle);
    }
    wait_until("all wait for the disk", STEP, || {
        metrics::value(server, "landfall_blocking_tasks") >= sessions as f64
    });
    let waiting = uploads.into_iter().map(|(sftp, _)| sftp);
    (waiting.collect(), hanging)
}

/// Expects that the usage equals the disk once the server has reported it.
#[track_caller]
fn assert_exact(server: &TestServer, disk: &FaultyDisk) {
    let there = disk_use(&disk.home());
    let shown = || {
        let shown = server
            .admin(&["quota", "show", SLOW, "--json"], "")
            .ok()
            .out();
        let shown: Value = serde_json::from_str(&shown).unwrap();
        let figure = |key: &str| shown[0][key].as_u64();
        (figure("used_bytes"), figure("used_files"))
    };
    wait_until(&format!("the figures are {there:?}"), STEP, || {
        shown() == (Some(there.0), Some(there.1))
    });
    server.admin(&["quota", "recount", SLOW], "").ok();
    assert_eq!(shown(), (Some(there.0), Some(there.1)));
}

/// Otherwise an account whose clients reconnect would take one connection after another.
#[test]
fn connections_that_wait_for_a_disk_stay_in_the_share_of_their_account() {
    const SHARE: usize = 10;
    let Some(disk) = FaultyDisk::mount() else {
        return;
    };
    let server = with_slow_home(&disk, &[("server.max_connections", "40")]);
    let (waiting, hanging) = uploads_that_wait(&server, &disk, SHARE);
    drop(waiting);
    wait_until("their sessions are gone", STEP, || {
        sessions_of(&server, SLOW) == 0
    });
    let late = log_in(&server, SLOW);
    wait_until("another login is refused", STEP, || late.is_closed());
    let refused = format!(
        "reason=\"This account has used up its share of the server's connections ({SHARE})"
    );
    assert!(server.log().contains(&refused), "{}", server.log());
    assert_others_work(&server);
    drop(hanging);
    wait_until("nothing waits any more", STEP, || {
        metrics::value(&server, "landfall_connections") == 0.0
    });
    log_in(&server, SLOW).sftp().assert_alive();
}

#[test]
fn a_home_on_a_disk_that_hangs_holds_up_nobody_else_and_its_sessions_can_be_ended() {
    let Some(disk) = FaultyDisk::mount() else {
        return;
    };
    let server = with_slow_home(&disk, &[]);
    let (mut waiting, hanging) = uploads_that_wait(&server, &disk, SESSIONS);
    assert_others_work(&server);
    // A new client gets an answer: a session that waits, or a refusal; and so do the others.
    let late = log_in(&server, SLOW);
    let mut late = late.subsystem();
    late.send(&wire::Body::new(wire::INIT, 3));
    assert_others_work(&server);
    assert_eq!(sessions_of(&server, SLOW), SESSIONS + 1);

    let said = server.admin(&["session", "kill", "--user", SLOW, "--reason", "disk"], "");
    said.ok();
    for sftp in &mut waiting {
        sftp.until_closed();
    }
    wait_until("their sessions are gone", STEP, || {
        sessions_of(&server, SLOW) == 0
    });
    assert_others_work(&server);

    drop(hanging);
    wait_until("nothing waits any more", STEP, || {
        metrics::value(&server, "landfall_blocking_tasks") == 0.0
            && metrics::value(&server, "landfall_connections") == 0.0
    });
    assert_exact(&server, &disk);
    let mut sftp = log_in(&server, SLOW).sftp();
    let whole = [bytes_of(100_000, 2), bytes_of(30_000, 3)].concat();
    for number in 0..SESSIONS {
        // The server has carried out what it received, without a reply.
        assert!(sftp.get(&format!("/f{number}")) == whole);
    }
}

#[test]
fn hashes_and_copies_at_a_disk_that_hangs_hold_up_those_of_nobody_else() {
    let Some(disk) = FaultyDisk::mount_known(3600) else {
        return;
    };
    let server = with_slow_home(&disk, &[]);
    fs::write(disk.home().join("f"), bytes_of(4 * MIB, 4)).unwrap();
    fs::write(server.at_home("f"), bytes_of(4 * MIB, 4)).unwrap();
    let mut waiting: Vec<_> = (0..SESSIONS)
        .map(|_| {
            let mut sftp = log_in(&server, SLOW).sftp();
            let handle = sftp.opened("/f", flag::READ);
            (sftp, handle)
        })
        .collect();
    let hanging = disk.hangs();
    for (number, (sftp, handle)) in waiting.iter_mut().enumerate() {
        let body = sftp.body(wire::EXTENDED);
        let body = match number % 2 {
            0 => {
                let body = body.string("check-file-handle").string(&*handle);
                body.string("sha256").u64(0).u64(0).u32(0)
            }
            _ => {
                let body = body.string("copy-file").string("/f");
                body.string(format!("/copy{number}")).raw(&[0])
            }
        };
        sftp.send(&body);
    }
    wait_until("all wait for the disk", STEP, || {
        metrics::value(&server, "landfall_blocking_tasks") >= SESSIONS as f64
    });
    let began = Instant::now();
    let other = Connection::logged_in(&server);
    let mut sum = other.channel();
    sum.send(Outgoing::Exec("sha256sum f".to_owned()));
    assert!(sum.until_closed().contains(&Event::ExitStatus(0)));
    assert_eq!(
        other.sftp().copy_file("/f", "/copy", false).code(),
        code::OK
    );
    let took = began.elapsed();
    // The disk hangs for longer than this.
    assert!(took < Duration::from_secs(20), "{took:?}");
    drop(hanging);
    for (number, (sftp, _)) in waiting.iter_mut().enumerate() {
        match (number % 2, sftp.reply()) {
            (0, Reply::Extended { .. }) => {}
            (_, reply) => assert_eq!(reply.code(), code::OK),
        }
    }
}

#[test]
fn a_disk_that_hangs_within_a_home_holds_up_nobody_else() {
    let Some(disk) = FaultyDisk::mount_known(3600) else {
        return;
    };
    let server = TestServer::start_with(&[ON]);
    disk.add_user_above(&server, SLOW);
    ask_no_flush(&disk);
    fs::write(disk.home().join("f"), "known").unwrap();
    // Each shard has one of them, and the path is cached.
    let mut waiting: Vec<_> = (0..SESSIONS)
        .map(|_| log_in(&server, SLOW).sftp())
        .collect();
    for sftp in &mut waiting {
        assert_eq!(sftp.get("/disk/home/f"), b"known");
    }
    let hanging = disk.hangs();
    for sftp in &mut waiting {
        let body = sftp.body(wire::OPEN).string("/disk/home/f");
        sftp.send(&body.u32(flag::READ).attrs(&Attrs::default()));
    }
    wait_until("all wait for the disk", STEP, || {
        metrics::value(&server, "landfall_blocking_tasks") >= SESSIONS as f64
    });
    assert_others_work(&server);
    drop(hanging);
    for sftp in &mut waiting {
        let handle = sftp.reply().handle();
        assert_eq!(sftp.close(&handle), code::OK);
    }
}

#[test]
fn requests_that_wait_for_a_disk_are_answered_when_it_goes_on() {
    let Some(disk) = FaultyDisk::mount() else {
        return;
    };
    let server = with_slow_home(&disk, &[]);
    let mut sftp = log_in(&server, SLOW).sftp();
    let handle = begin_upload(&mut sftp, "/f");
    let hanging = disk.hangs();
    send_more(&mut sftp, &handle);
    assert_eq!(
        sftp.try_packet(Duration::from_secs(1)),
        Err(Ended::Deadline)
    );
    drop(hanging);
    assert_eq!(sftp.reply().code(), code::OK);
    assert_eq!(sftp.close(&handle), code::OK);
    assert_exact(&server, &disk);
}

#[test]
fn a_server_whose_homes_hang_ends_in_its_time() {
    let Some(disk) = FaultyDisk::mount() else {
        return;
    };
    let mut server = with_slow_home(&disk, &[("server.stop_grace", "\"2s\"")]);
    let mut sftp = log_in(&server, SLOW).sftp();
    let handle = begin_upload(&mut sftp, "/f");
    let hanging = disk.hangs();
    send_more(&mut sftp, &handle);
    server.terminate();
    // The time for transfers, for closing the connection, and for the disk. A call on a disk that hangs
    // keeps the rest of the process in the kernel.
    wait_until("it has come to its end", Duration::from_secs(12), || {
        server.has_exited()
    });
    drop(hanging);
    let status = server.wait(STEP).unwrap();
    assert!(status.success(), "{status}");
    server.serve();
    assert_exact(&server, &disk);
}

/// The data folder is on the disk, and the home is not.
fn with_data_on(disk: &FaultyDisk) -> TestServer {
    let data = disk.home().join("data");
    let shown = format!("{:?}", data.to_str().unwrap());
    let settings = [ON, ("server.data", &shown), ("server.stop_grace", "\"2s\"")];
    let server = TestServer::start_with(&settings);
    let home = server.path("home");
    fs::create_dir(&home).unwrap();
    let set = [
        "user",
        "set",
        server.user(),
        "--home",
        home.to_str().unwrap(),
    ];
    server.admin(&set, "").ok();
    ask_no_flush(disk);
    server
}

#[test]
fn a_data_folder_on_a_disk_that_hangs_stops_logins_and_no_transfer_and_the_server_still_ends() {
    let Some(disk) = FaultyDisk::mount() else {
        return;
    };
    let mut server = with_data_on(&disk);
    let mut sftp = Connection::logged_in(&server).sftp();
    sftp.put("/before", b"before");
    let hanging = disk.hangs();
    for round in 0..3 {
        let began = Instant::now();
        let data = bytes_of(4 * MIB, round);
        sftp.put("/file", &data);
        assert!(sftp.get("/file") == data);
        // Waiting for the disk would take until it works again.
        assert!(
            began.elapsed() < Duration::from_secs(5),
            "{:?}",
            began.elapsed()
        );
        std::thread::sleep(Duration::from_secs(1));
    }
    assert_eq!(metrics::value(&server, "landfall_sessions"), 1.0);
    let health = metrics::ask(&server, b"GET /healthz HTTP/1.1\r\n\r\n");
    assert!(health.contains("the database does not answer"), "{health}");
    // The kernel keeps a process whose fsync waits for such a disk, but the process has exited.
    server.terminate();
    wait_until("the server gives up on the disk", STEP, || {
        server.log().contains("the disk of the data folder hangs")
    });
    drop(hanging);
    assert_eq!(server.wait(STEP).unwrap().code(), Some(1));
    server.serve();
    let mut sftp = Connection::logged_in(&server).sftp();
    assert_eq!(sftp.get("/before"), b"before");
}

#[test]
fn a_data_folder_on_a_busy_disk_is_waited_for_at_the_end() {
    let Some(disk) = FaultyDisk::mount() else {
        return;
    };
    let mut server = with_data_on(&disk);
    let mut sftp = Connection::logged_in(&server).sftp();
    sftp.put("/file", b"counted");
    drop(sftp);
    let hanging = disk.hangs();
    server.terminate();
    // At most this long, other data may be written to the disk first.
    std::thread::sleep(Duration::from_secs(8));
    assert!(!server.has_exited());
    drop(hanging);
    assert_eq!(server.wait(STEP).unwrap().code(), Some(0));
    server.serve();
    let log = server.log();
    assert!(!log.contains("the disk of the data folder hangs"), "{log}");
}
