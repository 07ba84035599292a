//! Which OPENs replace a file and which continue in it, and the attributes of the new file.

use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};

use super::{hidden_in, overwriting, safe_scene};
use crate::common::wire::{Attrs, code, flag};
use crate::common::{STEP, bytes_of, wait_until};
use crate::quota::scene::{LIMIT, MAX_FILES, NEW, Scene, Use, sized};

#[test]
fn the_old_file_stays_until_the_close_and_then_the_new_one_has_its_name_and_mode() {
    let scene = safe_scene();
    let (mut s, mut other) = (scene.log_in(), scene.log_in());
    for old in [&b"the old file"[..], b""] {
        s.put("/f", b"x");
        scene.put_on_disk("f", old);
        fs::set_permissions(scene.at_home("f"), fs::Permissions::from_mode(0o4640)).unwrap();
        scene.server.admin(&["quota", "recount"], "").ok();
        let before = fs::metadata(scene.at_home("f")).unwrap();
        let permissions = Attrs {
            permissions: Some(0o777),
            ..sized(5)
        };
        let file = s.open("/f", NEW, &permissions).handle();
        let hidden = scene.hidden();
        let digits = hidden.strip_prefix(".landfall-upload-").unwrap();
        assert!(digits.len() == 16 && digits.bytes().all(|b| b.is_ascii_hexdigit()));
        for written in [&b"new"[..], b"er"] {
            let at = s.stat("/f").attrs().size.unwrap();
            assert_eq!(s.write(&file, at, written), code::OK);
            assert_eq!(scene.content("f"), old);
            assert_eq!(other.stat("/f").attrs().size, Some(old.len() as u64));
            assert_eq!(other.get("/f"), old);
            scene.assert_exact(&mut s);
        }
        assert_eq!(scene.content(&hidden), b"newer");
        assert_eq!(s.close(&file), code::OK);
        let after = fs::metadata(scene.at_home("f")).unwrap();
        assert_eq!(scene.content("f"), b"newer");
        assert_ne!(after.ino(), before.ino());
        // The owner stays; setuid is never set.
        assert_eq!((after.uid(), after.gid()), (before.uid(), before.gid()));
        assert_eq!(scene.mode("f"), 0o640);
        assert_eq!(scene.names(), ["f"]);
        assert_eq!(other.get("/f"), b"newer");
        scene.assert_exact(&mut s);
        assert_eq!(s.used(), Use { bytes: 5, files: 1 });
    }
}

#[test]
fn an_owner_of_the_old_file_stays_where_the_server_may_give_files_away() {
    if !rustix::process::geteuid().is_root() {
        return crate::common::skip("only root can give files to others");
    }
    let scene = safe_scene();
    scene.put_on_disk("f", "old");
    std::os::unix::fs::chown(scene.at_home("f"), Some(1234), Some(2345)).unwrap();
    let mut s = scene.log_in();
    s.put("/f", b"new");
    let after = fs::metadata(scene.at_home("f")).unwrap();
    assert_eq!((after.uid(), after.gid()), (1234, 2345));
    assert_eq!(scene.content("f"), b"new");
}

