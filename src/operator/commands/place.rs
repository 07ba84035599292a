//! Where a command works: with which config and data, and whether it may make state there. A command that runs
//! in the wrong folder must neither leave a new database behind nor follow what a client has put there.

use std::env::current_dir;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::bail;

use crate::accounts;
use crate::config::Config;
use crate::database;
use crate::operator::cli::{Command, UserCommand};

/// The config and data of a command, in one line.
pub fn describe(config: &Config) -> String {
    format!(
        "config: {}; data: {}",
        config.shown_file(),
        config.server.data.display()
    )
}

/// Refuses a command that has nothing to work on. State is made by `serve`, by `user add` where there is a
/// config file, and by `restore`; every other command needs what one of them has made.
///
/// # Errors
/// What there is not, where it was looked for, and what to do.
pub fn need_state(config: &Config, command: &Command) -> anyhow::Result<()> {
    let needs = match command {
        Command::Serve
        | Command::Check
        | Command::Status(_)
        | Command::HashPassword(_)
        | Command::Restore { .. }
        | Command::Completions { .. }
        | Command::Man { .. } => false,
        Command::User(UserCommand::Add(_)) => config.file.is_none(),
        _ => true,
    };
    let data = &config.server.data;
    if !needs || database::exists(data)? {
        return Ok(());
    }
    if config.file.is_none() && !data.exists() {
        bail!(
            "no configuration and no data folder here: run it where the server runs, or name a config with --config FILE"
        );
    }
    bail!(
        "there is no database in {}: the first `landfall serve` makes it, or, where there is a config file, `landfall user add`",
        data.display()
    )
}

/// Refuses what was found in the current folder if that lies in the home of an account: a client may have put
/// it there. Homes are known from the data that the config names, from data in the folders above, and from the
/// server that is installed.
///
/// # Errors
/// Which home it is.
pub async fn refuse_home(config: &Config) -> anyhow::Result<()> {
    if !config.is_found_here {
        return Ok(());
    }
    // Without links.
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
    // First what is known without opening a database, which may be a client's, too.
    let mut homes: Vec<_> = known.iter().map(|data| data.join("homes")).collect();
    refuse_within(&homes, &here)?;
    homes.clear();
    for data in &known {
        // One that this user cannot read is not theirs.
        homes.extend(accounts::homes_elsewhere_of(data).await.unwrap_or_default());
    }
    refuse_within(&homes, &here)
}

fn refuse_within(homes: &[PathBuf], here: &Path) -> anyhow::Result<()> {
    match homes.iter().find(|home| here.starts_with(home)) {
        Some(home) => bail!(
            "the current folder lies in {}, where accounts have their files: a client may have put the config there; run it elsewhere, or name a config with --config FILE",
            home.display()
        ),
        None => Ok(()),
    }
}
