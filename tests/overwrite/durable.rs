//! `fsync_on_close`: written data and new names are on the disk before the server answers CLOSE.

use std::fs;
use std::process::{Command, Stdio};

use super::overwriting;
use crate::common::wire::{code, flag};
use crate::common::{MIB, Running, STEP, have, skip, wait_until};
use crate::disks::faulty::{FaultyDisk, IO};
use crate::quota::scene::{LIMIT, MAX_FILES, NEW, Scene, Session};

const ON: &[(&str, &str)] = &[("uploads.fsync_on_close", "true")];

/// The server's system calls that sync or rename a file, from strace.
struct Traced<'a> {
    scene: &'a Scene,
    strace: Running,
}

impl<'a> Traced<'a> {
    /// Returns `None` if this machine does not allow tracing, which is reported loudly.
    fn new(scene: &'a Scene) -> Option<Self> {
        if !have(&["strace"]) {
            return None;
        }
        let mut strace = Command::new("strace");
        strace
            .args([
                "-f",
                "-qq",
                "-y",
                "-e",
                "trace=fsync,fdatasync,renameat,renameat2",
            ])
            .args(["-e", "signal=none", "-o"])
            .arg(scene.server.local("trace"))
            .args(["-p", &scene.server.process_id().to_string()])
            .stdin(Stdio::null());
        let mut traced = Self {
            scene,
            strace: Running::start(&mut strace),
        };
        let status = format!("/proc/{}/task", scene.server.process_id());
        let attached = || {
            let mut tasks = fs::read_dir(&status).unwrap().flatten();
            tasks.all(|task| {
                let status = fs::read_to_string(task.path().join("status")).unwrap_or_default();
                status.lines().any(|line| {
                    line.strip_prefix("TracerPid:")
                        .is_some_and(|tracer| tracer.trim() != "0")
                })
            })
        };
        wait_until("strace is there", STEP, || {
            attached() || !traced.strace.is_running()
        });
        if !traced.strace.is_running() {
            skip("a process cannot be traced here");
            return None;
        }
        Some(traced)
    }

    /// Returns the calls in the home since the last time, up to the answer to `act`.
    fn calls(&self, act: impl FnOnce()) -> Vec<String> {
        let read = || fs::read_to_string(self.scene.server.local("trace")).unwrap_or_default();
        let before = read().len();
        act();
        let home = self.scene.at_home("");
        let home = home.to_str().unwrap().trim_end_matches('/');
        let text = read();
        let calls = text[before..].lines().filter_map(|line| {
            let (call, rest) = line.split_once(' ')?.1.trim().split_once('(')?;
            let path = rest.split_once('<')?.1.split_once('>')?.0;
            let below = path.strip_prefix(home)?.trim_start_matches('/');
            let below = if below.starts_with(".landfall-upload-") {
                "hidden"
            } else {
                below
            };
            Some(format!("{call} {below}"))
        });
        calls.collect()
    }
}

fn write_and_close(s: &mut Session, path: &str, flags: u32) {
    let file = s.opened(path, flags);
    if flags & (flag::WRITE | flag::APPEND) != 0 {
        assert_eq!(s.write(&file, 0, b"bytes"), code::OK);
    }
    assert_eq!(s.close(&file), code::OK);
}

#[test]
fn a_close_waits_for_the_file_and_for_a_name_that_is_new() {
    let scene = Scene::with_settings(ON, LIMIT, MAX_FILES);
    let Some(traced) = Traced::new(&scene) else {
        return;
    };
    let mut s = scene.log_in();
    assert_eq!(s.mkdir("/d"), code::OK);
    assert_eq!(s.try_symlink("/d/made", "/link").code(), code::OK);
    for (path, flags, expected) in [
        ("/f", NEW, &["fsync f", "fsync "][..]),
        ("/f", NEW, &["fsync f"]),
        ("/f", flag::WRITE, &["fsync f"]),
        ("/f", flag::APPEND | flag::CREAT, &["fsync f"]),
        ("/f", flag::READ, &[]),
        ("/d/f", flag::WRITE | flag::CREAT, &["fsync d/f", "fsync d"]),
        ("/link", NEW, &["fsync d/made", "fsync d"]),
    ] {
        let calls = traced.calls(|| write_and_close(&mut s, path, flags));
        assert_eq!(calls, expected, "{path} {flags}");
    }
    scene.assert_exact(&mut s);
    drop(s);
    // The file is synced before it is renamed, and the rename is synced too.
    scene.set(&["--safe-overwrite", "on"]);
    let mut s = scene.log_in();
    let calls = traced.calls(|| write_and_close(&mut s, "/f", NEW));
    assert_eq!(calls, ["fsync hidden", "renameat ", "fsync "]);
    // Also before CLOSE.
    let calls = traced.calls(|| {
        let file = s.opened("/d/f", NEW);
        assert_eq!(s.write(&file, 0, b"new"), code::OK);
        assert_eq!(s.get("/d/f"), b"new");
        assert_eq!(s.write(&file, 0, b"NEW"), code::OK);
        assert_eq!(s.close(&file), code::OK);
    });
    let hidden = calls[0].strip_prefix("fsync d/.landfall-upload-");
    assert!(hidden.is_some(), "{calls:?}");
    assert_eq!(calls[1..], ["renameat d", "fsync d/f", "fsync d"]);
    scene.assert_exact(&mut s);
}

