//! Concurrency: handles and sessions that share a file, concurrent writers, connections that break.

use std::fs;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use crate::common::connection::Connection;
use crate::common::files::Random;
use crate::common::raw::{InFlight, RawSftp};
use crate::common::wire::{self, code, flag};
use crate::common::{KIB, MIB, STEP, bytes_of, wait_until};
use crate::quota::scene::{
    LIMIT, MAX_FILES, NEW, Scene, Session, Use, assert_done, assert_exceeded, below, is_exceeded,
};

#[test]
fn handles_on_one_file_share_one_size_in_one_session_and_in_several() {
    let scene = Scene::new();
    let (mut s, mut other) = (scene.log_in(), scene.log_in());
    let first = s.opened("/f", NEW);
    let second = s.opened("/f", flag::READ | flag::WRITE);
    assert_done(&s.try_hardlink("/f", "/g"));
    let third = other.opened("/g", flag::APPEND);
    let expect = |s: &mut Session, size: u64| {
        assert_eq!((s.used().bytes, scene.size_of("f")), (size, size));
        scene.assert_exact(s);
    };
    assert_eq!(s.write(&first, 0, &[1; 1000]), code::OK);
    expect(&mut s, 1000);
    assert_eq!(s.write(&second, 500, &[2; 1000]), code::OK);
    expect(&mut s, 1500);
    assert_eq!(other.write(&third, 0, &[3; 100]), code::OK);
    expect(&mut s, 1600);
    assert_eq!(s.write(&first, 1590, &[4; 10]), code::OK);
    expect(&mut s, 1600);
    assert_done(&s.try_resize_open(&first, 10));
    expect(&mut s, 10);
    assert_eq!(other.write(&third, 0, &[5; 5]), code::OK);
    expect(&mut s, 15);
    assert_eq!(s.write(&second, LIMIT - 1, &[6; 1]), code::OK);
    expect(&mut s, LIMIT);
    assert_exceeded(&other.try_write(&third, 0, b"x"));
    assert_exceeded(&s.try_write(&first, LIMIT, b"x"));
    assert_done(&other.try_resize("/g", 20));
    expect(&mut s, 20);
    for (handle, closed) in [(first, code::FAILURE), (second, code::OK)] {
        assert_eq!(s.write(&handle, 20, &[7; 30]), code::OK);
        expect(&mut s, 50);
        assert_eq!(s.close(&handle), closed);
    }
    // The other session has the last handle.
    assert_eq!(s.remove("/f"), code::OK);
    assert_eq!(s.remove("/g"), code::OK);
    assert_eq!(other.write(&third, 0, &[8; 8]), code::OK);
    assert_eq!(
        s.used(),
        Use {
            bytes: 58,
            files: 1
        }
    );
    scene.assert_exact(&mut s);
    assert_eq!(other.close(&third), code::OK);
    assert_eq!(s.used(), Use::default());
}

/// Appends until it is refused, with many WRITEs in flight; returns how many bytes were accepted.
fn append_until_full(s: &mut Session, path: &str, piece: usize) -> u64 {
    let file = s.opened(path, flag::APPEND | flag::CREAT);
    let data = bytes_of(piece, 1);
    let mut in_flight = InFlight::default();
    let (mut taken, mut refused) = (0, false);
    while !refused || !in_flight.0.is_empty() {
        while !refused && in_flight.0.len() < 64 {
            let body = s.body(wire::WRITE).string(&file).u64(0).string(&data);
            in_flight.send(s, &body);
        }
        let reply = in_flight.reply(s);
        if is_exceeded(&reply) {
            refused = true;
        } else {
            assert_done(&reply);
            taken += piece as u64;
        }
    }
    // All have the same offset: one that fits after a refused one repeats it.
    let closed = s.close(&file);
    assert!([code::OK, code::FAILURE].contains(&closed), "{closed}");
    taken
}

