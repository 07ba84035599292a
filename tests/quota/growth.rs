//! Bytes: only what makes a file longer counts.

use std::fs;

use crate::common::bytes_of;
use crate::common::wire::{self, Reply, code, flag};
use crate::quota::scene::{
    LIMIT, NEW, Scene, Session, Use, assert_done, assert_exceeded, is_exceeded, sized,
};

#[test]
fn a_write_past_the_end_counts_what_it_adds_and_is_refused_whole() {
    let scene = Scene::new();
    let mut s = scene.log_in();
    let file = s.opened("/f", NEW);
    for (offset, length, size) in [(0, 1000, 1000), (600, 1000, 1600), (1600, 1, 1601)] {
        assert_eq!(s.write(&file, offset, &bytes_of(length, 1)), code::OK);
        assert_eq!(s.used().bytes, size);
        scene.assert_exact(&mut s);
    }
    // Up to the last byte of the limit, and not one more.
    assert_exceeded(&s.try_write(&file, LIMIT - 9, b"0123456789"));
    assert_eq!(scene.size_of("f"), 1601);
    assert_eq!(s.write(&file, LIMIT - 10, b"0123456789"), code::OK);
    assert_eq!(s.used().bytes, LIMIT);
    assert_exceeded(&s.try_write(&file, LIMIT - 5, b"abcdef"));
    assert_exceeded(&s.try_write(&file, LIMIT, b"a"));
    assert_exceeded(&s.try_write(&file, 1 << 60, b"a"));
    scene.assert_exact(&mut s);
    let stored = fs::read(scene.at_home("f")).unwrap();
    assert!(stored.ends_with(b"0123456789"), "nothing of it was written");
    // At the limit, operations that add nothing still work.
    assert_eq!(s.write(&file, LIMIT, b""), code::OK);
    assert_eq!(s.write(&file, LIMIT - 6, b"abcdef"), code::OK);
    assert_eq!(s.close(&file), code::FAILURE);
    assert_eq!(scene.size_of("f"), LIMIT);
    scene.assert_exact(&mut s);
}

#[test]
fn a_sparse_write_counts_the_gap() {
    let scene = Scene::new();
    let mut s = scene.log_in();
    let file = s.opened("/sparse", NEW);
    assert_eq!(s.write(&file, 500_000, b"end"), code::OK);
    assert_eq!(s.used().bytes, 500_003);
    scene.assert_exact(&mut s);
    let other = s.opened("/other", NEW);
    assert_exceeded(&s.try_write(&other, 548_576, b"x"));
    assert_eq!(scene.size_of("other"), 0);
    assert_eq!(s.write(&other, 548_572, b"x"), code::OK);
    assert_eq!(s.used().bytes, LIMIT);
    // Filling a gap adds nothing.
    assert_eq!(s.write(&file, 0, &bytes_of(200_000, 2)), code::OK);
    assert_eq!(s.used().bytes, LIMIT);
    scene.assert_exact(&mut s);
}

#[test]
fn a_write_inside_the_file_and_an_overwrite_add_nothing() {
    let scene = Scene::new();
    let mut s = scene.log_in();
    s.put("/f", &bytes_of(1 << 20, 3));
    assert_eq!(s.used().bytes, LIMIT);
    let file = s.opened("/f", flag::WRITE);
    for offset in [0, 1, 700_000, LIMIT - 4096] {
        assert_eq!(s.write(&file, offset, &bytes_of(4096, offset)), code::OK);
        assert_eq!(s.used().bytes, LIMIT);
    }
    assert_eq!(s.close(&file), code::OK);
    // The whole file is rewritten, in place and after TRUNC, though there is no room for a second copy.
    for flags in [flag::WRITE | flag::CREAT, NEW] {
        let file = s.opened("/f", flags);
        for piece in 0..16 {
            let data = bytes_of(65_536, piece);
            assert_eq!(s.write(&file, piece * 65_536, &data), code::OK);
        }
        assert_eq!(s.close(&file), code::OK);
        scene.assert_exact(&mut s);
    }
    assert_eq!(s.used().bytes, LIMIT);
}