#[test]
fn what_does_not_cut_an_old_file_goes_on_in_it() {
    let scene = safe_scene();
    let mut s = scene.log_in();
    // A new file is created in place.
    let file = s.opened("/new", NEW);
    assert_eq!(s.write(&file, 0, b"seen at once"), code::OK);
    assert_eq!(scene.content("new"), b"seen at once");
    assert_eq!(s.close(&file), code::OK);
    scene.put_on_disk("old", "0123456789");
    scene.put_on_disk("old.filepart", "a part");
    scene.server.admin(&["quota", "recount"], "").ok();
    for (path, flags, expected) in [
        ("old", flag::WRITE, "ab23456789"),
        ("old", flag::READ | flag::WRITE, "ab23456789"),
        ("old", flag::WRITE | flag::CREAT, "ab23456789"),
        ("old", flag::WRITE | flag::APPEND, "ab23456789ab"),
        ("old", flag::APPEND | flag::CREAT, "ab23456789abab"),
        // A part that is restarted loses nothing, and no client looks for a part of a part.
        ("old.filepart", NEW, "ab"),
    ] {
        let inode = fs::metadata(scene.at_home(path)).unwrap().ino();
        let file = s.opened(path, flags);
        assert_eq!(s.write(&file, 0, b"ab"), code::OK);
        assert_eq!(scene.content(path), expected.as_bytes(), "{path} {flags}");
        assert_eq!(fs::metadata(scene.at_home(path)).unwrap().ino(), inode);
        scene.assert_nothing_hidden();
        assert_eq!(s.close(&file), code::OK);
        scene.assert_exact(&mut s);
    }
    assert_eq!(s.setstat("/old", &sized(3)), code::OK);
    assert_eq!(scene.content("old"), b"ab2");
}

#[test]
fn appending_to_a_file_that_is_cut_appends_to_the_new_one() {
    let scene = safe_scene();
    scene.put_on_disk("f", "old");
    let mut s = scene.log_in();
    let file = s.opened("/f", flag::READ | flag::APPEND | flag::TRUNC);
    for piece in [&b"one "[..], b"two"] {
        assert_eq!(s.write(&file, 77, piece), code::OK);
    }
    assert_eq!(s.read(&file, 0, 100).data(), b"one two");
    assert_eq!(scene.content("f"), b"old");
    assert_eq!(s.close(&file), code::OK);
    assert_eq!(scene.content("f"), b"one two");
}

#[test]
fn of_a_link_the_file_that_it_leads_to_is_replaced() {
    let scene = safe_scene();
    for folder in ["d", "e"] {
        fs::create_dir(scene.at_home(folder)).unwrap();
    }
    for (target, link) in [
        ("../e/file", "d/relative"),
        ("/e/file", "absolute"),
        ("d/relative", "chain"),
        ("d", "folder"),
        ("/../../e/./../e/file", "around"),
    ] {
        symlink(target, scene.at_home(link)).unwrap();
    }
    let mut s = scene.log_in();
    for path in [
        "/d/relative",
        "/absolute",
        "/chain",
        "/folder/relative",
        "/folder/../e/file",
        "/around",
    ] {
        scene.put_on_disk("e/file", "old");
        let file = s.opened(path, NEW);
        assert_eq!(s.write(&file, 0, path.as_bytes()), code::OK);
        assert_eq!(scene.content("e/file"), b"old");
        assert_eq!(hidden_in(&scene.at_home("e")).len(), 1, "{path}");
        assert_eq!(s.close(&file), code::OK);
        assert_eq!(scene.content("e/file"), path.as_bytes());
        assert_eq!(fs::read_dir(scene.at_home("e")).unwrap().count(), 1);
        assert_eq!(fs::read_dir(scene.at_home("d")).unwrap().count(), 1);
    }
    for link in ["d/relative", "absolute", "chain", "around"] {
        assert!(scene.at_home(link).is_symlink());
    }
    // A dangling link creates the file, as without safe overwrites.
    fs::remove_file(scene.at_home("e/file")).unwrap();
    s.put("/chain", b"made");
    assert_eq!(scene.content("e/file"), b"made");
    scene.server.admin(&["quota", "recount"], "").ok();
    scene.assert_exact(&mut s);
}

