//! Names and attributes: stat, setstat, remove, mkdir, rename, links.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};

use rustix::io::Errno;

use super::super::Home;
use super::super::rename::rename_by_hand;
use super::*;
use crate::store::{Changes, Directory, Kind, Metadata};
use crate::values::path::PathError;

const NOTHING: Changes = Changes {
    size: None,
    owner: None,
    permissions: None,
    times: None,
};

#[test]
fn a_home_must_be_a_directory() {
    let f = Fixture::new();
    f.put("file", "");
    let file = LocalStore::open(&f.home.join("file"), 0).map(drop);
    assert_eq!(file, Err(Errno::NOTDIR.into()));
    let missing = LocalStore::open(&f.home.join("missing"), 0).map(drop);
    assert_eq!(missing, Err(Errno::NOENT.into()));
    // The path of the home is the operator's: a link in it is followed.
    f.link(&f.outside, "moved");
    let store = LocalStore::open(&f.home.join("moved"), 0).unwrap();
    assert!(store.metadata(&path("canary"), true).is_ok());
}

#[test]
fn metadata_is_that_of_the_disk() {
    let f = Fixture::new();
    f.put("file", "12345");
    f.link("file", "link");
    let disk = fs::metadata(f.home.join("file")).unwrap();
    let followed = f.store.metadata(&path("link"), true).unwrap();
    assert_eq!(
        followed,
        Metadata {
            mode: disk.mode(),
            size: 5,
            links: 1,
            uid: disk.uid(),
            gid: disk.gid(),
            atime: disk.atime(),
            mtime: disk.mtime(),
            mtime_nanoseconds: disk.mtime_nsec() as u64,
            ctime: (disk.ctime(), disk.ctime_nsec() as u64),
            inode: (disk.dev(), disk.ino()),
        }
    );
    let itself = f.store.metadata(&path("link"), false).unwrap();
    assert_eq!((itself.kind(), itself.size), (Kind::Symlink, 4));
    let open = opened(f.store.open(&path("link"), &READ));
    assert_eq!(open.metadata(), Ok(followed));
    let missing = f.store.metadata(&path("missing"), true);
    assert_eq!(missing, Err(Errno::NOENT.into()));
}

#[test]
fn changes_reach_the_file_by_path_and_by_handle() {
    let f = Fixture::new();
    f.put("file", "0123456789");
    fs::create_dir(f.home.join("sub")).unwrap();
    f.link("file", "link");
    let all = |size, permissions, seconds| Changes {
        size: Some(size),
        permissions: Some(permissions),
        times: Some((seconds, seconds + 1)),
        owner: None,
    };
    let check = |name: &str, size, mode, seconds: i64| {
        let disk = fs::metadata(f.home.join(name)).unwrap();
        assert_eq!(disk.mode() & 0o7777, mode, "{name}");
        assert_eq!(
            (disk.atime(), disk.mtime()),
            (seconds, seconds + 1),
            "{name}"
        );
        assert!(size == disk.size() || disk.is_dir(), "{name}");
    };
    f.store
        .change(&path("link"), &all(4, 0o106_755, 1000), true)
        .unwrap();
    check("file", 4, 0o755, 1000);
    assert_eq!(f.content("file"), b"0123");
    let file = opened(f.store.open(&path("file"), &WRITE));
    file.change(&all(6, 0o7640, u32::MAX - 1)).unwrap();
    check("file", 6, 0o1640, i64::from(u32::MAX - 1));
    assert_eq!(f.content("file"), b"0123\0\0");

    // A directory has no size to change; the other changes are made all the same.
    let by_path = f.store.change(&path("sub"), &all(0, 0o7711, 5), true);
    assert_eq!(by_path, Err(Errno::ISDIR.into()));
    check("sub", 0, 0o1711, 5);
    let directory = f.store.open_directory(&path("sub")).unwrap();
    assert_eq!(
        directory.change(&all(0, 0o700, 7)),
        Err(Errno::ISDIR.into())
    );
    check("sub", 0, 0o700, 7);
    let wished = Changes {
        size: None,
        ..all(0, 0o750, 9)
    };
    directory.change(&wished).unwrap();
    check("sub", 0, 0o750, 9);
}

