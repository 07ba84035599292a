//! Resolution of paths, and names that are not text.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;

use rustix::io::Errno;

use super::*;

fn canonical(f: &Fixture, raw: impl AsRef<[u8]>) -> Result<Vec<u8>, Error> {
    Ok(f.store.canonical(&path(raw))?.absolute())
}

#[test]
fn a_canonical_path_has_its_links_followed() {
    let f = Fixture::new();
    fs::create_dir_all(f.home.join("a/b")).unwrap();
    f.put("a/file", "");
    f.link("/a/b", "absolute");
    f.link("a", "relative");
    f.link("relative/file", "chain");
    f.link("nowhere", "dangling");
    f.link("missing/nowhere", "a/dangling");
    f.link("../../../a", "up");
    f.link("/", "root");
    for (asked, leads_to) in [
        ("", "/"),
        (".", "/"),
        ("/..", "/"),
        ("../../a", "/a"),
        ("a/b/..", "/a"),
        ("a/./b//", "/a/b"),
        ("absolute", "/a/b"),
        ("absolute/..", "/a"),
        ("relative/b", "/a/b"),
        ("chain", "/a/file"),
        ("up/b", "/a/b"),
        ("root/root/a", "/a"),
        // A last component that is missing, or a broken link, stays.
        ("new", "/new"),
        ("relative/new", "/a/new"),
        ("absolute/../new", "/a/new"),
        ("dangling", "/dangling"),
        ("relative/dangling", "/a/dangling"),
    ] {
        let found = canonical(&f, asked).unwrap();
        assert_eq!(String::from_utf8(found).unwrap(), leads_to, "{asked}");
    }
    f.link("loop", "loop");
    for (asked, errno) in [
        ("missing/new", Errno::NOENT),
        ("missing/..", Errno::NOENT),
        ("a/file/new", Errno::NOTDIR),
        ("dangling/new", Errno::NOENT),
        ("loop", Errno::LOOP),
        ("loop/new", Errno::LOOP),
    ] {
        assert_eq!(canonical(&f, asked), Err(errno.into()), "{asked}");
    }
}

#[test]
fn a_home_that_is_renamed_stays_the_home() {
    let f = Fixture::new();
    fs::create_dir(f.home.join("a")).unwrap();
    fs::rename(&f.home, f.home.with_file_name("moved (deleted)")).unwrap();
    assert_eq!(canonical(&f, "a/../a").unwrap(), b"/a");
    assert_eq!(canonical(&f, "").unwrap(), b"/");
    fs::create_dir(&f.home).unwrap();
    f.put("a", "not this one");
    assert_eq!(said(f.read("a")), Err(Errno::ISDIR.into()));
}

#[test]
fn a_name_may_end_as_the_kernel_marks_what_is_deleted() {
    let f = Fixture::new();
    fs::create_dir(f.home.join("x (deleted)")).unwrap();
    f.put("x (deleted)/y (deleted)", "");
    f.link("x (deleted)/y (deleted)", "link");
    assert_eq!(canonical(&f, "x (deleted)").unwrap(), b"/x (deleted)");
    let both = b"/x (deleted)/y (deleted)";
    assert_eq!(canonical(&f, "link").unwrap(), both);
    fs::remove_file(f.home.join("x (deleted)/y (deleted)")).unwrap();
    assert_eq!(canonical(&f, "link").unwrap(), b"/link");
    assert_eq!(canonical(&f, &both[..]).unwrap(), both);
}

#[test]
fn a_removed_home_is_no_longer_there() {
    let f = Fixture::new();
    fs::remove_dir(&f.home).unwrap();
    let made = f.store.make_directory(&path("new"), None);
    assert_eq!(made, Err(Errno::NOENT.into()));
    assert_eq!(
        said(f.store.open(&path("new"), &CREATE)),
        Err(Errno::NOENT.into())
    );
    assert!(!f.home.exists());
}

#[test]
fn names_are_bytes_in_every_verb() {
    let f = Fixture::new();
    let on_disk = |name: &[u8]| f.home.join(OsStr::from_bytes(name));
    let directory = b"\xff\xfe dir\n";
    let file = b"\xff\xfe dir\n/\xc3\x28*?\\";
    let other = b"\xe9";
    let s = &f.store;
    s.make_directory(&path(directory), None).unwrap();
    s.open(&path(file), &CREATE).unwrap();
    assert!(on_disk(file).is_file());
    assert!(s.metadata(&path(file), true).is_ok());
    assert_eq!(canonical(&f, file).unwrap(), [b"/", &file[..]].concat());
    let mut names = Vec::new();
    let mut listing = s.open_directory(&path(directory)).unwrap();
    while let Some(entry) = listing.next().unwrap() {
        names.push(entry.name);
    }
    assert!(names.contains(&b"\xc3\x28*?\\".to_vec()), "{names:?}");
    s.symlink(file, &path(b"\xfe")).unwrap();
    assert_eq!(s.read_link(&path(b"\xfe")).unwrap(), file);
    assert_eq!(canonical(&f, b"\xfe").unwrap(), [b"/", &file[..]].concat());
    s.hard_link(&path(file), &path(other)).unwrap();
    s.remove_file(&path(file)).unwrap();
    s.rename(&path(other), &path(file), false).unwrap();
    assert!(on_disk(file).is_file() && !on_disk(other).exists());
    s.remove_file(&path(file)).unwrap();
    s.remove_directory(&path(directory)).unwrap();
    assert!(!on_disk(directory).exists());
}

#[test]
fn a_path_may_be_as_long_as_the_kernel_takes() {
    let f = Fixture::new();
    let longest = vec![b'n'; 255];
    f.store.open(&path(&longest), &CREATE).unwrap();
    assert!(f.home.join(OsStr::from_bytes(&longest)).is_file());
    let deep = b"d/".repeat(2040);
    assert_eq!(
        said(f.store.open(&path(&deep), &CREATE)),
        Err(Errno::NOENT.into())
    );
    assert_eq!(canonical(&f, &deep), Err(Errno::NOENT.into()));
}