#[test]
fn writers_that_race_for_the_last_megabyte_never_have_more() {
    const WRITERS: usize = 8;
    const PIECE: usize = 4099;
    let limit = 3 * MIB as u64 + 17;
    let scene = Scene::with(limit, MAX_FILES);
    let mut watching = scene.log_in();
    for round in 0..3 {
        watching.put("/filler", &bytes_of(2 * MIB, round));
        let (taken, done) = (AtomicU64::new(0), AtomicBool::new(false));
        let mut most = 0;
        std::thread::scope(|scope| {
            let writers: Vec<_> = (0..WRITERS)
                .map(|number| {
                    let (scene, taken) = (&scene, &taken);
                    scope.spawn(move || {
                        let mut s = scene.log_in();
                        // Half of them write to one file.
                        let path = format!("/f{}", number.max(WRITERS / 2));
                        let bytes = append_until_full(&mut s, &path, PIECE);
                        taken.fetch_add(bytes, Ordering::Relaxed);
                    })
                })
                .collect();
            let watcher = scope.spawn(|| {
                let mut most = 0;
                while !done.load(Ordering::Relaxed) {
                    most = most.max(scene.frozen().bytes);
                    std::thread::sleep(std::time::Duration::from_millis(5));
                }
                most
            });
            let ended: Vec<_> = writers.into_iter().map(|writer| writer.join()).collect();
            done.store(true, Ordering::Relaxed);
            most = watcher.join().unwrap();
            assert!(ended.iter().all(Result::is_ok), "a writer failed");
        });
        let on_disk = scene.on_disk().bytes;
        assert!(most <= limit, "{most} of {limit} at one instant");
        assert_eq!(on_disk, 2 * MIB as u64 + taken.into_inner());
        // No write was refused while there was room for it.
        assert!(
            on_disk <= limit && on_disk + PIECE as u64 > limit,
            "{on_disk}"
        );
        scene.assert_exact(&mut watching);
        for number in 0..WRITERS {
            watching.remove(format!("/f{number}"));
        }
        assert_eq!(watching.remove("/filler"), code::OK);
        assert_eq!(watching.used(), Use::default());
    }
}

/// The last one leaves while the next one arrives, repeatedly.
#[test]
fn sessions_that_come_and_go_share_one_account_book() {
    const ROUNDS: u64 = 25;
    let scene = Scene::new();
    std::thread::scope(|scope| {
        for number in 0..3 {
            let scene = &scene;
            scope.spawn(move || {
                let path = format!("/f{number}");
                for _ in 0..ROUNDS {
                    let connection = Connection::logged_in(&scene.server);
                    // The channels of one connection come and go, too.
                    for _ in 0..3 {
                        let mut s = connection.sftp();
                        let file = s.opened(&path, flag::APPEND | flag::CREAT);
                        assert_eq!(s.write(&file, 0, &[1; 100]), code::OK);
                    }
                }
            });
        }
    });
    let expected = Use {
        bytes: 3 * ROUNDS * 300,
        files: 3,
    };
    assert_eq!(scene.on_disk(), expected);
    scene.assert_exact_soon(&mut scene.log_in());
    let mut s = scene.log_in();
    assert_exceeded(&s.try_resize("/f0", LIMIT - 2 * ROUNDS * 300 + 1));
    assert_done(&s.try_resize("/f0", LIMIT - 2 * ROUNDS * 300));
}

/// File systems reuse the inode number of a removed file for the next file.
#[test]
fn a_new_file_is_not_taken_for_one_that_is_just_closed_in_another_session() {
    let scene = Scene::new();
    // Bytes that are freed twice show in the total.
    scene.log_in().put("/filler", &bytes_of(MIB / 2, 1));
    let mut watching = scene.log_in();
    let before = watching.used();
    std::thread::scope(|scope| {
        for number in 0..3_usize {
            let scene = &scene;
            scope.spawn(move || {
                let mut s = scene.log_in();
                let path = format!("/f{number}");
                for round in 0..500 {
                    let file = s.opened(&path, NEW);
                    let data = bytes_of(number * 100 + round % 50, 1);
                    assert_eq!(s.write(&file, 0, &data), code::OK);
                    if number > 0 {
                        assert_eq!(s.remove(&path), code::OK);
                        assert_eq!(s.close(&file), code::OK);
                    } else {
                        assert_eq!(s.close(&file), code::OK);
                        assert_eq!(s.remove(&path), code::OK);
                    }
                }
            });
        }
    });
    assert_eq!(watching.used(), before);
    scene.assert_exact(&mut watching);
}

