//! Walks over trees that clients, and local users beside them, make as hard to walk as they can.

use std::fs::{self, File, Permissions};
use std::ops::ControlFlow;
use std::os::unix::fs::PermissionsExt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use rustix::fs::{CWD, Mode, OFlags, RenameFlags, fchmod, mkdirat, openat, renameat_with};
use rustix::io::Errno;
use rustix::thread::{CapabilitySet, capabilities, set_capabilities};

use super::super::remove_home;
use super::super::walk::NAMES;
use super::*;
use crate::store::Counted;

/// How long names are swapped during recounts. Without the fix, a victim's mode changes within a fraction
/// of it.
const ATTACK: Duration = Duration::from_secs(3);

/// Runs `act` on a thread that permission bits apply to, even if the tests run as root.
fn without_privilege<T: Send>(act: impl FnOnce() -> T + Send) -> T {
    let on_it = || {
        let mut sets = capabilities(None).unwrap();
        let bypass =
            CapabilitySet::DAC_OVERRIDE | CapabilitySet::DAC_READ_SEARCH | CapabilitySet::FOWNER;
        sets.effective.remove(bypass);
        set_capabilities(None, sets).unwrap();
        act()
    };
    thread::scope(|scope| scope.spawn(on_it).join().unwrap())
}

fn close(f: &Fixture, name: &str, mode: u32) {
    fs::set_permissions(f.home.join(name), Permissions::from_mode(mode)).unwrap();
}

fn count_it(f: &Fixture) -> Result<Counted, Error> {
    f.store.count(&mut |_| {})
}

/// A chain of directories that is too long for any path.
fn dig(f: &Fixture, name: &str, levels: usize) {
    let flags = OFlags::DIRECTORY | OFlags::RDONLY;
    let mut directory = openat(CWD, &f.home, flags, Mode::empty()).unwrap();
    for _ in 0..levels {
        mkdirat(&directory, name, Mode::RWXU).unwrap();
        directory = openat(&directory, name, flags, Mode::empty()).unwrap();
    }
}

#[test]
fn a_name_that_is_swapped_for_a_link_during_recounts_opens_nothing_up() {
    let f = Fixture::new();
    fs::create_dir(f.home.join("closed")).unwrap();
    f.put("closed/file", "1234");
    let closed = File::open(f.home.join("closed")).unwrap();
    let victims = [f.outside.join("deep"), f.outside.join("canary")];
    for victim in &victims {
        fs::set_permissions(victim, Permissions::from_mode(0o500)).unwrap();
    }
    f.link(&victims[0], "directory");
    f.link(&victims[1], "file");
    let stop = AtomicBool::new(false);
    let changed = || {
        victims
            .iter()
            .any(|victim| fs::metadata(victim).unwrap().permissions().mode() & 0o777 != 0o500)
    };
    let counts = thread::scope(|scope| {
        scope.spawn(|| {
            let place = f.home.join("closed");
            while !stop.load(Ordering::Relaxed) {
                for link in ["directory", "file"] {
                    let link = f.home.join(link);
                    fchmod(&closed, Mode::empty()).unwrap();
                    for _ in 0..2 {
                        renameat_with(CWD, &place, CWD, &link, RenameFlags::EXCHANGE).unwrap();
                    }
                }
            }
        });
        let counts = without_privilege(|| {
            let began = Instant::now();
            let mut counts = 0;
            while began.elapsed() < ATTACK && !changed() {
                // Some of them meet the swap and fail.
                let _ = count_it(&f);
                counts += 1;
            }
            counts
        });
        stop.store(true, Ordering::Relaxed);
        counts
    });
    assert!(!changed(), "a link was followed within {counts} recounts");
    fchmod(&closed, Mode::empty()).unwrap();
    let counted = without_privilege(|| count_it(&f)).unwrap();
    let targets = victims.iter().map(|victim| victim.as_os_str().len() as u64);
    let bytes = 4 + targets.sum::<u64>();
    assert_eq!(counted, Counted { bytes, files: 4 });
}

#[test]
fn closed_directories_are_counted_and_stay_closed() {
    let f = Fixture::new();
    fs::create_dir_all(f.home.join("outer/inner/open")).unwrap();
    f.put("outer/inner/open/file", "1234");
    f.put("outer/file", "12");
    let closed = [("outer/inner", 0o000), ("outer", 0o055), ("", 0o400)];
    for (name, mode) in closed {
        close(&f, name, mode);
    }
    let expected = Counted { bytes: 6, files: 5 };
    assert_eq!(without_privilege(|| count_it(&f)), Ok(expected));
    for (name, mode) in closed.into_iter().rev() {
        assert_eq!(f.mode(name), mode, "{name}");
        close(&f, name, 0o700);
    }
}

/// Another user's directory cannot be opened; modes that were changed on the way to it are restored.
#[test]
fn after_an_error_modes_are_as_before() {
    let f = Fixture::new();
    if !rustix::process::geteuid().is_root() {
        return;
    }
    fs::create_dir_all(f.home.join("outer/inner/theirs")).unwrap();
    std::os::unix::fs::chown(f.home.join("outer/inner/theirs"), Some(65534), None).unwrap();
    let closed = [
        ("outer/inner/theirs", 0o007),
        ("outer/inner", 0o000),
        ("outer", 0o100),
    ];
    for (name, mode) in closed {
        close(&f, name, mode);
    }
    let refused = without_privilege(|| count_it(&f));
    assert_eq!(refused, Err(Errno::ACCESS.into()));
    for (name, mode) in closed {
        assert_eq!(f.mode(name), mode, "{name}");
    }
}