#[test]
fn a_size_that_is_set_by_name_or_by_handle_counts() {
    let scene = Scene::new();
    let mut s = scene.log_in();
    let file = s.opened("/f", NEW);
    for size in [0, 70_000, 30_000, LIMIT, 1, 500_000] {
        assert_done(&s.try_resize("/f", size));
        assert_eq!((s.used().bytes, scene.size_of("f")), (size, size));
        assert_exceeded(&s.try_resize("/f", LIMIT + 1));
        assert_exceeded(&s.try_resize_open(&file, LIMIT + 1));
        assert_exceeded(&s.try_resize_open(&file, 1 << 62));
        assert_eq!((s.used().bytes, scene.size_of("f")), (size, size));
        assert_done(&s.try_resize_open(&file, LIMIT));
        scene.assert_exact(&mut s);
        assert_done(&s.try_resize_open(&file, size / 2));
        assert_eq!(s.used().bytes, size / 2);
        scene.assert_exact(&mut s);
    }
    // Through a link, and for a file that nobody has open.
    assert_eq!(s.close(&file), code::OK);
    assert_done(&s.try_symlink("/f", "/link"));
    assert_done(&s.try_resize("/link", 12_345));
    assert_exceeded(&s.try_resize("/link", LIMIT + 1));
    assert_eq!(s.used().bytes, 12_345 + "/f".len() as u64);
    scene.assert_exact(&mut s);
}

#[test]
fn a_truncating_open_gives_back_all_that_the_file_had() {
    let scene = Scene::new();
    let mut s = scene.log_in();
    s.put("/f", &bytes_of(400_000, 4));
    let file = s.opened("/f", NEW);
    assert_eq!(s.used().bytes, 0);
    scene.assert_exact(&mut s);
    assert_eq!(s.write(&file, 0, &bytes_of(100_000, 5)), code::OK);
    // Another handle truncates it while this one is open.
    let other = s.opened("/f", flag::WRITE | flag::TRUNC);
    assert_eq!(s.used().bytes, 0);
    assert_eq!(s.write(&file, 100_000, b"x"), code::OK);
    assert_eq!(s.used().bytes, 100_001);
    scene.assert_exact(&mut s);
    assert_eq!(s.close(&other), code::OK);
    assert_eq!(s.close(&file), code::OK);
    // A refused OPEN truncates nothing.
    let refused = s.open("/f", flag::READ | flag::TRUNC, &sized(0));
    assert_ne!(refused.code(), code::OK);
    assert_eq!(s.used().bytes, 100_001);
    scene.assert_exact(&mut s);
}

#[test]
fn appends_count_wherever_the_client_says_they_go() {
    let scene = Scene::new();
    let mut s = scene.log_in();
    let log = s.opened("/log", flag::APPEND | flag::CREAT);
    let room = LIMIT as usize - 10;
    for (number, piece) in bytes_of(room, 6).chunks(200_000).enumerate() {
        let offset = [0, 7, 1 << 40][number % 3];
        assert_eq!(s.write(&log, offset, piece), code::OK);
        scene.assert_exact(&mut s);
    }
    assert_exceeded(&s.try_write(&log, 0, b"eleven more"));
    assert_eq!(s.write(&log, 0, b"ten bytes."), code::OK);
    assert_eq!(s.used().bytes, LIMIT);
    assert_exceeded(&s.try_write(&log, 0, b"1"));
    scene.assert_exact(&mut s);
    let stored = fs::read(scene.at_home("log")).unwrap();
    assert!(stored.ends_with(b"ten bytes."));
}

