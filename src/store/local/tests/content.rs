//! The contents of files: open, read, write, copy.

use std::fs;
use std::os::unix::fs::FileExt;
use std::os::unix::net::UnixListener;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use rustix::fs::{CWD, FileType, Mode, makedev, mkfifoat, mknodat};
use rustix::io::Errno;

use super::*;
use crate::store::Changes;

#[test]
fn a_new_file_has_the_asked_bits_without_the_umask_and_never_setuid() {
    let f = Fixture::new();
    for (name, asked, given) in [
        ("default", None, 0o640),
        ("asked", Some(0o600), 0o600),
        ("special", Some(0o107_777), 0o1750),
        ("none", Some(0), 0),
    ] {
        let how = OpenHow {
            permissions: asked,
            ..CREATE
        };
        f.store.open(&path(name), &how).unwrap();
        assert_eq!(f.mode(name), given, "{name}");
    }
    // An existing file keeps its contents.
    let how = OpenHow {
        permissions: Some(0o777),
        ..CREATE
    };
    f.store.open(&path("asked"), &how).unwrap();
    assert_eq!(f.mode("asked"), 0o600);
}

#[test]
fn ways_of_opening_that_cannot_be_meant_are_refused() {
    let f = Fixture::new();
    f.put("old", "content");
    let refused = [
        OpenHow {
            truncate: true,
            ..READ
        },
        OpenHow {
            exclusive: true,
            ..WRITE
        },
        OpenHow {
            read: false,
            ..READ
        },
    ];
    for how in refused {
        let outcome = said(f.store.open(&path("old"), &how));
        assert!(matches!(outcome, Err(Error::Invalid(_))), "{how:?}");
    }
    assert_eq!(f.content("old"), b"content");
}

#[test]
fn create_exclusive_and_truncate_do_what_they_say() {
    let f = Fixture::new();
    f.put("old", "content");
    f.link("nowhere", "dangling");
    let exclusive = OpenHow {
        exclusive: true,
        ..CREATE
    };
    for name in ["old", "dangling"] {
        let outcome = said(f.store.open(&path(name), &exclusive));
        assert_eq!(outcome, Err(Errno::EXIST.into()), "{name}");
    }
    assert!(!f.has("nowhere"));
    assert_eq!(f.content("old"), b"content");
    f.store.open(&path("new"), &exclusive).unwrap();
    assert_eq!(f.content("new"), b"");

    let missing = said(f.store.open(&path("missing"), &WRITE));
    assert_eq!(missing, Err(Errno::NOENT.into()));
    assert!(!f.has("missing"));

    f.store.open(&path("old"), &CREATE).unwrap();
    assert_eq!(f.content("old"), b"content");
    let truncate = OpenHow {
        truncate: true,
        ..WRITE
    };
    f.store.open(&path("old"), &truncate).unwrap();
    assert_eq!(f.content("old"), b"");
    // As in open(2), a broken link is followed and its target created.
    f.store.open(&path("dangling"), &CREATE).unwrap();
    assert_eq!(f.content("nowhere"), b"");
}

#[test]
fn reading_and_writing_keep_to_their_handles() {
    let f = Fixture::new();
    f.put("file", "0123456789");
    let reader = opened(f.store.open(&path("file"), &READ));
    let writer = opened(f.store.open(&path("file"), &WRITE));
    let mut out = BytesMut::from(&b"before"[..]);

    assert_eq!(reader.read(8, 100, &mut out), Ok(2));
    assert_eq!(&out[..], b"before89");
    assert_eq!(reader.read(10, 100, &mut out), Ok(0));
    assert_eq!(reader.read(1000, 100, &mut out), Ok(0));
    assert!(matches!(writer.read(0, 4, &mut out), Err(Error::Handle(_))));
    assert_eq!(writer.read_now(0, &mut [0; 4]), None);
    assert_eq!(&out[..], b"before89");

    let refused = reader.write(0, &[Bytes::from_static(b"x")]);
    assert!(matches!(refused, Err((0, Error::Handle(_)))));
    let size = Changes {
        size: Some(1),
        ..Changes::default()
    };
    assert!(matches!(reader.change(&size), Err(Error::Handle(_))));
    assert_eq!(f.content("file"), b"0123456789");
}

