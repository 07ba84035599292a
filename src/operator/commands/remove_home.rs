//! Deletes the home of a removed account.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use tokio::task::spawn_blocking;

use crate::accounts::UserName;
use crate::control::RunningServer;
use crate::io::disks::Mounts;
use crate::session;

/// Refuses a home that may contain more than one account's files: a link, the root, or one with a mount
/// point in it. Called before the account is removed.
pub(super) fn check(home: &Path) -> anyhow::Result<()> {
    let shown = home.display();
    let Ok(metadata) = home.symlink_metadata() else {
        return Ok(());
    };
    let real = fs::canonicalize(home).with_context(|| format!("cannot use {shown}"))?;
    if real != home {
        bail!(
            "{shown} is not deleted: its path contains a link ({})",
            real.display()
        );
    }
    if !metadata.is_dir() || home.parent().is_none() {
        bail!("{shown} is not deleted: it is not a home");
    }
    // Without /proc, the removal of a mount point fails later.
    if let Some(mount) = Mounts::now().within(home).next() {
        bail!(
            "{shown} is not deleted: another file system is mounted on {}; unmount it first",
            mount.display()
        );
    }
    Ok(())
}

/// Waits until the sessions of a removed account have ended, and deletes its home with its contents.
pub(super) async fn delete(data: &Path, user: &UserName, home: PathBuf) -> anyhow::Result<()> {
    let left = format!(
        "{user} is removed, but not all of the files in {}",
        home.display()
    );
    let sessions = RunningServer::sessions_left(data, user).await;
    match sessions.with_context(|| left.clone())? {
        0 => {}
        some => bail!(
            "{left}: {some} of the sessions still use them; delete the folder when they have ended"
        ),
    }
    let deleting = spawn_blocking(move || {
        check(&home)?;
        match home.symlink_metadata() {
            Ok(_) => Ok(Some(session::remove_home(&home)?)),
            Err(_) => anyhow::Ok(None),
        }
    });
    match deleting.await?.with_context(|| left.clone())? {
        Some(remains) if !remains.is_empty() => bail!("{left}:{remains}"),
        _ => Ok(()),
    }
}
