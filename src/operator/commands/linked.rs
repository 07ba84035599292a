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
    let found = look(account).await;
    let links = found.links.into_iter().map(link);
    links.chain(found.missing.into_iter().map(gap)).collect()
}

/// Makes the directories with permissions of their own that are not there; returns them.
///
/// # Errors
/// Of the disk, with the directory.
pub(super) async fn make(account: &Account, umask: u32) -> anyhow::Result<Vec<VPath>> {
    let gaps = look(account).await.missing;
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

/// What stands in the place of directories that have permissions of their own.
#[derive(Default)]
struct DirectoryProblems {
    links: Vec<VPath>,
    missing: Vec<VPath>,
}

/// Looks into the home of an account with directories that have permissions of their own.
async fn look(account: &Account) -> DirectoryProblems {
    let permissions = account.settings.rules.permissions.clone();
    if permissions.everywhere().is_some() {
        return DirectoryProblems::default();
    }
    let home = [account.home.clone()];
    let looking = move || disks::ask(home, move |home| find_problems(home, &permissions));
    let found = spawn_blocking(looking).await.unwrap_or_default();
    found.into_values().next().unwrap_or_default()
}

fn find_problems(home: &Path, permissions: &Permissions) -> DirectoryProblems {
    let Ok(store) = open_home(home, 0) else {
        return DirectoryProblems::default();
    };
    let mut found = DirectoryProblems::default();
    for (directory, _) in permissions.all() {
        if let Some(link) = directory
            .with_parents()
            .find(|place| is_link(&*store, place))
        {
            found.links.push(link);
        } else if matches!(
            store.metadata(&directory, false),
            Err(Error::Os(Errno::NOENT))
        ) {
            // Nothing is made beyond a link, of which there is a warning.
            found.missing.push(directory);
        }
    }
    found.links.dedup();
    found
}

fn is_link(store: &dyn Store, place: &VPath) -> bool {
    let found = store.metadata(place, false);
    found.is_ok_and(|found| found.kind() == Kind::Symlink)
}
