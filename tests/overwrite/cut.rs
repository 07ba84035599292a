//! The session ends before the file is closed: the old file stays, and the received part is kept so
//! that the client can resume.

use std::fs;

use super::{hidden_in, overwriting, safe_scene};
use crate::common::files::{Random, assert_same};
use crate::common::wire::{self, code, flag};
use crate::common::{KIB, MIB, Running, STEP, TRANSFER, bytes_of, random_file, run_ok, wait_until};
use crate::quota::scene::{LIMIT, MAX_FILES, NEW, Scene, below};

/// Overwrites `/f` with `content`, disconnects without CLOSE, and waits until the server has noticed.
fn cut_after(scene: &Scene, content: &[u8]) {
    let mut s = scene.log_in();
    let file = s.opened("/f", NEW);
    let hidden = scene.hidden();
    if !content.is_empty() {
        assert_eq!(s.write(&file, 0, content), code::OK);
    }
    drop(s);
    let hidden = scene.at_home(&hidden);
    let held = |path: &std::path::Path| {
        let open = fs::read_dir(format!("/proc/{}/fd", scene.server.process_id())).unwrap();
        open.flatten()
            .any(|entry| fs::read_link(entry.path()).is_ok_and(|found| found == path))
    };
    let part = scene.at_home("f.filepart");
    wait_until("the server has closed the files", STEP, || {
        !held(&hidden) && !held(&part) && !held(&scene.at_home("f"))
    });
}

#[test]
fn a_connection_that_is_cut_leaves_the_old_file_and_a_part_to_go_on_with() {
    let scene = safe_scene();
    let new = bytes_of(200_000, 2);
    scene.put_on_disk("f", "old");
    scene.server.admin(&["quota", "recount"], "").ok();
    cut_after(&scene, &new[..70_000]);
    assert_eq!(scene.content("f"), b"old");
    assert!(scene.content("f.filepart") == new[..70_000]);
    assert_eq!(scene.names(), ["f", "f.filepart"]);
    let mut s = scene.log_in();
    scene.assert_exact(&mut s);
    // WinSCP does this: it finds the part, resumes it, and renames it.
    let size = s.lstat("/f.filepart").attrs().size.unwrap();
    let file = s.opened("/f.filepart", flag::WRITE | flag::CREAT);
    assert_eq!(s.write(&file, size, &new[size as usize..]), code::OK);
    assert_eq!(s.close(&file), code::OK);
    assert_eq!(s.remove("/f"), code::OK);
    assert_eq!(s.rename("/f.filepart", "/f"), code::OK);
    assert!(scene.content("f") == new);
    assert_eq!(scene.names(), ["f"]);
    scene.assert_exact(&mut s);
}

#[test]
fn a_part_that_is_there_stays_and_the_next_one_is_hidden() {
    let scene = safe_scene();
    scene.put_on_disk("f", "old");
    scene.put_on_disk("f.filepart", "somebody's");
    cut_after(&scene, b"begun");
    assert_eq!(scene.content("f"), b"old");
    assert_eq!(scene.content("f.filepart"), b"somebody's");
    assert_eq!(scene.content(&scene.hidden()), b"begun");
    scene.assert_exact(&mut scene.log_in());
}

#[test]
fn of_nothing_nothing_is_kept() {
    for part in [None, Some("somebody's")] {
        let scene = safe_scene();
        scene.put_on_disk("f", "old");
        if let Some(part) = part {
            scene.put_on_disk("f.filepart", part);
        }
        cut_after(&scene, b"");
        assert_eq!(scene.content("f"), b"old");
        assert_eq!(scene.names().len(), 1 + usize::from(part.is_some()));
        scene.assert_exact(&mut scene.log_in());
    }
}

#[test]
fn a_name_that_is_too_long_for_a_part_leaves_it_hidden() {
    let scene = safe_scene();
    let name = "n".repeat(250);
    let mut s = scene.log_in();
    s.put(&name, b"old");
    let file = s.opened(&name, NEW);
    assert_eq!(s.write(&file, 0, b"new"), code::OK);
    assert_ne!(s.try_write(&file, 1 << 40, b"x").code(), code::OK);
    let message = s.assert_unfinished(&file);
    assert!(message.contains("hidden"), "{message}");
    assert_eq!(scene.content(&name), b"old");
    assert_eq!(scene.content(&scene.hidden()), b"new");
    scene.assert_exact(&mut s);
}

#[test]
fn a_session_that_ends_in_good_order_without_a_close_is_a_cut_too() {
    let scene = safe_scene();
    let mut s = scene.log_in();
    s.put("/f", b"old");
    let file = s.opened("/f", NEW);
    assert_eq!(s.write(&file, 0, b"new"), code::OK);
    s.send_eof();
    s.until_closed();
    assert_eq!(s.exit_status, Some(0));
    assert_eq!(scene.content("f"), b"old");
    assert_eq!(scene.content("f.filepart"), b"new");
    scene.assert_exact(&mut scene.log_in());
}