#[test]
fn read_now_gives_what_is_in_memory_and_no_garbage() {
    let f = Fixture::new();
    let content: Vec<u8> = (0..100_000_u32).flat_map(u32::to_le_bytes).collect();
    f.put("file", &content);
    let file = opened(f.store.open(&path("file"), &READ));
    // Data that was just written is in memory; a file system that cannot tell returns nothing.
    let mut out = vec![7; 65_536];
    let is_known = file.read_now(4, &mut out) == Some(out.len());
    if is_known {
        assert_eq!(out, content[4..4 + 65_536]);
    }

    // At the end there is less, and then nothing.
    let end = content.len() as u64;
    out.fill(7);
    let last = is_known.then_some(10);
    assert_eq!(file.read_now(end - 10, &mut out[..100]), last);
    if is_known {
        assert_eq!(out[..10], content[content.len() - 10..]);
        assert!(out[10..].iter().all(|byte| *byte == 7));
    }
    for offset in [end, end + 1] {
        let nothing = is_known.then_some(0);
        assert_eq!(file.read_now(offset, &mut out), nothing);
    }
}

#[test]
fn offsets_beyond_what_the_kernel_counts_are_refused() {
    let f = Fixture::new();
    f.put("file", "0123456789");
    let how = OpenHow {
        write: true,
        ..READ
    };
    let file = opened(f.store.open(&path("file"), &how));
    let mut out = BytesMut::new();
    for offset in [1 << 63, u64::MAX - 1, u64::MAX] {
        assert_eq!(file.read_now(offset, &mut [0; 4]), None);
        assert_eq!(file.read(offset, 4, &mut out), Err(Errno::INVAL.into()));
        let written = file.write(offset, &[Bytes::from_static(b"x")]);
        assert_eq!(written, Err((0, Errno::FBIG.into())));
        let size = Changes {
            size: Some(offset),
            ..Changes::default()
        };
        assert_eq!(file.change(&size), Err(Errno::FBIG.into()));
    }
    // The last bytes that it can count, which a file on this disk cannot have.
    let last = i64::MAX as u64 - 4;
    assert_eq!(file.read(last, 4, &mut out), Ok(0));
    assert_eq!(file.read(last, 5, &mut out), Err(Errno::INVAL.into()));
    assert!(file.write(last, &[Bytes::from_static(b"x")]).is_err());
    // It can still read from memory afterwards.
    assert!(matches!(file.read_now(0, &mut [0; 10]), None | Some(10)));
    assert_eq!(f.content("file"), b"0123456789");
}

#[test]
fn many_chunks_are_written_one_after_the_other() {
    let f = Fixture::new();
    let chunks: Vec<Bytes> = (0..3000_usize)
        .map(|n| Bytes::from(vec![n as u8; n % 7]))
        .collect();
    let whole = chunks.concat();
    let file = opened(f.store.open(&path("file"), &CREATE));
    file.write(5, &chunks).unwrap();
    file.write(0, &[]).unwrap();
    file.write(0, &[Bytes::new()]).unwrap();
    file.sync().unwrap();
    let content = f.content("file");
    assert_eq!(&content[..5], [0; 5]);
    assert_eq!(&content[5..], whole);
}

#[test]
fn a_full_disk_says_how_much_was_stored() {
    // A file may be as large as the file system allows: the last chunk does not fit any more.
    let f = Fixture::new();
    let file = opened(f.store.open(&path("file"), &CREATE));
    let largest = (0..63)
        .map(|bit| 1_u64 << (62 - bit))
        .fold(0, |known, bit| {
            let size = Changes {
                size: Some(known | bit),
                ..Changes::default()
            };
            if file.change(&size).is_ok() {
                known | bit
            } else {
                known
            }
        });
    let empty = Changes {
        size: Some(0),
        ..Changes::default()
    };
    file.change(&empty).unwrap();
    let chunks = [Bytes::from(vec![1; 6]), Bytes::from(vec![2; 6])];
    match file.write(largest - 8, &chunks) {
        Err((stored, Error::Os(Errno::FBIG))) => {
            assert_eq!(stored, 8);
            assert_eq!(file.metadata().unwrap().size, largest);
        }
        other => panic!("{other:?} at {largest}"),
    }
}

#[test]
fn append_writes_at_the_end_whatever_the_offset() {
    let f = Fixture::new();
    f.put("file", "old ");
    let how = OpenHow {
        append: true,
        write: false,
        ..WRITE
    };
    let file = opened(f.store.open(&path("file"), &how));
    for (offset, text) in [(0, "a"), (1 << 40, "b"), (u64::MAX, "c")] {
        file.write(offset, &[Bytes::copy_from_slice(text.as_bytes())])
            .unwrap();
    }
    assert_eq!(f.content("file"), b"old abc");
}

