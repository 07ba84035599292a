//! The session that overwrites sees the new file; most other requests for the path rename the new file
//! at once.

use std::fs;

use super::safe_scene;
use crate::common::wire::{self, Attrs, Fields, Name, Reply, code, flag};
use crate::quota::scene::{NEW, Scene, Session, assert_done, sized};

/// Returns a session that overwrites `/f` ("old") with `new` and has not closed it.
fn pending() -> (Scene, Session, Vec<u8>) {
    let scene = safe_scene();
    let mut s = scene.log_in();
    s.put("/f", b"old");
    let file = s.opened("/f", NEW | flag::READ);
    assert_eq!(s.write(&file, 0, b"newer"), code::OK);
    assert_eq!(scene.content("f"), b"old");
    (scene, s, file)
}

fn listed(s: &mut Session, path: &str, name: &str) -> Name {
    let mut names = s.list(path).into_iter();
    names.find(|entry| entry.name == name.as_bytes()).unwrap()
}

#[test]
fn attributes_by_every_path_are_those_of_the_new_file() {
    let scene = safe_scene();
    let (mut s, mut other) = (scene.log_in(), scene.log_in());
    s.put("/f", b"old");
    assert_eq!(s.mkdir("/d"), code::OK);
    assert_done(&s.try_symlink("/f", "/d/link"));
    assert_done(&s.try_hardlink("/f", "/d/hard"));
    let file = s.opened("/f", NEW);
    let size = |reply: Reply| reply.attrs().size.unwrap();
    let now = Attrs {
        permissions: Some(0o600),
        times: Some((11, 12)),
        ..Attrs::default()
    };
    for (step, path) in ["/f", "/d/../f", "/d/link", "/d/hard"].iter().enumerate() {
        let offset = 10 * step as u64;
        assert_eq!(s.write(&file, offset, b"0123456789"), code::OK);
        assert_eq!(size(s.stat(path)), offset + 10, "{path}");
        assert_eq!(size(other.stat(path)), 3, "{path}");
        assert_eq!(s.setstat(path, &now), code::OK);
        let seen = s.stat(path).attrs();
        assert_eq!((seen.mode(), seen.mtime()), (0o600, 12), "{path}");
        assert_eq!(other.stat(path).attrs().mode(), 0o644);
        // Changes the size by its path, and back.
        assert_eq!(s.setstat(path, &sized(offset + 50)), code::OK);
        assert_eq!(size(s.stat(path)), offset + 50);
        assert_eq!(s.setstat(path, &sized(offset + 10)), code::OK);
        let attrs = s.with_string(wire::FSTAT, &file).attrs();
        assert_eq!(attrs.size, Some(offset + 10));
        let other_mode = Attrs {
            permissions: Some(0o640),
            ..Attrs::default()
        };
        assert_eq!(s.fsetstat(&file, &other_mode), code::OK);
        assert_eq!(s.stat(path).attrs().mode(), 0o640);
        scene.assert_exact(&mut s);
    }
    // A link itself does not change, and listings agree with STAT.
    assert_eq!(size(s.lstat("/d/link")), 2);
    assert_eq!(size(s.lstat("/d/hard")), 40);
    for (folder, name, expected) in [("/", "f", 40), ("/d", "hard", 40), ("/d", "link", 2)] {
        assert_eq!(listed(&mut s, folder, name).attrs.size, Some(expected));
    }
    assert_eq!(listed(&mut other, "/", "f").attrs.size, Some(3));
    assert_eq!(scene.content("f"), b"old");
    // A change by another session changes the old file.
    assert_eq!(other.setstat("/f", &sized(1)), code::OK);
    assert_eq!(size(s.stat("/f")), 40);
    assert_eq!(s.close(&file), code::OK);
    assert_eq!(scene.content("f"), b"0123456789".repeat(4));
    assert_eq!(scene.mode("f"), 0o640);
    // The other name now belongs to the old file.
    assert_eq!(scene.content("d/hard"), b"o");
    assert_eq!(size(s.stat("/d/hard")), 1);
    scene.assert_exact(&mut s);
}

#[test]
fn times_set_by_path_before_the_close_stay() {
    let (scene, mut s, file) = pending();
    let times = Attrs {
        times: Some((5, 6)),
        ..Attrs::default()
    };
    assert_eq!(s.setstat("/f", &times), code::OK);
    assert_eq!(s.close(&file), code::OK);
    assert_eq!(s.stat("/f").attrs().mtime(), 6);
    assert_eq!(scene.content("f"), b"newer");
}

