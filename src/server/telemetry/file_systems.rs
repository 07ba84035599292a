//! Free space on the file systems of the data folder and the homes, for the metrics.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use tokio::sync::Mutex;
use tokio::task::spawn_blocking;
use tokio::time::{timeout, timeout_at};
use tracing::warn;

use crate::accounts::Accounts;
use crate::config::Config;
use crate::observe::metrics::{DiskSpace, FileSystem};
use crate::values::error_chain::chain;

/// Time for all file systems together to answer.
const PATIENCE: Duration = Duration::from_secs(1);
/// How long the list of folders is valid.
const FRESH: Duration = Duration::from_secs(60);
/// The most folders that are checked.
const MOST: usize = 64;

/// The file systems to report; see the module documentation.
pub(in crate::server) struct FileSystems {
    accounts: Accounts,
    /// Folders in the configuration.
    named: Vec<PathBuf>,
    folders: Mutex<Folders>,
}

#[derive(Default)]
struct Folders {
    listed: Option<Instant>,
    /// Each folder, with whether a query is under way: one on a disk that hangs is not queried again.
    asked: BTreeMap<PathBuf, Arc<AtomicBool>>,
}

impl FileSystems {
    pub(in crate::server) fn new(config: &Config, accounts: Accounts) -> Self {
        let data = &config.server.data;
        let mut named = vec![data.clone(), data.join("homes")];
        named.extend(config.sandbox.homes.iter().cloned());
        named.extend(config.guest.home.clone());
        Self {
            accounts,
            named,
            folders: Mutex::default(),
        }
    }

    /// Queries each file system once, through the first of its folders.
    pub(in crate::server) async fn look(&self) -> Vec<FileSystem> {
        let mut folders = self.folders.lock().await;
        if folders.listed.is_none_or(|listed| listed.elapsed() > FRESH) {
            self.list(&mut folders).await;
        }
        let until = tokio::time::Instant::now() + PATIENCE;
        let asking: Vec<_> = folders.asked.iter().map(ask).collect();
        let mut devices = BTreeSet::new();
        let mut found = Vec::new();
        for (folder, asking) in folders.asked.keys().zip(asking) {
            let answer = match asking {
                Some(asking) => timeout_at(until, asking).await.ok(),
                None => None,
            };
            let space = match answer {
                Some(Ok(Ok((device, space)))) if devices.insert(device) => Some(space),
                // Another folder of the same file system, or one that does not exist (yet).
                Some(_) => continue,
                None => None,
            };
            found.push(FileSystem {
                folder: folder.display().to_string(),
                space,
            });
        }
        found
    }

    /// Updates the list of folders. Homes elsewhere are represented by their parent folders, since many lie
    /// side by side.
    async fn list(&self, folders: &mut Folders) {
        folders.listed = Some(Instant::now());
        let homes = match timeout(PATIENCE, self.accounts.homes_elsewhere()).await {
            Ok(Ok(homes)) => homes,
            Ok(Err(failure)) => {
                warn!(
                    "the metrics omit the file systems of some homes: {}",
                    chain(&failure)
                );
                Vec::new()
            }
            // The disk of the database hangs.
            Err(_) if !folders.asked.is_empty() => return,
            Err(_) => Vec::new(),
        };
        let parents = homes.iter().filter_map(|home| home.parent());
        let all: BTreeSet<&Path> = parents.take(MOST * MOST).collect();
        let all = self.named.iter().map(PathBuf::as_path).chain(all);
        folders.asked = all
            .take(MOST)
            .map(|folder| {
                let known = folders.asked.get(folder).cloned();
                (folder.to_owned(), known.unwrap_or_default())
            })
            .collect();
    }
}

type SpaceAnswer = rustix::io::Result<(u64, DiskSpace)>;

/// Queries a file system, unless the last query is still under way.
fn ask(
    (folder, is_asked): (&PathBuf, &Arc<AtomicBool>),
) -> Option<tokio::task::JoinHandle<SpaceAnswer>> {
    if is_asked.swap(true, Ordering::Relaxed) {
        return None;
    }
    let (folder, is_asked) = (folder.clone(), is_asked.clone());
    Some(spawn_blocking(move || {
        let answer = space(&folder);
        is_asked.store(false, Ordering::Relaxed);
        answer
    }))
}

fn space(folder: &Path) -> SpaceAnswer {
    let device = rustix::fs::stat(folder)?.st_dev;
    let found = rustix::fs::statvfs(folder)?;
    let bytes = |blocks: u64| blocks.saturating_mul(found.f_frsize);
    Ok((
        device,
        DiskSpace {
            size: bytes(found.f_blocks),
            available: bytes(found.f_bavail),
            files: found.f_files,
            files_free: found.f_favail,
        },
    ))
}