#[test]
fn what_cannot_be_opened_leaves_nothing_behind() {
    let few = [("sftp.max_handles", "16")];
    let scene = overwriting(Scene::with_settings(&few, LIMIT, MAX_FILES));
    let mut s = scene.log_in();
    s.put("/f", b"old");
    assert_eq!(s.mkdir("/d"), code::OK);
    assert_eq!(s.try_symlink("loop", "/loop").code(), code::OK);
    let used = s.used();
    let truncate = flag::WRITE | flag::TRUNC;
    for (path, flags) in [
        ("/f", NEW | flag::EXCL),
        ("/f", flag::READ | flag::TRUNC),
        ("/d", NEW),
        ("/d", truncate),
        ("/", NEW),
        ("/loop", truncate),
        ("/missing", truncate),
        ("/missing/f", NEW),
        ("/f/f", NEW),
    ] {
        let refused = s.open(path, flags, &Attrs::default());
        assert_ne!(refused.code(), code::OK, "{path} {flags}");
        assert_eq!(scene.names(), ["d", "f", "loop"], "{path} {flags}");
        assert_eq!(s.used(), used);
    }
    assert_eq!(scene.content("f"), b"old");
    // There is no handle left.
    let handles: Vec<_> = (0..16).map(|_| s.opened("/f", flag::READ)).collect();
    assert_eq!(
        s.open("/f", NEW, &Attrs::default()).code(),
        code::FAILURE,
        "too many"
    );
    scene.assert_nothing_hidden();
    for handle in handles {
        assert_eq!(s.close(&handle), code::OK);
    }
    scene.assert_exact(&mut s);
}

#[test]
fn an_account_can_differ_from_the_config_both_ways() {
    const ON: &[(&str, &str)] = &[("uploads.safe_overwrite", "true")];
    const OFF: &[(&str, &str)] = &[("uploads.safe_overwrite", "false")];
    for (settings, choice, safe) in [
        (OFF, "default", false),
        (OFF, "on", true),
        (ON, "default", true),
        (ON, "off", false),
    ] {
        let scene = Scene::with_settings(settings, LIMIT, MAX_FILES);
        scene.set(&["--safe-overwrite", choice]);
        let mut s = scene.log_in();
        s.put("/f", b"old");
        let file = s.opened("/f", NEW);
        assert_eq!(
            scene.content("f").is_empty(),
            !safe,
            "{settings:?} {choice}"
        );
        assert_eq!(hidden_in(&scene.at_home("")).len(), usize::from(safe));
        assert_eq!(s.close(&file), code::OK);
        assert_eq!(scene.content("f"), b"");
        scene.set(&["--safe-overwrite", if safe { "off" } else { "on" }]);
        s.put("/f", b"old");
        let file = s.opened("/f", NEW);
        assert_eq!(scene.content("f").is_empty(), safe);
        drop(s);
        wait_until("the old session has ended", STEP, || {
            hidden_in(&scene.at_home("")).is_empty()
        });
        drop(file);
        scene.put_on_disk("f", "old");
        let mut s = scene.log_in();
        let file = s.opened("/f", NEW);
        assert_eq!(scene.content("f").is_empty(), safe);
        assert_eq!(s.close(&file), code::OK);
    }
}

#[test]
fn many_overwrites_of_a_session_go_on_side_by_side() {
    let scene = overwriting(Scene::with(LIMIT, MAX_FILES));
    let mut s = scene.log_in();
    for number in 0..50 {
        s.put(&format!("/f{number}"), b"old");
    }
    let handles: Vec<_> = (0..50)
        .map(|number| s.opened(format!("/f{number}"), NEW))
        .collect();
    for (number, handle) in handles.iter().enumerate() {
        let data = bytes_of(1000 + number, number as u64);
        assert_eq!(s.write(handle, 0, &data), code::OK);
    }
    for (number, handle) in handles.iter().enumerate() {
        assert_eq!(scene.content(&format!("f{number}")), b"old");
        let size = s.stat(format!("/f{number}")).attrs().size;
        assert_eq!(size, Some(1000 + number as u64));
        assert_eq!(s.close(handle), code::OK);
    }
    for number in 0..50 {
        let expected = bytes_of(1000 + number, number as u64);
        assert!(scene.content(&format!("f{number}")) == expected);
    }
    assert_eq!(scene.names().len(), 50);
    scene.assert_exact(&mut s);
}
