//! A home among files that must not change, and accounts that may use it.

use std::fs;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, symlink};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use landfall::error::Error;
use landfall::quota::{Limits, Usage};
use landfall::session::{Session, count_home};
use rustix::fs::{
    AtFlags, CWD, Dir, FileType, Mode, OFlags, chmodat, linkat, mknodat, open, openat, statat,
    unlinkat,
};
use tempfile::TempDir;
use tokio::runtime::Runtime;

use self::session::Entrance;

#[path = "../../../tests/common/session.rs"]
mod session;

/// No reply may ever contain this.
pub const CANARY: &[u8] = b"<what lies outside of the home>";

/// Few, so that the limit is reached.
pub const MAX_HANDLES: usize = 6;

/// Large enough that the quota refuses only what no disk could store, and small enough that it can be
/// reached.
pub const QUOTA: Limits = Limits {
    bytes: Some(1 << 22),
    files: Some(60),
};

/// The client versions that are treated differently.
const CLIENTS: &[&str] = &[
    "OpenSSH_9.9",
    "WinSCP_release_6.5",
    "libssh2_1.11.1",
    "other",
];

/// What a process creates once: a folder with a home, a canary beside it, and an account.
pub struct World {
    base: TempDir,
    home: OwnedFd,
    /// One session for each kind of client.
    pub sessions: Vec<Arc<Session>>,
    /// The uid and gid of the home.
    pub ids: (u32, u32),
    /// Stores the usage.
    _runtime: Runtime,
    /// What is known of everything around the home.
    around: Vec<Known>,
}

/// The attributes of an inode that any operation but reading changes.
#[derive(Debug, PartialEq)]
struct Known {
    place: PathBuf,
    inode: (u64, u64),
    mode: u32,
    owner: (u32, u32),
    size: u64,
    links: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

impl World {
    pub fn new() -> Self {
        let base = tempfile::tempdir().unwrap();
        let home = base.path().join("home");
        fs::create_dir_all(base.path().join("outside/dir")).unwrap();
        fs::write(base.path().join("outside/canary"), CANARY).unwrap();
        fs::write(base.path().join("outside/dir/f"), CANARY).unwrap();
        fs::create_dir(&home).unwrap();
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        let sessions = sessions(base.path(), &home, &runtime);
        let metadata = fs::metadata(&home).unwrap();
        let mut world = Self {
            home: open(&home, OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty()).unwrap(),
            base,
            sessions,
            _runtime: runtime,
            ids: (metadata.uid(), metadata.gid()),
            around: Vec::new(),
        };
        world.around = world.around();
        world
    }

    /// An absolute path outside the home.
    pub fn outside(&self) -> Vec<u8> {
        self.base
            .path()
            .join("outside")
            .as_os_str()
            .as_bytes()
            .to_vec()
    }

    /// Creates the home anew, so that a run depends only on its input.
    pub fn reset(&self) {
        wipe(&self.home);
        let home = self.base.path().join("home");
        let outside = self.base.path().join("outside");
        fs::write(home.join("f"), b"0123456789").unwrap();
        fs::create_dir(home.join("d")).unwrap();
        fs::write(home.join("d/g"), [7; 5000]).unwrap();
        linkat(CWD, home.join("f"), CWD, home.join("h"), AtFlags::empty()).unwrap();
        mknodat(&self.home, "fifo", FileType::Fifo, Mode::RWXU, 0).unwrap();
        for (link, target) in [
            ("up", Path::new("../outside")),
            ("d/up", Path::new("../../outside/dir")),
            ("abs", &outside),
            ("leaf", &outside.join("canary")),
            ("root", Path::new("/")),
            ("self", Path::new("self")),
            ("link", Path::new("d/g")),
            ("new", Path::new("d/made")),
        ] {
            symlink(target, home.join(link)).unwrap();
        }
        let ledger = self.sessions[0].ledger();
        ledger.recount(|| self.count()).unwrap();
    }

    fn count(&self) -> Result<Usage, Error> {
        count_home(&self.base.path().join("home"), &mut |_| {})
    }

    /// Checks that everything around the home is unchanged, and that the ledger equals the home's usage.
    pub fn check(&self) {
        assert_eq!(
            self.sessions[0].ledger().used(),
            Some(self.count().unwrap())
        );
        assert_eq!(self.around(), self.around);
        let told = fs::read(self.base.path().join("outside/canary")).unwrap();
        assert_eq!(told, CANARY);
    }

    fn around(&self) -> Vec<Known> {
        let places = [
            "",
            "outside",
            "outside/canary",
            "outside/dir",
            "outside/dir/f",
        ];
        let known = places.iter().map(|place| {
            let found = fs::symlink_metadata(self.base.path().join(place)).unwrap();
            Known {
                place: PathBuf::from(place),
                inode: (found.dev(), found.ino()),
                mode: found.mode(),
                owner: (found.uid(), found.gid()),
                size: found.size(),
                links: found.nlink(),
                modified: (found.mtime(), found.mtime_nsec()),
                changed: (found.ctime(), found.ctime_nsec()),
            }
        });
        known.collect()
    }
}

/// Creates a session for each kind of client.
fn sessions(base: &Path, home: &Path, runtime: &Runtime) -> Vec<Arc<Session>> {
    let folder = base.join("config");
    fs::create_dir(&folder).unwrap();
    let lines = format!("[sftp]\nmax_handles = {MAX_HANDLES}\n");
    runtime.block_on(async {
        let entrance = Entrance::new(&folder, &lines, Some(home), count_home).await;
        let mut sessions = Vec::new();
        for (number, client) in CLIENTS.iter().enumerate() {
            let mut terms = entrance.terms();
            terms.uploads.safe_overwrite = number % 2 == 1;
            sessions.push(entrance.log_in(client, QUOTA, terms).await);
        }
        sessions
    })
}

/// Removes everything in a directory, and checks it once more: only files, directories and links are ever
/// created, and nothing gets the setuid bit. (A directory may inherit the setgid bit.)
fn wipe(directory: &OwnedFd) {
    let entries: Vec<_> = Dir::read_from(directory)
        .unwrap()
        .map(Result::unwrap)
        .collect();
    for entry in entries {
        let name = entry.file_name();
        if matches!(name.to_bytes(), b"." | b"..") {
            continue;
        }
        let found = statat(directory, name, AtFlags::SYMLINK_NOFOLLOW).unwrap();
        let kind = FileType::from_raw_mode(found.st_mode);
        let is_directory = kind == FileType::Directory;
        assert_eq!(found.st_mode & 0o4000, 0, "{name:?} is setuid");
        assert!(
            is_directory || found.st_mode & 0o2000 == 0,
            "{name:?} is setgid"
        );
        if is_directory {
            chmodat(directory, name, Mode::RWXU, AtFlags::empty()).unwrap();
            let flags = OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
            wipe(&openat(directory, name, flags, Mode::empty()).unwrap());
            unlinkat(directory, name, AtFlags::REMOVEDIR).unwrap();
        } else {
            let made = matches!(kind, FileType::RegularFile | FileType::Symlink);
            assert!(made || kind == FileType::Fifo, "{name:?} is a {kind:?}");
            unlinkat(directory, name, AtFlags::empty()).unwrap();
        }
    }
}