/// Expects that the handle still works after a request that renamed the new file.
fn assert_goes_on(scene: &Scene, s: &mut Session, file: &[u8], name: Option<&str>) {
    scene.assert_nothing_hidden();
    scene.assert_exact(s);
    assert_eq!(s.write(file, 5, b"!"), code::OK);
    assert_eq!(s.read(file, 0, 10).data(), b"newer!");
    if let Some(name) = name {
        assert_eq!(scene.content(name), b"newer!");
    }
    scene.assert_exact(s);
    assert_eq!(s.close(file), code::OK);
    if let Some(name) = name {
        assert_eq!(scene.content(name), b"newer!");
    }
    scene.assert_exact(s);
}

#[test]
fn another_open_finds_the_new_file() {
    for flags in [
        flag::READ,
        flag::READ | flag::WRITE,
        flag::READ | flag::WRITE | flag::CREAT,
        flag::READ | flag::APPEND,
    ] {
        let (scene, mut s, file) = pending();
        let again = s.opened("/f", flags);
        assert_eq!(scene.content("f"), b"newer");
        assert_eq!(s.read(&again, 0, 10).data(), b"newer", "{flags}");
        assert_eq!(s.close(&again), code::OK);
        assert_goes_on(&scene, &mut s, &file, Some("f"));
    }
}

#[test]
fn the_same_file_can_be_overwritten_twice_at_once() {
    let (scene, mut s, file) = pending();
    let again = s.opened("/f", NEW);
    assert_eq!(scene.content("f"), b"newer");
    assert_eq!(s.write(&again, 0, b"newest"), code::OK);
    assert_eq!(s.write(&file, 0, b"NEW"), code::OK);
    assert_eq!(scene.content("f"), b"NEWer");
    scene.hidden();
    scene.assert_exact(&mut s);
    assert_eq!(s.stat("/f").attrs().size, Some(6));
    assert_eq!(s.close(&again), code::OK);
    assert_eq!(s.close(&file), code::OK);
    assert_eq!(scene.content("f"), b"newest");
    assert_eq!(scene.names(), ["f"]);
    scene.assert_exact(&mut s);
}

#[test]
fn renaming_it_renames_the_new_file() {
    for (verb, expected) in [("rename", "g"), ("posix", "g"), ("posix over", "g")] {
        let (scene, mut s, file) = pending();
        if verb == "posix over" {
            s.put("/g", b"what is replaced");
        }
        match verb {
            "rename" => assert_eq!(s.rename("/f", "/g"), code::OK),
            _ => assert_eq!(s.posix_rename("/f", "/g"), code::OK),
        }
        assert_eq!(scene.names(), ["g"]);
        assert_eq!(scene.content("g"), b"newer");
        assert_goes_on(&scene, &mut s, &file, Some(expected));
    }
}

#[test]
fn what_is_renamed_to_its_name_replaces_the_new_file() {
    let (scene, mut s, file) = pending();
    s.put("/g", b"another");
    // RENAME replaces nothing, but it has looked at the name.
    assert_eq!(s.rename("/g", "/f"), code::FAILURE);
    assert_eq!(scene.content("f"), b"newer");
    assert_eq!(s.posix_rename("/g", "/f"), code::OK);
    assert_eq!(scene.content("f"), b"another");
    assert_goes_on(&scene, &mut s, &file, None);
    assert_eq!(scene.content("f"), b"another");
    assert_eq!(scene.names(), ["f"]);
}

#[test]
fn removing_it_removes_the_new_file() {
    let (scene, mut s, file) = pending();
    assert_eq!(s.remove("/f"), code::OK);
    assert_eq!(scene.names(), [""; 0]);
    assert_goes_on(&scene, &mut s, &file, None);
    assert_eq!(scene.names(), [""; 0]);
    assert_eq!(s.used().files, 0);
}

#[test]
fn a_hard_link_is_one_of_the_new_file() {
    let (scene, mut s, file) = pending();
    assert_done(&s.try_hardlink("/f", "/g"));
    assert_eq!(scene.content("g"), b"newer");
    assert_goes_on(&scene, &mut s, &file, Some("g"));
    assert_eq!(scene.content("f"), b"newer!");
}

