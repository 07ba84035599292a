//! What an account is, and the only place that says who somebody is.

use std::path::PathBuf;

/// An account as it stands in the database.
#[derive(Debug, Clone)]
pub struct Account {
    /// Its name, valid by the rules of [`UserName`].
    pub name: UserName,
    /// Its home: an absolute path.
    pub home: PathBuf,
}

/// A valid account name.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct UserName(String);

impl UserName {
    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// The proof that somebody is who they say: only a check of a password or key in this module makes
/// one.
#[derive(Debug)]
pub struct Proof {
    account: Account,
}

impl Proof {
    /// The account that was proven.
    pub fn account(&self) -> &Account {
        &self.account
    }
}
