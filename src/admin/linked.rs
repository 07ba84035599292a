//! Finds links where directories with permissions of their own should be.

use std::path::Path;

use tokio::task::spawn_blocking;

use crate::accounts::Account;
use crate::disks;
use crate::path::VPath;
use crate::rules::Permissions;
use crate::session::open_home;
use crate::store::Kind;

/// A warning for each link on the way to a directory with permissions of its own: they do not hold where it
/// leads. None from a disk that does not answer.
pub(super) async fn warnings(account: &Account) -> Vec<String> {
    let permissions = account.settings.rules.permissions.clone();
    if permissions.everywhere().is_some() {
        return Vec::new();
    }
    let home = [account.home.clone()];
    let looking = move || disks::ask(home, move |home| links(home, &permissions));
    let found = spawn_blocking(looking).await.unwrap_or_default();
    let found = found.into_values().flatten();
    let warning = |link: VPath| {
        let name = &account.name;
        format!(
            "{link} in the home of {name} is a link: the permissions of directories there do not hold where it leads; make it a directory"
        )
    };
    found.map(warning).collect()
}

fn links(home: &Path, permissions: &Permissions) -> Vec<VPath> {
    let Ok(store) = open_home(home, 0) else {
        return Vec::new();
    };
    let is_link = |place: &VPath| {
        let found = store.metadata(place, false);
        found.is_ok_and(|found| found.kind() == Kind::Symlink)
    };
    let directories = permissions.all().map(|(directory, _)| directory);
    let mut links: Vec<_> = directories
        .filter_map(|directory| directory.with_parents().find(is_link))
        .collect();
    links.dedup();
    links
}
