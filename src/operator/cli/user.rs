//! `landfall user ...`

use std::net::IpAddr;
use std::path::PathBuf;

use clap::{ArgGroup, Args, Subcommand, ValueEnum};
use clap_complete::ArgValueCompleter;

use super::OutputFormat;
use super::values::{
    Choice, Expiry, Limit, Origin, age, expiry, network_or_none, number_or_none, rate_or_none,
    sessions_or_none, size_or_none,
};
use crate::operator::commands::complete::user_names;
use crate::rules::{LoginPolicy, PermissionRule};

/// `landfall user ...`
#[derive(Debug, Subcommand)]
pub enum UserCommand {
    /// Add a user and create their home
    #[command(after_help = "\
Examples:
  landfall user add anna
  landfall user add bob --key bob.pub --no-password --quota 10GiB
  landfall user add scans --permissions upload-only --network 192.0.2.0/24")]
    Add(UserAdd),
    /// Change a user; open sessions follow within a second
    #[command(after_help = "\
Examples:
  landfall user set anna --quota 20GiB --expires 2027-01-31
  landfall user set anna --permissions read-only --permissions /incoming=upload-only --mkdir
  landfall user set anna --disabled")]
    Set(UserSet),
    /// Remove a user; their files stay unless --delete-home is given
    #[command(after_help = "\
Examples:
  landfall user rm anna
  landfall user rm anna --delete-home --yes")]
    Rm(UserRemove),
    /// Show a user and their keys
    #[command(after_help = "\
Examples:
  landfall user show anna
  landfall user show anna --json")]
    Show(UserShow),
    /// Show whether a user can log in now, and if not, why
    #[command(after_help = "\
Examples:
  landfall user why anna
  landfall user why anna 192.0.2.7")]
    Why(UserWhy),
    /// List users; a narrow terminal shows the columns that fit
    #[command(after_help = "\
Examples:
  landfall user list --sort last-login
  landfall user list --state active --inactive 30d")]
    List(UserList),
    /// Set the password of a user
    #[command(after_help = "\
Examples:
  landfall user passwd anna
  pwgen 24 1 | landfall user passwd anna --password-stdin")]
    Passwd(UserPasswd),
    /// Add, list and remove the public keys of a user
    #[command(subcommand)]
    Key(KeyCommand),
}

/// `landfall user add`
#[derive(Debug, Args)]
#[command(group = ArgGroup::new("what").multiple(true))]
pub struct UserAdd {
    /// Name: letters, digits, ".", "_", "-" and "@"; at most 64, starting with a letter or digit
    pub name: String,
    /// Home directory [default: a folder of that name under data/homes]
    #[arg(long, value_name = "DIR")]
    pub home: Option<PathBuf>,
    /// File of public keys that may log in: a .pub file or an authorized_keys file, or - for standard
    /// input; can be repeated
    #[arg(long = "key", value_name = "FILE")]
    pub keys: Vec<PathBuf>,
    /// The settings of the user.
    #[command(flatten)]
    pub settings: UserOptions,
    /// Where the password comes from.
    #[command(flatten)]
    pub password: PasswordSource,
}

/// Where a password comes from, if not from a prompt.
#[derive(Debug, Args)]
#[command(group = ArgGroup::new("password").multiple(false))]
pub struct PasswordSource {
    /// Read the password from standard input, one line
    #[arg(long, group = "password")]
    pub password_stdin: bool,
    /// Set no password: only keys can log in
    #[arg(long, group = "password")]
    pub no_password: bool,
}

/// `landfall user set`
#[derive(Debug, Args)]
#[command(group = ArgGroup::new("what").required(true).multiple(true))]
// The group contains all options: the usage would list them twice.
#[command(override_usage = "landfall user set [OPTIONS] <NAME>")]
pub struct UserSet {
    /// Name of the user
    #[arg(add = ArgValueCompleter::new(user_names))]
    pub name: String,
    /// New home directory; files in the old one stay where they are
    #[arg(long, value_name = "DIR", group = "what")]
    pub home: Option<PathBuf>,
    /// The settings to change.
    #[command(flatten)]
    pub settings: UserOptions,
    /// Allow the user to log in again
    #[arg(long, group = "what", conflicts_with = "disabled")]
    pub enabled: bool,
}

