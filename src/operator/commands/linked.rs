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

/// Returns a warning for each link on the path of a directory with its own permissions, since they do not
/// apply to its target, and for each missing directory. Skips a disk that does not answer.
pub(super) async fn warnings(account: &Account) -> Vec<String> {
    let name = &account.name;
    let link = |link: VPath| {
        format!(
            "{link} in the home of {name} is a link: permissions of directories there do not apply to its target; replace it by a directory"
        )
    };
    let gap = |gap: VPath| format!("the home of {name} has no directory {gap}; --mkdir creates it");
    let found = look(account).await;
    let links = found.links.into_iter().map(link);
    links.chain(found.missing.into_iter().map(gap)).collect()
}

/// Creates missing directories that have their own permissions; returns them.
///
/// # Errors
///
/// Errors of the disk, with the directory.
pub(super) async fn make(account: &Account, umask: u32) -> anyhow::Result<Vec<VPath>> {
    let gaps = look(account).await.missing;
    let (home, wanted) = (account.home.clone(), gaps.clone());
    let making = move || {
        let store = open_home(&home, umask)?;
        for place in wanted.iter().flat_map(VPath::with_parents) {
            match store.make_directory(&place, None) {
                Err(Error::Os(Errno::EXIST)) | Ok(()) => {}
                Err(failure) => {
                    return Err(failure).with_context(|| format!("cannot create {place}"));
                }
            }
        }
        anyhow::Ok(())
    };
    spawn_blocking(making).await??;
    Ok(gaps)
}

/// Problems with directories that have their own permissions.
#[derive(Default)]
struct DirectoryProblems {
    links: Vec<VPath>,
    missing: Vec<VPath>,
}

/// Examines the home of an account for such problems.
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
            // Nothing is created beyond a link, which has a warning.
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
