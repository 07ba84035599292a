//! Where homes may lie, and making them.

use std::ffi::OsString;
use std::fs;
use std::io;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Component, Path, PathBuf};

use anyhow::{Context as _, bail};
use rustix::fs::Access;

use super::UserName;

/// The folders that matter to where a home may lie.
pub(super) struct Homes {
    data: PathBuf,
    homes: PathBuf,
    keys: PathBuf,
}

/// A home as the database keeps it: `None` is the account's own folder under data/homes, so that
/// data can be moved as a whole.
pub(super) type Stored = Option<String>;

impl Homes {
    /// Takes the data folder, which exists, and the folder of the host keys.
    pub(super) fn new(data: &Path, keys: &Path) -> anyhow::Result<Self> {
        let data =
            fs::canonicalize(data).with_context(|| format!("cannot use {}", data.display()))?;
        Ok(Self {
            // It may be a link to a larger disk.
            homes: resolve(&data.join("homes"))?,
            keys: resolve(keys)?,
            data,
        })
    }

    /// The home of an account as an absolute path.
    pub(super) fn absolute(&self, name: &UserName, stored: Stored) -> PathBuf {
        stored.map_or_else(|| self.homes.join(name.as_str()), PathBuf::from)
    }

    /// Does it lie beneath data/homes? Only there it can overlap the own folder of an account: one that
    /// data/homes would lie in is never [chosen](Self::choose).
    pub(super) fn is_among_own(&self, home: &Path) -> bool {
        home.starts_with(&self.homes)
    }

    /// Where an account's home shall lie, if it may lie there by itself.
    pub(super) fn choose(&self, name: &UserName, wish: Option<&Path>) -> anyhow::Result<Stored> {
        let own = self.homes.join(name.as_str());
        let home = match wish {
            None => own.clone(),
            Some(wish) => resolve(wish)?,
        };
        let shown = home.display();
        if home == own {
            if own.is_symlink() {
                bail!("{shown} is a link; name the folder that it leads to with --home");
            }
            return Ok(None);
        }
        for (folder, what) in [
            (&self.data, "the database"),
            (&self.keys, "the host keys"),
            (&self.homes, "the homes of others"),
        ] {
            if folder.starts_with(&home) {
                bail!(
                    "{shown} cannot be a home: {what} would lie in it ({})",
                    folder.display()
                );
            }
        }
        if home.starts_with(&self.keys) {
            bail!("{shown} cannot be a home: it is a folder for host keys");
        }
        if home.starts_with(&self.data) && !home.starts_with(&self.homes) {
            bail!(
                "{shown} cannot be a home: inside the data folder homes lie in {}",
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

    /// Refuses a home that is the home of another account, inside it or around it.
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

/// Makes a home that the config names; gives it without links.
///
/// # Errors
/// Of the disk.
pub fn ready(home: &Path) -> anyhow::Result<PathBuf> {
    let home = resolve(home)?;
    make(&home)?;
    Ok(home)
}

/// Makes a home, with all folders on the way, for this user alone. One that exists is kept as it is.
pub(super) fn make(home: &Path) -> anyhow::Result<()> {
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
        .with_context(|| format!("cannot make {shown}"))
}

/// The absolute path without links and "..", for a path whose last part need not exist yet.
pub(super) fn resolve(path: &Path) -> anyhow::Result<PathBuf> {
    let absolute =
        std::path::absolute(path).with_context(|| format!("{} is no path", path.display()))?;
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
                    _ => bail!("{} leads through folders that do not exist", path.display()),
                }
            }
            Err(failure) => {
                return Err(failure).with_context(|| format!("cannot use {}", existing.display()));
            }
        }
    }
}
