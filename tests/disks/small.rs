//! A small disk.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::common::{STEP, bytes_of, have, run, run_ok, skip};

/// A small file system with a folder `home`; unmounted after the test.
pub struct SmallDisk(pub PathBuf);

impl SmallDisk {
    /// `None` if this machine cannot mount it, which was reported.
    pub fn mount(name: &str, options: &str) -> Option<Self> {
        if !have(&["mount", "umount"]) {
            return None;
        }
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(crate::common::random_name(name));
        fs::create_dir_all(&folder).unwrap();
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", options, "none"]);
        let said = run(mount.arg(&folder), STEP);
        if !said.status.success() {
            skip(&format!("a tmpfs cannot be mounted: {}", said.err().trim()));
            return None;
        }
        fs::create_dir(folder.join("home")).unwrap();
        Some(Self(folder))
    }

    pub fn home(&self) -> PathBuf {
        self.0.join("home")
    }

    /// Fills part of the disk, beside the home.
    pub fn fill(&self, bytes: usize) {
        fs::write(self.0.join("ballast"), bytes_of(bytes, 1)).unwrap();
    }

    pub fn make_room(&self) {
        fs::remove_file(self.0.join("ballast")).unwrap();
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        run_ok(Command::new("umount").arg("-l").arg(&self.0), STEP);
        let _ = fs::remove_dir(&self.0);
    }
}