#[test]
fn a_copy_inside_the_server_counts_and_is_refused_before_it_begins() {
    let scene = Scene::new();
    let mut s = scene.log_in();
    let content = bytes_of(400_000, 7);
    s.put("/source", &content);
    let source = s.opened("/source", flag::READ);
    let target = s.opened("/target", NEW);
    assert_done(&s.try_copy((&source, 0, 0), (&target, 0)));
    assert_eq!(s.used().bytes, 800_000);
    scene.assert_exact(&mut s);
    // Over existing data: no growth. Beyond it: more than fits.
    assert_done(&s.try_copy((&source, 5, 399_000), (&target, 0)));
    assert_exceeded(&s.try_copy((&source, 0, 0), (&target, 300_000)));
    assert_exceeded(&s.try_copy((&source, 0, 0), (&target, 400_000)));
    assert_eq!(scene.size_of("target"), 400_000);
    scene.assert_exact(&mut s);
    // Up to the last byte.
    assert_done(&s.try_copy((&source, 0, LIMIT - 800_000), (&target, 400_000)));
    assert_eq!(s.used().bytes, LIMIT);
    assert_exceeded(&s.try_copy((&source, 0, 1), (&target, LIMIT - 400_000)));
    scene.assert_exact(&mut s);
    // To a file that is open for appending, and within one file.
    assert_done(&s.try_resize("/target", 300_000));
    let log = s.opened("/target", flag::APPEND);
    assert_done(&s.try_copy((&source, 0, 100_000), (&log, 0)));
    let both = s.opened("/source", flag::READ | flag::WRITE);
    assert_done(&s.try_copy((&both, 0, 200_000), (&both, 400_000)));
    assert_eq!(s.used().bytes, 1_000_000);
    assert_exceeded(&s.try_copy((&both, 0, 100_000), (&both, 600_000)));
    assert_exceeded(&s.try_copy((&source, 0, 100_000), (&log, 0)));
    scene.assert_exact(&mut s);
    let copied = fs::read(scene.at_home("source")).unwrap();
    assert!(copied[..400_000] == content && copied[400_000..] == content[..200_000]);
}

#[test]
fn an_open_that_announces_what_cannot_fit_is_refused_with_the_old_file_untouched() {
    let scene = Scene::new();
    let mut s = scene.log_in();
    s.put("/other", &bytes_of(500_000, 8));
    let old = bytes_of(300_000, 9);
    s.put("/old", &old);
    let before = scene.on_disk();
    // 248,576 bytes are left; the old content would be freed.
    let left = LIMIT - 800_000;
    for (path, flags, size) in [
        ("/old", NEW, left + 300_001),
        ("/old", flag::WRITE | flag::TRUNC, u64::MAX),
        ("/new", NEW, left + 1),
        ("/new", flag::WRITE | flag::CREAT | flag::EXCL, left + 1),
        ("/new", flag::WRITE | flag::CREAT, 1 << 62),
    ] {
        assert_exceeded(&s.open(path, flags, &sized(size)));
        assert_eq!(scene.on_disk(), before, "{path} {flags:#x} {size}");
        scene.assert_exact(&mut s);
    }
    assert!(fs::read(scene.at_home("old")).unwrap() == old);
    assert!(!scene.at_home("new").exists());
    // A size that fits exactly is accepted, and announcing it counts nothing.
    let file = s.open("/new", NEW, &sized(left)).handle();
    assert_eq!(s.used().bytes, 800_000);
    assert_eq!(s.close(&file), code::OK);
    let file = s.open("/old", NEW, &sized(left + 300_000)).handle();
    assert_eq!(s.used().bytes, 500_000);
    assert_eq!(s.close(&file), code::OK);
    scene.assert_exact(&mut s);
}

#[test]
fn a_resume_that_announces_what_cannot_fit_is_refused_and_keeps_what_was_stored() {
    let scene = Scene::new();
    let mut s = scene.log_in();
    s.put("/big.filepart", &bytes_of(600_000, 10));
    let resume = flag::WRITE | flag::CREAT;
    let refused = s.open("/big.filepart", resume, &sized(LIMIT + 1));
    assert_exceeded(&refused);
    assert_eq!(scene.size_of("big.filepart"), 600_000);
    let file = s.open("/big.filepart", resume, &sized(LIMIT)).handle();
    assert_eq!(s.write(&file, 600_000, &bytes_of(200_000, 11)), code::OK);
    scene.assert_exact(&mut s);
}

