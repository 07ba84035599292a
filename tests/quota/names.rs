//! Names: an inode counts once, however many names it has, until the last handle is closed; every name
//! counts toward the limit of files.

use std::fs;

use crate::common::bytes_of;
use crate::common::wire::{Attrs, code, flag};
use crate::quota::scene::{
    LIMIT, MAX_FILES, NEW, Scene, Use, assert_done, assert_exceeded, is_exceeded,
};

#[test]
fn a_rename_over_an_existing_file_gives_back_what_that_had() {
    let scene = Scene::new();
    let mut s = scene.log_in();
    for by_handle in [false, true] {
        s.put("/new", &bytes_of(100_000, 1));
        s.put("/old", &bytes_of(300_000, 2));
        let two = Use {
            bytes: 400_000,
            files: 2,
        };
        assert_eq!(s.used(), two);
        // RENAME does not replace a file, and nothing changes.
        assert_eq!(s.rename("/new", "/old"), code::FAILURE);
        assert_eq!(s.used(), two);
        let held = by_handle.then(|| s.opened("/old", flag::READ));
        assert_eq!(s.posix_rename("/new", "/old"), code::OK);
        scene.assert_exact(&mut s);
        if let Some(held) = held {
            assert_eq!(s.used(), two, "it is still open");
            assert_eq!(s.close(&held), code::OK);
        }
        let one = Use {
            bytes: 100_000,
            files: 1,
        };
        assert_eq!(s.used(), one);
        scene.assert_exact(&mut s);
        assert_eq!(s.remove("/old"), code::OK);
        assert_eq!(s.used(), Use::default());
    }
}

#[test]
fn a_rename_moves_and_adds_nothing_even_at_the_limits() {
    let scene = Scene::with(LIMIT, 5);
    let mut s = scene.log_in();
    s.put("/a", &bytes_of(LIMIT as usize - 1, 3));
    assert_eq!(s.mkdir("/d"), code::OK);
    assert_eq!(s.mkdir("/empty"), code::OK);
    assert_done(&s.try_symlink("a", "/link"));
    assert_done(&s.try_hardlink("/a", "/also a"));
    let full = Use {
        bytes: LIMIT,
        files: 5,
    };
    assert_eq!(s.used(), full);
    assert_eq!(s.rename("/a", "/d/a"), code::OK);
    assert_eq!(s.rename("/d", "/moved"), code::OK);
    assert_eq!(s.posix_rename("/moved/a", "/b"), code::OK);
    assert_eq!(s.rename("/link", "/l"), code::OK);
    // To another name of the same file, and to itself: both names stay.
    assert_eq!(s.posix_rename("/b", "/also a"), code::OK);
    assert_eq!(s.posix_rename("/b", "/b"), code::OK);
    assert_eq!(s.used(), full);
    scene.assert_exact(&mut s);
    // A link and an empty directory can be replaced.
    assert_eq!(s.posix_rename("/also a", "/l"), code::OK);
    assert_eq!(s.posix_rename("/moved", "/empty"), code::OK);
    let less = Use {
        bytes: LIMIT - 1,
        files: 3,
    };
    assert_eq!(s.used(), less);
    scene.assert_exact(&mut s);
}

#[test]
fn a_file_with_two_names_counts_once_until_the_last_is_removed() {
    let scene = Scene::new();
    let mut s = scene.log_in();
    s.put("/one", &bytes_of(700_000, 4));
    assert_done(&s.try_hardlink("/one", "/two"));
    assert_done(&s.try_hardlink("/two", "/three"));
    let figures = |files| Use {
        bytes: 700_000,
        files,
    };
    assert_eq!(s.used(), figures(3));
    scene.assert_exact(&mut s);
    assert_eq!(s.remove("/one"), code::OK);
    assert_eq!(s.used(), figures(2));
    // Data that is written through one name counts once.
    let file = s.opened("/two", flag::WRITE);
    assert_eq!(s.write(&file, 700_000, &[1; 100]), code::OK);
    assert_eq!(s.close(&file), code::OK);
    assert_eq!(s.used().bytes, 700_100);
    scene.assert_exact(&mut s);
    // A file that is replaced under one of its names stays under the other.
    s.put("/small", b"small");
    assert_eq!(s.posix_rename("/small", "/two"), code::OK);
    assert_eq!(s.used().bytes, 700_105);
    assert_eq!(s.remove("/three"), code::OK);
    assert_eq!(s.used().bytes, 5);
    scene.assert_exact(&mut s);
}

