//! An account with limits, its usage as the server reports it, and its usage on the disk.

use std::collections::HashSet;
use std::fs;
use std::ops::{Add, Deref, DerefMut};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use rustix::process::{Pid, Signal, kill_process};

use crate::common::connection::{Connection, Options};
use crate::common::files::disk_use;
use crate::common::raw::RawSftp;
use crate::common::wire::{self, Attrs, Fields, Reply, code, flag};
use crate::common::{STEP, TestServer, USER, wait_until};

/// The bytes that an account may use here, unless a test says otherwise.
pub const LIMIT: u64 = 1 << 20;
/// The names that it may use.
pub const MAX_FILES: u64 = 1000;
/// The flags with which an upload opens its file.
pub const NEW: u32 = flag::WRITE | flag::CREAT | flag::TRUNC;

/// O_PATH in /proc/PID/fdinfo: such a descriptor keeps no file open.
const O_PATH: u32 = 0o10_000_000;

/// Bytes and names.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Use {
    pub bytes: u64,
    pub files: u64,
}

impl Add for Use {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self {
            bytes: self.bytes + other.bytes,
            files: self.files + other.files,
        }
    }
}

/// A server with one account that has limits.
pub struct Scene {
    pub server: TestServer,
    home: PathBuf,
}

impl Scene {
    pub fn new() -> Self {
        Self::with(LIMIT, MAX_FILES)
    }

    pub fn with(bytes: u64, files: u64) -> Self {
        Self::with_settings(&[], bytes, files)
    }

    /// The same, with some keys of config.toml set.
    pub fn with_settings(settings: &[(&str, &str)], bytes: u64, files: u64) -> Self {
        let server = TestServer::start_with(settings);
        let home = fs::canonicalize(server.home()).unwrap();
        let scene = Self { server, home };
        scene.set_limits(bytes, files);
        scene
    }

    /// The same, with a home at another path.
    pub fn at(home: &Path, bytes: u64, files: u64) -> Self {
        let mut scene = Self::with(bytes, files);
        scene.move_to(home);
        scene
    }

    /// Moves the home to another path.
    pub fn move_to(&mut self, home: &Path) {
        let given = home.to_str().unwrap();
        self.set(&["--home", given]);
        self.home = fs::canonicalize(home).unwrap();
    }

    /// `landfall user set`.
    #[track_caller]
    pub fn set(&self, options: &[&str]) {
        let args = [&["user", "set", USER], options].concat();
        self.server.admin(&args, "").ok();
    }

    #[track_caller]
    pub fn set_limits(&self, bytes: u64, files: u64) {
        let (bytes, files) = (bytes.to_string(), files.to_string());
        self.set(&["--quota", &bytes, "--max-files", &files]);
    }

    #[track_caller]
    pub fn log_in(&self) -> Session {
        self.log_in_as(Options::default().identification)
    }

    #[track_caller]
    pub fn log_in_as(&self, identification: &'static str) -> Session {
        let options = Options {
            identification,
            ..Options::default()
        };
        let connection = Connection::logged_in_as(&self.server, &options);
        let sftp = connection.sftp();
        Session { sftp, connection }
    }

    /// Returns the path of a file in the home on the disk.
    pub fn at_home(&self, relative: &str) -> PathBuf {
        self.home.join(relative)
    }

    #[track_caller]
    pub fn size_of(&self, relative: &str) -> u64 {
        fs::metadata(self.at_home(relative)).unwrap().len()
    }

    /// Returns the paths of all hidden files of safe overwrites.
    pub fn hidden_paths(&self) -> Vec<String> {
        fn below(folder: &Path, path: &str) -> Vec<String> {
            let mut hidden = Vec::new();
            for entry in fs::read_dir(folder).unwrap() {
                let entry = entry.unwrap();
                let name = entry.file_name().into_string().unwrap();
                let path = format!("{path}/{name}");
                if entry.file_type().unwrap().is_dir() {
                    hidden.extend(below(&entry.path(), &path));
                } else if name.starts_with(".landfall-upload-") {
                    hidden.push(path);
                }
            }
            hidden
        }
        below(&self.home, "")
    }

    /// Returns the usage below the home, with the files that the server has open but that have no name.
    pub fn on_disk(&self) -> Use {
        below(&self.home) + self.without_names()
    }

