//! What an account is, and the only place that says who somebody is.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use zeroize::Zeroizing;

use crate::config::Config;

pub mod keys;
pub mod password;
mod sql;

use keys::AuthorizedKey;
use password::Hasher;
use sql::Database;

/// Longest account name in bytes.
const NAME_MAX: usize = 64;

/// A valid account name: 1 to 64 letters, digits, `.`, `_`, `-` or `@` of ASCII, the first of them a
/// letter or digit. So it is safe as the name of a folder, in a log line and in a URL.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct UserName(String);

impl UserName {
    /// Checks a name.
    pub fn parse(name: &str) -> anyhow::Result<Self> {
        let allowed = |c: char| c.is_ascii_alphanumeric() || "._-@".contains(c);
        anyhow::ensure!(
            name.len() <= NAME_MAX
                && name.starts_with(|c: char| c.is_ascii_alphanumeric())
                && name.chars().all(allowed),
            "{name:?} is not a valid account name: use 1 to {NAME_MAX} letters, digits, '.', '_', \
             '-' or '@', beginning with a letter or digit"
        );
        Ok(Self(name.to_owned()))
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Display for UserName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

/// An account as it stands in the database.
#[derive(Debug, Clone)]
pub struct Account {
    /// Its name.
    pub name: UserName,
    /// Its home: an absolute path.
    pub home: PathBuf,
    /// Can it log in with a password?
    pub has_password: bool,
    /// When it was made, in seconds since 1970.
    pub created: i64,
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

/// An account that is to be made.
pub struct NewAccount {
    /// Its name.
    pub name: UserName,
    /// Its home, made by the caller.
    pub home: PathBuf,
    /// Its password, if it has one.
    pub password: Option<Zeroizing<String>>,
    /// Its keys.
    pub keys: Vec<AuthorizedKey>,
}

/// All accounts.
#[derive(Clone)]
pub struct Accounts {
    database: Database,
    hasher: Arc<Hasher>,
}

impl Accounts {
    /// Opens the database in the data folder; makes both if they are not there.
    pub async fn open(config: &Config) -> anyhow::Result<Self> {
        Ok(Self {
            database: Database::open(&config.server.data).await?,
            hasher: Arc::new(Hasher::new(&config.login)?),
        })
    }

    /// How many there are.
    pub async fn count(&self) -> anyhow::Result<u64> {
        self.database.count().await
    }

    /// All accounts, by name.
    pub async fn list(&self) -> anyhow::Result<Vec<Account>> {
        self.database.list().await
    }

    /// One account.
    pub async fn get(&self, name: &UserName) -> anyhow::Result<Option<Account>> {
        Ok(self
            .database
            .find(name.as_str())
            .await?
            .map(|found| found.account))
    }

    /// Makes an account; an error if the name is taken, or its home is, or lies in, or holds, the
    /// home of another.
    pub async fn add(&self, new: NewAccount) -> anyhow::Result<()> {
        let hash = match new.password {
            Some(password) => Some(self.hasher.hash(password).await?),
            None => None,
        };
        self.database
            .add(&new.name, &new.home, hash.as_deref(), &new.keys)
            .await
    }

    /// Gives an account another home, under the same conditions as for a new one; false if there is
    /// no such account.
    pub async fn set_home(&self, name: &UserName, home: &Path) -> anyhow::Result<bool> {
        self.database.set_home(name, home).await
    }

    /// Removes an account and its keys; false if there is none.
    pub async fn remove(&self, name: &UserName) -> anyhow::Result<bool> {
        self.database.remove(name).await
    }

    /// Sets or takes away the password; false if there is no such account.
    pub async fn set_password(
        &self,
        name: &UserName,
        password: Option<Zeroizing<String>>,
    ) -> anyhow::Result<bool> {
        let hash = match password {
            Some(password) => Some(self.hasher.hash(password).await?),
            None => None,
        };
        self.database.set_password(name, hash.as_deref()).await
    }

    /// The keys of an account.
    pub async fn keys(&self, name: &UserName) -> anyhow::Result<Vec<AuthorizedKey>> {
        self.database.keys(name).await
    }

    /// Adds keys; returns how many the account did not have yet.
    pub async fn add_keys(&self, name: &UserName, keys: &[AuthorizedKey]) -> anyhow::Result<u64> {
        self.database.add_keys(name, keys).await
    }

    /// Removes a key; false if the account has no such key.
    pub async fn remove_key(&self, name: &UserName, fingerprint: &str) -> anyhow::Result<bool> {
        self.database.remove_key(name, fingerprint).await
    }

    /// Is this the account's password? The name may be anything. An unknown name, and an account
    /// without a password, cost as much as any other.
    pub async fn check_password(
        &self,
        name: &str,
        password: Zeroizing<String>,
    ) -> anyhow::Result<Option<Proof>> {
        let found = self.database.find(name).await?;
        let hash = found.as_ref().and_then(|found| found.password_hash.clone());
        let right = self.hasher.verify(password, hash).await?;
        Ok(found.filter(|_| right).map(|found| Proof {
            account: found.account,
        }))
    }

    /// Would this key open this account? `blob` is its wire encoding (RFC 4253, section 6.6).
    pub async fn has_key(&self, name: &str, blob: &[u8]) -> anyhow::Result<bool> {
        Ok(self.database.find_by_key(name, blob).await?.is_some())
    }

    /// As [`Accounts::has_key`], once the possession of the key has been proven.
    pub async fn check_key(&self, name: &str, blob: &[u8]) -> anyhow::Result<Option<Proof>> {
        let found = self.database.find_by_key(name, blob).await?;
        Ok(found.map(|account| Proof { account }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_safe_as_folders_and_in_logs() {
        for good in ["a", "Anna.B_c-9", "anna@example.org", &"x".repeat(64)] {
            assert_eq!(
                UserName::parse(good).map(|n| n.0).ok().as_deref(),
                Some(good)
            );
        }
        for bad in [
            "",
            ".",
            "..",
            ".a",
            "-a",
            "a/b",
            "a b",
            "a\nb",
            "ä",
            &"x".repeat(65),
        ] {
            assert!(UserName::parse(bad).is_err(), "{bad:?}");
        }
    }
}
