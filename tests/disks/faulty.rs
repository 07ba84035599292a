//! A disk that fails on demand: a file system in user space.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use rustix::process::Signal;

use crate::common::{Running, STEP, TestServer, have, python, random_name, run, wait_until};

/// EIO.
pub const IO: i32 = 5;
/// ENOSPC.
pub const NO_SPACE: i32 = 28;

/// The disk; unmounted after the test.
pub struct FaultyDisk {
    folder: PathBuf,
    program: Option<Running>,
}

impl FaultyDisk {
    /// `None` if this machine cannot mount it, which was reported.
    pub fn mount() -> Option<Self> {
        Self::mount_known(0)
    }

    /// Mounts it; the kernel caches names and attributes for this many seconds.
    pub fn mount_known(seconds: u32) -> Option<Self> {
        let python = python()?;
        if !have(&["fusermount3"]) {
            return None;
        }
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(random_name("faulty"));
        for part in ["real/home", "disk"] {
            fs::create_dir_all(folder.join(part)).unwrap();
        }
        let mut program = Command::new(python);
        program
            .arg(concat!(
                env!("CARGO_MANIFEST_DIR"),
                "/tests/disks/faulty.py"
            ))
            .args(["real", "disk", "faults"].map(|part| folder.join(part)))
            .arg(seconds.to_string());
        let program = Some(Running::start(&mut program));
        let disk = Self { folder, program };
        wait_until("the disk is there", STEP, || disk.home().is_dir());
        Some(disk)
    }

    pub fn home(&self) -> PathBuf {
        self.folder.join("disk/home")
    }

    /// Returns the folder on the usual disk that contains this disk as `disk`.
    pub fn above(&self) -> PathBuf {
        self.folder.clone()
    }

    /// Makes these operations fail from now on.
    pub fn fail(&self, faults: &[(&str, i32)]) {
        let lines: Vec<_> = faults
            .iter()
            .map(|(operation, errno)| format!("{operation} {errno}\n"))
            .collect();
        fs::write(self.folder.join("faults"), lines.concat()).unwrap();
    }

    /// Adds an account with a home here, and the usual key.
    pub fn add_user(&self, server: &TestServer, name: &str) {
        self.add_user_at(server, name, self.home());
    }

    /// Adds one with the home [`Self::above`].
    pub fn add_user_above(&self, server: &TestServer, name: &str) {
        self.add_user_at(server, name, self.above());
    }

    /// Adds this many accounts, `PREFIX0` and so on, each with a folder of its own in the home.
    pub fn add_users(&self, server: &TestServer, prefix: &str, count: usize) -> Vec<String> {
        let names = (0..count).map(|number| format!("{prefix}{number}"));
        let added = names.inspect(|name| self.add_user_at(server, name, self.home().join(name)));
        added.collect()
    }

    fn add_user_at(&self, server: &TestServer, name: &str, home: PathBuf) {
        let key = server.public_key();
        let [key, home] = [&key, &home].map(|path| path.to_str().unwrap());
        let with = ["--no-password", "--key", key, "--home", home];
        let add = [&["user", "add", name], &with[..]].concat();
        server.admin(&add, "").ok();
    }

    /// Makes every operation on it wait until this is dropped.
    pub fn hangs(&self) -> Hanging<'_> {
        self.hang(true);
        Hanging(self)
    }

    /// Makes every operation on it wait, or not.
    pub fn hang(&self, hangs: bool) {
        if let Some(program) = &self.program {
            program.signal(if hangs { Signal::STOP } else { Signal::CONT });
            // Some of its threads may have run on for a moment, and answered.
            wait_until("the disk hangs, or no more", STEP, || {
                has_stopped(program.id()) == hangs
            });
        }
    }

    /// Makes writes at or behind this offset fail.
    pub fn fail_writes_from(&self, offset: usize) {
        fs::write(self.folder.join("faults"), format!("write {IO} {offset}\n")).unwrap();
    }
}

/// Returns whether a signal has stopped all threads of the process.
fn has_stopped(process: u32) -> bool {
    let threads = fs::read_dir(format!("/proc/{process}/task")).unwrap();
    threads.flatten().all(|thread| {
        let stat = fs::read_to_string(thread.path().join("stat")).unwrap_or_default();
        let state = stat.rsplit_once(')').map(|(_, state)| state.trim_start());
        state.is_some_and(|state| state.starts_with('T'))
    })
}

/// The disk hangs while this exists. Declare it after the server, which would otherwise be waited for while
/// its disk hangs.
pub struct Hanging<'a>(&'a FaultyDisk);

impl Drop for Hanging<'_> {
    fn drop(&mut self) {
        self.0.hang(false);
    }
}

impl Drop for FaultyDisk {
    fn drop(&mut self) {
        self.hang(false);
        let mut unmount = Command::new("fusermount3");
        run(unmount.arg("-uz").arg(self.folder.join("disk")), STEP);
        if let Some(program) = self.program.take() {
            program.wait(STEP);
        }
        let _ = fs::remove_dir_all(&self.folder);
    }
}
