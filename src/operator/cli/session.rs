//! `landfall session ...`

use clap::{ArgGroup, Args, Subcommand};
use clap_complete::ArgValueCompleter;

use super::OutputFormat;
use crate::operator::commands::complete::user_names;

/// `landfall session ...`
#[derive(Debug, Subcommand)]
pub enum SessionCommand {
    /// List the open sessions
    #[command(after_help = "\
Examples:
  landfall session list
  landfall session list --json")]
    List(OutputFormat),
    /// Close sessions; the clients see the reason
    #[command(after_help = "\
Examples:
  landfall session kill 12
  landfall session kill --user anna --reason \"Maintenance until 8:00\"")]
    Kill(SessionKill),
}

/// `landfall session kill`
#[derive(Debug, Args)]
#[command(group = ArgGroup::new("which").required(true).multiple(true))]
pub struct SessionKill {
    /// Ids, as `landfall session list` shows them
    #[arg(value_name = "ID", value_parser = id, group = "which")]
    pub ids: Vec<u64>,
    /// Close all sessions of this user
    #[arg(long, value_name = "NAME", group = "which", add = ArgValueCompleter::new(user_names))]
    pub user: Option<String>,
    /// Reason shown to the clients, one line
    #[arg(long, value_name = "TEXT", value_parser = reason)]
    pub reason: Option<String>,
}

fn id(text: &str) -> Result<u64, String> {
    text.parse().map_err(|_| {
        "an id is a number from `landfall session list`; use --user for all sessions of a user"
            .to_owned()
    })
}

/// Checks the limits of a message that every client can show.
fn reason(text: &str) -> Result<String, String> {
    const MOST: usize = 500;
    if text.is_empty() || text.len() > MOST || text.contains(char::is_control) {
        return Err(format!("a reason is one line of 1 to {MOST} bytes"));
    }
    Ok(text.to_owned())
}