#[test]
fn without_it_nothing_waits_for_the_disk() {
    let scene = overwriting(Scene::with(LIMIT, MAX_FILES));
    let Some(traced) = Traced::new(&scene) else {
        return;
    };
    let mut s = scene.log_in();
    let calls = traced.calls(|| {
        write_and_close(&mut s, "/f", NEW);
        write_and_close(&mut s, "/f", NEW);
        write_and_close(&mut s, "/f", flag::WRITE);
    });
    assert_eq!(calls, ["renameat "]);
}

#[test]
fn what_cannot_be_made_durable_is_an_error_of_the_close() {
    let Some(disk) = FaultyDisk::mount() else {
        return;
    };
    let quota = 4 * MIB as u64;
    for safe in ["off", "on"] {
        let mut scene = Scene::with_settings(ON, quota, MAX_FILES);
        scene.move_to(&disk.home());
        scene.set(&["--safe-overwrite", safe]);
        let mut s = scene.log_in();
        s.put("/f", b"old");
        let file = s.opened("/f", NEW);
        assert_eq!(s.write(&file, 0, b"new"), code::OK);
        disk.fail(&[("fsync", IO)]);
        let reply = s.close_reply(&file);
        disk.fail(&[]);
        assert_eq!(reply.code(), code::FAILURE);
        assert!(reply.message().contains("Input/output error"), "{reply:?}");
        if safe == "on" {
            assert_eq!(scene.content("f"), b"old");
            assert_eq!(scene.content("f.filepart"), b"new");
            assert_eq!(s.remove("/f.filepart"), code::OK);
        } else {
            assert_eq!(scene.content("f"), b"new");
        }
        // A new name, too.
        let file = s.opened("/g", NEW);
        disk.fail(&[("fsyncdir", IO)]);
        let reply = s.close_reply(&file);
        disk.fail(&[]);
        assert!(reply.message().contains("Input/output error"), "{reply:?}");
        scene.assert_exact(&mut s);
        for path in ["/f", "/g"] {
            assert_eq!(s.remove(path), code::OK);
        }
    }
}

#[test]
fn a_folder_that_is_gone_needs_no_durable_names() {
    let scene = overwriting(Scene::with_settings(ON, LIMIT, MAX_FILES));
    let mut s = scene.log_in();
    assert_eq!(s.mkdir("/d"), code::OK);
    s.put("/d/f", b"old");
    let (file, new) = (s.opened("/d/f", NEW), s.opened("/d/g", NEW));
    for path in ["/d/f", "/d/g"] {
        assert_eq!(s.remove(path), code::OK);
    }
    assert_eq!(s.rmdir("/d"), code::OK);
    assert_eq!(s.close(&file), code::OK);
    assert_eq!(s.close(&new), code::OK);
    assert_eq!(scene.names(), [""; 0]);
    scene.assert_exact(&mut s);
}

/// Nobody waits for data that was written before the connection was cut.
#[test]
fn a_cut_keeps_the_part_as_ever() {
    let scene = overwriting(Scene::with_settings(ON, LIMIT, MAX_FILES));
    let mut s = scene.log_in();
    s.put("/f", b"old");
    let file = s.opened("/f", NEW);
    assert_eq!(s.write(&file, 0, b"new"), code::OK);
    s.send_eof();
    s.until_closed();
    assert_eq!(scene.content("f"), b"old");
    assert_eq!(scene.content("f.filepart"), b"new");
}
