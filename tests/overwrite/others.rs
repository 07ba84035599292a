//! Several sessions: each sees its own version, versions are not mixed, and nothing is left over.

use std::fs;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use super::{overwriting, safe_scene};
use crate::common::bytes_of;
use crate::common::files::Random;
use crate::common::wire::{code, flag};
use crate::quota::scene::{LIMIT, MAX_FILES, NEW, Scene, Session, Use, assert_done};

/// Returns two sessions; the first overwrites `/f` ("old") with "new".
fn two() -> (Scene, Session, Session, Vec<u8>) {
    let scene = safe_scene();
    let (mut s, other) = (scene.log_in(), scene.log_in());
    s.put("/f", b"old");
    let file = s.opened("/f", NEW);
    assert_eq!(s.write(&file, 0, b"new"), code::OK);
    (scene, s, other, file)
}

#[test]
fn of_two_overwrites_at_once_the_later_close_wins() {
    for first_wins in [false, true] {
        let (scene, mut s, mut other, file) = two();
        let second = other.opened("/f", NEW);
        assert_eq!(other.write(&second, 0, b"another one"), code::OK);
        assert_eq!(s.used().files, 3);
        scene.assert_exact(&mut s);
        let expected: &[u8] = if first_wins {
            assert_eq!(other.close(&second), code::OK);
            assert_eq!(scene.content("f"), b"another one");
            scene.assert_exact(&mut s);
            assert_eq!(s.close(&file), code::OK);
            b"new"
        } else {
            assert_eq!(s.close(&file), code::OK);
            assert_eq!(scene.content("f"), b"new");
            scene.assert_exact(&mut s);
            assert_eq!(other.close(&second), code::OK);
            b"another one"
        };
        assert_eq!(scene.content("f"), expected);
        assert_eq!(scene.names(), ["f"]);
        scene.assert_exact(&mut s);
        assert_eq!(s.used().bytes, expected.len() as u64);
    }
}

/// Many sessions keep overwriting files, each with bytes of one value; a reader sees only complete files.
#[test]
fn readers_see_a_whole_file_while_many_overwrite_it() {
    const LENGTH: usize = 40_000;
    let scene = overwriting(Scene::with(LIMIT * 4, MAX_FILES));
    let mut s = scene.log_in();
    s.put("/f", &[b'0'; LENGTH]);
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let writers: Vec<_> = (1..=3_u8)
            .map(|number| {
                let scene = &scene;
                scope.spawn(move || {
                    let mut s = scene.log_in();
                    let mut random = Random::new(number.into());
                    let began = Instant::now();
                    while began.elapsed() < Duration::from_secs(3) {
                        let file = s.opened("/f", NEW);
                        let piece = 1 + random.below(LENGTH as u64) as usize;
                        let mut at = 0;
                        while at < LENGTH {
                            let end = LENGTH.min(at + piece);
                            let data = vec![b'0' + number; end - at];
                            assert_eq!(s.write(&file, at as u64, &data), code::OK);
                            at = end;
                        }
                        assert_eq!(s.close(&file), code::OK);
                    }
                })
            })
            .collect();
        let reader = scope.spawn(|| {
            let mut s = scene.log_in();
            let mut reads = 0;
            while !done.load(Ordering::Relaxed) {
                let file = s.opened("/f", flag::READ);
                let data = s.read(&file, 0, 100_000).data();
                assert_eq!(data.len(), LENGTH);
                assert!(data.iter().all(|byte| *byte == data[0]), "mixed");
                assert_eq!(s.close(&file), code::OK);
                reads += 1;
            }
            reads
        });
        for writer in writers {
            writer.join().unwrap();
        }
        done.store(true, Ordering::Relaxed);
        assert!(reader.join().unwrap() > 10);
    });
    assert_eq!(scene.names(), ["f"]);
    scene.assert_exact(&mut s);
    let one = Use {
        bytes: LENGTH as u64,
        files: 1,
    };
    assert_eq!(s.used(), one);
}