/// Everything but files and directories is refused without waiting, however it is opened, and stays.
#[test]
fn fifos_sockets_and_devices_are_refused_without_waiting() {
    let f = Fixture::new();
    let mode = Mode::from_raw_mode(0o600);
    mkfifoat(CWD, f.home.join("fifo"), mode).unwrap();
    let _socket = UnixListener::bind(f.home.join("socket")).unwrap();
    let mut names = vec!["fifo", "socket"];
    // Only root can create one; it would read as endless zeros.
    let zero = makedev(1, 5);
    match mknodat(
        CWD,
        f.home.join("device"),
        FileType::CharacterDevice,
        mode,
        zero,
    ) {
        Ok(()) => names.push("device"),
        Err(errno) => eprintln!("left out: a device cannot be made here ({errno})"),
    }
    f.link("fifo", "link");
    names.push("link");
    let ways = [
        READ,
        WRITE,
        CREATE,
        OpenHow {
            read: true,
            ..WRITE
        },
        OpenHow {
            truncate: true,
            ..CREATE
        },
        OpenHow {
            append: true,
            ..WRITE
        },
    ];
    let (done, outcomes) = mpsc::channel();
    let (store, tried) = (f.store, names.clone());
    thread::spawn(move || {
        for name in tried {
            for how in &ways {
                let opened = said(store.open(&path(name), how));
                done.send((name, *how, opened)).unwrap();
            }
            let resized = store.change(
                &path(name),
                &Changes {
                    size: Some(0),
                    ..Changes::default()
                },
                true,
            );
            done.send((name, WRITE, resized)).unwrap();
            let listed = said(store.open_directory(&path(name)));
            assert_eq!(listed, Err(Errno::NOTDIR.into()), "{name}");
        }
    });
    for _ in 0..names.len() * (ways.len() + 1) {
        let (name, how, outcome) = outcomes
            .recv_timeout(Duration::from_secs(1))
            .expect("an open waits");
        assert!(
            matches!(outcome, Err(Error::Refused(_))),
            "{name} {how:?}: {outcome:?}"
        );
    }
    for name in names {
        let kind = fs::symlink_metadata(f.home.join(name)).unwrap().file_type();
        assert!(!kind.is_file(), "{name}");
    }
}

#[test]
fn a_directory_is_not_opened_as_a_file() {
    let f = Fixture::new();
    fs::create_dir(f.home.join("sub")).unwrap();
    let truncate = OpenHow {
        truncate: true,
        ..CREATE
    };
    for name in ["sub", "", "..", "sub/.."] {
        for how in [READ, WRITE, CREATE, truncate] {
            let outcome = said(f.store.open(&path(name), &how));
            assert_eq!(outcome, Err(Errno::ISDIR.into()), "{name} {how:?}");
        }
    }
}

/// Copies in as many calls as necessary.
fn copy(from: &dyn File, mut at: u64, to: &dyn File, mut to_at: u64, length: u64) -> u64 {
    let mut total = 0;
    while total < length {
        match from.copy_to(at, to, to_at, length - total).unwrap() {
            0 => break,
            copied => {
                total += copied;
                at += copied;
                to_at += copied;
            }
        }
    }
    total
}

#[test]
fn copies_are_exact_stop_in_between_and_end_at_the_end() {
    let f = Fixture::new();
    let content: Vec<u8> = (0..5_000_000_u32).flat_map(u32::to_le_bytes).collect();
    f.put("source", &content);
    let source = opened(f.store.open(&path("source"), &READ));
    let target = opened(f.store.open(&path("target"), &CREATE));
    let first = source.copy_to(0, &*target, 0, u64::MAX).unwrap();
    assert!(first > 0 && first <= 8 << 20);
    let rest = copy(&*source, first, &*target, first, u64::MAX - first);
    assert_eq!(first + rest, content.len() as u64);
    assert_eq!(f.content("target"), content);

    let part = opened(f.store.open(&path("part"), &CREATE));
    assert_eq!(copy(&*source, 1000, &*part, 10, 70_000), 70_000);
    let copied = f.content("part");
    assert_eq!(copied.len(), 70_010);
    assert_eq!(&copied[10..], &content[1000..71_000]);

    assert_eq!(source.copy_to(1 << 30, &*part, 0, 10), Ok(0));
    assert_eq!(source.copy_to(0, &*part, 0, 0), Ok(0));
    let backwards = target.copy_to(0, &*source, 0, 10);
    assert!(matches!(backwards, Err(Error::Handle(_))));
    let unwritable = source.copy_to(0, &*source, 0, 10);
    assert!(matches!(unwritable, Err(Error::Handle(_))));
    assert_eq!(f.content("source"), content);
}