    /// Returns the usage of regular files that have no name but are open in the server.
    fn without_names(&self) -> Use {
        let process = PathBuf::from(format!("/proc/{}", self.server.process_id()));
        let mut seen = HashSet::new();
        let mut total = Use::default();
        for entry in fs::read_dir(process.join("fd")).unwrap().flatten() {
            // Descriptors are opened and closed meanwhile.
            let Ok(path) = fs::read_link(entry.path()) else {
                continue;
            };
            let Ok(metadata) = fs::metadata(entry.path()) else {
                continue;
            };
            let flags = flags_of(&process.join("fdinfo").join(entry.file_name()));
            let counts = path.starts_with(&self.home)
                && metadata.is_file()
                && metadata.nlink() == 0
                && flags & O_PATH == 0;
            if counts && seen.insert((metadata.dev(), metadata.ino())) {
                total = total + one_file(metadata.len());
            }
        }
        total
    }

    /// Expects that the server's figures equal the disk.
    #[track_caller]
    pub fn assert_exact(&self, session: &mut Session) {
        assert_eq!(
            session.used(),
            self.on_disk(),
            "used by the ledger; on disk"
        );
    }

    /// The same, once the server has noticed that a connection is closed.
    #[track_caller]
    pub fn assert_exact_soon(&self, session: &mut Session) {
        let mut figures = (Use::default(), Use::default());
        let began = std::time::Instant::now();
        while began.elapsed() < STEP {
            figures = (session.used(), self.on_disk());
            if figures.0 == figures.1 {
                return;
            }
            std::thread::sleep(std::time::Duration::from_millis(20));
        }
        panic!("used by the ledger; on disk: {figures:?}");
    }

    /// Returns the state of the disk at one moment: no thread of the server runs meanwhile.
    pub fn frozen(&self) -> Use {
        let id = self.server.process_id();
        let process = Pid::from_raw(i32::try_from(id).unwrap()).unwrap();
        kill_process(process, Signal::STOP).unwrap();
        wait_until("all threads have stopped", STEP, || all_stopped(id));
        let found = self.on_disk();
        kill_process(process, Signal::CONT).unwrap();
        found
    }

    /// Sends SIGKILL.
    pub fn kill_server(&mut self) {
        self.server.kill();
    }
}

fn one_file(bytes: u64) -> Use {
    Use { bytes, files: 1 }
}

fn flags_of(fdinfo: &Path) -> u32 {
    let text = fs::read_to_string(fdinfo).unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix("flags:"));
    line.map_or(0, |flags| u32::from_str_radix(flags.trim(), 8).unwrap())
}

fn all_stopped(process: u32) -> bool {
    let threads = fs::read_dir(format!("/proc/{process}/task")).unwrap();
    threads.flatten().all(|thread| {
        let stat = fs::read_to_string(thread.path().join("stat")).unwrap_or_default();
        stat.rsplit_once(')')
            .is_none_or(|(_, rest)| rest.starts_with(" T"))
    })
}

/// Walks a folder: returns the sizes of regular files, each inode once, and the number of names.
pub fn below(folder: &Path) -> Use {
    let (bytes, files) = disk_use(folder);
    Use { bytes, files }
}

/// An SFTP session on a connection of its own.
pub struct Session {
    sftp: RawSftp,
    pub connection: Connection,
}

impl Deref for Session {
    type Target = RawSftp;

    fn deref(&self) -> &RawSftp {
        &self.sftp
    }
}

impl DerefMut for Session {
    fn deref_mut(&mut self) -> &mut RawSftp {
        &mut self.sftp
    }
}

/// The reply to `space-available`.
#[derive(Debug, PartialEq, Eq)]
pub struct SpaceAvailable {
    pub total: u64,
    pub free: u64,
    pub user_total: u64,
    pub user_free: u64,
    pub unit: u32,
}

/// Requests of these tests only.
impl RawSftp {
    #[track_caller]
    pub fn space_available(&mut self) -> SpaceAvailable {
        let reply = self.extended("space-available", |body| body.string("/"));
        let data = reply.extended();
        let mut fields = Fields(&data);
        let space = SpaceAvailable {
            total: fields.u64(),
            free: fields.u64(),
            user_total: fields.u64(),
            user_free: fields.u64(),
            unit: fields.u32(),
        };
        assert!(fields.0.is_empty(), "more than five values");
        space
    }

