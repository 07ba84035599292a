//! Stores the addresses that logins protect in the data folder, so that they stay protected after a
//! restart. Without the file none is protected.

use std::fs::{self, File};
use std::io::{ErrorKind, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::task::spawn_blocking;
use tokio::time::timeout;
use tracing::warn;

use crate::admission::Admission;
use crate::database::{KNOWN_SOURCES, new_private_file, remove_if_present};
use crate::rules::Network;

/// How often a changed file is written.
const PAUSE: Duration = Duration::from_secs(60);
/// Times are rounded to hours, so that a login from a known address changes nothing.
const HOUR: u64 = 3600;
/// Most bytes that are read: more than the largest number of sources takes.
const MOST: u64 = 1 << 30;

pub(in crate::server) struct KnownSources {
    file: PathBuf,
    admission: Arc<Admission>,
}

impl KnownSources {
    /// Reads the file and hands its sources to admission control.
    pub(in crate::server) fn recall(data: &Path, admission: Arc<Admission>) -> Self {
        let file = data.join(KNOWN_SOURCES);
        match read(&file) {
            Ok(text) => admission.recall(text.lines().filter_map(parse)),
            Err(failure) if failure.kind() == ErrorKind::NotFound => {}
            Err(failure) => warn!(%failure, "cannot read {}", file.display()),
        }
        Self { file, admission }
    }

    /// Keeps the file up to date. Never returns.
    pub(in crate::server) async fn keep(self: Arc<Self>) {
        let mut written = self.text();
        loop {
            tokio::time::sleep(PAUSE).await;
            let text = self.text();
            if text != written {
                let (keeper, to_write) = (self.clone(), text.clone());
                // A failure is logged; the next change is written again.
                let _ = spawn_blocking(move || keeper.write(&to_write)).await;
                written = text;
            }
        }
    }

    /// Writes the file now, waiting at most this long for the disk.
    pub(in crate::server) async fn save(self: Arc<Self>, patience: Duration) {
        let writing = spawn_blocking(move || self.write(&self.text()));
        let _ = timeout(patience, writing).await;
    }

    fn text(&self) -> String {
        let mut known = self.admission.known();
        known.sort();
        let lines = known.into_iter();
        lines
            .map(|(source, last)| format!("{source} {}\n", last - last % HOUR))
            .collect()
    }

    fn write(&self, text: &str) {
        let new = self.file.with_extension("new");
        let write = || {
            remove_if_present(&new)?;
            let mut file = new_private_file(&new)?;
            file.write_all(text.as_bytes())?;
            fs::rename(&new, &self.file)
        };
        if let Err(failure) = write() {
            warn!(%failure, "cannot write {}", self.file.display());
        }
    }
}

fn read(file: &Path) -> std::io::Result<String> {
    let mut text = String::new();
    File::open(file)?.take(MOST).read_to_string(&mut text)?;
    Ok(text)
}

fn parse(line: &str) -> Option<(Network, u64)> {
    let (source, last) = line.split_once(' ')?;
    Some((source.parse().ok()?, last.parse().ok()?))
}
