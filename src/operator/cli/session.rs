//! The command line of open sessions.

use clap::{ArgGroup, Args, Subcommand};

use super::Format;

/// `landfall session ...`
#[derive(Debug, Subcommand)]
pub enum Session {
    /// List the open sessions.
    List(Format),
    /// End open sessions; their clients are told why.
    Kill(Kill),
}

/// `landfall session kill`
#[derive(Debug, Args)]
#[command(group = ArgGroup::new("which").required(true).multiple(true))]
pub struct Kill {
    /// The ids, as `session list` shows them.
    #[arg(value_name = "ID", value_parser = id, group = "which")]
    pub ids: Vec<u64>,
    /// All sessions of this user.
    #[arg(long, value_name = "NAME", group = "which")]
    pub user: Option<String>,
    /// What the clients are told: one line.
    #[arg(long, value_name = "TEXT", value_parser = reason)]
    pub reason: Option<String>,
}

fn id(text: &str) -> Result<u64, String> {
    text.parse().map_err(|_| {
        "an id is a number, as `landfall session list` shows it; for all sessions of a user there is --user"
            .to_owned()
    })
}

/// Within the limits of a message that every client shows.
fn reason(text: &str) -> Result<String, String> {
    const MOST: usize = 500;
    if text.is_empty() || text.len() > MOST || text.contains(char::is_control) {
        return Err(format!("a reason is one line of 1 to {MOST} bytes"));
    }
    Ok(text.to_owned())
}
