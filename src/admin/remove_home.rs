//! Deleting the home of an account that was removed.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use anyhow::{Context as _, bail};

/// Refuses what cannot be the home of one account alone: a link, the root, another file system
/// mounted in it. To be asked before the account is removed.
pub(super) fn check(home: &Path) -> anyhow::Result<()> {
    let shown = home.display();
    let Ok(metadata) = home.symlink_metadata() else {
        return Ok(());
    };
    let real = fs::canonicalize(home).with_context(|| format!("cannot use {shown}"))?;
    if real != home {
        bail!(
            "{shown} is not deleted: a link leads elsewhere on the way to it ({})",
            real.display()
        );
    }
    if !metadata.is_dir() || home.parent().is_none() {
        bail!("{shown} is not deleted: it is no home");
    }
    if let Some(mount) = other_device(home, metadata.dev())? {
        bail!(
            "{shown} is not deleted: another file system is mounted on {mount}; unmount it first"
        );
    }
    Ok(())
}

/// Deletes a home that was checked, with all that is in it; links are removed, not followed.
pub(super) fn delete(home: &Path) -> anyhow::Result<()> {
    check(home)?;
    if home.symlink_metadata().is_err() {
        return Ok(());
    }
    fs::remove_dir_all(home).with_context(|| {
        format!(
            "the user is gone, but some of their files are left in {}",
            home.display()
        )
    })
}

/// A folder on another device below this one, if there is one.
fn other_device(folder: &Path, device: u64) -> anyhow::Result<Option<String>> {
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        let entries =
            fs::read_dir(&folder).with_context(|| format!("cannot read {}", folder.display()))?;
        for entry in entries {
            let path = entry?.path();
            let metadata = path.symlink_metadata()?;
            if metadata.dev() != device {
                return Ok(Some(path.display().to_string()));
            }
            if metadata.is_dir() {
                folders.push(path);
            }
        }
    }
    Ok(None)
}
