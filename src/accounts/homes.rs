//! Rules for the location of homes, and their creation.
//!
//! A disk can hang, so it is accessed on the blocking pool, with a time limit, and never during a change of
//! the database: [`resolve_all`] and [`make_all`] run before it, and everything else concerns only paths.

use std::collections::HashMap;
use std::ffi::OsString;
use std::fs;
use std::io;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Component, Path, PathBuf};

use anyhow::{Context as _, anyhow, bail};
use rustix::fs::Access;
use tokio::task::spawn_blocking;

use super::UserName;
use crate::io::disks;

/// The folders that restrict the location of homes.
pub(super) struct Homes {
    data: PathBuf,
    homes: PathBuf,
    keys: PathBuf,
}

/// A home as the database stores it: `None` is the account's folder under data/homes, so that the data
/// folder can be moved.
pub(super) type Stored = Option<String>;

impl Homes {
    /// Makes it from the existing data folder and the folder of host keys.
    pub(super) async fn new(data: &Path, keys: &Path) -> anyhow::Result<Self> {
        // It may be a link to a larger disk.
        let homes = data.join("homes");
        let asked = [data, keys, &homes].map(Path::to_owned);
        let mut resolved = resolve_all(asked.to_vec()).await;
        let [data, keys, homes] = asked.map(|folder| take(&mut resolved, &folder));
        Ok(Self {
            data: data?,
            homes: homes?,
            keys: keys?,
        })
    }

    /// Returns the home of an account as an absolute path.
    pub(super) fn absolute(&self, name: &UserName, stored: Stored) -> PathBuf {
        stored.map_or_else(|| self.homes.join(name.as_str()), PathBuf::from)
    }

    /// Returns whether a home can overlap only homes outside of data/homes. Folders under data/homes cannot
    /// overlap each other nor homes elsewhere: a home that would contain data/homes is never
    /// [chosen](Self::choose).
    pub(super) fn only_elsewhere(&self, name: &UserName, stored: &Stored) -> bool {
        let home = self.absolute(name, stored.clone());
        stored.is_none() || !home.starts_with(&self.homes)
    }

    /// Returns the home of an account before links are resolved: the requested one, or its folder under
    /// data/homes.
    pub(super) fn asked(&self, name: &UserName, wish: Option<&Path>) -> PathBuf {
        wish.map_or_else(|| self.homes.join(name.as_str()), Path::to_owned)
    }

    /// Returns the home as stored if its location is allowed. `home` is the [requested](Self::asked) one
    /// with links resolved.
    pub(super) fn choose(
        &self,
        name: &UserName,
        wish: Option<&Path>,
        home: PathBuf,
    ) -> anyhow::Result<Stored> {
        let own = self.homes.join(name.as_str());
        if wish.is_none() && home != own {
            bail!("{} is a link; give its target with --home", own.display());
        }
        let shown = home.display();
        if home == own {
            return Ok(None);
        }
        for (folder, what) in [
            (&self.data, "the database"),
            (&self.keys, "the host keys"),
            (&self.homes, "the homes of others"),
        ] {
            if folder.starts_with(&home) {
                bail!(
                    "{shown} cannot be a home: it would contain {what} ({})",
                    folder.display()
                );
            }
        }
        if home.starts_with(&self.keys) {
            bail!("{shown} cannot be a home: it is a folder for host keys");
        }
        if home.starts_with(&self.data) && !home.starts_with(&self.homes) {
            bail!(
                "{shown} cannot be a home: homes inside the data folder belong in {}",
                self.homes.display()
            );
        }
        match home.to_str() {
            Some(text) if !text.contains(char::is_control) => Ok(Some(text.to_owned())),
            _ => {
                bail!(
                    "{home:?} cannot be a home: its name must be UTF-8 without control characters"
                )
            }
        }
    }

    /// Refuses a home that equals, contains or lies in the home of another account.
    pub(super) fn refuse_overlap(
        &self,
        home: &Path,
        others: impl IntoIterator<Item = (UserName, Stored)>,
    ) -> anyhow::Result<()> {
        for (name, stored) in others {
            let other = self.absolute(&name, stored);
            if home.starts_with(&other) || other.starts_with(home) {
                bail!(
                    "{} cannot be a home: it overlaps the home of {name} ({})",
                    home.display(),
                    other.display()
                );
            }
        }
        Ok(())
    }
}

/// The answers of disks, used during a change, which does not access them.
pub(super) struct Disks {
    /// Resolved paths of the requested homes.
    found: FolderAnswers<PathBuf>,
    /// Homes that were created, or why they could not be.
    ready: FolderAnswers<()>,
    /// Homes to create.
    wanted: Vec<PathBuf>,
}

impl Disks {
    /// Resolves these homes.
    pub(super) async fn ask(homes: Vec<PathBuf>) -> Self {
        Self {
            found: resolve_all(homes).await,
            ready: HashMap::new(),
            wanted: Vec::new(),
        }
    }

    /// Returns the resolved home, if its disk has answered.
    pub(super) fn found(&self, asked: &Path) -> Option<&Result<PathBuf, String>> {
        self.found.get(asked)
    }

