//! The command line, as types only: what each command does stands in `admin` and `server`.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

mod audit;
mod ban;
mod session;
mod user;
mod values;

pub use self::audit::{Audit, WantedPath};
pub use self::ban::{Ban, Lift};
pub use self::session::{Kill, Session};
pub use self::user::{
    Add, Key, KeyAdd, KeyRemove, List, Passwd, PasswordSource, Remove, Set, Settings, Show, Sort,
    State, User, Why,
};
pub use self::values::{Choice, Expiry, Limit, Origin};

/// An SFTP server for people who are not system users.
#[derive(Debug, Parser)]
#[command(name = "landfall", version, max_term_width = 100)]
pub struct Cli {
    /// The config file; without one, config.toml in the current folder, or else
    /// /etc/landfall/config.toml.
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
    /// Watch the running server: sessions, transfers, quotas and failed logins.
    Top,
    /// Have the running server take up a changed config, host keys and declared users; no session ends
    /// for it.
    Reload,
    /// Print the hash of a password, for a user that is declared in config.toml.
    HashPassword(HashPassword),
    /// Check the config and show every fault in it with its line, and whether its users fit the database.
    Check,
    /// Show which config and data the commands use here, and the server that runs on them.
    ///
    /// Exit code 0: a server runs. 3: none runs. 1: the config is faulty, or the server does not answer.
    Status(Format),
    /// Add, change, remove and show users.
    #[command(subcommand)]
    User(User),
    /// Show what is used, and count it anew.
    #[command(subcommand)]
    Quota(Quota),
    /// Show and end the sessions that are open on the running server.
    #[command(subcommand)]
    Session(Session),
    /// Show and lift the bans of sources that have failed to log in, or worse.
    #[command(subcommand)]
    Ban(Ban),
    /// Back up accounts, host keys, configuration and audit logs into a new folder. The homes are not in
    /// it. A server may run meanwhile.
    Backup {
        /// The folder; it must not exist yet.
        folder: PathBuf,
    },
    /// Put a backup back in place, while no server runs. Other files in the way are kept beside the
    /// restored ones, and no audit log is deleted.
    ///
    /// Everything goes back to where it came from. With --config FILE, the configuration is restored to
    /// FILE, and all else to where it says. Root may run this for another user: what lies in the data
    /// folder will belong to the owner of that.
    Restore {
        /// The folder that `landfall backup` wrote.
        folder: PathBuf,
    },
    /// Show who did what: the audit trail.
    Audit(Audit),
    /// Write what makes a shell complete these commands: landfall completions bash
    Completions {
        /// The shell.
        shell: clap_complete::Shell,
    },
    /// Write the manual pages of all commands into a folder.
    Man {
        /// The folder; made if it is not there.
        folder: PathBuf,
    },
}

/// `landfall hash-password`
#[derive(Debug, Args)]
pub struct HashPassword {
    /// Read the password from the standard input: one line.
    #[arg(long)]
    pub password_stdin: bool,
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
