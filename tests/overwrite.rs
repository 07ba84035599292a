//! Safe overwrites and durable closes: the existing file stays until the new one is complete, and the usage
//! always equals the disk.

mod clients;
mod cut;
mod disks;
mod durable;
mod limits;
mod openings;
mod others;
mod own;
mod sweep;

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use crate::common::wire::{self, Reply, code};
use crate::quota::scene::{LIMIT, MAX_FILES, Scene, Session};

/// A home with safe overwrites.
fn safe_scene() -> Scene {
    overwriting(Scene::with(LIMIT, MAX_FILES))
}

/// Turns safe overwrites on.
fn overwriting(scene: Scene) -> Scene {
    scene.set(&["--safe-overwrite", "on"]);
    scene
}

/// Returns the hidden files of a folder.
fn hidden_in(folder: &Path) -> Vec<String> {
    let names = fs::read_dir(folder).unwrap();
    let names = names.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    names
        .filter(|name| name.starts_with(".landfall-upload-"))
        .collect()
}

/// Requests of these tests only.
impl Scene {
    fn put_on_disk(&self, name: &str, content: impl AsRef<[u8]>) {
        fs::write(self.at_home(name), content).unwrap();
    }

    fn content(&self, name: &str) -> Vec<u8> {
        fs::read(self.at_home(name)).unwrap()
    }

    fn mode(&self, name: &str) -> u32 {
        fs::metadata(self.at_home(name)).unwrap().mode() & 0o7777
    }

    fn has(&self, name: &str) -> bool {
        fs::symlink_metadata(self.at_home(name)).is_ok()
    }

    /// Returns all names in the home, sorted.
    fn names(&self) -> Vec<String> {
        let names = fs::read_dir(self.at_home("")).unwrap();
        let mut names: Vec<_> = names
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }

    /// Returns the only hidden file in the home.
    #[track_caller]
    fn hidden(&self) -> String {
        let hidden = hidden_in(&self.at_home(""));
        assert_eq!(hidden.len(), 1, "{hidden:?}");
        hidden[0].clone()
    }

    #[track_caller]
    fn assert_nothing_hidden(&self) {
        assert_eq!(hidden_in(&self.at_home("")), [""; 0]);
    }
}

impl Session {
    fn close_reply(&mut self, handle: &[u8]) -> Reply {
        self.with_string(wire::CLOSE, handle)
    }

    /// Expects that CLOSE reports that the old file stays.
    #[track_caller]
    fn assert_unfinished(&mut self, handle: &[u8]) -> String {
        let reply = self.close_reply(handle);
        assert_eq!(reply.code(), code::FAILURE, "{reply:?}");
        let message = reply.message().to_owned();
        assert!(
            message.contains("the existing file is unchanged"),
            "{message}"
        );
        message
    }
}
