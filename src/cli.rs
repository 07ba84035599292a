//! The commands and their arguments: types only.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

/// An SFTP server for people who are not system users.
#[derive(Debug, Parser)]
#[command(name = "landfall", version, about)]
pub struct Cli {
    /// The config file; without it, ./config.toml is read if it is there.
    #[arg(long, global = true, env = "LANDFALL_CONFIG", value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run the server until it is told to stop (SIGTERM, Ctrl-C).
    Serve,
    /// Say whether the config is valid, and all that is wrong with it.
    Check,
    /// Manage accounts; a running server knows of a change at the next login.
    #[command(subcommand)]
    User(User),
}

/// Account commands.
#[derive(Debug, Subcommand)]
pub enum User {
    /// Make an account and its home.
    Add(UserAdd),
    /// Change an account.
    Set {
        /// The account.
        name: String,
        /// A new home; files stay where they are.
        #[arg(long, value_name = "DIR")]
        home: PathBuf,
    },
    /// Remove an account; its files are kept.
    Rm {
        /// The account.
        name: String,
    },
    /// Show an account and its keys.
    Show {
        /// The account.
        name: String,
        /// As JSON, for scripts.
        #[arg(long)]
        json: bool,
    },
    /// List all accounts.
    List {
        /// As JSON, for scripts.
        #[arg(long)]
        json: bool,
    },
    /// Set a new password, asked for at a prompt.
    Passwd {
        /// The account.
        name: String,
        #[command(flatten)]
        source: PasswordSource,
    },
    /// Manage the keys of an account.
    #[command(subcommand)]
    Key(UserKey),
}

/// `user add`
#[derive(Debug, Args)]
pub struct UserAdd {
    /// The account: 1 to 64 letters, digits, '.', '_', '-' or '@'.
    pub name: String,
    /// Its home [default: NAME under data/homes].
    #[arg(long, value_name = "DIR")]
    pub home: Option<PathBuf>,
    /// A file with public keys, as authorized_keys; may be given several times.
    #[arg(long = "key", value_name = "FILE")]
    pub keys: Vec<PathBuf>,
    /// Where the password comes from; without keys it is asked for.
    #[command(flatten)]
    pub source: PasswordSource,
}

/// Where a password comes from: never an argument, which others could see.
#[derive(Debug, Args)]
pub struct PasswordSource {
    /// Read the password from the first line of standard input.
    #[arg(long, conflicts_with = "no_password")]
    pub password_stdin: bool,
    /// No password: log in with keys only.
    #[arg(long)]
    pub no_password: bool,
}

/// Key commands.
#[derive(Debug, Subcommand)]
pub enum UserKey {
    /// Add the public keys of a file.
    Add {
        /// The account.
        name: String,
        /// The file, as authorized_keys; - for standard input.
        file: PathBuf,
    },
    /// List the keys of an account.
    List {
        /// The account.
        name: String,
        /// As JSON, for scripts.
        #[arg(long)]
        json: bool,
    },
    /// Remove a key.
    Rm {
        /// The account.
        name: String,
        /// Its fingerprint (SHA256:...), as `user key list` shows it.
        fingerprint: String,
    },
}