#[test]
fn a_close_that_was_received_whole_counts() {
    let scene = safe_scene();
    let mut s = scene.log_in();
    s.put("/f", b"old");
    let file = s.opened("/f", NEW);
    let write = s.body(wire::WRITE).string(&file).u64(0).string("new");
    let close = s.body(wire::CLOSE).string(&file);
    s.send_bytes(&[write.packet(), close.packet()].concat());
    s.send_eof();
    s.until_closed();
    assert_eq!(scene.content("f"), b"new");
    assert_eq!(scene.names(), ["f"]);
}

#[test]
fn a_server_that_is_stopped_keeps_what_has_come() {
    let mut scene = safe_scene();
    let mut s = scene.log_in();
    s.put("/f", b"old");
    let file = s.opened("/f", NEW);
    assert_eq!(s.write(&file, 0, b"new"), code::OK);
    assert!(scene.server.stop().unwrap().success());
    assert_eq!(scene.content("f"), b"old");
    assert_eq!(scene.names(), ["f", "f.filepart"]);
    assert_eq!(scene.content("f.filepart"), b"new");
    scene.server.serve();
    scene.assert_exact(&mut scene.log_in());
}

#[test]
fn a_server_that_is_killed_leaves_the_old_file_and_a_hidden_one_that_counts() {
    let mut scene = safe_scene();
    let mut s = scene.log_in();
    s.put("/f", b"old");
    let file = s.opened("/f", NEW);
    assert_eq!(s.write(&file, 0, b"new"), code::OK);
    scene.kill_server();
    assert_eq!(scene.content("f"), b"old");
    assert_eq!(scene.content(&scene.hidden()), b"new");
    scene.server.serve();
    let mut s = scene.log_in();
    // Files may grow only after the count.
    s.put("/g", b"g");
    scene.assert_exact(&mut s);
    assert_eq!(s.used().bytes, 7);
    // The user can remove it.
    let hidden = format!("/{}", scene.hidden());
    assert_eq!(s.posix_rename(&hidden, "/f"), code::OK);
    assert_eq!(scene.content("f"), b"new");
    scene.assert_exact(&mut s);
}

/// Returns how much of an upload has arrived: in the hidden file, or in the part that is being resumed.
fn arrived(scene: &Scene, name: Option<&str>) -> u64 {
    let hidden = hidden_in(&scene.at_home(""));
    let name = name.or(hidden.first().map(String::as_str));
    let found = name.and_then(|name| fs::metadata(scene.at_home(name)).ok());
    found.map_or(0, |found| found.len())
}

#[test]
fn sftp_cut_at_any_byte_is_gone_on_with_in_the_part() {
    let scene = overwriting(Scene::with(LIMIT * 100, MAX_FILES));
    let server = &scene.server;
    let (old, new) = (server.local("old"), server.local("f"));
    random_file(&old, 5 * MIB as u64, 1);
    random_file(&new, 12 * MIB as u64 + 11, 2);
    let whole = fs::read(&new).unwrap();
    let mut random = Random::new(3);
    for _ in 0..3 {
        run_ok(&mut server.sftp_batch(&[], "put old f\n"), TRANSFER);
        assert_same(&old, &scene.at_home("f"));
        let slow = ["-l", "64000"];
        let grown_to = |client: &mut Running, name: Option<&str>, past: u64| {
            wait_until("the upload gets on", TRANSFER, || {
                assert!(client.is_running(), "over before it was cut");
                arrived(&scene, name) > past
            });
        };
        let mut put = Running::start(&mut server.sftp_batch(&slow, "put f f\n"));
        grown_to(&mut put, None, random.below(5 * MIB as u64));
        put.kill();
        wait_until("the part has its name", STEP, || {
            scene.has("f.filepart") && hidden_in(&scene.at_home("")).is_empty()
        });
        assert_same(&old, &scene.at_home("f"));
        let part = scene.content("f.filepart");
        assert!(
            !part.is_empty() && whole.starts_with(&part),
            "{}",
            part.len()
        );
        scene.assert_exact_soon(&mut scene.log_in());
        // Cut a second time, while the part is being resumed.
        let mut again = Running::start(&mut server.sftp_batch(&slow, "reput f f.filepart\n"));
        grown_to(
            &mut again,
            Some("f.filepart"),
            part.len() as u64 + 200 * KIB as u64,
        );
        again.kill();
        assert_same(&old, &scene.at_home("f"));
        let finish = "reput f f.filepart\nrename f.filepart f\n";
        run_ok(&mut server.sftp_batch(&[], finish), TRANSFER);
        assert_same(&new, &scene.at_home("f"));
        assert_eq!(scene.names(), ["f"]);
        let mut s = scene.log_in();
        scene.assert_exact_soon(&mut s);
        assert_eq!(s.used(), below(&scene.at_home("")));
    }
}
