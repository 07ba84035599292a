//! The server removes what a crash has left once it is old, and nothing else.

use std::fs::{self, File};
use std::time::{Duration, SystemTime};

use super::{hidden_in, overwriting};
use crate::common::wire::{Attrs, code};
use crate::common::{STEP, USER, bytes_of, wait_until};
use crate::disks::faulty::FaultyDisk;
use crate::quota::scene::{LIMIT, MAX_FILES, NEW, Scene, Use};

const DAY: Duration = Duration::from_secs(24 * 3600);

/// Sets the time of the last write.
fn age(scene: &Scene, name: &str, age: Duration) {
    let file = File::open(scene.at_home(name)).unwrap();
    file.set_modified(SystemTime::now() - age).unwrap();
}

fn log_tells(scene: &Scene, text: &str) -> bool {
    scene.server.log().contains(text)
}

#[test]
fn what_a_crash_left_is_removed_when_it_is_old_enough_and_told() {
    let mut scene = overwriting(Scene::with_settings(
        &[("uploads.sweep_after", "\"2d\"")],
        LIMIT,
        MAX_FILES,
    ));
    let mut s = scene.log_in();
    assert_eq!(s.mkdir("/d"), code::OK);
    for path in ["/f", "/d/g"] {
        s.put(path, b"old");
        let file = s.opened(path, NEW);
        assert_eq!(s.write(&file, 0, &bytes_of(1000, 1)), code::OK);
    }
    scene.kill_server();
    let young = scene.hidden();
    let old = format!("d/{}", hidden_in(&scene.at_home("d"))[0]);
    age(&scene, &young, DAY);
    age(&scene, &old, DAY * 3);
    scene.server.serve();
    wait_until("the old one is swept", STEP, || {
        log_tells(&scene, "removed leftover temporary files")
    });
    let log = scene.server.log();
    let line = log
        .lines()
        .find(|line| line.contains("leftover temporary files"));
    let line = line.unwrap();
    for told in [&format!("user=\"{USER}\""), "files=1", "bytes=1000"] {
        assert!(line.contains(told), "{line}");
    }
    assert!(!scene.has(&old) && scene.has(&young));
    assert_eq!(scene.content("f"), b"old");
    assert_eq!(scene.content("d/g"), b"old");
    let mut s = scene.log_in();
    s.put("/new", b"");
    scene.assert_exact(&mut s);
    drop(s);
    // The other file is removed some days later, by a server that was not killed; its usage is exact
    // without a count.
    assert!(scene.server.stop().unwrap().success());
    age(&scene, &young, DAY * 3);
    scene.server.serve();
    wait_until("that is swept too", STEP, || !scene.has(&young));
    let mut s = scene.log_in();
    let left = Use { bytes: 6, files: 4 };
    wait_until("it is counted", STEP, || s.used() == left);
    scene.assert_exact(&mut s);
    assert!(!log_tells(&scene, "cannot"), "{}", scene.server.log());
}

#[test]
fn nothing_else_is_removed() {
    let mut scene = overwriting(Scene::with(LIMIT, MAX_FILES));
    let digits = "0123456789abcdef";
    let swept = [
        format!(".landfall-upload-{digits}"),
        "d/.landfall-upload-ffffffffffffffff".to_owned(),
    ];
    let kept = [
        "f".to_owned(),
        "f.filepart".to_owned(),
        ".landfall-upload".to_owned(),
        ".landfall-upload-".to_owned(),
        format!(".landfall-upload-{digits}0"),
        ".landfall-upload-0123456789ABCDEF".to_owned(),
        ".landfall-upload-0123456789abcde".to_owned(),
        ".landfall-upload-0123456789abcdeg".to_owned(),
        format!("x.landfall-upload-{digits}"),
        format!(".landfall-upload-{digits}.filepart"),
        format!(".Landfall-upload-{digits}"),
    ];
    fs::create_dir(scene.at_home("d")).unwrap();
    let directory = ".landfall-upload-00000000000000dd";
    fs::create_dir(scene.at_home(directory)).unwrap();
    let link = ".landfall-upload-00000000000000ee";
    std::os::unix::fs::symlink("f", scene.at_home(link)).unwrap();
    for name in swept.iter().chain(&kept) {
        scene.put_on_disk(name, "content");
        age(&scene, name, DAY * 1000);
    }
    let inside = format!("{directory}/f");
    scene.put_on_disk(&inside, "content");
    age(&scene, &inside, DAY * 1000);
    scene.server.admin(&["quota", "recount"], "").ok();
    scene.server.stop();
    scene.server.serve();
    wait_until("they are swept", STEP, || {
        log_tells(&scene, "removed leftover temporary files")
    });
    for name in &swept {
        assert!(!scene.has(name), "{name}");
    }
    for name in kept.iter().chain([&inside]) {
        assert_eq!(scene.content(name), b"content", "{name}");
    }
    assert!(scene.at_home(link).is_symlink() && scene.at_home(directory).is_dir());
    let mut s = scene.log_in();
    scene.assert_exact(&mut s);
}

/// The server sweeps once a day; this sweep stops at a disk that is mounted in the home until a session has
/// the file open.
#[test]
fn what_a_session_has_open_stays_however_old_it_looks() {
    let Some(disk) = FaultyDisk::mount() else {
        return;
    };
    let mut scene = overwriting(Scene::with(LIMIT, MAX_FILES));
    scene.move_to(&disk.above());
    let stale = ".landfall-upload-0123456789abcdef";
    scene.put_on_disk("f", "old");
    scene.put_on_disk(stale, "stale");
    age(&scene, stale, DAY * 30);
    scene.server.stop();
    scene.server.admin(&["quota", "recount"], "").ok();
    let hanging = disk.hangs();
    scene.server.serve();
    let mut s = scene.log_in();
    let file = s.opened("/f", NEW);
    assert_eq!(s.write(&file, 0, b"new"), code::OK);
    let long_ago = Attrs {
        times: Some((1, 1)),
        ..Attrs::default()
    };
    assert_eq!(s.fsetstat(&file, &long_ago), code::OK);
    assert!(scene.has(stale));
    drop(hanging);
    wait_until("the stale one is swept", STEP, || {
        log_tells(&scene, "removed leftover temporary files")
    });
    assert!(
        log_tells(&scene, "files=1 bytes=5"),
        "{}",
        scene.server.log()
    );
    assert!(!scene.has(stale));
    assert_eq!(scene.content(&scene.hidden()), b"new");
    scene.assert_exact(&mut s);
    assert_eq!(s.close(&file), code::OK);
    assert_eq!(scene.content("f"), b"new");
    scene.assert_nothing_hidden();
    scene.assert_exact(&mut s);
}
