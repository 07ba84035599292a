//! The command line, as types only: what each command does stands in `admin` and `server`.

use std::path::PathBuf;

use clap::builder::PossibleValuesParser;
use clap::{ArgGroup, Args, Parser, Subcommand, ValueEnum};

use crate::audit::KINDS;
use crate::calendar::{self, parse_rfc3339};
use crate::units::{parse_duration, parse_size};

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
    /// Show what is used, and count it anew.
    #[command(subcommand)]
    Quota(Quota),
    /// Show who did what: the audit trail.
    Audit(Audit),
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
    /// The most bytes that the files may have in all: 10GiB, 500M, or a number.
    #[arg(long, value_name = "SIZE", value_parser = size)]
    pub quota: Option<u64>,
    /// The most files, directories and links there may be in all.
    #[arg(long, value_name = "NUMBER")]
    pub max_files: Option<u64>,
    /// Overwrite files safely: the old one stays until the new one is there as a whole.
    #[arg(long, value_name = "on|off|default", default_value = "default")]
    pub safe_overwrite: Choice,
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
#[command(group = ArgGroup::new("what").required(true).multiple(true))]
pub struct Set {
    /// The user.
    pub name: String,
    /// Another home; the files in the old one stay where they are.
    #[arg(long, value_name = "DIR", group = "what")]
    pub home: Option<PathBuf>,
    /// The most bytes that the files may have in all: 10GiB, 500M, a number, or "none". It may be
    /// less than is used: then nothing grows, and nothing is lost.
    #[arg(long, value_name = "SIZE|none", value_parser = size_or_none, group = "what")]
    pub quota: Option<Limit>,
    /// The most files, directories and links there may be in all, or "none".
    #[arg(long, value_name = "NUMBER|none", value_parser = number_or_none, group = "what")]
    pub max_files: Option<Limit>,
    /// Overwrite files safely: the old one stays until the new one is there as a whole. "default"
    /// is as the config says.
    #[arg(long, value_name = "on|off|default", group = "what")]
    pub safe_overwrite: Option<Choice>,
}

/// What holds for a user, whatever the config says; or what it says.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub enum Choice {
    /// Yes.
    On,
    /// No.
    Off,
    /// As the config says.
    Default,
}

impl Choice {
    /// The user's own choice, if there is one.
    pub fn own(self) -> Option<bool> {
        match self {
            Self::On => Some(true),
            Self::Off => Some(false),
            Self::Default => None,
        }
    }
}

/// A limit, or that there is none.
#[derive(Debug, Clone, Copy)]
pub struct Limit(pub Option<u64>);

fn size(text: &str) -> Result<u64, String> {
    parse_size(text)
        .filter(|size| i64::try_from(*size).is_ok())
        .ok_or_else(|| "a size is a number of bytes, or one with a unit: 500M, 10GiB".to_owned())
}

fn size_or_none(text: &str) -> Result<Limit, String> {
    match text {
        "none" => Ok(Limit(None)),
        _ => size(text).map(|size| Limit(Some(size))),
    }
}

fn number_or_none(text: &str) -> Result<Limit, String> {
    match text {
        "none" => Ok(Limit(None)),
        _ => match text.parse() {
            Ok(number) if i64::try_from(number).is_ok() => Ok(Limit(Some(number))),
            _ => Err("this must be a number, or \"none\"".to_owned()),
        },
    }
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

/// `landfall audit`
#[derive(Debug, Args)]
pub struct Audit {
    /// Go on with what happens from now on, after the last ten.
    #[arg(long, short)]
    pub follow: bool,
    /// What this user did, or what was done with their account.
    #[arg(long, value_name = "NAME")]
    pub user: Option<String>,
    /// Nothing older than 30m, 12h or 7d, or than a date in UTC: 2026-11-21, 2026-11-21T01:19.
    #[arg(long, value_name = "AGE|DATE", value_parser = since)]
    pub since: Option<i64>,
    /// Events of these kinds alone.
    #[arg(long, value_name = "KIND", num_args = 1.., value_delimiter = ',',
        value_parser = PossibleValuesParser::new(KINDS))]
    pub event: Vec<String>,
    /// How it is shown: as JSON, the lines are as they stand in the trail.
    #[command(flatten)]
    pub format: Format,
}

/// In seconds since 1970-01-01 00:00 UTC.
fn since(text: &str) -> Result<i64, String> {
    let age = parse_duration(text).and_then(|age| i64::try_from(age.as_secs()).ok());
    age.map(|age| calendar::now().saturating_sub(age))
        .or_else(|| parse_rfc3339(text))
        .ok_or_else(|| "this must be an age such as 12h, or a date such as 2026-11-21".to_owned())
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
