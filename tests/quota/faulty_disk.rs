//! A disk that fails during an operation (EIO): the client gets an error, and the usage stays equal to the
//! disk.

use crate::common::wire::{self, Attrs, Reply, code, flag};
use crate::common::{MIB, USER, bytes_of};
use crate::disks::faulty::{FaultyDisk, IO, NO_SPACE};
use crate::quota::scene::{MAX_FILES, NEW, Scene, assert_done, is_exceeded};

const QUOTA: u64 = 4 * MIB as u64;

#[track_caller]
fn assert_failed(reply: &Reply) {
    assert_eq!(reply.code(), code::FAILURE, "{reply:?}");
    assert!(reply.message().contains("Input/output error"), "{reply:?}");
}

#[test]
fn a_write_that_fails_is_told_and_only_what_was_stored_counts() {
    let Some(disk) = FaultyDisk::mount() else {
        return;
    };
    let scene = Scene::at(&disk.home(), QUOTA, MAX_FILES);
    let mut s = scene.log_in();
    s.put("/kept", &bytes_of(100_000, 1));
    // Where the disk fails: before a write, within it, and at its end.
    for bad in [0, 1, 199_999, 200_000, 200_001, 399_999] {
        disk.fail_writes_from(bad);
        let file = s.opened("/f", NEW | flag::READ);
        let mut refused = 0;
        for piece in 0..2 {
            let reply = s.try_write(&file, piece * 200_000, &bytes_of(200_000, 2));
            if reply.code() != code::OK {
                assert_failed(&reply);
                refused += 1;
            }
        }
        assert_eq!(refused, if bad < 200_000 { 2 } else { 1 }, "bad at {bad}");
        scene.assert_exact(&mut s);
        let stored = bad as u64;
        assert_eq!(s.used().bytes, 100_000 + stored);
        // It can be resumed once the disk works again.
        disk.fail(&[]);
        assert_eq!(s.write(&file, 0, &bytes_of(200_000, 2)), code::OK);
        assert!(s.read(&file, 0, 200_000).data() == bytes_of(200_000, 2));
        assert_eq!(s.close(&file), code::FAILURE, "the second was not repeated");
        scene.assert_exact(&mut s);
        assert_eq!(s.remove("/f"), code::OK);
    }
    assert!(s.get("/kept") == bytes_of(100_000, 1));
    scene.assert_exact(&mut s);
}

#[test]
fn copies_and_appends_to_a_bad_place_count_as_they_are() {
    let Some(disk) = FaultyDisk::mount() else {
        return;
    };
    let scene = Scene::at(&disk.home(), QUOTA, MAX_FILES);
    let mut s = scene.log_in();
    s.put("/source", &bytes_of(MIB, 1));
    s.put("/log", &bytes_of(290_000, 2));
    disk.fail_writes_from(300_000);
    let source = s.opened("/source", flag::READ);
    let copy = s.opened("/copy", NEW);
    let reply = s.try_copy((&source, 0, 0), (&copy, 0));
    assert_failed(&reply);
    scene.assert_exact(&mut s);
    let log = s.opened("/log", flag::WRITE | flag::APPEND);
    assert_failed(&s.try_write(&log, 0, &bytes_of(20_000, 3)));
    assert_eq!(scene.size_of("log"), 300_000);
    scene.assert_exact(&mut s);
    disk.fail(&[]);
    assert_done(&s.try_copy((&source, 0, 0), (&copy, 0)));
    assert!(s.get("/copy") == bytes_of(MIB, 1));
    scene.assert_exact(&mut s);
}

#[test]
fn what_fails_on_names_and_sizes_changes_no_figures() {
    let Some(disk) = FaultyDisk::mount() else {
        return;
    };
    let scene = Scene::at(&disk.home(), QUOTA, MAX_FILES);
    let mut s = scene.log_in();
    s.put("/f", &bytes_of(100_000, 1));
    s.put("/g", &bytes_of(50_000, 2));
    assert_eq!(s.mkdir("/d"), code::OK);
    let before = s.used();
    let operations = [
        "create", "truncate", "unlink", "rename", "mkdir", "rmdir", "link", "symlink",
    ];
    disk.fail(&operations.map(|operation| (operation, IO)));
    assert_failed(&s.open("/new", NEW, &Attrs::default()));
    assert_failed(&s.open("/f", NEW, &Attrs::default()));
    assert_failed(&s.try_resize("/f", 5));
    assert_failed(&s.try_resize("/f", 200_000));
    assert_failed(&s.try_mkdir("/new"));
    assert_failed(&s.try_symlink("f", "/new"));
    assert_failed(&s.try_hardlink("/f", "/new"));
    for refused in [s.remove("/f"), s.rmdir("/d"), s.posix_rename("/f", "/g")] {
        assert_eq!(refused, code::FAILURE);
    }
    assert_eq!(s.used(), before);
    scene.assert_exact(&mut s);
    disk.fail(&[]);
    assert!(s.get("/f") == bytes_of(100_000, 1));
    assert_eq!(s.posix_rename("/f", "/g"), code::OK);
    assert_eq!(s.rmdir("/d"), code::OK);
    scene.assert_exact(&mut s);
}

/// Network file systems may report a failed write only at close or fsync.
#[test]
fn what_is_lost_when_a_file_is_closed_or_synced_is_told() {
    let Some(disk) = FaultyDisk::mount() else {
        return;
    };
    let scene = Scene::at(&disk.home(), QUOTA, MAX_FILES);
    let mut s = scene.log_in_as("SSH-2.0-WinSCP_release_6.5.1");
    for (errno, words, at_winscp) in [
        (IO, "Input/output error", code::FAILURE),
        (NO_SPACE, "No space left", 14),
    ] {
        let file = s.opened("/f", NEW);
        assert_eq!(s.write(&file, 0, b"bytes"), code::OK);
        disk.fail(&[("fsync", errno), ("flush", errno)]);
        let synced = s.extended("fsync@openssh.com", |body| body.string(&file));
        let closed = s.with_string(wire::CLOSE, &file);
        for reply in [&synced, &closed] {
            assert_eq!(reply.code(), at_winscp, "{reply:?}");
            assert!(reply.message().contains(words), "{reply:?}");
        }
        // It is closed nevertheless, and its handle is invalid.
        assert!(
            s.with_string(wire::CLOSE, &file)
                .message()
                .contains("andle")
        );
        disk.fail(&[]);
        scene.assert_exact(&mut s);
    }
}

#[test]
fn a_home_that_cannot_be_counted_does_not_grow_until_it_can() {
    let Some(disk) = FaultyDisk::mount() else {
        return;
    };
    let scene = Scene::at(&disk.home(), QUOTA, MAX_FILES);
    let mut s = scene.log_in();
    s.put("/f", &bytes_of(100_000, 1));
    disk.fail(&[("readdir", IO)]);
    let recount = ["quota", "recount", USER];
    let said = scene.server.admin(&recount, "").refused();
    assert!(said.contains("could not count"), "{said}");
    let file = s.opened("/f", flag::READ | flag::WRITE);
    let reply = s.try_write(&file, 100_000, b"more");
    assert_eq!(reply.code(), code::FAILURE);
    assert!(!is_exceeded(&reply), "{reply:?}");
    assert!(
        reply.message().contains("contact the operator"),
        "{reply:?}"
    );
    assert_eq!(s.write(&file, 0, b"no growth"), code::OK);
    assert_eq!(s.close(&file), code::FAILURE);
    disk.fail(&[]);
    scene.server.admin(&recount, "").accepted();
    assert_eq!(s.mkdir("/d"), code::OK);
    scene.assert_exact(&mut s);
}
