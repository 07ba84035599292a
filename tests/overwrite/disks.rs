//! Disks that are full or fail during an upload: the old file stays unchanged, and the client gets an error.

use super::overwriting;
use crate::common::wire::{code, flag};
use crate::common::{MIB, bytes_of};
use crate::disks::faulty::{FaultyDisk, IO, NO_SPACE};
use crate::disks::small::SmallDisk;
use crate::quota::scene::{MAX_FILES, NEW, Scene, is_exceeded};

/// Smaller than the space on the disk.
const QUOTA: u64 = 7 * MIB as u64;

#[test]
fn a_disk_that_fills_up_in_the_middle_leaves_the_old_file() {
    let Some(disk) = SmallDisk::mount("overwrite", "size=8m,mode=700") else {
        return;
    };
    let scene = overwriting(Scene::at(&disk.home(), QUOTA, MAX_FILES));
    let mut s = scene.log_in();
    let (old, new) = (bytes_of(3 * MIB, 1), bytes_of(3 * MIB, 2));
    s.put("/f", &old);
    disk.fill(3 * MIB);
    let file = s.opened("/f", NEW);
    let mut stored = 0;
    let refused = loop {
        let reply = s.try_write(&file, stored as u64, &new[stored..stored + 200_000]);
        if reply.code() != code::OK {
            break reply;
        }
        stored += 200_000;
    };
    assert!(refused.message().contains("No space left"), "{refused:?}");
    assert!(!is_exceeded(&refused));
    s.assert_unfinished(&file);
    assert!(scene.content("f") == old);
    let part = scene.content("f.filepart");
    assert!(new.starts_with(&part) && part.len() >= stored);
    // Once there is room, the upload is resumed.
    disk.make_room();
    scene.assert_exact(&mut s);
    let file = s.opened("/f.filepart", flag::WRITE);
    for (number, piece) in new.chunks(200_000).enumerate() {
        assert_eq!(s.write(&file, number as u64 * 200_000, piece), code::OK);
    }
    assert_eq!(s.close(&file), code::OK);
    assert_eq!(s.posix_rename("/f.filepart", "/f"), code::OK);
    assert!(scene.content("f") == new);
    scene.assert_exact(&mut s);
}

#[test]
fn a_disk_without_room_for_a_name_refuses_the_open_and_leaves_the_old_file() {
    let Some(disk) = SmallDisk::mount("overwrite-names", "size=8m,mode=700,nr_inodes=4") else {
        return;
    };
    let scene = overwriting(Scene::at(&disk.home(), QUOTA, MAX_FILES));
    let mut s = scene.log_in();
    s.put("/f", b"old");
    s.put("/g", b"other");
    let refused = s.open("/f", NEW, &Default::default());
    assert!(refused.message().contains("No space left"), "{refused:?}");
    assert_eq!(scene.content("f"), b"old");
    assert_eq!(scene.names(), ["f", "g"]);
    drop(s);
    // The client can only ask for the smaller of quota and free space.
    scene.set_limits(QUOTA, 2);
    assert_eq!(scene.log_in().used().files, 2);
}

#[test]
fn whatever_fails_on_the_way_the_old_file_stays() {
    let Some(disk) = FaultyDisk::mount() else {
        return;
    };
    let scene = overwriting(Scene::at(&disk.home(), QUOTA, MAX_FILES));
    let mut s = scene.log_in();
    for (fault, errno, words) in [
        ("flush", IO, "Input/output error"),
        ("flush", NO_SPACE, "No space left"),
        ("rename", IO, "Input/output error"),
    ] {
        s.put("/f", b"old");
        let file = s.opened("/f", NEW);
        assert_eq!(s.write(&file, 0, b"new"), code::OK);
        disk.fail(&[(fault, errno)]);
        let message = s.assert_unfinished(&file);
        assert!(message.contains(words), "{fault}: {message}");
        disk.fail(&[]);
        assert_eq!(scene.content("f"), b"old", "{fault}");
        // If renames fail, the file cannot get the name of a part either.
        let kept = if fault == "rename" {
            scene.hidden()
        } else {
            "f.filepart".to_owned()
        };
        assert_eq!(scene.content(&kept), b"new", "{fault}");
        scene.assert_exact(&mut s);
        assert_eq!(s.remove(format!("/{kept}")), code::OK);
    }
    for fault in ["create", "chmod"] {
        disk.fail(&[(fault, IO)]);
        let refused = s.open("/f", NEW, &Default::default());
        assert!(refused.message().contains("Input/output"), "{refused:?}");
        disk.fail(&[]);
        assert_eq!(scene.names(), ["f"], "{fault}");
        assert_eq!(scene.content("f"), b"old");
        scene.assert_exact(&mut s);
    }
    // An empty file that cannot be removed is left and counted.
    let file = s.opened("/f", NEW);
    disk.fail(&[("rename", IO), ("unlink", IO)]);
    s.assert_unfinished(&file);
    disk.fail(&[]);
    assert_eq!(scene.content(&scene.hidden()), b"");
    assert_eq!(scene.content("f"), b"old");
    scene.assert_exact(&mut s);
}

#[test]
fn a_write_that_fails_leaves_the_old_file_wherever_it_fails() {
    let Some(disk) = FaultyDisk::mount() else {
        return;
    };
    let scene = overwriting(Scene::at(&disk.home(), QUOTA, MAX_FILES));
    let mut s = scene.log_in();
    let (old, new) = (bytes_of(300_000, 1), bytes_of(400_000, 2));
    s.put("/f", &old);
    for bad in [0, 1, 199_999, 200_000, 399_999] {
        let file = s.opened("/f", NEW);
        disk.fail_writes_from(bad);
        let refused = (0..2_usize)
            .filter(|piece| {
                let at = piece * 200_000;
                s.write(&file, at as u64, &new[at..at + 200_000]) != code::OK
            })
            .count();
        assert!(refused > 0);
        disk.fail(&[]);
        scene.assert_exact(&mut s);
        s.assert_unfinished(&file);
        assert!(scene.content("f") == old, "bad at {bad}");
        scene.assert_nothing_hidden();
        assert_eq!(scene.has("f.filepart"), bad > 0);
        if bad > 0 {
            assert!(scene.content("f.filepart") == new[..bad]);
            assert_eq!(s.remove("/f.filepart"), code::OK);
        }
        scene.assert_exact(&mut s);
    }
}

/// If the rename before CLOSE fails, the request that caused it says why, and the old file stays.
#[test]
fn an_early_end_that_fails_is_told_to_the_verb_and_at_the_close() {
    let Some(disk) = FaultyDisk::mount() else {
        return;
    };
    let scene = overwriting(Scene::at(&disk.home(), QUOTA, MAX_FILES));
    let mut s = scene.log_in();
    s.put("/f", b"old");
    let file = s.opened("/f", NEW);
    assert_eq!(s.write(&file, 0, b"new"), code::OK);
    disk.fail(&[("rename", IO)]);
    let refused = s.open("/f", flag::READ, &Default::default());
    assert!(refused.message().contains("Input/output"), "{refused:?}");
    disk.fail(&[]);
    assert_eq!(s.get("/f"), b"old");
    s.assert_unfinished(&file);
    assert_eq!(scene.content("f"), b"old");
    assert_eq!(scene.content(&scene.hidden()), b"new");
    scene.assert_exact(&mut s);
}