/// An account that can change names at the root of a home can swap them under the server, and write beside
/// the quota.
#[test]
fn the_root_of_a_home_stays_its_owners_alone_however_it_is_named() {
    let f = Fixture::new();
    f.link("..", "up");
    fs::create_dir(f.home.join("sub")).unwrap();
    let root = || fs::metadata(&f.home).unwrap().mode() & 0o7777;
    fs::set_permissions(&f.home, fs::Permissions::from_mode(0o750)).unwrap();
    let wished = |mode| Changes {
        permissions: Some(mode),
        times: Some((1, 2)),
        ..NOTHING
    };
    for mode in [0o000, 0o500, 0o600, 0o701, 0o710 | 0o020, 0o755, 0o777] {
        let outcomes = [
            f.store.change(&path(""), &wished(mode), true),
            f.store.change(&path("."), &wished(mode), false),
            f.store.change(&path("sub/../up"), &wished(mode), true),
            opened_directory(&f, "").change(&wished(mode)),
            opened_directory(&f, "up").change(&wished(mode)),
        ];
        for outcome in outcomes {
            assert!(matches!(outcome, Err(Error::Refused(_))), "{outcome:?}");
        }
        assert_eq!(root(), 0o750);
    }
    // The other changes are made; bits that the operator has set can stay or be removed.
    assert_eq!(fs::metadata(&f.home).unwrap().mtime(), 2);
    for mode in [0o750, 0o1740, 0o700] {
        f.store.change(&path(""), &wished(mode), true).unwrap();
        assert_eq!(root(), mode);
    }
    f.store.change(&path("sub"), &wished(0o777), true).unwrap();
    assert_eq!(f.mode("sub"), 0o777);
}

fn opened_directory(f: &Fixture, name: &str) -> Box<dyn Directory> {
    f.store.open_directory(&path(name)).unwrap()
}

#[test]
fn changes_of_a_link_itself_leave_its_target_alone() {
    let f = Fixture::new();
    f.put("file", "content");
    f.link("file", "link");
    let before = snapshot(&f.home.join("file"));
    let times = Changes {
        times: Some((11, 12)),
        ..NOTHING
    };
    f.store.change(&path("link"), &times, false).unwrap();
    let disk = fs::symlink_metadata(f.home.join("link")).unwrap();
    assert_eq!((disk.atime(), disk.mtime()), (11, 12));

    for refused in [
        Changes {
            permissions: Some(0o600),
            ..NOTHING
        },
        Changes {
            size: Some(0),
            ..NOTHING
        },
    ] {
        let outcome = f.store.change(&path("link"), &refused, false);
        assert!(matches!(outcome, Err(Error::Unsupported(_))), "{refused:?}");
    }
    assert_eq!(snapshot(&f.home.join("file")), before);
    // A file that is no link is changed as usual.
    let both = Changes {
        size: Some(2),
        permissions: Some(0o604),
        ..NOTHING
    };
    f.store.change(&path("file"), &both, false).unwrap();
    assert_eq!((f.content("file"), f.mode("file")), (b"co".to_vec(), 0o604));
}

#[test]
fn an_owner_that_stays_is_no_change_and_another_is_refused_whatever_the_privilege() {
    let f = Fixture::new();
    f.put("file", "");
    let disk = fs::metadata(f.home.join("file")).unwrap();
    let owner = |uid, gid| Changes {
        owner: Some((uid, gid)),
        times: Some((1, 2)),
        ..NOTHING
    };
    let file = opened(f.store.open(&path("file"), &READ));
    for (uid, gid) in [(disk.uid(), disk.gid()), (u32::MAX, u32::MAX)] {
        f.store
            .change(&path("file"), &owner(uid, gid), true)
            .unwrap();
        file.change(&owner(uid, gid)).unwrap();
    }
    let outcome = f
        .store
        .change(&path("file"), &owner(4_000_001, 4_000_002), true);
    let now = fs::metadata(f.home.join("file")).unwrap();
    assert_eq!(outcome, Err(Errno::PERM.into()));
    assert_eq!((now.uid(), now.gid()), (disk.uid(), disk.gid()));
    // The times in the same request are set all the same.
    assert_eq!((now.atime(), now.mtime()), (1, 2));
}

#[test]
fn removing_takes_a_name_and_nothing_else() {
    let f = Fixture::new();
    f.put("file", "content");
    f.link("file", "link");
    fs::create_dir_all(f.home.join("sub/inner")).unwrap();
    f.link("sub", "to-sub");
    let file = |name| f.store.remove_file(&path(name));
    let directory = |name| f.store.remove_directory(&path(name));
    assert_eq!(file("sub"), Err(Errno::ISDIR.into()));
    assert_eq!(file(""), Err(Errno::ISDIR.into()));
    assert_eq!(file("sub/.."), Err(Errno::ISDIR.into()));
    assert_eq!(file("missing"), Err(Errno::NOENT.into()));
    assert_eq!(directory("sub"), Err(Errno::NOTEMPTY.into()));
    assert_eq!(directory("file"), Err(Errno::NOTDIR.into()));
    assert_eq!(directory("to-sub"), Err(Errno::NOTDIR.into()));
    for name in ["", "/", "..", "sub/inner/.."] {
        assert!(matches!(directory(name), Err(Error::Invalid(_))), "{name}");
    }
    assert!(f.has("file") && f.has("link") && f.has("sub/inner"));

    assert_eq!(file("link"), Ok(()));
    assert_eq!(f.content("file"), b"content");
    assert_eq!(file("file"), Ok(()));
    // A path through a link to a directory refers to the name in it.
    assert_eq!(directory("to-sub/inner"), Ok(()));
    assert_eq!(directory("sub"), Ok(()));
    assert!(!f.has("link") && !f.has("file") && !f.has("sub"));
    assert!(f.has("to-sub"));
}

