//! The server is killed under load, repeatedly: after each restart its usage figures equal the disk. 10
//! rounds, 100 with LONG=1; SEED=N repeats the load of a failed run.

use std::fs;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::common::bytes_of;
use crate::common::files::Random;
use crate::common::wire::code;
use crate::quota::load::Load;
use crate::quota::scene::{LIMIT, NEW, Scene, Use, assert_exceeded, below, is_exceeded};

const CONNECTIONS: u64 = 4;
const FILES: u64 = 12;

/// Puts load on the server from several connections, and kills it meanwhile.
fn kill_under_load(scene: &mut Scene, random: &mut Random) {
    let loads: Vec<_> = (0..CONNECTIONS)
        .map(|_| Load::new(scene.log_in(), random.next(), LIMIT / 3))
        .collect();
    let delay = Duration::from_millis(random.below(400));
    std::thread::scope(|scope| {
        let threads: Vec<_> = loads
            .into_iter()
            .map(|mut load| scope.spawn(move || while load.burst() {}))
            .collect();
        std::thread::sleep(delay);
        scene.kill_server();
        for thread in threads {
            thread.join().unwrap();
        }
    });
}

#[test]
fn after_each_kill_under_load_the_figures_are_those_of_the_disk() {
    kill_again_and_again("off");
}

#[test]
fn after_each_kill_under_safe_overwrites_the_figures_are_those_of_the_disk() {
    kill_again_and_again("on");
}

fn kill_again_and_again(safe_overwrite: &str) {
    let long = std::env::var("LONG").is_ok_and(|value| value == "1");
    let seed = crate::quota::load::seed();
    println!("SEED={seed} repeats this load");
    let mut random = Random::new(seed);
    let mut scene = Scene::with(LIMIT, FILES);
    scene.set(&["--safe-overwrite", safe_overwrite]);
    let mut left = 0;
    for round in 0..if long { 100 } else { 10 } {
        kill_under_load(&mut scene, &mut random);
        let on_disk = below(&scene.at_home(""));
        assert!(on_disk.bytes <= LIMIT, "round {round}: {on_disk:?}");
        assert!(on_disk.files <= FILES, "round {round}: {on_disk:?}");
        if random.below(4) == 0 {
            // It is killed once more before it can count.
            scene.server.serve();
            scene.kill_server();
        }
        scene.server.serve();
        let mut s = scene.log_in();
        // Files may grow only after the count, so this write is answered after it.
        let names = s.list("/");
        let name = names.iter().find(|entry| entry.name == b"f");
        assert!(name.is_none());
        let reply = s.open("/f", NEW, &crate::common::wire::Attrs::default());
        assert_eq!(is_exceeded(&reply), on_disk.files == FILES, "{reply:?}");
        assert_eq!(s.used(), scene.on_disk(), "round {round}");
        if !is_exceeded(&reply) {
            let file = reply.handle();
            let left = LIMIT - on_disk.bytes;
            assert_exceeded(&s.try_write(&file, left, b"x"));
            assert_eq!(s.try_resize_open(&file, left).code(), code::OK);
            assert_eq!(s.used().bytes, LIMIT);
            assert_eq!(s.close(&file), code::OK);
            assert_eq!(s.remove("/f"), code::OK);
        }
        scene.assert_exact(&mut s);
        assert_eq!(s.used(), on_disk, "round {round}");
        left += scene.hidden_paths().len();
        if safe_overwrite == "on" {
            // The test needs files to overwrite, and room for what the overwrites leave.
            s.remove_below("");
            for path in ["/a", "/b", "/c", "/e"] {
                s.put(path, b"old");
            }
            scene.assert_exact(&mut s);
        }
    }
    println!("{left} hidden files were left");
    assert_eq!(left > 0, safe_overwrite == "on", "{left} hidden files");
}

#[test]
fn a_server_that_ends_by_itself_under_load_has_nothing_to_count() {
    let mut random = Random::new(7);
    let mut scene = Scene::with(LIMIT, FILES);
    for round in 0..3 {
        let loads: Vec<_> = (0..CONNECTIONS)
            .map(|_| Load::new(scene.log_in(), random.next(), LIMIT / 3))
            .collect();
        std::thread::scope(|scope| {
            for mut load in loads {
                scope.spawn(move || while load.burst() {});
            }
            std::thread::sleep(Duration::from_millis(200));
            assert!(scene.server.stop().unwrap().success());
        });
        let on_disk = below(&scene.at_home(""));
        scene.server.serve();
        let mut s = scene.log_in();
        assert_eq!(s.used(), on_disk, "round {round}");
        scene.assert_exact(&mut s);
    }
}

#[test]
fn many_who_log_in_at_once_after_a_kill_wait_for_one_count() {
    let mut scene = Scene::new();
    let mut s = scene.log_in();
    for number in 0..20 {
        s.put(&format!("/kept{number}"), &bytes_of(10_000, number));
    }
    scene.kill_server();
    scene.server.serve();
    let room = LIMIT - 200_000;
    let taken = AtomicU64::new(0);
    std::thread::scope(|scope| {
        for number in 0..6 {
            let (scene, taken) = (&scene, &taken);
            scope.spawn(move || {
                let mut s = scene.log_in();
                let file = s.opened(format!("/f{number}"), NEW);
                // Each needs a third of the room, so three of them fit.
                let size = room / 3;
                if s.try_resize_open(&file, size).code() == code::OK {
                    taken.fetch_add(size, Ordering::Relaxed);
                }
            });
        }
    });
    assert_eq!(taken.into_inner(), room / 3 * 3);
    assert_eq!(below(&scene.at_home("")).bytes, 200_000 + room / 3 * 3);
    scene.assert_exact_soon(&mut scene.log_in());
}

#[test]
fn reading_and_removing_go_on_after_a_kill() {
    let mut scene = Scene::new();
    let data = bytes_of(300_000, 1);
    let mut s = scene.log_in();
    s.put("/kept", &data);
    s.put("/stays", &data);
    let file = s.opened("/open", NEW);
    assert_eq!(s.write(&file, 0, &[1; 1000]), code::OK);
    assert_eq!(s.remove("/open"), code::OK);
    scene.kill_server();
    assert!(fs::read(scene.at_home("kept")).unwrap() == data);
    scene.server.serve();
    let mut s = scene.log_in();
    assert!(s.get("/kept") == data);
    assert_eq!(s.remove("/kept"), code::OK);
    s.put("/new", b"new");
    let expected = Use {
        bytes: 300_003,
        files: 2,
    };
    assert_eq!(s.used(), expected);
    scene.assert_exact(&mut s);
}
