//! Listings of directories.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::time::{Duration, Instant};

use rustix::io::Errno;

use super::*;
use crate::store::{Kind, Metadata};

fn listing(store: &LocalStore, name: &str) -> BTreeMap<Vec<u8>, Metadata> {
    let mut directory = store.open_directory(&path(name)).unwrap();
    let mut found = BTreeMap::new();
    while let Some(entry) = directory.next().unwrap() {
        assert!(found.insert(entry.name, entry.metadata).is_none());
    }
    assert_eq!(directory.next(), Ok(None));
    found
}

#[test]
fn a_listing_has_every_name_with_its_own_metadata() {
    let f = Fixture::new();
    fs::create_dir(f.home.join("sub")).unwrap();
    f.put("sub/file", "12345");
    f.link("file", "sub/link");
    let found = listing(&f.store, "sub");
    let names: Vec<&[u8]> = found.keys().map(Vec::as_slice).collect();
    assert_eq!(names, [&b"."[..], b"..", b"file", b"link"]);
    for (name, metadata) in &found {
        let place = format!("sub/{}", String::from_utf8_lossy(name));
        let disk = f.store.metadata(&path(place), false).unwrap();
        assert_eq!(
            (metadata.inode, metadata.mode, metadata.size),
            (disk.inode, disk.mode, disk.size)
        );
    }
    assert_eq!(found[&b"link"[..]].kind(), Kind::Symlink);
    let file = said(f.store.open_directory(&path("sub/file")));
    assert_eq!(file, Err(Errno::NOTDIR.into()));
}

#[test]
fn above_the_home_a_listing_shows_the_home() {
    let f = Fixture::new();
    fs::create_dir(f.home.join("sub")).unwrap();
    f.link("/", "root");
    let home = f.store.metadata(&path(""), true).unwrap().inode;
    for name in ["", "..", "sub/..", "root", "../../.."] {
        let found = listing(&f.store, name);
        assert_eq!(found[&b"."[..]].inode, home, "{name}");
        assert_eq!(found[&b".."[..]].inode, home, "{name}");
    }
    assert_eq!(listing(&f.store, "sub")[&b".."[..]].inode, home);
}

#[test]
fn names_that_vanish_during_a_listing_are_left_out() {
    let f = Fixture::new();
    for number in 0..50 {
        f.put(&format!("{number}"), "");
    }
    let mut directory = f.store.open_directory(&path("")).unwrap();
    let first = directory.next().unwrap().unwrap();
    for number in 0..50 {
        fs::remove_file(f.home.join(number.to_string())).unwrap();
    }
    let mut rest = Vec::new();
    while let Some(entry) = directory.next().unwrap() {
        rest.push(entry.name);
    }
    rest.retain(|name| name != b"." && name != b"..");
    assert_eq!(rest, Vec::<Vec<u8>>::new(), "after {first:?}");

    fs::create_dir(f.home.join("gone")).unwrap();
    let mut gone = f.store.open_directory(&path("gone")).unwrap();
    fs::remove_dir(f.home.join("gone")).unwrap();
    assert_eq!(gone.next(), Ok(None));
}

#[test]
fn twenty_thousand_names_are_listed_in_a_blink() {
    let f = Fixture::new();
    for number in 0..20_000 {
        f.put(&format!("a-name-of-some-length-{number}"), "");
    }
    let start = Instant::now();
    assert_eq!(listing(&f.store, "").len(), 20_002);
    let took = start.elapsed();
    // Tens of milliseconds on an idle machine; the limit only detects quadratic time.
    assert!(took < Duration::from_secs(3), "{took:?}");
}

/// A directory that can be read but not searched: its names are listed, without their attributes.
#[test]
fn a_directory_without_search_permission_lists_its_names() {
    let f = Fixture::new();
    fs::create_dir(f.home.join("sub")).unwrap();
    f.put("sub/file", "12345");
    fs::set_permissions(f.home.join("sub"), fs::Permissions::from_mode(0o444)).unwrap();
    let found = listing(&f.store, "sub");
    assert_eq!(found[&b"file"[..]].kind(), Kind::File);
    if !rustix::process::geteuid().is_root() {
        assert_eq!(found[&b"file"[..]].size, 0);
    }
    fs::set_permissions(f.home.join("sub"), fs::Permissions::from_mode(0o755)).unwrap();
}
