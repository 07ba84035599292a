//! Quotas: the old and the new file both count while both exist, and a refused write leaves the old
//! file unchanged.

use super::{overwriting, safe_scene};
use crate::common::wire::{Attrs, code, flag};
use crate::common::{bytes_of, raw::Ended};
use crate::quota::scene::{LIMIT, NEW, Scene, Use, assert_exceeded, sized};

const HALF: usize = LIMIT as usize / 2;

#[test]
fn both_files_count_and_a_refusal_at_the_start_touches_nothing() {
    let scene = safe_scene();
    let mut s = scene.log_in();
    let old = bytes_of(HALF, 1);
    s.put("/f", &old);
    // The announced size must fit beside the old file.
    assert_exceeded(&s.open("/f", NEW, &sized(LIMIT / 2 + 1)));
    scene.assert_nothing_hidden();
    assert!(scene.content("f") == old);
    scene.assert_exact(&mut s);
    let file = s.open("/f", NEW, &sized(LIMIT / 2)).handle();
    assert_eq!(s.used().files, 2);
    let new = bytes_of(HALF, 2);
    for (number, piece) in new.chunks(100_000).enumerate() {
        assert_eq!(s.write(&file, number as u64 * 100_000, piece), code::OK);
        scene.assert_exact(&mut s);
    }
    let all = Use {
        bytes: LIMIT,
        files: 2,
    };
    assert_eq!(s.used(), all);
    assert!(scene.content("f") == old);
    assert_eq!(s.close(&file), code::OK);
    assert!(scene.content("f") == new);
    let one = Use {
        bytes: LIMIT / 2,
        files: 1,
    };
    assert_eq!(s.used(), one);
    scene.assert_exact(&mut s);
}

#[test]
fn a_name_counts_too() {
    let scene = overwriting(Scene::with(LIMIT, 2));
    let mut s = scene.log_in();
    s.put("/f", b"old");
    s.put("/g", b"other");
    assert_exceeded(&s.open("/f", NEW, &Attrs::default()));
    scene.assert_nothing_hidden();
    assert_eq!(scene.content("f"), b"old");
    assert_eq!(s.remove("/g"), code::OK);
    s.put("/f", b"new");
    assert_eq!(scene.content("f"), b"new");
    scene.assert_exact(&mut s);
}

#[test]
fn a_refusal_in_the_middle_keeps_the_old_file_and_tells_so_when_it_is_closed() {
    let scene = safe_scene();
    let mut s = scene.log_in();
    let (old, new) = (bytes_of(HALF, 1), bytes_of(HALF + 1000, 2));
    s.put("/f", &old);
    let file = s.opened("/f", NEW);
    let (fits, rest) = new.split_at(HALF - 100);
    for (number, piece) in fits.chunks(200_000).enumerate() {
        assert_eq!(s.write(&file, number as u64 * 200_000, piece), code::OK);
    }
    assert_exceeded(&s.try_write(&file, fits.len() as u64, rest));
    // A later write that succeeds does not make the file complete.
    assert_eq!(s.write(&file, fits.len() as u64, b"more"), code::OK);
    let message = s.assert_unfinished(&file);
    assert!(message.contains(".filepart"), "{message}");
    assert!(scene.content("f") == old);
    let part = scene.content("f.filepart");
    assert!(part.starts_with(fits) && part.ends_with(b"more"));
    assert_eq!(scene.names(), ["f", "f.filepart"]);
    scene.assert_exact(&mut s);
    // The upload is resumed once there is room.
    assert_eq!(s.remove("/f"), code::OK);
    let file = s.opened("/f.filepart", flag::WRITE);
    assert_eq!(s.write(&file, fits.len() as u64, rest), code::OK);
    assert_eq!(s.close(&file), code::OK);
    assert_eq!(s.rename("/f.filepart", "/f"), code::OK);
    assert!(scene.content("f") == new);
    scene.assert_exact(&mut s);
}

#[test]
fn whatever_should_have_changed_its_bytes_and_was_refused_keeps_the_old_file() {
    let scene = safe_scene();
    let mut s = scene.log_in();
    s.put("/source", &bytes_of(HALF, 1));
    let source = s.opened("/source", flag::READ);
    for (way, expected) in [
        ("fsetstat", true),
        ("setstat", true),
        ("copy", true),
        ("mode", false),
    ] {
        s.put("/f", b"old");
        let file = s.opened("/f", NEW);
        assert_eq!(s.write(&file, 0, b"new"), code::OK);
        let foreign = Attrs {
            owner: Some((4_000_000, 4_000_000)),
            ..Attrs::default()
        };
        match way {
            "fsetstat" => assert_exceeded(&s.try_resize_open(&file, LIMIT)),
            "setstat" => assert_exceeded(&s.try_resize("/f", LIMIT)),
            "copy" => assert_exceeded(&s.try_copy((&source, 0, 0), (&file, LIMIT / 2))),
            // An owner that cannot be set loses no data.
            _ => assert_eq!(s.fsetstat(&file, &foreign), code::PERMISSION_DENIED),
        }
        if expected {
            s.assert_unfinished(&file);
            assert_eq!(scene.content("f"), b"old", "{way}");
            assert_eq!(scene.content("f.filepart"), b"new", "{way}");
            assert_eq!(s.remove("/f.filepart"), code::OK);
        } else {
            assert_eq!(s.close(&file), code::OK);
            assert_eq!(scene.content("f"), b"new", "{way}");
        }
        scene.assert_exact(&mut s);
    }
}

/// OpenSSH's and PuTTY's clients never show the text of a STATUS.
#[test]
fn who_shows_no_messages_is_told_on_stderr_in_one_line() {
    let scene = safe_scene();
    for client in ["SSH-2.0-OpenSSH_9.2p1", "SSH-2.0-PuTTY_Release_0.78"] {
        let mut s = scene.log_in_as(client);
        s.put("/f", &bytes_of(HALF, 1));
        let file = s.opened("/f", NEW);
        assert_eq!(s.write(&file, 0, b"begin"), code::OK);
        for _ in 0..3 {
            assert_exceeded(&s.try_write(&file, LIMIT, b"x"));
        }
        s.assert_unfinished(&file);
        s.send_eof();
        while s.try_packet(crate::common::STEP) != Err(Ended::Closed) {}
        let told = String::from_utf8(s.stderr.clone()).unwrap();
        let lines: Vec<_> = told.lines().collect();
        assert_eq!(lines.len(), 2, "{told}");
        assert!(lines[0].starts_with("landfall: Quota exceeded"), "{told}");
        assert!(
            lines[1].starts_with("landfall: ")
                && lines[1].contains("the existing file is unchanged")
        );
        let mut s = scene.log_in();
        assert_eq!(s.remove("/f.filepart"), code::OK);
    }
}