/// A user at the limit removes another file and resumes the upload.
#[test]
fn an_upload_that_was_refused_goes_on_once_there_is_room() {
    let scene = Scene::new();
    let mut s = scene.log_in();
    s.put("/in the way", &bytes_of(500_000, 12));
    let data = bytes_of(900_000, 13);
    let file = s.opened("/upload", NEW);
    let mut stored = 0;
    let refused = loop {
        let piece = &data[stored..(stored + 30_000).min(data.len())];
        match s.try_write(&file, stored as u64, piece) {
            Reply::Status { code: 0, .. } => stored += piece.len(),
            refused => break refused,
        }
    };
    assert!(is_exceeded(&refused), "{refused:?}");
    assert_eq!(s.close(&file), code::FAILURE);
    assert_eq!(scene.size_of("upload"), stored as u64);
    assert!(data.starts_with(&fs::read(scene.at_home("upload")).unwrap()));
    scene.assert_exact(&mut s);

    assert_eq!(s.remove("/in the way"), code::OK);
    let file = s.opened("/upload", flag::WRITE);
    for (number, piece) in data[stored..].chunks(30_000).enumerate() {
        let offset = (stored + number * 30_000) as u64;
        assert_eq!(s.write(&file, offset, piece), code::OK);
    }
    assert!(fs::read(scene.at_home("upload")).unwrap() == data);
    scene.assert_exact(&mut s);
}

#[test]
fn a_copied_file_counts_and_one_that_does_not_fit_is_not_begun() {
    let scene = Scene::with(LIMIT, 3);
    let mut s = scene.log_in();
    s.put("/f", &bytes_of(400_000, 1));
    assert_done(&s.copy_file("/f", "/g", false));
    scene.assert_exact(&mut s);
    assert_eq!(
        s.used(),
        Use {
            bytes: 800_000,
            files: 2
        }
    );
    assert_exceeded(&s.copy_file("/f", "/h", false));
    assert!(!scene.at_home("h").exists());
    scene.assert_exact(&mut s);
    s.put("/small", b"12345");
    assert_done(&s.copy_file("/small", "/g", true));
    assert_exceeded(&s.copy_file("/small", "/one-too-many", false));
    assert!(!scene.at_home("one-too-many").exists());
    scene.assert_exact(&mut s);
    assert_eq!(
        s.used(),
        Use {
            bytes: 400_010,
            files: 3
        }
    );
}

/// A client that sends more requests before it reads the refusal believes the last reply.
#[test]
fn close_tells_of_what_is_missing_in_the_middle() {
    let scene = Scene::with(1000, 10);
    let mut s = scene.log_in();
    let piece = |number| bytes_of(1000, number);
    let file = s.opened("/f", NEW);
    assert_eq!(s.write(&file, 0, &piece(0)), code::OK);
    assert_exceeded(&s.try_write(&file, 1000, &piece(1)));
    let closed = s.with_string(wire::CLOSE, &file);
    assert_eq!(closed.code(), code::FAILURE, "some go by CLOSE alone");
    assert_eq!(scene.size_of("f"), 1000);

    let refused = |s: &mut Session, path: &str| {
        scene.set_limits(1000, 10);
        let file = s.opened(path, flag::WRITE | flag::CREAT);
        assert_exceeded(&s.try_write(&file, 1000, &piece(1)));
        scene.set_limits(100_000, 10);
        assert_eq!(s.write(&file, 2000, &piece(2)), code::OK);
        file
    };
    let file = refused(&mut s, "/f");
    let Reply::Status { code, message, .. } = s.with_string(wire::CLOSE, &file) else {
        panic!("no status");
    };
    assert_eq!(code, code::FAILURE);
    assert!(message.starts_with("Quota exceeded"), "{message}");
    assert!(message.ends_with("; a part of the file is missing"));
    // It is closed nevertheless, and its size is where a resume must continue.
    assert_eq!(s.close(&file), code::FAILURE);
    assert_eq!(scene.size_of("f"), 1000);
    scene.assert_exact(&mut s);
    // Existing data stays.
    let file = s.opened("/g", NEW);
    assert_eq!(s.write(&file, 4900, &piece(3)), code::OK);
    assert_eq!(s.close(&file), code::OK);
    scene.set_limits(1000, 10);
    let file = s.opened("/g", flag::WRITE);
    assert_exceeded(&s.try_write(&file, 5400, &piece(1)));
    scene.set_limits(100_000, 10);
    assert_eq!(s.write(&file, 5600, &piece(2)), code::OK);
    assert_eq!(s.close(&file), code::FAILURE);
    assert_eq!(scene.size_of("g"), 6600);
    assert_eq!(s.remove("/g"), code::OK);
    assert_eq!(s.remove("/f"), code::OK);

    // A client that writes the missing data later gets no error.
    let file = refused(&mut s, "/g");
    assert_eq!(s.write(&file, 1000, &piece(1)), code::OK);
    assert_eq!(s.close(&file), code::OK);
    scene.assert_exact(&mut s);
}

