//! What an account is.

use std::path::PathBuf;

use super::keys::AuthorizedKey;
use super::password::Password;
use crate::rules::Rules;
use crate::values::user_name::UserName;

/// An account as it stands in the database.
#[derive(Debug, Clone)]
pub struct Account {
    /// Its name, valid by the rules of [`UserName`].
    pub name: UserName,
    /// Its home: an absolute path.
    pub home: PathBuf,
    /// What the operator has set for it.
    pub settings: AccountSettings,
}

/// What an operator sets for an account; by default, nothing.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct AccountSettings {
    /// How much it may use.
    pub allowance: Allowance,
    /// Are its files overwritten safely? `None` is as the config says.
    pub safe_overwrite: Option<bool>,
    /// What it may do, and who may log in to it.
    pub rules: Rules,
    /// It stands in config.toml, and is changed there.
    pub declared: bool,
}

/// How much an account may use; `None` is without limit.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Allowance {
    /// In bytes.
    pub bytes: Option<u64>,
    /// In names of files, directories and links.
    pub files: Option<u64>,
}

/// An account to be.
pub struct NewAccount {
    /// Its name.
    pub name: UserName,
    /// Its home; its own folder under data/homes if not given.
    pub home: Option<PathBuf>,
    /// What is set for it.
    pub settings: AccountSettings,
    /// Its password, if it has one.
    pub password: Option<Password>,
    /// The keys that may log in to it.
    pub keys: Vec<AuthorizedKey>,
}

impl NewAccount {
    /// One with a home of its own under data/homes, to which nobody can log in yet.
    pub fn new(name: UserName) -> Self {
        Self {
            name,
            home: None,
            settings: AccountSettings::default(),
            password: None,
            keys: Vec::new(),
        }
    }
}

/// An account and what an operator wants to know of it.
#[derive(Debug, Clone)]
pub struct Details {
    /// The account.
    pub account: Account,
    /// Can somebody log in to it with a password?
    pub has_password: bool,
    /// How many keys it has.
    pub keys: u64,
    /// When it was made: seconds since 1970-01-01 00:00 UTC.
    pub created_at: i64,
    /// The last login, if one is recorded.
    pub last_login: Option<LastLogin>,
    /// Since when logins to it are recorded: its creation, unless it is older than the record.
    pub recorded_since: i64,
}

impl Details {
    /// When it was last used, as far as is known: never before it was created, nor before logins were
    /// recorded.
    pub fn last_used(&self) -> i64 {
        let login = self.last_login.as_ref();
        login.map_or(self.recorded_since, |login| login.at)
    }
}

/// The last login to an account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LastLogin {
    /// When: seconds since 1970-01-01 00:00 UTC.
    pub at: i64,
    /// The authentication method, as in the audit log.
    pub method: String,
    /// The client's address.
    pub address: String,
}
