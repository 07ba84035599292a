//! Refuses to work in the home of an account, where a client may have put the configuration.

use std::env::current_dir;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::bail;

use crate::accounts;
use crate::config::Config;
use crate::database;

/// Refuses a configuration or data folder that was found in the current directory if that is in the home of
/// an account: a client may have put it there. Homes are known from the configured data, from data in
/// parent directories, and from the installed server.
///
/// # Errors
///
/// The home that contains it.
pub async fn refuse_home(config: &Config) -> anyhow::Result<()> {
    if !config.is_found_here {
        return Ok(());
    }
    // With links resolved.
    let here = current_dir()?;
    let installed = Config::installed().map(|config| config.server.data);
    let above = here
        .ancestors()
        .flat_map(|above| [above.join("data"), above.to_owned()]);
    let above = above.filter(|data| database::exists(data).unwrap_or(false));
    let mut known: Vec<PathBuf> = [config.server.data.clone()]
        .into_iter()
        .chain(installed)
        .chain(above)
        .map(|data| fs::canonicalize(&data).unwrap_or(data))
        .collect();
    known.sort_unstable();
    known.dedup();
    // First the homes that are known without opening a database, which may be a client's, too.
    let mut homes: Vec<_> = known.iter().map(|data| data.join("homes")).collect();
    refuse_within(&homes, &here)?;
    homes.clear();
    for data in &known {
        // A database that this user cannot read is not theirs.
        homes.extend(accounts::homes_elsewhere_of(data).await.unwrap_or_default());
    }
    refuse_within(&homes, &here)
}

fn refuse_within(homes: &[PathBuf], here: &Path) -> anyhow::Result<()> {
    match homes.iter().find(|home| here.starts_with(home)) {
        Some(home) => bail!(
            "the current directory is in {}, the home of an account: a client may have put the configuration there; run the command elsewhere, or give the configuration with --config FILE",
            home.display()
        ),
        None => Ok(()),
    }
}