#[test]
fn close_is_well_once_all_that_was_refused_is_repeated_or_cut_off() {
    let scene = Scene::with(1000, 10);
    let mut s = scene.log_in();
    let refused = |s: &mut Session, flags: u32| {
        scene.set_limits(900, 10);
        let file = s.opened("/f", flags);
        for offset in [1000, 3000] {
            assert_exceeded(&s.try_write(&file, offset, &bytes_of(1000, offset)));
        }
        scene.set_limits(100_000, 10);
        file
    };
    // In parts, in any order.
    let file = refused(&mut s, NEW);
    for (offset, length) in [(3000, 1500), (1500, 500), (1000, 500)] {
        assert_eq!(s.write(&file, offset, &bytes_of(length, 1)), code::OK);
    }
    assert_eq!(s.close(&file), code::OK);
    assert_eq!(s.remove("/f"), code::OK);
    // One of the two parts is not enough.
    let file = refused(&mut s, NEW);
    assert_eq!(s.write(&file, 1000, &bytes_of(1000, 1)), code::OK);
    assert_eq!(s.close(&file), code::FAILURE);
    assert_eq!(s.remove("/f"), code::OK);
    // Data that the client truncates is not missing.
    let file = refused(&mut s, NEW);
    assert_eq!(s.fsetstat(&file, &sized(1000)), code::OK);
    assert_eq!(s.close(&file), code::OK);
    assert_eq!(s.remove("/f"), code::OK);
    // For appended data, the client's offsets count.
    let append = flag::WRITE | flag::CREAT | flag::APPEND;
    let file = refused(&mut s, append);
    assert_eq!(s.write(&file, 3000, &bytes_of(1000, 1)), code::OK);
    assert_eq!(s.close(&file), code::FAILURE);
    assert_eq!(scene.size_of("f"), 1000, "nothing is cut off a log");
    let file = refused(&mut s, append);
    for offset in [1000, 3000] {
        assert_eq!(s.write(&file, offset, &bytes_of(1000, 1)), code::OK);
    }
    assert_eq!(s.close(&file), code::OK);
    scene.assert_exact(&mut s);
}

/// Two handles each have a gap; the later gap belongs to the handle that is closed last.
#[test]
fn what_one_handle_has_cut_no_other_makes_longer() {
    let scene = Scene::with(1000, 10);
    let mut s = scene.log_in();
    let late = s.opened("/f", NEW);
    let early = s.opened("/f", flag::WRITE);
    for (file, offset) in [(&late, 1000), (&early, 400)] {
        assert_exceeded(&s.try_write(file, offset, &bytes_of(1000, 1)));
    }
    scene.set_limits(100_000, 10);
    for (file, offset) in [(&late, 2000), (&early, 3000)] {
        assert_eq!(s.write(file, offset, b"behind it"), code::OK);
    }
    for file in [&early, &late] {
        assert_eq!(s.close(file), code::FAILURE);
        assert_eq!(scene.size_of("f"), 400);
    }
    scene.assert_exact(&mut s);
}