/// The settings of a user.
#[derive(Debug, Args)]
pub struct UserOptions {
    /// Maximum size of all files together: 10GiB, 500M, a number of bytes, or "none". It can be less
    /// than is in use: then nothing can grow, and nothing is lost
    #[arg(long, value_name = "SIZE|none", value_parser = size_or_none, group = "what")]
    pub quota: Option<Limit>,
    /// Maximum number of files, directories and links together, or "none"
    #[arg(long, value_name = "NUMBER|none", value_parser = number_or_none, group = "what")]
    pub max_files: Option<Limit>,
    /// Keep an existing file until the upload that replaces it is complete; "default" follows the
    /// configuration
    #[arg(long, value_name = "on|off|default", group = "what")]
    pub safe_overwrite: Option<Choice>,
    /// Permissions: full, read-only, upload-only, no-delete, nothing, or a comma-separated list of
    /// list, download, upload, overwrite, delete, rename, mkdir, links and attributes. /DIR=SET applies
    /// to a directory of the home and everything below it; /DIR=none removes that rule; can be repeated
    #[arg(long = "permissions", value_name = "[/DIR=]SET", group = "what")]
    pub permissions: Vec<PermissionRule>,
    /// Create the directories that --permissions names if they do not exist
    #[arg(long, requires = "permissions")]
    pub mkdir: bool,
    /// Network or address that the user may log in from: 10.0.0.0/8, 2001:db8::/32, 192.0.2.7, or
    /// "none" for anywhere; can be repeated, and replaces the former ones
    #[arg(long = "network", value_name = "CIDR|none", value_parser = network_or_none, group = "what")]
    pub networks: Vec<Origin>,
    /// Time from which the user can no longer log in: a date (from 00:00 UTC), a time such as
    /// 2027-01-31T18:00:00Z, or "never"
    #[arg(long, value_name = "DATE|never", value_parser = expiry, group = "what")]
    pub expires: Option<Expiry>,
    /// Refuse logins of the user
    #[arg(long, group = "what")]
    pub disabled: bool,
    /// Maximum number of concurrent sessions, or "none"
    #[arg(long, value_name = "NUMBER|none", value_parser = sessions_or_none, group = "what")]
    pub max_sessions: Option<Limit>,
    /// Required authentication: any (a password or a key), publickey, or publickey+password (both, the
    /// key first)
    #[arg(long, value_name = "any|publickey|publickey+password", group = "what")]
    pub login: Option<LoginPolicy>,
    /// Upload rate of all sessions of the user together: 500k/s, 10MiB/s, or "none"
    #[arg(long, value_name = "SIZE/s|none", value_parser = rate_or_none, group = "what")]
    pub upload_rate: Option<Limit>,
    /// Download rate of all sessions of the user together: 500k/s, 10MiB/s, or "none"
    #[arg(long, value_name = "SIZE/s|none", value_parser = rate_or_none, group = "what")]
    pub download_rate: Option<Limit>,
}

/// `landfall user rm`
#[derive(Debug, Args)]
pub struct UserRemove {
    /// Name of the user
    #[arg(add = ArgValueCompleter::new(user_names))]
    pub name: String,
    /// Do not ask for confirmation
    #[arg(long)]
    pub yes: bool,
    /// Close the sessions of the user and delete the home with all files in it
    #[arg(long)]
    pub delete_home: bool,
}

/// `landfall user show`
#[derive(Debug, Args)]
pub struct UserShow {
    /// Name of the user
    #[arg(add = ArgValueCompleter::new(user_names))]
    pub name: String,
    /// How to print it.
    #[command(flatten)]
    pub format: OutputFormat,
}

/// `landfall user why`
#[derive(Debug, Args)]
pub struct UserWhy {
    /// Name of the user
    #[arg(add = ArgValueCompleter::new(user_names))]
    pub name: String,
    /// Address of the client [default: that of the last refused login]
    pub address: Option<IpAddr>,
}

/// `landfall user list`
#[derive(Debug, Args)]
pub struct UserList {
    /// Sort order
    #[arg(long, value_name = "ORDER", value_enum, default_value_t = UserOrder::Name)]
    pub sort: UserOrder,
    /// Only users in this state; can be repeated
    #[arg(long = "state", value_name = "STATE", value_enum)]
    pub states: Vec<AccountState>,
    /// Only users that have not logged in for this long (30d, 12h) and are older than that
    #[arg(long, value_name = "DURATION", value_parser = age)]
    pub inactive: Option<i64>,
    /// How to print it.
    #[command(flatten)]
    pub format: OutputFormat,
}

/// A sort order of users.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum UserOrder {
    /// By name
    Name,
    /// Largest usage first
    Used,
    /// Latest login first; users that never logged in come last
    LastLogin,
    /// Newest first
    Created,
}

/// Whether the settings of an account allow logins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum AccountState {
    /// Logins are allowed
    Active,
    /// Disabled by an operator
    Disabled,
    /// Expired
    Expired,
}

impl AccountState {
    /// Returns the name used on the command line and in lists.
    pub fn name(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Disabled => "disabled",
            Self::Expired => "expired",
        }
    }
}

/// `landfall user passwd`
#[derive(Debug, Args)]
pub struct UserPasswd {
    /// Name of the user
    #[arg(add = ArgValueCompleter::new(user_names))]
    pub name: String,
    /// Where the password comes from.
    #[command(flatten)]
    pub password: PasswordSource,
}

/// `landfall user key ...`
#[derive(Debug, Subcommand)]
pub enum KeyCommand {
    /// Add public keys to a user; a known key gets the given options
    #[command(after_help = "\
Examples:
  landfall user key add anna id_ed25519.pub
  ssh-keygen -y -f key | landfall user key add anna -")]
    Add(KeyAdd),
    /// List the keys of a user
    #[command(after_help = "\
Examples:
  landfall user key list anna")]
    List(UserShow),
    /// Remove a key of a user
    #[command(after_help = "\
Examples:
  landfall user key rm anna anna@laptop
  landfall user key rm anna SHA256:jXWWKRPEL4YPGVKfvOd1v9hVN4mXpvXW7fPQm0wSnHY")]
    Rm(KeyRemove),
}

/// `landfall user key add`
#[derive(Debug, Args)]
pub struct KeyAdd {
    /// Name of the user
    #[arg(add = ArgValueCompleter::new(user_names))]
    pub name: String,
    /// A .pub file or an authorized_keys file, or - for standard input
    pub file: PathBuf,
}

/// `landfall user key rm`
#[derive(Debug, Args)]
pub struct KeyRemove {
    /// Name of the user
    #[arg(add = ArgValueCompleter::new(user_names))]
    pub name: String,
    /// Fingerprint (SHA256:...) or comment of the key
    #[arg(value_name = "FINGERPRINT|COMMENT")]
    pub key: String,
}
