//! A home, the neighbour's tree beside it, and names in the home that could lead there.

use std::fs::{self, File, FileTimes};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, symlink};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use crate::common::TestServer;

/// The time of every file of the neighbour: nothing with it may be shown.
pub const NEIGHBOURS_TIME: u32 = 1_234_567_890;
const NEIGHBOURS_CONTENT: &[u8] = b"what the neighbour keeps";
pub const NEIGHBOURS_FILE: &str = "neighbours-file";
pub const OWN_CONTENT: &[u8] = b"own";
pub const OWN_TARGET: &[u8] = b"own-target";

/// Files in both trees, each for another request.
const FILES: [&str; 12] = [
    "read",
    "write",
    "truncate",
    "append",
    "setstat",
    "lsetstat",
    "remove",
    "rename",
    "posix-rename",
    "hardlink",
    "copy",
    "deep/read",
];

/// A server with a home, and the neighbour's tree beside it.
pub struct Scene {
    pub server: TestServer,
    pub neighbour: PathBuf,
    before: Vec<String>,
}

impl Scene {
    pub fn new() -> Self {
        let server = TestServer::start();
        let around = server.home().parent().unwrap().to_owned();
        let neighbour = around.join("neighbour");
        make_tree(&neighbour, NEIGHBOURS_CONTENT, b"neighbours-target");
        fs::write(neighbour.join(NEIGHBOURS_FILE), NEIGHBOURS_CONTENT).unwrap();
        for name in FILES
            .iter()
            .chain(&[NEIGHBOURS_FILE, "empty", "deep", "", ".."])
        {
            let time = SystemTime::UNIX_EPOCH + Duration::from_secs(NEIGHBOURS_TIME.into());
            let times = FileTimes::new().set_accessed(time).set_modified(time);
            let place = File::open(neighbour.join(name)).unwrap();
            place.set_times(times).unwrap();
        }
        let before = snapshot(&neighbour);
        Self {
            server,
            neighbour,
            before,
        }
    }

    /// Fills the home: names that could lead out, and on request real files at the paths where they lead
    /// with the home as root.
    pub fn lay_out(&self, own_places: bool) -> Vec<String> {
        let home = self.server.home();
        for entry in fs::read_dir(home).unwrap() {
            let path = entry.unwrap().path();
            if fs::symlink_metadata(&path).unwrap().is_dir() {
                fs::remove_dir_all(path).unwrap();
            } else {
                fs::remove_file(path).unwrap();
            }
        }
        let link = |target: &str, name: &str| symlink(target, home.join(name)).unwrap();
        let absolute = self.neighbour.to_str().unwrap();
        fs::create_dir_all(home.join("a/b")).unwrap();
        link("../neighbour", "relative");
        link("../../../neighbour", "a/b/relative");
        link(absolute, "absolute");
        link("a/b/relative", "chain1");
        link("/chain1", "chain2");
        link("a/../chain2", "chain3");
        link("..", "up");
        link("up/up/neighbour", "climb");
        link("/", "root");
        if own_places {
            for place in [
                Path::new("neighbour"),
                self.neighbour.strip_prefix("/").unwrap(),
            ] {
                make_tree(&home.join(place), OWN_CONTENT, OWN_TARGET);
            }
        }
        [
            "../neighbour",
            "/../neighbour",
            "../../../../../../../../neighbour",
            "a/../../neighbour",
            "a/b/../../../neighbour",
            absolute,
            "relative",
            "a/b/relative",
            "absolute",
            "chain1",
            "chain2",
            "chain3",
            "up/neighbour",
            "a/../up/../neighbour",
            "climb",
            "root/../neighbour",
        ]
        .map(str::to_owned)
        .to_vec()
    }

    #[track_caller]
    pub fn assert_untouched(&self, by: &str) {
        assert_eq!(snapshot(&self.neighbour), self.before, "touched by {by}");
    }
}

pub fn make_tree(root: &Path, content: &[u8], target: &[u8]) {
    fs::create_dir_all(root.join("deep")).unwrap();
    fs::create_dir(root.join("empty")).unwrap();
    for name in FILES {
        fs::write(root.join(name), content).unwrap();
    }
    symlink(std::ffi::OsStr::from_bytes(target), root.join("pointer")).unwrap();
}

/// Returns everything that shows a change of a tree, with the names beside it.
fn snapshot(root: &Path) -> Vec<String> {
    let around = root.parent().unwrap();
    let mut found: Vec<String> = fs::read_dir(around)
        .unwrap()
        .map(|entry| format!("{:?}", entry.unwrap().file_name()))
        .collect();
    let time_of_parent = fs::metadata(around).unwrap();
    found.push(format!(
        "{} {}",
        time_of_parent.mtime(),
        time_of_parent.mode()
    ));
    let mut open = vec![root.to_owned()];
    while let Some(place) = open.pop() {
        let data = fs::symlink_metadata(&place).unwrap();
        let content = if data.is_file() {
            fs::read(&place).unwrap()
        } else if data.is_symlink() {
            fs::read_link(&place)
                .unwrap()
                .into_os_string()
                .into_encoded_bytes()
        } else {
            open.extend(
                fs::read_dir(&place)
                    .unwrap()
                    .map(|entry| entry.unwrap().path()),
            );
            Vec::new()
        };
        found.push(format!(
            "{place:?} {:o} {}:{} links {} inode {} mtime {}.{} ctime {}.{} {:?}",
            data.mode(),
            data.uid(),
            data.gid(),
            data.nlink(),
            data.ino(),
            data.mtime(),
            data.mtime_nsec(),
            data.ctime(),
            data.ctime_nsec(),
            String::from_utf8_lossy(&content)
        ));
    }
    found.sort();
    found
}