/// More directories in a level than the walk holds names, in several levels, where it must find its
/// position again.
#[test]
fn levels_with_more_directories_than_are_held_are_walked_once() {
    let f = Fixture::new();
    let hidden = ".landfall-upload-0123456789abcdef";
    let mut files = 0;
    for level in ["", "m/"] {
        for number in 0..NAMES / 2 + 10 {
            fs::create_dir(f.home.join(format!("{level}d{number}"))).unwrap();
            files += 1;
        }
        fs::create_dir(f.home.join(format!("{level}m"))).unwrap();
        f.put(&format!("{level}d7/{hidden}"), "12345");
        files += 2;
    }
    let expected = Counted { bytes: 10, files };
    assert_eq!(count_it(&f), Ok(expected));
    let mut found = Vec::new();
    let tell = &mut |path: VPath| {
        found.push(String::from_utf8(path.absolute()).unwrap());
        ControlFlow::Continue(())
    };
    f.store.leftovers(tell).unwrap();
    found.sort();
    let expected = ["/d7", "/m/d7"].map(|place| format!("{place}/{hidden}"));
    assert_eq!(found, expected);
    assert!(remove_home(&f.home).unwrap().is_empty());
    assert!(!f.home.exists());
}

/// A home in use: the walk's current directory is moved elsewhere, and out of the home.
#[test]
fn a_directory_that_is_moved_during_a_sweep_is_passed_over() {
    let f = Fixture::new();
    let hidden = ".landfall-upload-0123456789abcdef";
    for place in ["a/b/c", "a/x", "y"] {
        fs::create_dir_all(f.home.join(place)).unwrap();
        f.put(&format!("{place}/{hidden}"), "");
    }
    let mut found = Vec::new();
    let tell = &mut |path: VPath| {
        let path = String::from_utf8(path.absolute()).unwrap();
        if path.starts_with("/a/b/c") {
            fs::rename(f.home.join("a/b/c"), f.outside.join("c")).unwrap();
        }
        found.push(path);
        ControlFlow::Continue(())
    };
    f.store.leftovers(tell).unwrap();
    found.sort();
    let expected = ["/a/b/c", "/a/x", "/y"].map(|place| format!("{place}/{hidden}"));
    assert_eq!(found, expected);
}

#[test]
fn a_home_is_removed_with_closed_directories_and_any_depth_and_links_are_not_followed() {
    let f = Fixture::quick();
    fs::create_dir_all(f.home.join("outer/inner/open")).unwrap();
    f.put("outer/inner/open/file", "1234");
    f.put("outer/file", "1234");
    f.link(&f.outside, "outer/link");
    f.link(f.outside.join("canary"), "link");
    dig(&f, "deep", 4200);
    for (name, mode) in [("outer/inner", 0o000), ("outer", 0o055), ("", 0o400)] {
        close(&f, name, mode);
    }
    let before = snapshot(&f.outside);
    let remains = without_privilege(|| remove_home(&f.home)).unwrap();
    assert!(remains.is_empty(), "{remains}");
    assert!(!f.home.exists());
    assert_eq!(snapshot(&f.outside), before);
}

#[test]
fn what_cannot_be_removed_is_named_and_the_rest_is_gone() {
    let f = Fixture::new();
    if !rustix::process::geteuid().is_root() {
        return;
    }
    for place in ["own/deep", "a/theirs/deep", "a/own"] {
        fs::create_dir_all(f.home.join(place)).unwrap();
        f.put(&format!("{place}/file"), "");
    }
    std::os::unix::fs::chown(f.home.join("a/theirs"), Some(65534), None).unwrap();
    let remains = without_privilege(|| remove_home(&f.home)).unwrap();
    let theirs = f.home.join("a/theirs/deep");
    let expected = format!("\n{}: Permission denied", theirs.display());
    assert_eq!(remains.to_string(), expected);
    assert_eq!(fs::read_dir(&f.home).unwrap().count(), 1);
    assert_eq!(fs::read_dir(f.home.join("a")).unwrap().count(), 1);
    // It cannot be emptied through a link, either.
    f.link(&f.home, "link");
    assert!(remove_home(&f.home.join("link")).is_err());
}

#[test]
fn a_home_is_removed_under_somebody_who_still_writes() {
    let f = Fixture::quick();
    for number in 0..200 {
        fs::create_dir_all(f.home.join(format!("d{number}/e"))).unwrap();
    }
    let stop = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            // Like a session whose last requests are still running.
            for number in 0..4000 {
                let _ = f.store.make_directory(&path("new"), None);
                let name = path(format!("new/{number}"));
                let _ = f.store.open(&name, &CREATE);
                let _ = f.store.rename(&path("new"), &path("d7/new"), false);
                let _ = f.store.rename(&path("d7/new"), &path("d9/e/new"), false);
            }
            stop.store(true, Ordering::Relaxed);
        });
        while !stop.load(Ordering::Relaxed) && f.home.exists() {
            match remove_home(&f.home) {
                Ok(remains) => assert!(remains.is_empty(), "{remains}"),
                Err(refused) => assert!(matches!(refused, Error::Refused(_)), "{refused}"),
            }
        }
        let last = f.home.exists().then(|| remove_home(&f.home).unwrap());
        assert!(last.is_none_or(|remains| remains.is_empty()));
    });
    assert!(!f.home.exists());
}
