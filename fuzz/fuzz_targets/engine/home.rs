//! A home between things that must not change, and accounts that may go there.

use std::fs;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, symlink};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use landfall::accounts::{Accounts, NewAccount, Password};
use landfall::audit::{Audit, Who};
use landfall::bandwidth::Lanes;
use landfall::config::Config;
use landfall::descriptors::Descriptors;
use landfall::error::Error;
use landfall::hashes::Hashes;
use landfall::quota::{Ledgers, Limits, Usage};
use landfall::rules::Bandwidth;
use landfall::session::{Client, Session, Shares, Terms, count_home};
use landfall::witness::Witness;
use rustix::fs::{
    AtFlags, CWD, Dir, FileType, Mode, OFlags, chmodat, linkat, mknodat, open, openat, statat,
    unlinkat,
};
use tempfile::TempDir;
use tokio::runtime::Runtime;

/// What no reply may ever hold.
pub const CANARY: &[u8] = b"<what lies outside of the home>";

/// Few, so that the limit is met.
pub const MAX_HANDLES: usize = 6;

/// So large that nothing is refused but what no disk has, and so small that it can be met.
pub const QUOTA: Limits = Limits {
    bytes: Some(1 << 22),
    files: Some(60),
};

/// The identifications of clients that are treated differently.
const CLIENTS: &[&str] = &[
    "OpenSSH_9.9",
    "WinSCP_release_6.5",
    "libssh2_1.11.1",
    "other",
];

const CONFIG: &str = "[login]\nargon2_memory = \"8MiB\"\nargon2_passes = 1\nargon2_lanes = 1\n";

/// Everything that a process makes once: a folder with a home, a canary beside it, and an account.
pub struct World {
    base: TempDir,
    home: OwnedFd,
    /// One for each kind of client.
    pub sessions: Vec<Arc<Session>>,
    /// The uid and gid that the home has.
    pub ids: (u32, u32),
    /// Keeps the figures of the quota.
    _runtime: Runtime,
    /// What is known of everything around the home.
    around: Vec<Known>,
}

/// What changes of an inode when anything is done to it, but for reading.
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

    /// The absolute path of what no path may lead to.
    pub fn outside(&self) -> Vec<u8> {
        self.base
            .path()
            .join("outside")
            .as_os_str()
            .as_bytes()
            .to_vec()
    }

    /// Makes the home new, so that a run depends on its input alone.
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

    /// Is all around the home as it was, and what it holds as it is in the ledger?
    pub fn check(&self) {
        assert_eq!(self.sessions[0].ledger().used(), Some(self.count().unwrap()));
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

/// Logs in once for each kind of client, in the only way there is.
fn sessions(base: &Path, home: &Path, runtime: &Runtime) -> Vec<Arc<Session>> {
    let file = base.join("config/config.toml");
    fs::create_dir(base.join("config")).unwrap();
    fs::write(
        &file,
        format!("{CONFIG}[sftp]\nmax_handles = {MAX_HANDLES}\n"),
    )
    .unwrap();
    let config = Config::load(&file).unwrap();
    runtime.block_on(async {
        let accounts = Accounts::open(&config).await.unwrap();
        let password = || String::from("a password").into();
        let account = NewAccount {
            home: Some(home.to_owned()),
            password: Some(Password::new(password()).unwrap()),
            ..NewAccount::new("anna".parse().unwrap())
        };
        accounts.add(account).await.unwrap();
        let ledgers = Ledgers::new(accounts.database().clone(), count_home);
        let mut sessions = Vec::new();
        for (number, client) in CLIENTS.iter().enumerate() {
            let proof = accounts
                .check_password("anna", password(), [127, 0, 0, 1].into(), None)
                .await
                .unwrap()
                .unwrap();
            let client = Client {
                address: ([127, 0, 0, 1], 22).into(),
                identification: format!("SSH-2.0-{client}").into_bytes(),
            };
            let limits = config.sftp.clone();
            let mut uploads = config.uploads.clone();
            uploads.safe_overwrite = number % 2 == 1;
            let member = ledgers.join("anna", home, QUOTA).await.unwrap();
            let hashes = Arc::new(Hashes::new(1));
            let shares = Shares {
                speed: Lanes::new(Bandwidth::default(), None).join("anna", Bandwidth::default()),
                open: Descriptors::of_process().join("anna"),
            };
            let who = Who {
                user: "anna".to_owned(),
                peer: client.address,
                session: None,
            };
            let witness = Witness::new(Audit::off(), Arc::default(), who);
            let terms = Terms { limits, uploads };
            let session = Session::new(proof, client, terms, member, shares, hashes, witness);
            sessions.push(Arc::new(session));
        }
        sessions
    })
}

/// Removes everything in a directory, and looks at it once more: nothing but files, directories
/// and links is ever made, and nothing gets the setuid bit. (A directory may have the setgid bit
/// from the one above it.)
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