    /// The eleven values of statvfs@openssh.com.
    #[track_caller]
    pub fn statvfs(&mut self) -> Vec<u64> {
        let reply = self.extended("statvfs@openssh.com", |body| body.string("/"));
        let data = reply.extended();
        let mut fields = Fields(&data);
        (0..11).map(|_| fields.u64()).collect()
    }

    /// Returns the usage that the server reports, to the byte. Above a limit, it can only report that
    /// nothing is left.
    #[track_caller]
    pub fn used(&mut self) -> Use {
        let space = self.space_available();
        let values = self.statvfs();
        Use {
            bytes: space.user_total - space.user_free,
            files: values[5] - values[7],
        }
    }

    #[track_caller]
    pub fn try_write(&mut self, handle: &[u8], offset: u64, data: &[u8]) -> Reply {
        let body = self.body(wire::WRITE).string(handle);
        let body = body.u64(offset).string(data);
        self.ask(&body)
    }

    #[track_caller]
    pub fn try_resize(&mut self, path: &str, size: u64) -> Reply {
        let body = self.body(wire::SETSTAT).string(path).attrs(&sized(size));
        self.ask(&body)
    }

    #[track_caller]
    pub fn try_resize_open(&mut self, handle: &[u8], size: u64) -> Reply {
        let body = self.body(wire::FSETSTAT).string(handle);
        let body = body.attrs(&sized(size));
        self.ask(&body)
    }

    /// Removes everything in a folder; "" is the home.
    #[track_caller]
    pub fn remove_below(&mut self, folder: &str) {
        for entry in self.list(format!("{folder}/")) {
            let name = String::from_utf8(entry.name).unwrap();
            let path = format!("{folder}/{name}");
            match name.as_str() {
                "." | ".." => {}
                _ if entry.attrs.is_dir() => {
                    self.remove_below(&path);
                    assert_eq!(self.rmdir(&path), code::OK, "{path}");
                }
                _ => assert_eq!(self.remove(&path), code::OK, "{path}"),
            }
        }
    }

    #[track_caller]
    pub fn try_mkdir(&mut self, path: &str) -> Reply {
        let body = self.body(wire::MKDIR).string(path);
        let body = body.attrs(&Attrs::default());
        self.ask(&body)
    }

    #[track_caller]
    pub fn rmdir(&mut self, path: &str) -> u32 {
        self.with_string(wire::RMDIR, path).code()
    }

    #[track_caller]
    pub fn try_symlink(&mut self, target: &str, link: &str) -> Reply {
        let body = self.body(wire::SYMLINK).string(target).string(link);
        self.ask(&body)
    }

    #[track_caller]
    pub fn try_hardlink(&mut self, existing: &str, new: &str) -> Reply {
        self.extended("hardlink@openssh.com", |body| {
            body.string(existing).string(new)
        })
    }

    #[track_caller]
    pub fn posix_rename(&mut self, from: &str, to: &str) -> u32 {
        self.extended("posix-rename@openssh.com", |body| {
            body.string(from).string(to)
        })
        .code()
    }

    /// copy-data: handle, offset and length (0: everything) to handle and offset.
    #[track_caller]
    pub fn try_copy(&mut self, from: (&[u8], u64, u64), to: (&[u8], u64)) -> Reply {
        self.extended("copy-data", |body| {
            let body = body.string(from.0).u64(from.1).u64(from.2);
            body.string(to.0).u64(to.1)
        })
    }
}

/// Attributes with only a size.
pub fn sized(bytes: u64) -> Attrs {
    Attrs {
        size: Some(bytes),
        ..Attrs::default()
    }
}

pub fn is_exceeded(reply: &Reply) -> bool {
    matches!(reply, Reply::Status { message, .. } if message.starts_with("Quota exceeded"))
}

/// Expects a refusal for the quota, as an unknown client gets it.
#[track_caller]
pub fn assert_exceeded(reply: &Reply) {
    assert!(is_exceeded(reply), "{reply:?}");
    assert_eq!(reply.code(), code::FAILURE, "{reply:?}");
}

#[track_caller]
pub fn assert_done(reply: &Reply) {
    assert_eq!(reply.code(), code::OK, "{reply:?}");
}
