//! The command line, as types only: what each command does stands in `admin` and `server`.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

mod session;
mod user;
mod values;

pub use self::session::{Kill, Session};
pub use self::user::{
    Add, Key, KeyAdd, KeyRemove, Passwd, PasswordSource, Remove, Set, Settings, Show, User,
};
pub use self::values::{Choice, Expiry, Limit, Origin};

/// An SFTP server for people who are not system users.
#[derive(Debug, Parser)]
#[command(name = "landfall", version, max_term_width = 100)]
pub struct Cli {
    /// The config file; without one, config.toml in the current folder.
    #[arg(long, global = true, value_name = "FILE", env = "LANDFALL_CONFIG")]
    pub config: Option<PathBuf>,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run the server until SIGTERM or Ctrl-C.
    Serve,
    /// Have the running server take up a changed config, host keys and declared users; no session ends
    /// for it.
    Reload,
    /// Check the config and show every fault in it with its line.
    Check,
    /// Add, change, remove and show users.
    #[command(subcommand)]
    User(User),
    /// Show what is used, and count it anew.
    #[command(subcommand)]
    Quota(Quota),
    /// Show and end the sessions that are open on the running server.
    #[command(subcommand)]
    Session(Session),
}

/// `landfall quota ...`
#[derive(Debug, Subcommand)]
pub enum Quota {
    /// Show what users use, and what they may use.
    Show(QuotaShow),
    /// Count the files anew, as after changing them by hand; with open sessions too.
    Recount(QuotaRecount),
}

/// `landfall quota show`
#[derive(Debug, Args)]
pub struct QuotaShow {
    /// This user alone.
    pub name: Option<String>,
    /// How it is shown.
    #[command(flatten)]
    pub format: Format,
}

/// `landfall quota recount`
#[derive(Debug, Args)]
pub struct QuotaRecount {
    /// This user alone.
    pub name: Option<String>,
}

/// How a list is shown.
#[derive(Debug, Args)]
pub struct Format {
    /// As JSON, for programs.
    #[arg(long)]
    pub json: bool,
}