#[test]
fn makers_of_names_that_race_never_have_more() {
    let scene = Scene::with(LIMIT, 50);
    let made = AtomicU64::new(0);
    std::thread::scope(|scope| {
        for number in 0..6 {
            let (scene, made) = (&scene, &made);
            scope.spawn(move || {
                let mut s = scene.log_in();
                for name in 0..20 {
                    let reply = match number % 3 {
                        0 => s.try_mkdir(&format!("/{number}-{name}")),
                        1 => s.try_symlink("x", &format!("/{number}-{name}")),
                        // Two sessions create the same names: only one of them can.
                        _ => s.try_mkdir(&format!("/same-{name}")),
                    };
                    if reply.code() == code::OK {
                        made.fetch_add(1, Ordering::Relaxed);
                    }
                }
            });
        }
    });
    assert_eq!(made.into_inner(), 50);
    assert_eq!(scene.on_disk().files, 50);
    scene.assert_exact(&mut scene.log_in());
}

#[test]
fn connections_that_break_leave_exact_figures() {
    let scene = Scene::new();
    let mut watching = scene.log_in();
    let mut random = Random::new(5);
    for round in 0..6 {
        let mut sftp = RawSftp::over_ssh(&mut scene.server.ssh());
        sftp.init();
        let path = format!("/f{}", round % 3);
        let file = sftp.opened(&path, NEW);
        let removed = round % 2 == 1;
        if removed {
            assert_eq!(sftp.remove(&path), code::OK);
        }
        // Far more than fits is in flight when the connection breaks.
        for number in 0..64 {
            let data = bytes_of(20 * KIB, number);
            let body = sftp.body(wire::WRITE).string(&file);
            let body = body.u64(number * 20 * KIB as u64).string(&data);
            if !sftp.try_send(&body, STEP) {
                break;
            }
        }
        std::thread::sleep(std::time::Duration::from_millis(random.below(30)));
        sftp.program.take().unwrap().kill();
        drop(sftp);
        wait_until("the server has closed the file", STEP, || {
            open_in_home(&scene) == 0
        });
        scene.assert_exact_soon(&mut watching);
        assert!(scene.on_disk().bytes <= LIMIT);
        if removed {
            assert!(!scene.at_home(&path[1..]).exists());
        }
    }
    for name in ["f0", "f1", "f2"] {
        watching.remove(name);
    }
    assert_eq!(watching.used(), Use::default());
}

/// Returns how many descriptors of regular files in the home the server has open.
fn open_in_home(scene: &Scene) -> usize {
    let process = scene.server.process_id();
    let descriptors = fs::read_dir(format!("/proc/{process}/fd")).unwrap();
    let home = scene.at_home("");
    descriptors
        .flatten()
        .filter(|entry| {
            let below = fs::read_link(entry.path()).is_ok_and(|path| path.starts_with(&home));
            below && fs::metadata(entry.path()).is_ok_and(|metadata| metadata.is_file())
        })
        .count()
}

/// A file that was read stays open a little longer than its handle, which must not be visible.
#[test]
fn what_was_read_gives_back_its_room_as_soon_as_it_is_removed() {
    let scene = Scene::with(1000, 20);
    let mut sessions = [scene.log_in(), scene.log_in()];
    let names: Vec<_> = (0..20).map(|number| format!("/f{number}")).collect();
    for round in 0..40 {
        let [reader, remover] = [round & 1, (round >> 1) & 1];
        for name in &names {
            sessions[remover].put(name, &[1; 50]);
        }
        for name in &names {
            assert_eq!(sessions[reader].get(name), [1; 50]);
        }
        for (number, name) in names.iter().enumerate() {
            let remover = &mut sessions[remover];
            assert_eq!(remover.remove(name), code::OK);
            let left = 19 - number as u64;
            let left = Use {
                bytes: left * 50,
                files: left,
            };
            assert_eq!(remover.used(), left);
        }
        scene.assert_exact(&mut sessions[reader]);
    }
}

