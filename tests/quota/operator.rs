//! What the operator sets, sees and recounts.

use std::fs;
use std::os::unix::fs::symlink;
use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::Value;

use super::load::Load;
use crate::common::wire::{code, flag};
use crate::common::{STEP, USER, bytes_of, wait_until};
use crate::quota::scene::{LIMIT, NEW, Scene, Use, assert_done, assert_exceeded, below};

/// Requests of these tests only.
impl Scene {
    #[track_caller]
    fn json(&self, args: &[&str]) -> Value {
        let said = self.server.admin(&[args, &["--json"]].concat(), "").ok();
        serde_json::from_str(&said.out()).unwrap()
    }

    /// The only account in a list.
    #[track_caller]
    fn listed(&self, args: &[&str]) -> Value {
        let all = self.json(args);
        let all = all.as_array().unwrap();
        let mine = all.iter().find(|one| one["name"] == USER);
        mine.unwrap().clone()
    }

    /// `landfall quota show`.
    fn shown(&self) -> Option<Use> {
        let shown = self.listed(&["quota", "show", USER]);
        Some(Use {
            bytes: shown["used_bytes"].as_u64()?,
            files: shown["used_files"].as_u64()?,
        })
    }
}

#[test]
fn limits_are_set_shown_changed_and_taken_away() {
    let scene = Scene::with(10 << 30, 500);
    let shown = |scene: &Scene| {
        let by_name = scene.json(&["user", "show", USER]);
        let listed = scene.listed(&["user", "list"]);
        let quota = scene.listed(&["quota", "show"]);
        for key in ["quota", "max_files", "used_bytes", "used_files"] {
            assert_eq!(by_name[key], listed[key], "{key}");
            assert_eq!(by_name[key], quota[key], "{key}");
        }
        (by_name["quota"].as_u64(), by_name["max_files"].as_u64())
    };
    assert_eq!(shown(&scene), (Some(10 << 30), Some(500)));
    for (options, quota, files) in [
        (&["--quota", "500M"][..], Some(500_000_000), Some(500)),
        (&["--quota", "1.5GiB"], Some(3 << 29), Some(500)),
        (&["--max-files", "7"], Some(3 << 29), Some(7)),
        (&["--max-files", "none"], Some(3 << 29), None),
        (
            &["--quota", "12345", "--max-files", "0"],
            Some(12_345),
            Some(0),
        ),
        (&["--quota", "none"], None, Some(0)),
        (&["--max-files", "none"], None, None),
    ] {
        scene.set(options);
        assert_eq!(shown(&scene), (quota, files), "{options:?}");
    }
    for wrong in [
        ["--quota", "much"],
        ["--quota", "-5"],
        ["--quota", "99999999TiB"],
        ["--max-files", "1.5"],
        ["--max-files", "many"],
    ] {
        let args = [&["user", "set", USER][..], &wrong].concat();
        scene.server.admin(&args, "").failed();
        assert_eq!(shown(&scene), (None, None), "{wrong:?}");
    }
    let add = ["user", "add", "carl", "--no-password"];
    let with = [&add[..], &["--quota", "2GiB", "--max-files", "9"]].concat();
    let added = scene.server.admin(&with, "");
    let added = if added.status.success() {
        added
    } else {
        let with = ["user", "add", "carl", "--password-stdin"];
        let with = [&with[..], &["--quota", "2GiB", "--max-files", "9"]].concat();
        scene.server.admin(&with, "password of carl\n")
    };
    added.ok();
    let carl = scene.json(&["user", "show", "carl"]);
    assert_eq!(
        (&carl["quota"], &carl["max_files"]),
        (&(2_u64 << 30).into(), &9.into())
    );
    let names = scene.json(&["quota", "show"]);
    assert_eq!(names.as_array().unwrap().len(), 2);
    scene
        .server
        .admin(&["quota", "show", "nobody"], "")
        .failed();
}

#[test]
fn the_operator_sees_what_is_used_after_the_last_session_and_after_the_server() {
    let mut scene = Scene::new();
    let used = Use {
        bytes: 123_456,
        files: 3,
    };
    {
        let mut s = scene.log_in();
        assert_eq!(s.mkdir("/d"), code::OK);
        s.put("/d/f", &bytes_of(123_456, 1));
        assert_done(&s.try_hardlink("/d/f", "/g"));
    }
    wait_until("the server has told it after the session", STEP, || {
        scene.shown() == Some(used)
    });
    let text = scene.server.admin(&["quota", "show"], "").ok().out();
    assert!(text.contains(USER) && text.contains("1MiB"), "{text}");
    assert!(text.contains("120.6 KiB"), "{text}");
    assert!(scene.server.stop().unwrap().success());
    assert_eq!(scene.shown(), Some(used));
    assert_eq!(below(&scene.at_home("")), used);
    // The next server starts from the same figures.
    scene.server.serve();
    let mut s = scene.log_in();
    assert_eq!(s.used(), used);
    scene.assert_exact(&mut s);
}

#[test]
fn the_operator_sees_what_is_used_while_a_session_goes_on() {
    let scene = Scene::new();
    let mut s = scene.log_in();
    for size in [1000, 500, 700_000] {
        s.put("/f", &bytes_of(size as usize, 1));
        wait_until("the running server has told it", STEP, || {
            let used = scene.shown();
            used.is_some_and(|used| {
                used == Use {
                    bytes: size,
                    files: 1,
                }
            })
        });
    }
}