#[test]
fn a_directory_is_made_once_with_the_asked_bits() {
    let f = Fixture::new();
    let make = |name, permissions| f.store.make_directory(&path(name), permissions);
    for (name, asked, given) in [
        ("default", None, 0o750),
        ("asked", Some(0o700), 0o700),
        ("special", Some(0o47_777), 0o1750),
    ] {
        assert_eq!(make(name, asked), Ok(()));
        // The setgid bit may come from the directory around it, never from the peer.
        assert_eq!(f.mode(name), given | (f.mode("") & 0o2000), "{name}");
    }
    f.put("file", "");
    for name in ["asked", "file", "", "..", "asked/.."] {
        assert_eq!(make(name, Some(0o777)), Err(Errno::EXIST.into()), "{name}");
    }
    assert_eq!(make("missing/new", None), Err(Errno::NOENT.into()));
    assert_eq!(make("file/new", None), Err(Errno::NOTDIR.into()));
    assert_eq!(f.mode("asked"), 0o700 | (f.mode("") & 0o2000));
    assert!(!f.has("missing"));
}

#[test]
fn renaming_replaces_only_when_asked() {
    let f = Fixture::new();
    fs::create_dir_all(f.home.join("sub/inner")).unwrap();
    f.put("a", "a");
    f.put("b", "b");
    f.link("b", "link");
    let rename = |from, to, replace| f.store.rename(&path(from), &path(to), replace);
    for (from, to) in [
        ("a", "b"),
        ("a", "link"),
        ("a", "sub"),
        ("a", "a"),
        ("sub", "b"),
    ] {
        assert_eq!(
            rename(from, to, false),
            Err(Errno::EXIST.into()),
            "{from} {to}"
        );
    }
    assert_eq!(rename("missing", "b", false), Err(Errno::NOENT.into()));
    assert_eq!(rename("a", "sub", true), Err(Errno::ISDIR.into()));
    for replace in [false, true] {
        assert_eq!(
            rename("sub", "sub/inner/sub", replace),
            Err(Errno::INVAL.into())
        );
        for (from, to) in [("", "new"), ("a", ""), ("..", "new"), ("a", "sub/..")] {
            let outcome = rename(from, to, replace);
            assert!(matches!(outcome, Err(Error::Invalid(_))), "{from} {to}");
        }
    }
    assert_eq!(
        (f.content("a"), f.content("b")),
        (b"a".to_vec(), b"b".to_vec())
    );
    assert!(f.has("link") && f.has("sub/inner") && !f.has("new"));

    // A link itself is renamed and replaced.
    assert_eq!(rename("a", "link", true), Ok(()));
    assert_eq!(
        (f.content("link"), f.content("b")),
        (b"a".to_vec(), b"b".to_vec())
    );
    assert_eq!(rename("link", "sub/inner/new", false), Ok(()));
    assert_eq!(rename("sub/inner", "moved", false), Ok(()));
    assert_eq!(f.content("moved/new"), b"a");
    assert!(!f.has("a") && !f.has("link") && !f.has("sub/inner"));
}