#[test]
fn a_name_that_was_removed_or_is_anothers_by_now_is_taken_all_the_same() {
    for meanwhile in ["removed", "renamed", "replaced", "link"] {
        let (scene, mut s, mut other, file) = two();
        match meanwhile {
            "removed" => assert_eq!(other.remove("/f"), code::OK),
            "renamed" => assert_eq!(other.rename("/f", "/g"), code::OK),
            "replaced" => {
                other.put("/g", b"somebody's");
                assert_eq!(other.posix_rename("/g", "/f"), code::OK);
            }
            _ => {
                assert_eq!(other.rename("/f", "/g"), code::OK);
                assert_done(&other.try_symlink("g", "/f"));
            }
        }
        scene.assert_exact(&mut s);
        assert_eq!(s.close(&file), code::OK, "{meanwhile}");
        assert_eq!(scene.content("f"), b"new");
        assert!(!scene.at_home("f").is_symlink());
        if scene.has("g") {
            assert_eq!(scene.content("g"), b"old");
        }
        scene.assert_nothing_hidden();
        scene.assert_exact(&mut s);
    }
}

#[test]
fn a_folder_that_is_renamed_meanwhile_gets_the_file_in_its_new_place() {
    let scene = safe_scene();
    let (mut s, mut other) = (scene.log_in(), scene.log_in());
    assert_eq!(s.mkdir("/d"), code::OK);
    s.put("/d/f", b"old");
    let (file, lost) = (s.opened("/d/f", NEW), s.opened("/d/f2", NEW));
    assert_eq!(s.write(&file, 0, b"new"), code::OK);
    assert_eq!(s.close(&lost), code::OK);
    let lost = s.opened("/d/f2", NEW);
    assert_eq!(s.write(&lost, 0, b"new"), code::OK);
    assert_eq!(other.rename("/d", "/e"), code::OK);
    // Another directory with the old name does not matter.
    assert_eq!(other.mkdir("/d"), code::OK);
    other.put("/d/f", b"somebody's");
    assert_eq!(s.close(&file), code::OK);
    assert_eq!(scene.content("e/f"), b"new");
    assert_eq!(scene.content("d/f"), b"somebody's");
    assert_ne!(s.try_write(&lost, 1 << 40, b"x").code(), code::OK);
    s.assert_unfinished(&lost);
    assert_eq!(scene.content("e/f2.filepart"), b"new");
    scene.assert_exact(&mut s);
}

#[test]
fn a_folder_that_is_gone_is_told_in_words() {
    let scene = safe_scene();
    let (mut s, mut other) = (scene.log_in(), scene.log_in());
    assert_eq!(s.mkdir("/d"), code::OK);
    s.put("/d/f", b"old");
    let file = s.opened("/d/f", NEW);
    assert_eq!(s.write(&file, 0, b"new"), code::OK);
    for entry in other.list("/d") {
        if !matches!(&entry.name[..], b"." | b"..") {
            let path = [b"/d/", &entry.name[..]].concat();
            assert_eq!(other.remove(path), code::OK);
        }
    }
    assert_eq!(other.rmdir("/d"), code::OK);
    scene.assert_exact(&mut s);
    let message = s.assert_unfinished(&file);
    assert!(message.contains("was removed before"), "{message}");
    assert_eq!(scene.names(), [""; 0]);
    scene.assert_exact(&mut s);
    assert_eq!(s.used(), Use::default());
}

#[test]
fn a_directory_at_its_name_keeps_the_file_as_a_part() {
    let (scene, mut s, mut other, file) = two();
    assert_eq!(other.remove("/f"), code::OK);
    assert_eq!(other.mkdir("/f"), code::OK);
    let message = s.assert_unfinished(&file);
    assert!(message.contains("Is a directory"), "{message}");
    assert!(scene.at_home("f").is_dir());
    assert_eq!(scene.content("f.filepart"), b"new");
    scene.assert_nothing_hidden();
    scene.assert_exact(&mut s);
}

