//! Races of two sessions: one changes where a name leads while the other uses it.

use std::fs;
use std::os::unix::fs::{MetadataExt, symlink};
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use bytes::Bytes;
use rustix::fs::{CWD, RenameFlags, renameat_with};
use rustix::io::Errno;

use super::*;
use crate::store::Changes;

/// Uses of each operation while the name is being changed.
const ROUNDS: usize = 3_000;
/// This many of all uses must have met a file inside, and this many must have missed it: otherwise the race
/// has not been run. (Missing is far faster than meeting, so rounds alone do not tell.)
const ENOUGH: usize = 2_000;
/// For busy machines.
const DEADLINE: Duration = Duration::from_secs(60);

/// Runs `swap` again and again on a thread of its own while `act` runs; returns how often.
fn while_swapping(swap: impl Fn() + Sync, act: impl FnOnce()) -> u64 {
    let stop = AtomicBool::new(false);
    let swaps = AtomicU64::new(0);
    thread::scope(|scope| {
        scope.spawn(|| {
            while !stop.load(Ordering::Relaxed) {
                swap();
                swaps.fetch_add(1, Ordering::Relaxed);
            }
        });
        // Also when `act` panics: the test would hang otherwise.
        let _stop = StopOnDrop(&stop);
        act();
    });
    swaps.into_inner()
}

struct StopOnDrop<'a>(&'a AtomicBool);

impl Drop for StopOnDrop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

fn exchange(one: &Path, other: &Path) {
    renameat_with(CWD, one, CWD, other, RenameFlags::EXCHANGE).unwrap();
}

/// Reads, examines, creates and renames through `way` (a directory that is sometimes a link or elsewhere),
/// and checks that only files inside are met; until enough were met and missed.
fn use_it(f: &Fixture, way: &str, misses: usize) {
    let outside = fs::metadata(f.outside.join("canary")).unwrap();
    let outside = (outside.dev(), outside.ino());
    let at = |name: &str| path(format!("{way}/{name}"));
    let (canary, made, moved) = (at("canary"), at("made"), at("moved"));
    let (own, second) = (path("own"), path("second"));
    let (mut met, mut missed) = (0, 0);
    let both = OpenHow {
        read: true,
        ..WRITE
    };
    let changes = Changes {
        permissions: Some(0o640),
        times: Some((1, 2)),
        ..Changes::default()
    };
    let start = Instant::now();
    let mut rounds = 0;
    while rounds < ROUNDS || met < ENOUGH || missed < misses {
        assert!(
            start.elapsed() < DEADLINE,
            "{way}: met {met}, missed {missed}"
        );
        rounds += 1;
        f.store.open(&own, &CREATE).unwrap();
        let mut count = |outcome: Result<(), Error>| match outcome {
            Ok(()) => met += 1,
            Err(Error::Os(Errno::NOENT | Errno::NOTDIR | Errno::AGAIN | Errno::EXIST)) => {
                missed += 1;
            }
            Err(other) => panic!("{way}: {other:?}"),
        };
        count(f.store.open(&canary, &both).map(|file| {
            assert_eq!(read_all(&*file).unwrap(), b"inside");
            file.write(0, &[Bytes::from_static(b"inside")]).unwrap();
        }));
        count(f.store.metadata(&canary, true).map(|found| {
            assert_ne!(found.inode, outside);
        }));
        count(f.store.change(&canary, &changes, true));
        count(f.store.make_directory(&made, None));
        count(f.store.remove_directory(&made));
        count(f.store.rename(&own, &moved, true));
        count(f.store.rename(&moved, &own, true));
        count(f.store.hard_link(&canary, &second).map(|()| {
            assert_eq!(f.content("second"), b"inside");
            f.store.remove_file(&second).unwrap();
        }));
    }
}

#[test]
fn a_link_that_is_swapped_during_use_leads_nowhere_else() {
    for target in ["../outside", "absolute"] {
        let f = Fixture::new();
        fs::create_dir(f.home.join("dir")).unwrap();
        f.put("dir/canary", "inside");
        f.put("own", "own");
        let outside = if target == "absolute" {
            f.outside.clone()
        } else {
            target.into()
        };
        symlink(outside, f.home.join("link")).unwrap();
        let before = snapshot(&f.outside);
        let (dir, link) = (f.home.join("dir"), f.home.join("link"));
        while_swapping(|| exchange(&dir, &link), || use_it(&f, "dir", ENOUGH));
        assert_eq!(snapshot(&f.outside), before, "{target}");
    }
}

/// The classic way out of a tree that is checked step by step: a directory is moved up while somebody walks
/// ".." in it.
#[test]
fn a_directory_that_is_moved_up_during_use_is_no_way_out() {
    let f = Fixture::new();
    fs::create_dir_all(f.home.join("a/d")).unwrap();
    fs::create_dir(f.home.join("d")).unwrap();
    fs::create_dir(f.home.join("outside")).unwrap();
    f.put("outside/canary", "inside");
    f.put("own", "own");
    let before = snapshot(&f.outside);
    let (deep, flat) = (f.home.join("a/d"), f.home.join("d"));
    // The path always exists. But once "d" is met in its upper location, the rest is walked there, too, and
    // the last ".." is one too many.
    let way = format!("a/{}d/../../outside", "d/../".repeat(20));
    let swaps = while_swapping(|| exchange(&deep, &flat), || use_it(&f, &way, 0));
    assert_eq!(snapshot(&f.outside), before);
    assert!(swaps > 1000, "{swaps}");
}

#[test]
fn a_canonical_path_is_one_of_those_that_were() {
    let f = Fixture::new();
    fs::create_dir_all(f.home.join("a/x")).unwrap();
    fs::create_dir_all(f.home.join("b/x")).unwrap();
    let (one, other) = (f.home.join("a"), f.home.join("b"));
    let swaps = while_swapping(
        || exchange(&one, &other),
        || {
            for _ in 0..ROUNDS {
                let found = f.store.canonical(&path("a/x/../x")).unwrap().absolute();
                assert!(found == b"/a/x" || found == b"/b/x", "{found:?}");
            }
        },
    );
    assert!(swaps > 1000, "{swaps}");
}