#[test]
fn a_file_that_was_removed_while_open_counts_until_it_is_closed() {
    let scene = Scene::new();
    let (mut s, mut other) = (scene.log_in(), scene.log_in());
    let file = s.opened("/f", NEW | flag::READ);
    assert_eq!(s.write(&file, 0, &bytes_of(200_000, 5)), code::OK);
    let reading = other.opened("/f", flag::READ);
    assert_eq!(other.remove("/f"), code::OK);
    let held = |bytes| Use { bytes, files: 1 };
    assert_eq!(s.used(), held(200_000));
    scene.assert_exact(&mut s);
    // It can still grow and shrink within the limit.
    assert_eq!(s.write(&file, 200_000, &bytes_of(100_000, 6)), code::OK);
    assert_eq!(s.used(), held(300_000));
    assert_exceeded(&s.try_write(&file, LIMIT, b"x"));
    assert_done(&s.try_resize_open(&file, 250_000));
    assert_eq!(s.used(), held(250_000));
    scene.assert_exact(&mut s);
    // The name is free for another file.
    s.put("/f", &[7; 1000]);
    assert_eq!(s.used().bytes, 251_000);
    assert_eq!(s.close(&file), code::OK);
    assert_eq!(s.used().bytes, 251_000, "the other session has it open");
    scene.assert_exact(&mut s);
    assert_eq!(other.close(&reading), code::OK);
    assert_eq!(s.used(), held(1000));
    scene.assert_exact(&mut s);
}

#[test]
fn a_file_that_was_renamed_while_open_is_the_same_file() {
    let scene = Scene::new();
    let (mut s, mut other) = (scene.log_in(), scene.log_in());
    let file = s.opened("/before", NEW);
    assert_eq!(s.write(&file, 0, &[1; 50_000]), code::OK);
    assert_eq!(other.mkdir("/d"), code::OK);
    assert_eq!(other.rename("/before", "/d/after"), code::OK);
    assert_eq!(s.write(&file, 50_000, &[2; 50_000]), code::OK);
    assert_eq!(s.used().bytes, 100_000);
    scene.assert_exact(&mut s);
    let by_its_new_name = other.opened("/d/after", flag::APPEND);
    assert_eq!(other.write(&by_its_new_name, 0, &[3; 10]), code::OK);
    assert_eq!(s.write(&file, 100_000, &[4; 20]), code::OK);
    assert_eq!(scene.size_of("d/after"), 100_020);
    scene.assert_exact(&mut s);
    // A new file with the old name is a different file.
    other.put("/before", &[5; 7]);
    assert_eq!(s.used().bytes, 100_027);
    assert_eq!(other.remove("/d/after"), code::OK);
    assert_eq!(other.close(&by_its_new_name), code::OK);
    assert_eq!(s.used().bytes, 100_027);
    assert_eq!(s.close(&file), code::OK);
    assert_eq!(s.used().bytes, 7);
    scene.assert_exact(&mut s);
}

