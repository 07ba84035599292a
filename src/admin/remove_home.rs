//! Deleting the home of an account that was removed.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use tokio::task::spawn_blocking;

use super::control::Server;
use crate::accounts::UserName;
use crate::session;

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
    if let Some(mount) = mount_within(home) {
        bail!(
            "{shown} is not deleted: another file system is mounted on {}; unmount it first",
            mount.display()
        );
    }
    Ok(())
}

/// Waits until the sessions of a removed account have left its home, and deletes it with all that is
/// in it.
pub(super) async fn delete(data: &Path, user: &UserName, home: PathBuf) -> anyhow::Result<()> {
    let left = format!(
        "{user} is removed, but not all of the files in {}",
        home.display()
    );
    let sessions = Server::sessions_left(data, user).await;
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

/// A place in a folder, or the folder itself, where something is mounted. Without /proc it is found
/// when it cannot be removed.
fn mount_within(folder: &Path) -> Option<PathBuf> {
    let mounts = fs::read("/proc/self/mountinfo").ok()?;
    let mut places = mounts
        .split(|byte| *byte == b'\n')
        .filter_map(|line| line.split(|byte| *byte == b' ').nth(4))
        .map(unescaped);
    places.find(|place| place.starts_with(folder))
}

/// A path of /proc/self/mountinfo (proc(5)), in which spaces and the like are three octal digits.
fn unescaped(mut field: &[u8]) -> PathBuf {
    let mut path = Vec::with_capacity(field.len());
    while let [first, after @ ..] = field {
        let (byte, rest) = match field {
            [
                b'\\',
                a @ b'0'..=b'3',
                b @ b'0'..=b'7',
                c @ b'0'..=b'7',
                rest @ ..,
            ] => ((a - b'0') << 6 | (b - b'0') << 3 | (c - b'0'), rest),
            _ => (*first, after),
        };
        path.push(byte);
        field = rest;
    }
    OsStr::from_bytes(&path).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_with_octal_digits_are_those_of_the_disk() {
        for (field, path) in [
            (&br"/mnt/a\040b\134"[..], &br"/mnt/a b\"[..]),
            (br"\012\303\244", b"\n\xc3\xa4"),
            (br"/a\04", br"/a\04"),
            (br"/a\999", br"/a\999"),
        ] {
            assert_eq!(unescaped(field), Path::new(OsStr::from_bytes(path)));
        }
    }
}