#[test]
fn a_copy_to_an_appending_file_or_another_file_system_is_exact_too() {
    let f = Fixture::new();
    let content: Vec<u8> = (0..300_000_u32).flat_map(u32::to_le_bytes).collect();
    f.put("source", &content);
    f.put("log", "old");
    let source = opened(f.store.open(&path("source"), &READ));
    let how = OpenHow {
        append: true,
        ..WRITE
    };
    let log = opened(f.store.open(&path("log"), &how));
    assert_eq!(copy(&*source, 0, &*log, 0, u64::MAX), 1_200_000);
    assert_eq!(f.content("log"), [b"old", &content[..]].concat());

    let Ok(memory) = TempDir::new_in("/dev/shm") else {
        eprintln!("left out: no second file system here");
        return;
    };
    let elsewhere = LocalStore::open(memory.path(), 0).unwrap();
    let target = opened(elsewhere.open(&path("target"), &CREATE));
    assert_eq!(copy(&*source, 0, &*target, 0, u64::MAX), 1_200_000);
    assert_eq!(fs::read(memory.path().join("target")).unwrap(), content);
}

#[test]
fn a_file_is_copied_into_itself_only_where_it_does_not_overlap() {
    let f = Fixture::new();
    f.put("file", "0123456789");
    let how = OpenHow {
        read: true,
        ..WRITE
    };
    let one = opened(f.store.open(&path("file"), &how));
    let other = opened(f.store.open(&path("file"), &how));
    for (from, to, length) in [(0, 3, 4), (3, 0, 4), (2, 2, 1), (0, 9, 10)] {
        let outcome = one.copy_to(from, &*other, to, length);
        assert!(
            matches!(outcome, Err(Error::Invalid(_))),
            "{from} {to} {length}"
        );
    }
    assert_eq!(f.content("file"), b"0123456789");
    assert_eq!(copy(&*one, 0, &*other, 7, 5), 5);
    assert_eq!(f.content("file"), b"012345601234");
}

#[test]
fn what_a_copy_stored_before_an_error_counts() {
    let f = Fixture::new();
    f.put("source", vec![7; 1 << 20]);
    let source = opened(f.store.open(&path("source"), &READ));
    let target = FullAfter {
        room: 300_000,
        store: tempfile::tempfile().unwrap(),
    };
    assert_eq!(source.copy_to(0, &target, 0, 1 << 20), Ok(300_000));
    let full = source.copy_to(300_000, &target, 300_000, 1000);
    assert_eq!(full, Err(Errno::NOSPC.into()));
    assert_eq!(target.store.metadata().unwrap().len(), 300_000);
}

/// A file of another kind of store, on a disk that becomes full.
struct FullAfter {
    room: u64,
    store: fs::File,
}

impl File for FullAfter {
    fn read_now(&self, _: u64, _: &mut [u8]) -> Option<usize> {
        None
    }
    fn read(&self, _: u64, _: usize, _: &mut BytesMut) -> Result<usize, Error> {
        Err(Errno::BADF.into())
    }
    fn write(&self, offset: u64, chunks: &[Bytes]) -> Result<(), (usize, Error)> {
        let whole = chunks.concat();
        let room = usize::try_from(self.room.saturating_sub(offset)).unwrap();
        let fits = whole.len().min(room);
        self.store.write_all_at(&whole[..fits], offset).unwrap();
        if fits < whole.len() {
            return Err((fits, Errno::NOSPC.into()));
        }
        Ok(())
    }
    fn metadata(&self) -> Result<crate::store::Metadata, Error> {
        Err(Errno::BADF.into())
    }
    fn identity(&self) -> Result<crate::store::Identity, Error> {
        Err(Errno::BADF.into())
    }
    fn change(&self, _: &Changes) -> Result<(), Error> {
        Err(Errno::BADF.into())
    }
    fn sync(&self) -> Result<(), Error> {
        Ok(())
    }
    fn close(self: std::sync::Arc<Self>) -> Result<(), Error> {
        Ok(())
    }
    fn space(&self) -> Result<crate::store::Space, Error> {
        Err(Errno::BADF.into())
    }
    fn copy_to(&self, _: u64, _: &dyn File, _: u64, _: u64) -> Result<u64, Error> {
        Err(Errno::BADF.into())
    }
    fn as_any(&self) -> &dyn std::any::Any {
        self
    }
}