#[test]
fn what_was_spoilt_does_not_take_the_name_early_either() {
    let (scene, mut s, file) = pending();
    assert_ne!(s.try_write(&file, 1 << 40, b"x").code(), code::OK);
    // The request acts on the old file.
    let old = s.opened("/f", flag::READ);
    assert_eq!(s.read(&old, 0, 10).data(), b"old");
    assert_eq!(s.close(&old), code::OK);
    assert_eq!(scene.names(), ["f", "f.filepart"]);
    assert_eq!(s.write(&file, 5, b"!"), code::OK);
    assert_eq!(scene.content("f.filepart"), b"newer!");
    s.assert_unfinished(&file);
    assert_eq!(scene.content("f"), b"old");
    assert_eq!(scene.names(), ["f", "f.filepart"]);
    scene.assert_exact(&mut s);
}

#[test]
fn removing_what_was_spoilt_leaves_the_old_file() {
    let (scene, mut s, file) = pending();
    assert_ne!(s.try_write(&file, 1 << 40, b"x").code(), code::OK);
    assert_eq!(s.remove("/f"), code::OK);
    assert_eq!(scene.names(), ["f"]);
    assert_eq!(s.get("/f"), b"old");
    scene.assert_exact(&mut s);
    assert_eq!(s.used().files, 2, "the new one is open still");
    s.assert_unfinished(&file);
    assert_eq!(scene.content("f"), b"old");
    scene.assert_exact(&mut s);
    // From now on, only the old file is left.
    assert_eq!(s.remove("/f"), code::OK);
    assert_eq!(scene.names(), [""; 0]);
    scene.assert_exact(&mut s);
}

#[test]
fn what_is_done_with_other_files_does_not_touch_it() {
    let (scene, mut s, file) = pending();
    s.put("/g", b"g");
    assert_eq!(s.mkdir("/d"), code::OK);
    assert_eq!(s.rename("/g", "/d/g"), code::OK);
    assert_done(&s.try_symlink("f", "/link"));
    assert_eq!(s.rename("/link", "/d/link"), code::OK);
    assert_eq!(s.remove("/d/link"), code::OK);
    assert_eq!(s.realpath("/f"), b"/f");
    s.extended("statvfs@openssh.com", |body| body.string("/f"))
        .extended();
    assert_eq!(scene.content("f"), b"old");
    scene.hidden();
    assert_eq!(s.close(&file), code::OK);
    assert_eq!(scene.content("f"), b"newer");
    scene.assert_exact(&mut s);
}

#[test]
fn a_folder_that_holds_a_hidden_file_does_not_look_empty() {
    let scene = safe_scene();
    let (mut s, mut other) = (scene.log_in(), scene.log_in());
    assert_eq!(s.mkdir("/d"), code::OK);
    s.put("/d/f", b"old");
    let file = s.opened("/d/f", NEW);
    let names = other.list("/d");
    let hidden = names.iter().filter(|entry| entry.name.starts_with(b"."));
    let hidden: Vec<_> = hidden.map(|entry| entry.name.clone()).collect();
    assert_eq!(hidden.len(), 3, "., .. and the hidden one");
    assert_eq!(other.remove("/d/f"), code::OK);
    assert_eq!(other.rmdir("/d"), code::FAILURE);
    scene.assert_exact(&mut s);
    assert_eq!(s.close(&file), code::OK);
    assert_eq!(fs::read(scene.at_home("d/f")).unwrap(), b"");
    scene.assert_exact(&mut s);
}

/// fstatvfs and fsync do not need the name.
#[test]
fn a_handle_that_overwrites_can_be_synced_and_asked_for_space() {
    let (scene, mut s, file) = pending();
    let synced = s.extended("fsync@openssh.com", |body| body.string(&file));
    assert_done(&synced);
    let space = s.extended("fstatvfs@openssh.com", |body| body.string(&file));
    assert!(Fields(&space.extended()).u64() > 0);
    assert_eq!(scene.content("f"), b"old");
    assert_eq!(s.close(&file), code::OK);
    assert_eq!(scene.content("f"), b"newer");
}

#[test]
fn a_copy_over_an_old_file_is_an_overwrite_too() {
    let (scene, mut s, file) = pending();
    assert_eq!(s.close(&file), code::OK);
    s.put("/other", b"of the other file");
    let reply = s.copy_file("/other", "/f", true);
    assert_eq!(reply.code(), code::OK, "{reply:?}");
    assert_eq!(scene.content("f"), b"of the other file");
    // An overwrite that fails leaves the old content.
    assert_eq!(
        s.copy_file("/missing", "/f", true).code(),
        code::NO_SUCH_FILE
    );
    assert_eq!(scene.content("f"), b"of the other file");
    scene.assert_exact(&mut s);
}