#[test]
fn a_quota_that_was_lowered_below_use_lets_everything_go_on_that_adds_nothing() {
    let scene = Scene::new();
    {
        let mut s = scene.log_in();
        s.put("/a", &bytes_of(600_000, 1));
        s.put("/b", &bytes_of(300_000, 2));
        assert_eq!(s.mkdir("/d"), code::OK);
    }
    scene.set_limits(100_000, 2);
    let mut s = scene.log_in();
    let space = s.space_available();
    assert_eq!((space.user_total, space.user_free), (100_000, 0));
    assert_eq!(s.statvfs()[4], 0, "blocks available");
    assert_eq!(s.statvfs()[7], 0, "files available");
    // Growth of any kind is refused.
    let file = s.opened("/a", flag::READ | flag::WRITE);
    assert_exceeded(&s.try_write(&file, 600_000, b"x"));
    assert_exceeded(&s.try_write(&file, 599_999, b"xy"));
    assert_exceeded(&s.try_resize("/b", 300_001));
    assert_exceeded(&s.try_mkdir("/more"));
    assert_exceeded(&s.try_hardlink("/a", "/more"));
    // Reading, writing within the file, truncating, moving and removing are not.
    assert!(s.get("/a") == bytes_of(600_000, 1));
    assert_eq!(s.write(&file, 599_999, b"x"), code::OK);
    assert_eq!(s.write(&file, 0, &[1; 1000]), code::OK);
    assert_done(&s.try_resize_open(&file, 500_000));
    assert_exceeded(&s.try_write(&file, 500_000, b"x"));
    assert_eq!(s.close(&file), code::FAILURE);
    assert_eq!(s.rename("/b", "/d/b"), code::OK);
    assert_eq!(s.posix_rename("/d/b", "/a"), code::OK);
    assert_eq!(s.space_available().user_free, 0);
    assert_done(&s.try_resize("/a", 99_990));
    assert_eq!(s.used().bytes, 99_990);
    // Below the limit it grows again, to the byte.
    let file = s.opened("/a", flag::WRITE);
    assert_exceeded(&s.try_write(&file, 99_990, b"elevenbytes"));
    assert_eq!(s.write(&file, 99_990, b"ten bytes."), code::OK);
    assert_exceeded(&s.try_mkdir("/more"));
    assert_eq!(s.rmdir("/d"), code::OK);
    assert_eq!(s.mkdir("/more"), code::OK);
    assert_eq!(
        s.used(),
        Use {
            bytes: 100_000,
            files: 2
        }
    );
    scene.assert_exact(&mut s);
}

#[test]
fn a_quota_of_nothing_and_of_none_at_all() {
    let scene = Scene::with(0, 0);
    let mut s = scene.log_in();
    assert_exceeded(&s.try_mkdir("/d"));
    assert_eq!(below(&scene.at_home("")), Use::default());
    // Each limit works without the other.
    drop(s);
    scene.set(&["--quota", "none", "--max-files", "1"]);
    let mut s = scene.log_in();
    s.put("/f", &bytes_of(2 * MIB, 1));
    assert_exceeded(&s.try_mkdir("/d"));
    let space = s.space_available();
    assert_eq!((space.user_total, space.user_free > 0), (space.total, true));
    drop(s);
    scene.set(&["--quota", "2MiB", "--max-files", "none"]);
    let mut s = scene.log_in();
    assert_eq!(s.mkdir("/d"), code::OK);
    assert_exceeded(&s.try_resize("/f", 2 * MIB as u64 + 1));
    assert_eq!(s.space_available().user_free, 0);
    assert_done(&s.try_resize("/f", MIB as u64));
    assert_eq!(s.space_available().user_free, MIB as u64);
}
