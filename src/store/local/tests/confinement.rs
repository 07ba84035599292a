//! Confinement: every operation on every path that could lead out of the home; the tree beside the home
//! must not change.

use std::fs;
use std::path::Path;

use bytes::Bytes;
use rustix::io::Errno;

use super::*;
use crate::store::{Changes, Replacement};

const CHANGES: Changes = Changes {
    size: Some(3),
    owner: None,
    permissions: Some(0o777),
    times: Some((1, 2)),
};

/// Names in a home that would lead to the directory beside it if the home were not the root.
fn lay_traps(f: &Fixture) -> Vec<String> {
    let outside = f.outside.to_str().unwrap();
    fs::create_dir_all(f.home.join("a/b")).unwrap();
    f.link("../outside", "relative");
    f.link("../../../outside", "a/b/relative");
    f.link(outside, "absolute");
    f.link("a/b/relative", "chain1");
    f.link("/chain1", "chain2");
    f.link("a/../chain2", "chain3");
    f.link("..", "up");
    f.link("up/up/outside", "climb");
    f.link("/", "root");
    f.link("root/../outside", "over-root");
    f.link("/proc/self/cwd/..", "magic");
    [
        "../outside",
        "/../outside",
        "../../../../../../../../outside",
        "a/../../outside",
        "a/b/../../../outside",
        outside,
        "relative",
        "a/b/relative",
        "absolute",
        "chain1",
        "chain2",
        "chain3",
        "up/outside",
        "a/../up/../outside",
        "climb",
        "root/../outside",
        "over-root",
        "magic/outside",
    ]
    .map(str::to_owned)
    .to_vec()
}

/// Runs every operation on a path and on names below it. Only the effects matter, not the results.
fn try_everything(store: &LocalStore, way: &str) {
    let at = |name: &str| path(format!("{way}/{name}"));
    let file = at("canary");
    let ways = [
        READ,
        WRITE,
        CREATE,
        OpenHow {
            truncate: true,
            ..CREATE
        },
        OpenHow {
            append: true,
            ..WRITE
        },
        OpenHow {
            exclusive: true,
            ..CREATE
        },
    ];
    for how in ways {
        for target in [path(way), file.clone(), at("deep/canary"), at("new")] {
            let Ok(open) = store.open(&target, &how) else {
                continue;
            };
            if let Ok(content) = read_all(&*open) {
                assert_ne!(content, b"outside", "{target:?}");
            }
            // Refused where the file is open for reading only.
            let _ = open.write(0, &[Bytes::from_static(b"inside!")]);
            let _ = open.change(&CHANGES);
        }
    }
    for target in [path(way), file.clone(), at("deep/canary")] {
        if let Some(open) = store.open_now(&target) {
            assert_ne!(read_all(&*open).unwrap(), b"outside", "{target:?}");
        }
    }
    for target in [path(way), file.clone()] {
        replace_every_way(store, &target);
    }
    for follow in [true, false] {
        for target in [path(way), file.clone()] {
            let _ = store.change(&target, &CHANGES, follow);
        }
    }
    for target in [path(way), at("deep")] {
        if let Ok(directory) = store.open_directory(&target) {
            let _ = directory.change(&CHANGES);
        }
    }
    let _ = store.make_directory(&at("made"), None);
    let _ = store.symlink(b"canary", &at("symlink"));
    own_file(store);
    for existing in [file.clone(), at("deep/canary")] {
        let _ = store.hard_link(&existing, &path("stolen"));
        let _ = store.rename(&existing, &path("stolen"), false);
        let _ = store.rename(&existing, &path("stolen"), true);
    }
    for target in [at("left"), file.clone(), path(way)] {
        let _ = store.hard_link(&path("own"), &target);
        let _ = store.rename(&path("own"), &target, false);
        own_file(store);
        let _ = store.rename(&path("own"), &target, true);
        own_file(store);
    }
    let _ = store.read_link(&at("deep"));
    let _ = store.space(&file);
    for target in [file, at("deep/canary"), at("deep"), path(way)] {
        let _ = store.remove_file(&target);
        let _ = store.remove_directory(&target);
    }
}

fn replace_every_way(store: &LocalStore, target: &VPath) {
    for end in [Replacement::commit, Replacement::keep, Replacement::discard] {
        let Ok(old) = store.metadata(target, true) else {
            return;
        };
        if let Ok((new, place)) = store.replacement(target, &WRITE, &old) {
            let _ = new.write(0, &[Bytes::from_static(b"inside!")]);
            let _ = end(&*place);
            let _ = place.sync_names();
        }
    }
}

/// Creates a file in the home, to be moved out of it.
fn own_file(store: &LocalStore) {
    store.open(&path("own"), &CREATE).unwrap();
}

#[test]
fn no_verb_touches_what_is_outside() {
    for index in 0..lay_traps(&Fixture::new()).len() {
        let f = Fixture::new();
        let way = &lay_traps(&f)[index];
        let before = snapshot(&f.outside);
        try_everything(&f.store, way);
        assert_eq!(snapshot(&f.outside), before, "{way}");
    }
}

/// The control: the same calls do reach that tree when it is in the home.
#[test]
fn the_same_verbs_do_touch_what_is_inside() {
    let f = Fixture::new();
    let before = snapshot(&f.outside);
    let around = LocalStore::open(f.home.parent().unwrap(), 0).unwrap();
    fs::write(f.outside.join("canary"), "other").unwrap();
    fs::write(f.outside.join("deep/canary"), "other").unwrap();
    try_everything(&around, "outside");
    assert_ne!(snapshot(&f.outside), before);
    assert!(!f.outside.join("canary").exists());
    assert!(!f.outside.join("deep").exists());
}