#[test]
fn at_the_limit_of_files_nothing_is_made_until_something_is_removed() {
    let scene = Scene::with(LIMIT, 4);
    let mut s = scene.log_in();
    s.put("/file", b"file");
    assert_eq!(s.mkdir("/folder"), code::OK);
    assert_done(&s.try_symlink("file", "/link"));
    assert_done(&s.try_hardlink("/file", "/folder/name"));
    // The file, and the target of the link.
    let full = Use { bytes: 8, files: 4 };
    assert_eq!(s.used(), full);
    for _ in 0..2 {
        let create = s.open("/new", NEW, &Attrs::default());
        let exclusive = flag::WRITE | flag::CREAT | flag::EXCL;
        let create_anew = s.open("/new", exclusive, &Attrs::default());
        for refused in [
            create,
            create_anew,
            s.try_mkdir("/new"),
            s.try_symlink("file", "/new"),
            s.try_hardlink("/file", "/new"),
        ] {
            assert_exceeded(&refused);
        }
        assert_eq!(s.used(), full);
        scene.assert_exact(&mut s);
        assert!(fs::symlink_metadata(scene.at_home("new")).is_err());
        // An existing file can still be opened, replaced and written.
        s.put("/file", b"FILE");
        assert_eq!(s.mkdir("/folder"), code::FAILURE);
    }
    // Removing any type makes room for any other.
    assert_eq!(s.remove("/folder/name"), code::OK);
    assert_eq!(s.used().files, 3);
    s.put("/new", b"new");
    assert!(is_exceeded(&s.try_mkdir("/more")));
    assert_eq!(s.rmdir("/folder"), code::OK);
    assert_eq!(s.mkdir("/more"), code::OK);
    assert!(is_exceeded(&s.try_symlink("x", "/l")));
    assert_eq!(s.remove("/link"), code::OK);
    assert_done(&s.try_symlink("x", "/l"));
    assert!(is_exceeded(&s.try_hardlink("/file", "/h")));
    assert_eq!(s.remove("/new"), code::OK);
    assert_done(&s.try_hardlink("/file", "/h"));
    assert_eq!(s.used(), Use { bytes: 5, files: 4 });
    scene.assert_exact(&mut s);
}

#[test]
fn an_open_file_without_a_name_counts_toward_the_limit_of_files() {
    let scene = Scene::with(LIMIT, 1);
    let mut s = scene.log_in();
    let file = s.opened("/f", NEW);
    assert_eq!(s.remove("/f"), code::OK);
    assert_exceeded(&s.open("/g", NEW, &Attrs::default()));
    assert_eq!(s.close(&file), code::OK);
    let file = s.opened("/g", NEW);
    assert_eq!(s.close(&file), code::OK);
    scene.assert_exact(&mut s);
}

#[test]
fn what_fails_for_another_reason_counts_nothing() {
    let scene = Scene::new();
    let mut s = scene.log_in();
    s.put("/f", b"12345");
    assert_eq!(s.mkdir("/d"), code::OK);
    s.put("/d/inner", b"12345");
    let before = s.used();
    let exclusive = flag::WRITE | flag::CREAT | flag::EXCL;
    assert_ne!(s.open("/f", exclusive, &Attrs::default()).code(), code::OK);
    for path in ["/d", "/missing/new", "/f/new"] {
        assert_ne!(s.open(path, NEW, &Attrs::default()).code(), code::OK);
    }
    assert_ne!(s.mkdir("/f"), code::OK);
    assert_ne!(s.mkdir("/missing/new"), code::OK);
    assert_ne!(s.try_symlink("x", "/f").code(), code::OK);
    assert_ne!(s.try_hardlink("/f", "/d/inner").code(), code::OK);
    assert_ne!(s.try_hardlink("/missing", "/new").code(), code::OK);
    assert_ne!(s.try_hardlink("/d", "/new").code(), code::OK);
    assert_ne!(s.remove("/d"), code::OK);
    assert_ne!(s.rmdir("/d"), code::OK);
    assert_ne!(s.rmdir("/f"), code::OK);
    assert_ne!(s.remove("/missing"), code::OK);
    assert_ne!(s.posix_rename("/f", "/d"), code::OK);
    assert_ne!(s.posix_rename("/d", "/f"), code::OK);
    assert_ne!(s.posix_rename("/d", "/d/inside"), code::OK);
    assert_ne!(s.posix_rename("/missing", "/f"), code::OK);
    assert_ne!(s.try_resize("/d", 5).code(), code::OK);
    assert_ne!(s.try_resize("/missing", 5).code(), code::OK);
    let reading = s.opened("/f", flag::READ);
    assert_ne!(s.write(&reading, 5, b"more"), code::OK);
    assert_ne!(s.try_resize_open(&reading, 50).code(), code::OK);
    assert_eq!(s.close(&reading), code::OK);
    assert_ne!(s.write(&reading, 5, b"more"), code::OK);
    assert_eq!(s.used(), before);
    assert_eq!(before.files, 3);
    assert!(before.files < MAX_FILES);
    scene.assert_exact(&mut s);
}
