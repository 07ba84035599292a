//! Checks directories with their own permissions: links in their place, and missing ones.

use std::path::Path;

use anyhow::Context as _;
use rustix::io::Errno;
use tokio::task::spawn_blocking;

use crate::accounts::Account;
use crate::error::Error;
use crate::io::disks;
use crate::rules::Permissions;
use crate::session::open_home;
use crate::store::{Kind, Store};
use crate::values::path::VPath;

/// A warning for each link on the way to a directory with permissions of its own, since they do not hold where it
/// leads, and for each such directory that is not there. None from a disk that does not answer.
pub(super) async fn warnings(account: &Account) -> Vec<String> {
    let name = &account.name;
    let link = |link: VPath| {
        format!(
            "{link} in the home of {name} is a link: the permissions of directories there do not hold where it leads; make it a directory"
        )
    };
    let gap =
        |gap: VPath| format!("there is no directory {gap} in the home of {name}; --mkdir makes it");
    let links = ask(account, links).await.into_iter().map(link);
    let gaps = ask(account, missing).await.into_iter().map(gap);
    links.chain(gaps).collect()
}

/// Makes the directories with permissions of their own that are not there; returns them.
///
/// # Errors
/// Of the disk, with the directory.
pub(super) async fn make(account: &Account, umask: u32) -> anyhow::Result<Vec<VPath>> {
    let gaps = ask(account, missing).await;
    let (home, wanted) = (account.home.clone(), gaps.clone());
    let making = move || {
        let store = open_home(&home, umask)?;
        for place in wanted.iter().flat_map(VPath::with_parents) {
            match store.make_directory(&place, None) {
                Err(Error::Os(Errno::EXIST)) | Ok(()) => {}
                Err(failure) => {
                    return Err(failure).with_context(|| format!("cannot make {place}"));
                }
            }
        }
        anyhow::Ok(())
    };
    spawn_blocking(making).await??;
    Ok(gaps)
}

/// Asks about the home of an account with directories that have permissions of their own.
async fn ask(account: &Account, question: fn(&Path, &Permissions) -> Vec<VPath>) -> Vec<VPath> {
    let permissions = account.settings.rules.permissions.clone();
    if permissions.everywhere().is_some() {
        return Vec::new();
    }
    let home = [account.home.clone()];
    let looking = move || disks::ask(home, move |home| question(home, &permissions));
    let found = spawn_blocking(looking).await.unwrap_or_default();
    found.into_values().flatten().collect()
}

fn missing(home: &Path, permissions: &Permissions) -> Vec<VPath> {
    let Ok(store) = open_home(home, 0) else {
        return Vec::new();
    };
    // Nothing is made beyond a link, of which there is another warning.
    let is_missing = |place: &VPath| {
        let found = store.metadata(place, false);
        let is_linked = || place.with_parents().any(|above| is_link(&*store, &above));
        matches!(found, Err(Error::Os(Errno::NOENT))) && !is_linked()
    };
    let directories = permissions.all().map(|(directory, _)| directory.clone());
    directories.filter(is_missing).collect()
}

fn links(home: &Path, permissions: &Permissions) -> Vec<VPath> {
    let Ok(store) = open_home(home, 0) else {
        return Vec::new();
    };
    let directories = permissions.all().map(|(directory, _)| directory);
    let mut links: Vec<_> = directories
        .filter_map(|directory| {
            let mut places = directory.with_parents();
            places.find(|place| is_link(&*store, place))
        })
        .collect();
    links.dedup();
    links
}

fn is_link(store: &dyn Store, place: &VPath) -> bool {
    let found = store.metadata(place, false);
    found.is_ok_and(|found| found.kind() == Kind::Symlink)
}