#[test]
fn what_looks_like_a_way_out_leads_to_the_homes_own_places() {
    let f = Fixture::new();
    let ways = lay_traps(&f);
    let absolute = f.outside.strip_prefix("/").unwrap();
    for place in [Path::new("outside"), absolute] {
        fs::create_dir_all(f.home.join(place)).unwrap();
        fs::write(f.home.join(place).join("canary"), "inside").unwrap();
    }
    for way in ways {
        // There is no /proc in the home.
        let expected = if way.starts_with("magic") {
            Err(Errno::NOENT.into())
        } else {
            Ok(b"inside".to_vec())
        };
        assert_eq!(f.read(&format!("{way}/canary")), expected, "{way}");
        if expected.is_ok() {
            let canonical = f.store.canonical(&path(&way)).unwrap().absolute();
            let canonical = String::from_utf8(canonical).unwrap();
            let own = [Path::new("outside"), absolute].map(|place| Path::new("/").join(place));
            assert!(
                own.iter().any(|own| own == Path::new(&canonical)),
                "{way}: {canonical}"
            );
        }
    }
}

#[test]
fn above_the_home_is_the_home() {
    let f = Fixture::new();
    f.put("own", "inside");
    f.link("..", "up");
    f.link("/", "root");
    let home = f.store.metadata(&path(""), true).unwrap();
    for way in [
        "..",
        "../..",
        "/../..",
        "up",
        "up/up",
        "root",
        "root/..",
        "up/../root",
    ] {
        let found = f.store.metadata(&path(way), true).unwrap();
        assert_eq!(found.inode, home.inode, "{way}");
        assert_eq!(f.read(&format!("{way}/own")).unwrap(), b"inside", "{way}");
        let canonical = f.store.canonical(&path(way)).unwrap();
        assert_eq!(canonical.absolute(), b"/", "{way}");
    }
    for way in [
        "/etc/passwd",
        "../../etc/passwd",
        "root/etc/passwd",
        "up/etc/passwd",
    ] {
        let found = f.store.metadata(&path(way), true);
        assert_eq!(found, Err(Errno::NOENT.into()), "{way}");
    }
    // A new file behind a link to the outside is created inside, where the same names exist.
    let absolute = f.outside.strip_prefix("/").unwrap();
    fs::create_dir_all(f.home.join(absolute)).unwrap();
    f.link(f.outside.join("new"), "link");
    f.store.open(&path("link"), &CREATE).unwrap();
    assert!(f.home.join(absolute).join("new").is_file());
    assert!(!f.outside.join("new").exists());
}

#[test]
fn links_in_circles_end() {
    let f = Fixture::new();
    f.link("self", "self");
    f.link("b", "a");
    f.link("/a", "b");
    for number in 0..45 {
        f.link(format!("chain{}", number + 1), &format!("chain{number}"));
    }
    f.put("chain45", "");
    for name in ["self", "a", "b", "a/x", "self/../a", "chain0"] {
        let refused = Err(Errno::LOOP.into());
        assert_eq!(said(f.store.open(&path(name), &CREATE)), refused, "{name}");
        assert_eq!(said(f.store.metadata(&path(name), true)), refused, "{name}");
        assert_eq!(said(f.store.open_directory(&path(name))), refused, "{name}");
        assert_eq!(
            f.store.change(&path(name), &CHANGES, true),
            refused,
            "{name}"
        );
        assert_eq!(said(f.store.canonical(&path(name))), refused, "{name}");
        let below = path(format!("{name}/x"));
        assert_eq!(f.store.make_directory(&below, None), refused, "{name}");
    }
    // The link itself can be read and removed.
    assert_eq!(f.store.read_link(&path("self")).unwrap(), b"self");
    f.store.remove_file(&path("self")).unwrap();
    assert!(!f.has("self"));
}

/// The links of /proc lead where no path leads. Nobody has them in a home on purpose; a mistaken mount must
/// not become a way out.
#[test]
fn links_that_jump_are_refused() {
    let f = Fixture::new();
    let canary = fs::File::open(f.outside.join("canary")).unwrap();
    let process = LocalStore::open(Path::new("/proc/self"), 0).unwrap();
    let descriptor = format!("fd/{}", std::os::fd::AsRawFd::as_raw_fd(&canary));
    for name in ["root", "cwd", "exe", "root/etc/passwd", &descriptor] {
        let refused = Err(Errno::LOOP.into());
        assert_eq!(said(process.open(&path(name), &READ)), refused, "{name}");
        assert_eq!(said(process.metadata(&path(name), true)), refused, "{name}");
        assert_eq!(said(process.open_directory(&path(name))), refused, "{name}");
    }
    assert!(process.metadata(&path(&descriptor), false).is_ok());
}

/// Two names of a file outside: only the operator can have put the second into a home, and then the file
/// belongs to it. An account cannot create such a name.
#[test]
fn a_hard_link_cannot_be_made_to_what_is_outside() {
    let f = Fixture::new();
    f.link(f.outside.join("canary"), "link");
    let before = snapshot(&f.outside);
    for way in [
        "../outside/canary",
        "link",
        f.outside.join("canary").to_str().unwrap(),
    ] {
        // For the link, a second name of the link itself is created.
        let outcome = f.store.hard_link(&path(way), &path("stolen"));
        assert!(
            outcome == Err(Errno::NOENT.into()) || way == "link",
            "{way}"
        );
        assert_eq!(said(f.read("stolen")), Err(Errno::NOENT.into()), "{way}");
        let _ = f.store.remove_file(&path("stolen"));
    }
    assert_eq!(snapshot(&f.outside), before);
}
