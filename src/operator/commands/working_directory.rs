//! Which configuration and data a command uses, and whether it may create state. A command in
//! the wrong folder must not leave a new database behind.

use anyhow::bail;

use crate::config::Config;
use crate::database;
use crate::operator::cli::{Command, UserCommand};

/// Formats the configuration and data of a command in one line.
pub fn describe(config: &Config) -> String {
    format!(
        "config: {}; data: {}",
        config.shown_file(),
        config.server.data.display()
    )
}

/// Refuses a command without state to work on. State is created by `serve`, by `user add` beside a
/// configuration, and by `restore`; every other command needs it.
///
/// # Errors
/// What is missing, where it was expected, and what to do.
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
            "no configuration and no data folder here: run the command where the server runs, or give the configuration with --config FILE"
        );
    }
    bail!(
        "there is no database in {}: the first `landfall serve` creates it, or, with a configuration file, `landfall user add`",
        data.display()
    )
}