    /// Requires a home to exist.
    ///
    /// # Errors
    ///
    /// It could not be created.
    pub(super) fn want(&mut self, home: PathBuf) -> anyhow::Result<()> {
        match self.ready.get(&home) {
            Some(made) => made.clone().map_err(|failure| anyhow!(failure)),
            None => {
                self.wanted.push(home);
                Ok(())
            }
        }
    }

    /// Returns whether all required homes exist.
    pub(super) fn has_all(&self) -> bool {
        self.wanted.is_empty()
    }

    /// Creates the missing ones.
    pub(super) async fn make(&mut self) {
        let wanted = std::mem::take(&mut self.wanted);
        let mut made = make_all(wanted.clone()).await;
        self.ready.extend(wanted.into_iter().map(|home| {
            let made = made.remove(&home);
            let made = made.unwrap_or_else(|| Err(silence(&home)));
            (home, made)
        }));
    }
}

/// Answers of disks about folders, by folder; an error as its message.
type FolderAnswers<T> = HashMap<PathBuf, Result<T, String>>;

/// Resolves paths. There is no answer for one on a disk that hangs.
async fn resolve_all(paths: Vec<PathBuf>) -> FolderAnswers<PathBuf> {
    ask(paths, resolve).await
}

/// Creates homes; see [`resolve_all`].
async fn make_all(homes: Vec<PathBuf>) -> FolderAnswers<()> {
    ask(homes, make).await
}

async fn ask<T: Send + 'static>(
    folders: Vec<PathBuf>,
    question: fn(&Path) -> anyhow::Result<T>,
) -> FolderAnswers<T> {
    let answers = spawn_blocking(move || disks::ask(folders, question)).await;
    // Without answers after a panic, too.
    let answers = answers.unwrap_or_default().into_iter();
    answers
        .map(|(folder, answer)| (folder, answer.map_err(|failure| format!("{failure:#}"))))
        .collect()
}

/// Takes the answer about a folder.
///
/// # Errors
///
/// The disk's error, or no answer.
fn take<T>(answers: &mut FolderAnswers<T>, folder: &Path) -> anyhow::Result<T> {
    let answer = answers
        .remove(folder)
        .unwrap_or_else(|| Err(silence(folder)));
    answer.map_err(|failure| anyhow!(failure))
}

/// Returns the error for a folder on a disk that hangs.
pub(super) fn silence(folder: &Path) -> String {
    format!("the disk of {} does not answer", folder.display())
}

/// Returns the path of a home with links resolved.
///
/// # Errors
///
/// The disk's error, or no answer.
pub(super) async fn resolve_one(path: PathBuf) -> anyhow::Result<PathBuf> {
    take(&mut resolve_all(vec![path.clone()]).await, &path)
}

/// Creates one home.
///
/// # Errors
///
/// The disk's error, or no answer.
pub(super) async fn make_one(home: PathBuf) -> anyhow::Result<()> {
    take(&mut make_all(vec![home.clone()]).await, &home)
}

/// Creates a configured home; returns its path with links resolved.
///
/// # Errors
///
/// The disk's error, or no answer.
pub async fn ready(home: &Path) -> anyhow::Result<PathBuf> {
    let home = resolve_one(home.to_owned()).await?;
    make_one(home.clone()).await?;
    Ok(home)
}

/// Creates a home with all its parents for this user alone. An existing one stays as it is.
fn make(home: &Path) -> anyhow::Result<()> {
    let shown = home.display();
    if home.exists() {
        if !home.is_dir() {
            bail!("{shown} cannot be a home: it is not a folder");
        }
        let all = Access::READ_OK | Access::WRITE_OK | Access::EXEC_OK;
        return rustix::fs::access(home, all)
            .map_err(io::Error::from)
            .with_context(|| format!("{shown} cannot be a home: landfall must own it"));
    }
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(home)
        .with_context(|| format!("cannot create {shown}"))
}

/// Returns the absolute path without links and "..", for a path whose last component may be missing.
fn resolve(path: &Path) -> anyhow::Result<PathBuf> {
    let absolute =
        std::path::absolute(path).with_context(|| format!("{} is not a path", path.display()))?;
    let mut existing = absolute.as_path();
    let mut missing: Vec<OsString> = Vec::new();
    loop {
        match fs::canonicalize(existing) {
            Ok(mut resolved) => {
                resolved.extend(missing.iter().rev());
                return Ok(resolved);
            }
            Err(failure) if failure.kind() == io::ErrorKind::NotFound && !existing.is_symlink() => {
                match (existing.components().next_back(), existing.parent()) {
                    (Some(Component::Normal(name)), Some(parent)) => {
                        missing.push(name.to_owned());
                        existing = parent;
                    }
                    _ => bail!("{} has parent folders that do not exist", path.display()),
                }
            }
            Err(failure) if failure.kind() == io::ErrorKind::NotFound => {
                bail!("{} is a broken link", existing.display())
            }
            Err(failure) => {
                return Err(failure).with_context(|| format!("cannot use {}", existing.display()));
            }
        }
    }
}
