//! The command line, as types only: what each command does stands in `admin` and `server`.

use std::path::PathBuf;

use clap::{ArgGroup, Args, Parser, Subcommand};

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
    /// Check the config and show every fault in it with its line.
    Check,
    /// Add, change, remove and show users.
    #[command(subcommand)]
    User(User),
}

/// `landfall user ...`
#[derive(Debug, Subcommand)]
pub enum User {
    /// Add a user and make their home.
    Add(Add),
    /// Change a user.
    Set(Set),
    /// Remove a user; their files stay unless you say otherwise.
    Rm(Remove),
    /// Show a user and their keys.
    Show(Show),
    /// List all users.
    List(Format),
    /// Give a user another password.
    Passwd(Passwd),
    /// Add, list and remove the public keys of a user.
    #[command(subcommand)]
    Key(Key),
}

/// `landfall user add`
#[derive(Debug, Args)]
pub struct Add {
    /// Letters, digits, ".", "_", "-" and "@"; at most 64, starting with a letter or digit.
    pub name: String,
    /// The home; without it, a folder of that name under data/homes.
    #[arg(long, value_name = "DIR")]
    pub home: Option<PathBuf>,
    /// A file of public keys that may log in (a .pub file or an authorized_keys file; - is the
    /// standard input); may be given several times.
    #[arg(long = "key", value_name = "FILE")]
    pub keys: Vec<PathBuf>,
    /// Where the password comes from.
    #[command(flatten)]
    pub password: PasswordSource,
}

/// Where a password comes from, if not from a prompt.
#[derive(Debug, Args)]
#[command(group = ArgGroup::new("password").multiple(false))]
pub struct PasswordSource {
    /// Read the password from the standard input: one line.
    #[arg(long, group = "password")]
    pub password_stdin: bool,
    /// No password: only keys can log in.
    #[arg(long, group = "password")]
    pub no_password: bool,
}

/// `landfall user set`
#[derive(Debug, Args)]
pub struct Set {
    /// The user.
    pub name: String,
    /// Another home; the files in the old one stay where they are.
    #[arg(long, value_name = "DIR")]
    pub home: PathBuf,
}

/// `landfall user rm`
#[derive(Debug, Args)]
pub struct Remove {
    /// The user.
    pub name: String,
    /// Do not ask before deleting.
    #[arg(long)]
    pub yes: bool,
    /// Delete the home too, with all files in it.
    #[arg(long)]
    pub delete_home: bool,
}

/// `landfall user show`
#[derive(Debug, Args)]
pub struct Show {
    /// The user.
    pub name: String,
    /// How it is shown.
    #[command(flatten)]
    pub format: Format,
}

/// How a list is shown.
#[derive(Debug, Args)]
pub struct Format {
    /// As JSON, for programs.
    #[arg(long)]
    pub json: bool,
}

/// `landfall user passwd`
#[derive(Debug, Args)]
pub struct Passwd {
    /// The user.
    pub name: String,
    /// Where the password comes from.
    #[command(flatten)]
    pub password: PasswordSource,
}

/// `landfall user key ...`
#[derive(Debug, Subcommand)]
pub enum Key {
    /// Let keys log in to a user.
    Add(KeyAdd),
    /// List the keys of a user.
    List(Show),
    /// Remove a key of a user.
    Rm(KeyRemove),
}

/// `landfall user key add`
#[derive(Debug, Args)]
pub struct KeyAdd {
    /// The user.
    pub name: String,
    /// A .pub file or an authorized_keys file; - is the standard input.
    pub file: PathBuf,
}

/// `landfall user key rm`
#[derive(Debug, Args)]
pub struct KeyRemove {
    /// The user.
    pub name: String,
    /// The fingerprint (SHA256:...) or the comment of the key.
    #[arg(value_name = "FINGERPRINT|COMMENT")]
    pub key: String,
}
