//! The command line, as types only: what each command does is in `operator::commands` and `server`.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};
use clap_complete::ArgValueCompleter;

use crate::operator::commands::complete::user_names;

mod audit;
mod ban;
mod session;
#[cfg(test)]
mod tests;
mod user;
mod values;

pub use self::audit::{AuditFilter, WantedPath};
pub use self::ban::{BanCommand, BanLift};
pub use self::session::{SessionCommand, SessionKill};
pub use self::user::{
    AccountState, KeyAdd, KeyCommand, KeyRemove, PasswordSource, UserAdd, UserCommand, UserList,
    UserOptions, UserOrder, UserPasswd, UserRemove, UserSet, UserShow, UserWhy,
};
pub use self::values::{Choice, Expiry, Limit, Origin};

/// An SFTP server for accounts that are not system users.
#[derive(Debug, Parser)]
#[command(name = "landfall", version, max_term_width = 100)]
#[command(after_help = "\
Examples:
  landfall serve                      run the server; the first start creates an account
  landfall user add anna --quota 10GiB
  landfall session list
  landfall audit --follow

See landfall-config(5) for the configuration, and landfall-files(5) for files and exit codes.")]
pub struct Cli {
    /// Configuration file [default: config.toml in the current directory, then
    /// /etc/landfall/config.toml]
    #[arg(long, global = true, value_name = "FILE", env = "LANDFALL_CONFIG")]
    pub config: Option<PathBuf>,
    /// The command to run.
    #[command(subcommand)]
    pub command: Command,
}

/// A command of the operator.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run the server until it receives SIGTERM or SIGINT
    #[command(after_help = "\
Examples:
  landfall serve
  landfall --config /etc/landfall/config.toml serve")]
    Serve,
    /// Show sessions, transfers, quotas and failed logins, live
    #[command(after_help = "\
Examples:
  landfall top                        press ? for the keys")]
    Top,
    /// Reload the configuration, host keys and declared users; open sessions continue
    #[command(after_help = "\
Examples:
  landfall check && landfall reload")]
    Reload,
    /// Print the hash of a password, for a user declared in config.toml
    #[command(after_help = "\
Examples:
  landfall hash-password
  pwgen 24 1 | landfall hash-password --password-stdin")]
    HashPassword(HashPassword),
    /// Check the configuration: report every fault with its line, and compare its users with the
    /// database
    #[command(after_help = "\
Examples:
  landfall check
  landfall --config new.toml check")]
    Check,
    /// Show which configuration and data are in use, and the server that runs on them
    ///
    /// Exit codes: 0 if a server runs, 3 if none runs, 1 if the configuration is faulty or the server
    /// does not answer.
    #[command(after_help = "\
Examples:
  landfall status
  landfall status --json")]
    Status(OutputFormat),
    /// Add, change, remove and show users
    #[command(subcommand)]
    User(UserCommand),
    /// Show and recount the space that users occupy
    #[command(subcommand)]
    Quota(QuotaCommand),
    /// List and close the sessions of the running server
    #[command(subcommand)]
    Session(SessionCommand),
    /// List and lift bans of client addresses
    #[command(subcommand)]
    Ban(BanCommand),
    /// Back up accounts, host keys, configuration and audit logs into a new folder
    ///
    /// The homes are not part of the backup. The server may run.
    #[command(after_help = "\
Examples:
  landfall backup /var/backups/landfall-monday")]
    Backup {
        /// Folder to create
        folder: PathBuf,
    },
    /// Restore a backup while no server runs
    ///
    /// Everything goes back to where it came from. With --config FILE, the configuration is restored to
    /// FILE, and everything else to where that says. Other files in the way are kept beside the restored
    /// ones, and no audit log is deleted. Root may restore for another user: files in the data folder
    /// belong to its owner.
    #[command(after_help = "\
Examples:
  landfall restore /var/backups/landfall-monday")]
    Restore {
        /// Folder that `landfall backup` wrote
        folder: PathBuf,
    },
    /// Show the audit log: who did what
    Audit(AuditFilter),
    /// Print a shell completion script
    #[command(after_help = "\
Examples:
  landfall completions bash > /etc/bash_completion.d/landfall")]
    Completions {
        /// Shell to generate the script for
        shell: clap_complete::Shell,
    },
    /// Write the manual pages of all commands into a folder
    #[command(after_help = "\
Examples:
  landfall man /usr/local/share/man/man1")]
    Man {
        /// Folder; created if it does not exist
        folder: PathBuf,
    },
}

/// `landfall hash-password`
#[derive(Debug, Args)]
pub struct HashPassword {
    /// Read the password from standard input, one line
    #[arg(long)]
    pub password_stdin: bool,
}

/// `landfall quota ...`
#[derive(Debug, Subcommand)]
pub enum QuotaCommand {
    /// Show the usage and the limits of users
    #[command(after_help = "\
Examples:
  landfall quota show
  landfall quota show anna --json")]
    Show(QuotaShow),
    /// Count the files again, for example after changing them by hand; sessions may be open
    #[command(after_help = "\
Examples:
  landfall quota recount anna")]
    Recount(QuotaRecount),
}

/// `landfall quota show`
#[derive(Debug, Args)]
pub struct QuotaShow {
    /// Only this user
    #[arg(add = ArgValueCompleter::new(user_names))]
    pub name: Option<String>,
    /// How to print it.
    #[command(flatten)]
    pub format: OutputFormat,
}

/// `landfall quota recount`
#[derive(Debug, Args)]
pub struct QuotaRecount {
    /// Only this user
    #[arg(add = ArgValueCompleter::new(user_names))]
    pub name: Option<String>,
}

/// How to print a result.
#[derive(Debug, Args)]
pub struct OutputFormat {
    /// Print JSON, for programs
    #[arg(long)]
    pub json: bool,
}