#[test]
fn what_others_do_with_the_hidden_file_is_counted_and_told() {
    for meanwhile in ["removed", "renamed", "exchanged", "linked", "linked over"] {
        let (scene, mut s, mut other, file) = two();
        let hidden = format!("/{}", scene.hidden());
        match meanwhile {
            "removed" => assert_eq!(other.remove(&hidden), code::OK),
            "renamed" => assert_eq!(other.rename(&hidden, "/g"), code::OK),
            "exchanged" => {
                other.put("/g", b"somebody's");
                assert_eq!(other.posix_rename("/g", &hidden), code::OK);
            }
            "linked" => assert_done(&other.try_hardlink(&hidden, "/g")),
            _ => {
                assert_eq!(other.remove("/f"), code::OK);
                assert_done(&other.try_hardlink(&hidden, "/f"));
            }
        }
        scene.assert_exact(&mut s);
        if meanwhile.starts_with("linked") {
            assert_eq!(s.close(&file), code::OK, "{meanwhile}");
            assert_eq!(scene.content("f"), b"new");
            scene.assert_nothing_hidden();
        } else {
            // This session still sees the old file and can change it.
            assert_eq!(s.stat("/f").attrs().size, Some(3));
            let message = s.assert_unfinished(&file);
            assert!(message.contains("was removed before"), "{message}");
            assert_eq!(scene.content("f"), b"old");
        }
        scene.assert_exact(&mut s);
        assert!(
            fs::read(scene.at_home("g")).is_ok_and(|g| g == b"new")
                == (meanwhile == "renamed" || meanwhile == "linked")
        );
    }
}

#[test]
fn when_the_hidden_file_is_gone_a_verb_says_so_once_and_then_finds_the_old_file() {
    let (scene, mut s, mut other, file) = two();
    let hidden = format!("/{}", scene.hidden());
    assert_eq!(other.remove(&hidden), code::OK);
    assert_eq!(s.rename("/f", "/g"), code::FAILURE);
    assert_eq!(scene.names(), ["f"]);
    assert_eq!(s.rename("/f", "/g"), code::OK);
    assert_eq!(scene.content("g"), b"old");
    s.assert_unfinished(&file);
    scene.assert_exact(&mut s);
}

#[test]
fn two_channels_of_one_connection_are_two_sessions() {
    let (scene, mut s, _other, file) = two();
    let mut second = s.connection.sftp();
    assert_eq!(second.get("/f"), b"old");
    assert_eq!(scene.content("f"), b"old");
    assert_eq!(s.close(&file), code::OK);
    assert_eq!(second.get("/f"), b"new");
}

/// Several sessions overwrite, are cut and remove files at once; then the usage equals the disk.
#[test]
fn many_sessions_that_overwrite_and_are_cut_end_exact() {
    let scene = overwriting(Scene::with(LIMIT, 40));
    std::thread::scope(|scope| {
        for number in 0..4 {
            let scene = &scene;
            scope.spawn(move || {
                let mut random = Random::new(number);
                for round in 0..12 {
                    let mut s = scene.log_in();
                    let mut open = Vec::new();
                    for _ in 0..20 {
                        let path = format!("/f{}", random.below(4));
                        match random.below(5) {
                            0 => drop(s.with_string(crate::common::wire::REMOVE, path)),
                            1 if !open.is_empty() => {
                                let handle: Vec<u8> = open.swap_remove(0);
                                s.close_reply(&handle);
                            }
                            _ => {
                                let reply = s.open(&path, NEW, &Default::default());
                                if let crate::common::wire::Reply::Handle { handle, .. } = reply {
                                    let data = bytes_of(random.below(30_000) as usize, round);
                                    s.try_write(&handle, 0, &data);
                                    open.push(handle);
                                }
                            }
                        }
                    }
                }
            });
        }
    });
    let mut s = scene.log_in();
    scene.assert_exact_soon(&mut s);
}
