//! A full disk, and a disk with a limit of the file size: clients can tell them from the quota, no data
//! is lost, and the usage stays equal to the disk.

use std::fs;
use std::process::Command;

use crate::common::wire::{Attrs, Reply, code, flag};
use crate::common::{KIB, MIB, STEP, bytes_of, run_ok, skip};
use crate::disks::small::SmallDisk;
use crate::quota::scene::{
    MAX_FILES, NEW, Scene, Session, Use, assert_done, assert_exceeded, is_exceeded, sized,
};

const NO_SPACE_ON_FILESYSTEM: u32 = 14;
const QUOTA: u64 = 4 * MIB as u64;

/// Writes one piece after another until one is refused.
fn write_until_refused(s: &mut Session, file: &[u8], from: u64, piece: usize) -> (u64, Reply) {
    let data = bytes_of(piece, 2);
    let mut offset = from;
    loop {
        let reply = s.try_write(file, offset, &data);
        if reply.code() != code::OK {
            return (offset, reply);
        }
        offset += piece as u64;
        assert!(offset < 1 << 30, "nothing is refused");
    }
}

#[test]
fn a_full_disk_is_told_apart_from_a_full_quota() {
    let Some(disk) = SmallDisk::mount("full", "size=8m,mode=700") else {
        return;
    };
    let scene = Scene::at(&disk.home(), QUOTA, MAX_FILES);
    // The pieces are not whole pages, so that a part of the last one fits.
    for (client, expected) in [
        ("SSH-2.0-LandfallTest_1.0", code::FAILURE),
        ("SSH-2.0-WinSCP_release_6.5.1", NO_SPACE_ON_FILESYSTEM),
        ("SSH-2.0-libssh2_1.10.0", NO_SPACE_ON_FILESYSTEM),
    ] {
        let mut s = scene.log_in_as(client);
        s.put("/kept", &bytes_of(100_000, 3));
        disk.fill(6 * MIB);
        let file = s.opened("/f", NEW);
        let (acknowledged, refused) = write_until_refused(&mut s, &file, 0, 200_001);
        assert_eq!(refused.code(), expected, "{client}: {refused:?}");
        assert!(refused.message().contains("No space left"), "{refused:?}");
        assert!(!refused.message().contains("Quota"), "{refused:?}");
        // Acknowledged data is stored, and older files are unchanged.
        let stored = fs::read(scene.at_home("f")).unwrap();
        assert!(stored.len() as u64 >= acknowledged);
        assert!(stored.len() as u64 <= acknowledged + 200_001);
        assert!(stored[..200_001] == bytes_of(200_001, 2));
        assert!(fs::read(scene.at_home("kept")).unwrap() == bytes_of(100_000, 3));
        // The disk now has less room than the quota.
        let space = s.space_available();
        assert_eq!(space.user_total, QUOTA);
        assert!(space.user_free <= space.free, "{space:?}");

        disk.make_room();
        scene.assert_exact(&mut s);
        let (_, refused) = write_until_refused(&mut s, &file, acknowledged, 200_001);
        assert!(is_exceeded(&refused), "{client}: {refused:?}");
        assert_eq!(s.close(&file), code::FAILURE);
        scene.assert_exact(&mut s);
        assert!(scene.on_disk().bytes <= QUOTA);
        for path in ["/f", "/kept"] {
            assert_eq!(s.remove(path), code::OK);
        }
        assert_eq!(s.used(), Use::default());
    }
}

#[test]
fn short_writes_appends_and_copies_on_a_full_disk_are_counted_as_they_are() {
    let Some(disk) = SmallDisk::mount("short", "size=8m,mode=700") else {
        return;
    };
    let scene = Scene::at(&disk.home(), QUOTA, MAX_FILES);
    let mut s = scene.log_in();
    for round in 0..3 {
        s.put("/source", &bytes_of(MIB, round));
        disk.fill(6 * MIB + 100_000 * round as usize);
        let file = s.opened("/f", NEW);
        let (_, refused) = write_until_refused(&mut s, &file, 0, 261_120 - round as usize);
        assert!(!is_exceeded(&refused), "{refused:?}");
        let log = s.opened("/log", flag::APPEND | flag::CREAT);
        assert_ne!(s.write(&log, 0, &bytes_of(100_000, 4)), code::OK);
        let source = s.opened("/source", flag::READ);
        let copy = s.opened("/copy", NEW);
        let refused = s.try_copy((&source, 0, 0), (&copy, 0));
        assert!(refused.code() != code::OK && !is_exceeded(&refused));
        disk.make_room();
        scene.assert_exact(&mut s);
        assert_done(&s.try_copy((&source, 0, 0), (&copy, 0)));
        assert_eq!(s.write(&log, 0, b"more"), code::OK);
        scene.assert_exact(&mut s);
        for (handle, path, closed) in [
            (file, "/f", code::FAILURE),
            (log, "/log", code::FAILURE),
            (source, "/source", code::OK),
            (copy, "/copy", code::OK),
        ] {
            assert_eq!(s.remove(path), code::OK);
            assert_eq!(s.close(&handle), closed, "{path}");
        }
        assert_eq!(s.used(), Use::default());
    }
}