/// As on file systems without RENAME_NOREPLACE.
#[test]
fn renaming_by_hand_does_not_replace_either() {
    let f = Fixture::new();
    fs::create_dir_all(f.home.join("sub/inner")).unwrap();
    f.put("a", "a");
    f.put("b", "b");
    f.link("b", "link");
    let home = Home::open(&f.home).unwrap();
    let rename = |from: &str, to: &str| {
        let (from, to) = (path(from), path(to));
        let (from_parent, from) = home.parent_of_name(&from)?;
        let (to_parent, to) = home.parent_of_name(&to)?;
        rename_by_hand(&from_parent, from, &to_parent, to)
    };
    f.link(f.home.parent().unwrap().to_str().unwrap(), "out");
    let before = snapshot(&f.home);
    for (from, to) in [
        ("a", "b"),
        ("a", "link"),
        ("a", "sub"),
        ("sub", "b"),
        ("sub/inner", "sub"),
    ] {
        assert_eq!(rename(from, to), Err(Errno::EXIST.into()), "{from} {to}");
    }
    assert_eq!(rename("missing", "new"), Err(Errno::NOENT.into()));
    assert_eq!(rename("sub", "sub/inner/sub"), Err(Errno::INVAL.into()));
    // A trailing slash requires a directory, and is not followed out of the home.
    for (from, to) in [
        ("a/", "new"),
        ("a", "new/"),
        ("link/", "new"),
        ("out/", "new"),
    ] {
        assert_eq!(rename(from, to), Err(Errno::NOTDIR.into()), "{from} {to}");
    }
    assert_eq!(rename("sub", "out/"), Err(Errno::EXIST.into()));
    assert_eq!(snapshot(&f.home), before);

    assert_eq!(rename("a", "sub/a"), Ok(()));
    assert_eq!(rename("link", "moved-link"), Ok(()));
    assert_eq!(rename("sub/", "moved/"), Ok(()));
    assert_eq!(f.content("moved/a"), b"a");
    assert_eq!(fs::metadata(f.home.join("moved/a")).unwrap().nlink(), 1);
    let target = fs::read_link(f.home.join("moved-link")).unwrap();
    assert_eq!(target, Path::new("b"));
    assert!(!f.has("a") && !f.has("link") && !f.has("sub"));
}

#[test]
fn a_hard_link_is_another_name_of_the_same_file() {
    let f = Fixture::new();
    f.put("file", "content");
    f.put("other", "other");
    fs::create_dir(f.home.join("sub")).unwrap();
    f.link("file", "link");
    let link = |existing, new| f.store.hard_link(&path(existing), &path(new));
    assert_eq!(link("file", "other"), Err(Errno::EXIST.into()));
    assert_eq!(link("missing", "new"), Err(Errno::NOENT.into()));
    assert_eq!(link("sub", "new"), Err(Errno::PERM.into()));
    assert_eq!(link("", "new"), Err(Errno::PERM.into()));
    assert_eq!(link("file", ""), Err(Errno::EXIST.into()));
    assert_eq!(f.content("other"), b"other");
    assert!(!f.has("new"));

    assert_eq!(link("file", "sub/second"), Ok(()));
    let inode = |name| f.store.metadata(&path(name), false).unwrap().inode;
    assert_eq!(inode("file"), inode("sub/second"));
    // The link itself, not its target.
    assert_eq!(link("link", "second-link"), Ok(()));
    assert_eq!(inode("link"), inode("second-link"));
}

#[test]
fn a_symbolic_link_holds_exactly_the_given_bytes() {
    let f = Fixture::new();
    let longest = vec![b'x'; 4095];
    let targets: [&[u8]; 5] = [
        b"a",
        b"/etc/passwd",
        b"../..//./x/",
        b"\xff\xfe \n",
        &longest,
    ];
    for (number, target) in targets.iter().enumerate() {
        let name = path(format!("link{number}"));
        f.store.symlink(target, &name).unwrap();
        assert_eq!(f.store.read_link(&name).unwrap(), *target);
    }
    let too_long = vec![b'x'; 4096];
    let refused: [(&[u8], Error); 3] = [
        (b"", Error::Invalid("A symbolic link cannot be empty")),
        (b"a\0b", PathError::Nul.into()),
        (&too_long, PathError::PathTooLong.into()),
    ];
    for (target, error) in refused {
        assert_eq!(f.store.symlink(target, &path("new")), Err(error));
    }
    assert!(!f.has("new"));
    let over = f.store.symlink(b"b", &path("link0"));
    assert_eq!(over, Err(Errno::EXIST.into()));
    assert_eq!(f.store.read_link(&path("link0")).unwrap(), b"a");
    f.put("file", "");
    for name in ["file", "", ".."] {
        let outcome = f.store.read_link(&path(name));
        assert_eq!(outcome, Err(Errno::INVAL.into()), "{name}");
    }
}

#[test]
fn space_is_that_of_the_file_system() {
    let f = Fixture::new();
    f.put("file", "");
    let disk = rustix::fs::statvfs(&f.home).unwrap();
    let file = opened(f.store.open(&path("file"), &READ));
    let directory = f.store.open_directory(&path("")).unwrap();
    for space in [
        f.store.space(&path("file")),
        file.space(),
        directory.space(),
    ] {
        let space = space.unwrap();
        assert_eq!(space.block_size, disk.f_frsize);
        assert_eq!((space.blocks, space.files), (disk.f_blocks, disk.f_files));
        assert_eq!((space.id, space.name_max), (disk.f_fsid, disk.f_namemax));
        assert!(space.blocks_available <= space.blocks && !space.read_only);
    }
    let missing = f.store.space(&path("missing"));
    assert_eq!(missing, Err(Errno::NOENT.into()));
}
