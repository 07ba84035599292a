//! `landfall user ...`

use std::net::IpAddr;
use std::path::PathBuf;

use clap::{ArgGroup, Args, Subcommand, ValueEnum};

use super::Format;
use super::values::{
    Choice, Expiry, Limit, Origin, age, expiry, network_or_none, number_or_none, rate_or_none,
    sessions_or_none, size_or_none,
};
use crate::rules::{LoginPolicy, PermissionRule};

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
    /// Show whether a user can log in now, and why not.
    Why(Why),
    /// List users. A terminal that is too narrow shows the columns that fit.
    List(List),
    /// Give a user another password.
    Passwd(Passwd),
    /// Add, list and remove the public keys of a user.
    #[command(subcommand)]
    Key(Key),
}

/// `landfall user add`
#[derive(Debug, Args)]
#[command(group = ArgGroup::new("what").multiple(true))]
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
    /// What holds for the user.
    #[command(flatten)]
    pub settings: Settings,
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
// The group is all options: in the usage they would stand once more.
#[command(override_usage = "landfall user set [OPTIONS] <NAME>")]
pub struct Set {
    /// The user.
    pub name: String,
    /// Another home; the files in the old one stay where they are.
    #[arg(long, value_name = "DIR", group = "what")]
    pub home: Option<PathBuf>,
    /// What holds for the user; what is not given stays as it is.
    #[command(flatten)]
    pub settings: Settings,
    /// Let the user log in again.
    #[arg(long, group = "what", conflicts_with = "disabled")]
    pub enabled: bool,
}

/// What holds for a user.
#[derive(Debug, Args)]
pub struct Settings {
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
    /// What the user may do: full, read-only, upload-only, no-delete, nothing, or some of list,
    /// download, upload, overwrite, delete, rename, mkdir, links and attributes with commas between
    /// them. /DIR=... is for a directory in the home, with everything below it, and /DIR=none takes
    /// that away; may be given several times.
    #[arg(long = "permissions", value_name = "[/DIR=]SET", group = "what")]
    pub permissions: Vec<PermissionRule>,
    /// Make the directories that --permissions names and that are not there.
    #[arg(long, requires = "permissions")]
    pub mkdir: bool,
    /// A network or address that the user may log in from: 10.0.0.0/8, 2001:db8::/32, 192.0.2.7; or
    /// "none" for anywhere; may be given several times. Those that held before are replaced.
    #[arg(long = "network", value_name = "CIDR|none", value_parser = network_or_none, group = "what")]
    pub networks: Vec<Origin>,
    /// When the user cannot log in any more: a date (its first moment, in UTC), a time
    /// (2027-01-31T18:00:00Z), or "never".
    #[arg(long, value_name = "DATE|never", value_parser = expiry, group = "what")]
    pub expires: Option<Expiry>,
    /// Let nobody log in to the user.
    #[arg(long, group = "what")]
    pub disabled: bool,
    /// The most sessions at the same time, or "none".
    #[arg(long, value_name = "NUMBER|none", value_parser = sessions_or_none, group = "what")]
    pub max_sessions: Option<Limit>,
    /// What a login takes: any (a password or a key), publickey, or publickey+password (both, the
    /// key first).
    #[arg(long, value_name = "any|publickey|publickey+password", group = "what")]
    pub login: Option<LoginPolicy>,
    /// How fast all sessions of the user together may upload: 500k/s, 10MiB/s, or "none".
    #[arg(long, value_name = "SIZE/s|none", value_parser = rate_or_none, group = "what")]
    pub upload_rate: Option<Limit>,
    /// How fast all sessions of the user together may download: 500k/s, 10MiB/s, or "none".
    #[arg(long, value_name = "SIZE/s|none", value_parser = rate_or_none, group = "what")]
    pub download_rate: Option<Limit>,
}

/// `landfall user rm`
#[derive(Debug, Args)]
pub struct Remove {
    /// The user.
    pub name: String,
    /// Do not ask before deleting.
    #[arg(long)]
    pub yes: bool,
    /// Close the sessions of the user, and delete the home with all files in it.
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

/// `landfall user why`
#[derive(Debug, Args)]
pub struct Why {
    /// The user.
    pub name: String,
    /// The address the client connects from; without it, that of the last refused login.
    pub address: Option<IpAddr>,
}

/// `landfall user list`
#[derive(Debug, Args)]
pub struct List {
    /// The order: by name, most used first, last login first, or last created first.
    #[arg(long, value_name = "ORDER", value_enum, default_value_t = Sort::Name)]
    pub sort: Sort,
    /// Only users in this state; may be given several times.
    #[arg(long = "state", value_name = "STATE", value_enum)]
    pub states: Vec<State>,
    /// Only users without a login for so long: 30d, 12h. One that was created later is not among them.
    #[arg(long, value_name = "DURATION", value_parser = age)]
    pub inactive: Option<i64>,
    /// How it is shown.
    #[command(flatten)]
    pub format: Format,
}

/// An order of users.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Sort {
    /// By name.
    Name,
    /// Most used bytes first.
    Used,
    /// Latest login first; never logged in last.
    LastLogin,
    /// Newest first.
    Created,
}

/// Whether the rules of an account let somebody log in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum State {
    /// They do.
    Active,
    /// An operator has disabled it.
    Disabled,
    /// Its date of expiry has passed.
    Expired,
}

impl State {
    /// As it is written on the command line and shown in lists.
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