#[test]
fn a_disk_without_room_for_names_makes_none_and_counts_none() {
    let Some(disk) = SmallDisk::mount("names", "size=8m,mode=700,nr_inodes=12") else {
        return;
    };
    let scene = Scene::at(&disk.home(), QUOTA, MAX_FILES);
    let mut s = scene.log_in();
    let mut made = 0;
    let refused = loop {
        match s.open(format!("/f{made}"), NEW, &Attrs::default()) {
            Reply::Handle { handle, .. } => assert_eq!(s.close(&handle), code::OK),
            refused => break refused,
        }
        made += 1;
    };
    assert!(made > 2 && made < 12, "{made} files");
    assert!(refused.message().contains("No space left"), "{refused:?}");
    assert_ne!(s.mkdir("/d"), code::OK);
    assert_ne!(s.try_symlink("x", "/l").code(), code::OK);
    assert_eq!(scene.on_disk().files, made);
    // statvfs reports the smaller of disk and quota: with a small quota, the value of the quota.
    assert_eq!(s.statvfs()[7], 0, "files available");
    drop(s);
    scene.set(&["--max-files", &(made - 1).to_string()]);
    let mut s = scene.log_in();
    assert_eq!(s.remove("/f0"), code::OK);
    assert_eq!(s.remove("/f1"), code::OK);
    assert_eq!(s.mkdir("/d"), code::OK);
    assert_eq!(s.remove("/f2"), code::OK);
    assert_eq!(scene.on_disk().files, made - 2);
    assert_eq!(s.used().files, made - 2);
}

#[test]
fn a_disk_that_turns_read_only_changes_no_figures() {
    let Some(disk) = SmallDisk::mount("readonly", "size=8m,mode=700") else {
        return;
    };
    let scene = Scene::at(&disk.home(), QUOTA, MAX_FILES);
    let mut s = scene.log_in();
    s.put("/f", &bytes_of(100_000, 1));
    s.put("/g", &bytes_of(50_000, 2));
    assert_eq!(s.mkdir("/d"), code::OK);
    let before = s.used();
    for mode in ["ro", "rw"] {
        let mut mount = Command::new("mount");
        mount.args(["-o", &format!("remount,{mode}")]).arg(&disk.0);
        run_ok(&mut mount, STEP);
        if mode == "rw" {
            break;
        }
        assert_ne!(s.open("/f", NEW, &Attrs::default()).code(), code::OK);
        assert_ne!(s.open("/new", NEW, &sized(5)).code(), code::OK);
        assert_ne!(s.try_resize("/f", 5).code(), code::OK);
        assert_ne!(s.try_resize("/f", 200_000).code(), code::OK);
        assert_ne!(s.mkdir("/new"), code::OK);
        assert_ne!(s.try_symlink("f", "/new").code(), code::OK);
        assert_ne!(s.try_hardlink("/f", "/new").code(), code::OK);
        assert_ne!(s.remove("/f"), code::OK);
        assert_ne!(s.rmdir("/d"), code::OK);
        assert_ne!(s.posix_rename("/f", "/g"), code::OK);
        assert_eq!(s.get("/f"), bytes_of(100_000, 1));
        assert_eq!(s.used(), before);
    }
    scene.assert_exact(&mut s);
    assert_eq!(s.posix_rename("/f", "/g"), code::OK);
    assert_eq!(s.used().bytes, 100_000);
    scene.assert_exact(&mut s);
}

#[test]
fn a_file_that_the_disk_cannot_hold_counts_nothing_when_it_is_refused() {
    // The file system refuses an offset that no file can have; the quota would allow it.
    let scene = Scene::with(1 << 62, MAX_FILES);
    let mut s = scene.log_in();
    let file = s.opened("/f", NEW);
    assert_eq!(s.write(&file, 0, b"12345"), code::OK);
    let mut refused = 0;
    for offset in [1 << 50, 1 << 55, 1 << 60, (1 << 61) + 5] {
        let reply = s.try_write(&file, offset, b"x");
        assert!(!is_exceeded(&reply), "{reply:?}");
        refused += u32::from(reply.code() != code::OK);
        let resized = s.try_resize_open(&file, offset + 7);
        assert!(!is_exceeded(&resized), "{resized:?}");
        assert_done(&s.try_resize_open(&file, 5));
    }
    // The maximum file size depends on the file system.
    if refused == 0 {
        return skip("the file system here has no limit below 2 EiB");
    }
    drop(s);
    scene.set_limits(MIB as u64, MAX_FILES);
    let mut s = scene.log_in();
    assert_eq!(s.used().bytes, 5);
    scene.assert_exact(&mut s);
    let other = s.opened("/g", NEW);
    assert_exceeded(&s.try_write(&other, MIB as u64, b"x"));
    assert_exceeded(&s.open("/g", NEW, &sized(MIB as u64 + KIB as u64)));
    assert_eq!(s.write(&other, MIB as u64 - 6, b"x"), code::OK);
    scene.assert_exact(&mut s);
}
