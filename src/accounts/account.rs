//! Accounts as types.

use std::path::PathBuf;

use super::keys::AuthorizedKey;
use super::password::Password;
use crate::rules::Rules;
use crate::values::user_name::UserName;

/// An account.
#[derive(Debug, Clone)]
pub struct Account {
    /// Its name, valid by the rules of [`UserName`].
    pub name: UserName,
    /// Its home: an absolute path.
    pub home: PathBuf,
    /// The operator's settings for it.
    pub settings: AccountSettings,
}

/// An operator's settings for an account; by default, none.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct AccountSettings {
    /// Its quota.
    pub allowance: Allowance,
    /// Whether files are overwritten safely; `None` follows the configuration.
    pub safe_overwrite: Option<bool>,
    /// Its permissions and login rules.
    pub rules: Rules,
    /// It is declared in config.toml and changed there.
    pub declared: bool,
}

/// The quota of an account; `None` is no limit.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Allowance {
    /// In bytes.
    pub bytes: Option<u64>,
    /// In names of files, directories and links.
    pub files: Option<u64>,
}

/// An account to add.
pub struct NewAccount {
    /// Its name.
    pub name: UserName,
    /// Its home; by default a folder under data/homes.
    pub home: Option<PathBuf>,
    /// Its settings.
    pub settings: AccountSettings,
    /// Its password, if any.
    pub password: Option<Password>,
    /// Its keys.
    pub keys: Vec<AuthorizedKey>,
}

impl NewAccount {
    /// Makes one with a home under data/homes and without a credential.
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

/// An account with details for the operator.
#[derive(Debug, Clone)]
pub struct Details {
    /// The account.
    pub account: Account,
    /// Whether it has a password.
    pub has_password: bool,
    /// Number of its keys.
    pub keys: u64,
    /// Creation: seconds since 1970-01-01 00:00 UTC.
    pub created_at: i64,
    /// The last login, if one is recorded.
    pub last_login: Option<LastLogin>,
    /// Since when its logins are recorded: its creation, unless it is older than the record.
    pub recorded_since: i64,
}

impl Details {
    /// Returns when it was last used, as far as known: not before its creation, nor before logins were
    /// recorded.
    pub fn last_used(&self) -> i64 {
        let login = self.last_login.as_ref();
        login.map_or(self.recorded_since, |login| login.at)
    }
}

/// The last login to an account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LastLogin {
    /// Seconds since 1970-01-01 00:00 UTC.
    pub at: i64,
    /// The authentication method, as in the audit log.
    pub method: String,
    /// The client address.
    pub address: String,
}
