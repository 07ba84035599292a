//! An answer from memory equals that of the normal operation, or is none.

use std::fs;
use std::os::unix::net::UnixListener;
use std::thread::sleep;
use std::time::{Duration, Instant};

use super::*;

/// Asks for an answer from memory. The kernel gives none for a ".." while anything on the machine is
/// renamed, which other tests do all the time for a while.
fn asked<T>(f: &Fixture, ask: impl Fn(&LocalStore) -> Option<T>) -> Option<T> {
    let began = Instant::now();
    while began.elapsed() < Duration::from_secs(60) {
        let store = LocalStore::open(&f.home, 0o027).unwrap();
        if let Some(known) = ask(&store) {
            return Some(known);
        }
        sleep(Duration::from_millis(1));
    }
    None
}

fn known<T>(f: &Fixture, ask: impl Fn(&LocalStore) -> Option<T>) -> T {
    asked(f, ask).unwrap()
}

/// A home on a file system that answers from memory without asking anybody.
fn answering() -> Option<Fixture> {
    let f = Fixture::new();
    f.put("probe", "");
    if asked(&f, |store| store.metadata_now(&path("probe"), true)).is_none() {
        eprintln!("SKIPPED: the file system of temporary files does not answer from memory");
        assert!(std::env::var_os("CI").is_none(), "nothing is skipped here");
        return None;
    }
    Some(f)
}

#[test]
fn what_is_in_memory_is_known_at_once_by_every_name() {
    let Some(f) = answering() else { return };
    fs::create_dir(f.home.join("a")).unwrap();
    f.put("a/file", "inside");
    f.link("a/file", "relative");
    f.link("/a/file", "absolute");
    f.link("../../a/./file", "above");
    for name in [
        "a/file",
        "/a//file",
        "a/../a/file",
        "relative",
        "absolute",
        "above",
    ] {
        let name = path(name);
        for follow in [true, false] {
            // The kernel records when a new link is followed, which may wait.
            let (found, at_once) = known(&f, |store| {
                let found = store.metadata(&name, follow).unwrap();
                Some((found, store.metadata_now(&name, follow)?))
            });
            assert_eq!(at_once, found, "{name:?}");
        }
        let file = known(&f, |store| {
            store.metadata(&name, true).unwrap();
            store.open_now(&name)
        });
        assert_eq!(read_all(&*file).unwrap(), b"inside", "{name:?}");
        assert!(matches!(
            file.write(0, &["x".into()]),
            Err((0, Error::Handle(_)))
        ));
    }
    known(&f, |store| store.without_links().open_now(&path("a/file")));
    let plain = f.store.without_links();
    assert!(plain.open_now(&path("relative")).is_none());
    assert!(plain.metadata_now(&path("relative"), true).is_none());
}

#[test]
fn what_is_refused_or_not_there_is_left_to_the_verbs() {
    let Some(f) = answering() else { return };
    fs::create_dir(f.home.join("directory")).unwrap();
    let _socket = UnixListener::bind(f.home.join("socket")).unwrap();
    rustix::fs::mkfifoat(rustix::fs::CWD, f.home.join("fifo"), 0o600.into()).unwrap();
    f.link("circle", "circle");
    f.link("/nowhere", "dangling");
    f.link("/proc/self/exe", "magic");
    for name in [
        "directory",
        "socket",
        "fifo",
        "circle",
        "dangling",
        "magic",
        "missing",
        "",
    ] {
        assert!(f.store.open_now(&path(name)).is_none(), "{name}");
    }
    for name in ["circle", "dangling", "magic", "missing"] {
        assert_eq!(f.store.metadata_now(&path(name), true), None, "{name}");
    }
    for name in [path("fifo"), path("")] {
        let at_once = known(&f, |store| store.metadata_now(&name, true));
        assert_eq!(f.store.metadata(&name, true), Ok(at_once));
    }
}