#[test]
fn files_that_are_there_before_the_first_login_are_counted() {
    let scene = Scene::new();
    fs::create_dir_all(scene.at_home("d/e")).unwrap();
    fs::write(scene.at_home("d/e/f"), bytes_of(700_000, 1)).unwrap();
    fs::hard_link(scene.at_home("d/e/f"), scene.at_home("g")).unwrap();
    symlink("nowhere", scene.at_home("l")).unwrap();
    let mut s = scene.log_in();
    let file = s.opened("/new", NEW);
    assert_exceeded(&s.try_write(&file, 100_000, &bytes_of(250_000, 2)));
    assert_eq!(s.write(&file, 0, &bytes_of(250_000, 2)), code::OK);
    let expected = Use {
        bytes: 950_000 + "nowhere".len() as u64,
        files: 6,
    };
    assert_eq!(s.used(), expected);
    scene.assert_exact(&mut s);
}

#[test]
fn files_that_the_operator_puts_there_by_hand_are_found_by_a_recount() {
    let mut scene = Scene::new();
    scene.log_in().put("/uploaded", &bytes_of(100_000, 1));
    for whose in [&[USER][..], &[]] {
        assert!(scene.server.stop().unwrap().success());
        let _ = fs::remove_dir_all(scene.at_home("by hand"));
        fs::create_dir(scene.at_home("by hand")).unwrap();
        fs::write(scene.at_home("by hand/f"), bytes_of(300_000, 2)).unwrap();
        fs::write(scene.at_home("by hand/g"), "").unwrap();
        let recount = [&["quota", "recount"][..], whose].concat();
        scene.server.admin(&recount, "").ok();
        let expected = Use {
            bytes: 400_000,
            files: 4,
        };
        assert_eq!(scene.shown(), Some(expected));
        scene.server.serve();
        let mut s = scene.log_in();
        assert_eq!(s.used(), expected);
        let file = s.opened("/uploaded", flag::WRITE);
        assert_exceeded(&s.try_write(&file, 748_570, b"1234567"));
        // None of its files are open when it is removed.
        drop(s);
        let mut s = scene.log_in();
        assert_eq!(s.remove("/by hand/f"), code::OK);
        assert_eq!(s.remove("/by hand/g"), code::OK);
        assert_eq!(s.rmdir("/by hand"), code::OK);
        assert_eq!(
            s.used(),
            Use {
                bytes: 100_000,
                files: 1
            }
        );
        drop(s);
    }
    let all = scene.server.admin(&["quota", "recount", "nobody"], "");
    all.failed();
}

#[test]
fn a_recount_while_sessions_go_on_is_exact_and_finds_what_was_put_there() {
    let scene = Scene::with(LIMIT, 40);
    let mut s = scene.log_in();
    let open = s.opened("/open", NEW);
    assert_eq!(s.write(&open, 0, &bytes_of(1000, 1)), code::OK);
    let removed = s.opened("/removed", NEW);
    assert_eq!(s.write(&removed, 0, &bytes_of(2000, 1)), code::OK);
    assert_eq!(s.remove("/removed"), code::OK);
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for seed in 0..2 {
            let (scene, stop) = (&scene, &stop);
            scope.spawn(move || {
                let mut load = Load::new(scene.log_in(), seed, LIMIT / 8);
                while !stop.load(Ordering::Relaxed) {
                    assert!(load.burst(), "the server is gone");
                }
            });
        }
        let counted: Vec<_> = (0..5)
            .map(|number: u64| {
                fs::create_dir(scene.at_home(&format!("by hand {number}"))).unwrap();
                let name = format!("by hand {number}/f");
                fs::write(scene.at_home(&name), bytes_of(3000, number)).unwrap();
                let recount = ["quota", "recount", USER];
                scene.server.admin(&recount, "").status.success()
            })
            .collect();
        stop.store(true, Ordering::Relaxed);
        assert_eq!(counted, [true; 5]);
    });
    // Data that the operator has added may exceed the limits; the free space cannot show by how much.
    scene.set_limits(2 * LIMIT, 1000);
    drop(scene.log_in());
    scene.assert_exact_soon(&mut s);
    assert_eq!(s.write(&removed, 2000, &[1; 10]), code::OK);
    assert_eq!(s.write(&open, 1000, &[1; 10]), code::OK);
    assert_eq!(s.close(&removed), code::OK);
    scene.assert_exact(&mut s);
}

#[test]
fn another_home_is_counted_and_has_its_own_figures() {
    let scene = Scene::new();
    scene.log_in().put("/f", &bytes_of(1000, 1));
    let other = scene.server.path("another home");
    fs::create_dir(&other).unwrap();
    fs::write(other.join("there"), bytes_of(5000, 1)).unwrap();
    for round in 1..3 {
        scene.set(&["--home", other.to_str().unwrap()]);
        let mut s = scene.log_in();
        let name = format!("/new{round}");
        s.put(&name, &bytes_of(100, 2));
        assert_eq!(s.used(), below(&other));
        assert_eq!(below(&other).bytes, 5000 + 100 * round);
        drop(s);
        wait_until("the operator sees the new home's figures", STEP, || {
            scene.shown() == Some(below(&other))
        });
        scene.set(&["--home", scene.at_home("").to_str().unwrap()]);
        let mut s = scene.log_in();
        s.put(&name, &bytes_of(10, 2));
        scene.assert_exact(&mut s);
        assert_eq!(s.used().bytes, 1000 + 10 * round);
        drop(s);
        wait_until("the operator sees the old home's figures", STEP, || {
            scene.shown() == Some(below(&scene.at_home("")))
        });
    }
}
