//! New files that replace existing ones, and what replacements leave behind.

use std::fs;
use std::ops::ControlFlow;
use std::os::unix::fs::symlink;

use bytes::Bytes;
use rustix::io::Errno;

use super::*;
use crate::store::{NewFile, Replacement};

fn begin(f: &Fixture, name: &str) -> Result<NewFile, Error> {
    let old = f.store.metadata(&path(name), true)?;
    f.store.replacement(&path(name), &WRITE, &old)
}

fn begun(f: &Fixture, name: &str, content: &'static [u8]) -> Box<dyn Replacement> {
    let (file, place) = begin(f, name).map_err(|error| error.to_string()).unwrap();
    file.write(0, &[Bytes::from_static(content)]).unwrap();
    place
}

/// All names in the home, sorted.
fn names(f: &Fixture) -> Vec<String> {
    let names = fs::read_dir(&f.home).unwrap();
    let mut names: Vec<_> = names
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

fn leftovers(f: &Fixture) -> Vec<String> {
    let mut found = Vec::new();
    f.store
        .leftovers(&mut |path| {
            found.push(path.to_string());
            ControlFlow::Continue(())
        })
        .unwrap();
    found.sort();
    found
}

#[test]
fn each_end_does_what_it_says() {
    let f = Fixture::new();
    f.put("f", "old");
    let place = begun(&f, "f", b"new");
    assert_eq!(names(&f).len(), 2);
    assert_eq!(f.content("f"), b"old");
    assert_eq!(place.hidden().unwrap().size, 3);
    assert_eq!(place.replaced(), f.store.metadata(&path("f"), false));
    assert_eq!(place.commit(), Ok(()));
    assert_eq!(place.sync_names(), Ok(()));
    assert_eq!(
        (f.content("f"), names(&f)),
        (b"new".to_vec(), vec!["f".to_owned()])
    );

    let place = begun(&f, "f", b"part");
    assert_eq!(place.keep(), Ok(()));
    assert_eq!(f.content("f.filepart"), b"part");
    let place = begun(&f, "f", b"another");
    assert_eq!(place.keep(), Err(Errno::EXIST.into()));
    assert_eq!(f.content("f.filepart"), b"part");
    assert_eq!(leftovers(&f).len(), 1);
    assert_eq!(place.discard(), Ok(()));
    assert_eq!(names(&f), ["f", "f.filepart"]);
    // Every further operation on it fails.
    for end in [Replacement::commit, Replacement::keep, Replacement::discard] {
        assert_eq!(end(&*place), Err(Errno::NOENT.into()));
    }
    assert_eq!(f.content("f"), b"new");
}

#[test]
fn it_lies_where_links_lead_and_stays_there() {
    let f = Fixture::new();
    fs::create_dir_all(f.home.join("a/b")).unwrap();
    f.put("a/b/f", "old");
    f.link("/a/b/../b/f", "absolute");
    f.link("../absolute", "a/chain");
    let place = begun(&f, "a/chain", b"new");
    assert_eq!(leftovers(&f).len(), 1);
    assert!(leftovers(&f)[0].starts_with("/a/b/.landfall-upload-"));
    fs::rename(f.home.join("a"), f.home.join("moved")).unwrap();
    assert_eq!(place.commit(), Ok(()));
    assert_eq!(f.content("moved/b/f"), b"new");
    assert_eq!(leftovers(&f), [""; 0]);
}

#[test]
fn what_is_no_file_or_another_one_is_refused_and_makes_nothing() {
    let f = Fixture::new();
    f.put("f", "f");
    f.put("g", "g");
    fs::create_dir(f.home.join("d")).unwrap();
    f.link("loop", "loop");
    let before = snapshot(&f.home);
    let of = |name: &str| f.store.metadata(&path(name), false).unwrap();
    for (name, like, expected) in [
        ("d", "d", Errno::ISDIR),
        (".", "d", Errno::ISDIR),
        ("loop", "loop", Errno::LOOP),
        ("missing", "f", Errno::NOENT),
        ("missing/f", "f", Errno::NOENT),
        ("f/f", "f", Errno::NOTDIR),
    ] {
        let refused = f.store.replacement(&path(name), &WRITE, &of(like));
        assert_eq!(said(refused), Err(expected.into()), "{name}");
    }
    let refused = said(f.store.replacement(&path("f"), &WRITE, &of("g")));
    assert!(matches!(refused, Err(Error::Refused(_))), "{refused:?}");
    assert_eq!(snapshot(&f.home), before);
}

#[test]
fn only_names_of_its_own_form_are_left_overs() {
    let f = Fixture::new();
    let name = ".landfall-upload-0123456789abcdef";
    fs::create_dir_all(f.home.join("d/e")).unwrap();
    f.put(&format!("d/e/{name}"), "");
    f.put(&format!("{name}0"), "");
    f.put(".landfall-upload-0123456789abcdeF", "");
    fs::create_dir(f.home.join(name)).unwrap();
    symlink("e", f.home.join(format!("d/{name}"))).unwrap();
    // A file outside is not swept.
    fs::write(f.outside.join(name), "").unwrap();
    f.link(&f.outside, "absolute");
    f.link("../outside", "relative");
    assert_eq!(leftovers(&f), [format!("/d/e/{name}")]);
    // It stops when the callback breaks.
    f.put(&format!("d/{name}1").replace("ef1", "00"), "");
    let mut told = 0;
    let stop = &mut |_: VPath| {
        told += 1;
        ControlFlow::Break(())
    };
    f.store.leftovers(stop).unwrap();
    assert_eq!((told, leftovers(&f).len()), (1, 2));
}
