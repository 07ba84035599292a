//! Two sessions of one account: one replaces a link while the other uses it.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use super::*;
use crate::common::wire::{code, flag};

/// The duration of each race.
const RACE: Duration = Duration::from_secs(3);

/// Ends the race when it is dropped, also when the test fails.
struct Ending<'a>(&'a AtomicBool);

impl Drop for Ending<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

#[test]
fn a_link_that_is_swapped_during_use_gets_round_nothing() {
    let server = TestServer::start();
    permit(&server, &["full", "/in=upload-only", "/public=read-only"]);
    lay_out(
        server.home(),
        &[
            "in/",
            "in/file=secret",
            "public/",
            "public/file=shown",
            "free/",
            "free/file=free",
        ],
    );
    let over = AtomicBool::new(false);
    let swapped = thread::scope(|scope| {
        let ending = Ending(&over);
        let swapping = scope.spawn(|| swap(&server, &over));
        let users = [read, write, change_names].map(|job| {
            let (server, over) = (&server, &over);
            scope.spawn(move || job(server, over))
        });
        for user in users {
            let done = user.join().unwrap();
            assert!(done > 20, "{done} tries are too few to say anything");
        }
        drop(ending);
        swapping.join().unwrap()
    });
    assert!(swapped > 100, "swapped {swapped} times");
    assert_eq!(fs::read(server.at_home("in/file")).unwrap(), b"secret");
    assert_eq!(fs::read(server.at_home("public/file")).unwrap(), b"shown");
    let names = |directory: &str| {
        let found = fs::read_dir(server.at_home(directory)).unwrap();
        found
            .map(|entry| entry.unwrap().file_name())
            .collect::<Vec<_>>()
    };
    assert_eq!(names("public"), ["file"]);
    assert_eq!(names("in"), ["file"]);
}

/// Keeps replacing the links: `d` leads to one of two directories, `f` to one of two files.
fn swap(server: &TestServer, over: &AtomicBool) -> u32 {
    let connection = Connection::logged_in(server);
    let mut sftp = connection.sftp();
    let mut count = 0;
    while !over.load(Ordering::Relaxed) {
        for target in ["free", "in", "public"] {
            for (name, target) in [("d", target.to_owned()), ("f", format!("{target}/file"))] {
                assert_eq!(
                    with_two(&mut sftp, "symlink", &target, "next").code(),
                    code::OK
                );
                let placed = with_two(&mut sftp, "posix-rename@openssh.com", "next", name);
                assert_eq!(placed.code(), code::OK, "{placed:?}");
                count += 1;
            }
        }
    }
    count
}

fn read(server: &TestServer, _: &AtomicBool) -> u32 {
    let connection = Connection::logged_in(server);
    let mut sftp = connection.sftp();
    let (end, mut count) = (Instant::now() + RACE, 0);
    while Instant::now() < end {
        for path in ["f", "d/file"] {
            if let Reply::Handle { handle, .. } = sftp.open(path, flag::READ, &Attrs::default()) {
                if let Reply::Data { data, .. } = sftp.read(&handle, 0, 100) {
                    assert_ne!(data, b"secret", "{path}");
                    count += 1;
                }
                assert_eq!(sftp.close(&handle), code::OK);
            }
            if let Reply::Attrs { attrs, .. } = sftp.stat(path) {
                assert_ne!(attrs.size, Some(6), "{path}");
            }
        }
    }
    count
}

fn write(server: &TestServer, _: &AtomicBool) -> u32 {
    let connection = Connection::logged_in(server);
    let mut sftp = connection.sftp();
    let (end, mut count) = (Instant::now() + RACE, 0);
    while Instant::now() < end {
        for path in ["f", "d/file"] {
            if let Reply::Handle { handle, .. } = sftp.open(path, flag::WRITE, &Attrs::default()) {
                match sftp.write(&handle, 0, b"FREE") {
                    code::OK => count += 1,
                    // The server has applied the change of the account, so it resolves the path again, and
                    // the link now leads elsewhere.
                    code::PERMISSION_DENIED => {}
                    other => panic!("{other}"),
                }
                assert_eq!(sftp.close(&handle), code::OK);
            }
            sftp.setstat(path, &size(4));
        }
    }
    count
}

fn change_names(server: &TestServer, _: &AtomicBool) -> u32 {
    let connection = Connection::logged_in(server);
    let mut sftp = connection.sftp();
    let (end, mut count) = (Instant::now() + RACE, 0);
    while Instant::now() < end {
        // In "in" it could be made, and would be found there in the end.
        let made = sftp.mkdir("d/made-in-free-only");
        count += 1;
        if made == code::OK {
            for directory in ["free", "in"] {
                let made = format!("{directory}/made-in-free-only");
                let _ = sftp.with_string(wire::RMDIR, &made);
            }
            let _ = fs::remove_dir(server.at_home("in/made-in-free-only"));
        }
        with_two(&mut sftp, "rename", "d/file", "stolen");
        with_two(&mut sftp, "rename", "stolen", "free/file");
        with_two(&mut sftp, "hardlink@openssh.com", "d/file", "linked");
        if let Ok(content) = fs::read(server.at_home("linked")) {
            assert!(!content.starts_with(b"secret") && !content.starts_with(b"shown"));
        }
        sftp.remove("linked");
        if let Reply::Status { code: code::OK, .. } = sftp.with_string(wire::REMOVE, "d/file") {
            sftp.put("free/file", b"free");
        }
    }
    count
}
