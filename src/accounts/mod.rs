//! What an account is, and the only place that says who somebody is.

mod homes;
mod keys;
mod name;
mod password;
mod sql;
#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context as _, anyhow, bail};
use tracing::warn;
use zeroize::Zeroizing;

use self::homes::Homes;
use self::password::{Hasher, Verdict};
use self::sql::{Change, LoginRow, Rows};
use crate::calendar;
use crate::config::Config;
use crate::database::Database;

pub use self::keys::AuthorizedKey;
pub use self::name::{NotAName, UserName};
pub use self::password::{MAX_PASSWORD, Password};

/// A name that no account can have: what is looked up for names that are not valid.
const NO_NAME: &str = "";
/// A key that no account can have: what is looked up for keys that are not valid.
const NO_KEY: &str = "";

/// An account as it stands in the database.
#[derive(Debug, Clone)]
pub struct Account {
    /// Its name, valid by the rules of [`UserName`].
    pub name: UserName,
    /// Its home: an absolute path.
    pub home: PathBuf,
    /// How much it may use.
    pub allowance: Allowance,
    /// Are its files overwritten safely? `None` is as the config says.
    pub safe_overwrite: Option<bool>,
}

/// How much an account may use; `None` is without limit.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Allowance {
    /// In bytes.
    pub bytes: Option<u64>,
    /// In names of files, directories and links.
    pub files: Option<u64>,
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

/// An account to be.
pub struct NewAccount {
    /// Its name.
    pub name: UserName,
    /// Its home; its own folder under data/homes if not given.
    pub home: Option<PathBuf>,
    /// How much it may use.
    pub allowance: Allowance,
    /// Are its files overwritten safely? `None` is as the config says.
    pub safe_overwrite: Option<bool>,
    /// Its password, if it has one.
    pub password: Option<Password>,
    /// The keys that may log in to it.
    pub keys: Vec<AuthorizedKey>,
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
}

/// All accounts: a handle that is cheap to clone.
///
/// Every error is one of the disk, the database or the system, or, where something is to be changed,
/// a refusal; each says what to do about it.
#[derive(Clone)]
pub struct Accounts {
    inner: Arc<Inner>,
}

struct Inner {
    database: Database,
    rows: Rows,
    hasher: Hasher,
    homes: Homes,
}

impl Accounts {
    /// Opens the database; makes it, and the data folder, if there is none.
    pub async fn open(config: &Config) -> anyhow::Result<Self> {
        let data = &config.server.data;
        let database = Database::open(data).await?;
        Ok(Self {
            inner: Arc::new(Inner {
                rows: Rows::new(database.clone()),
                database,
                hasher: Hasher::new(&config.login)?,
                homes: Homes::new(data, &config.server.keys)?,
            }),
        })
    }

    /// The database that the accounts are in.
    pub fn database(&self) -> &Database {
        &self.inner.database
    }

    /// Closes the database for all handles.
    pub async fn close(&self) {
        self.inner.database.close().await;
    }

    /// How many accounts there are.
    pub async fn count(&self) -> anyhow::Result<u64> {
        self.inner.rows.count().await
    }

    /// Checks a password. The name and the password may be anything that a peer can send, and a
    /// wrong one costs the same whatever is wrong with it.
    pub async fn check_password(
        &self,
        name: &str,
        password: Zeroizing<String>,
    ) -> anyhow::Result<Option<Proof>> {
        let Inner { rows, hasher, .. } = &*self.inner;
        let row = rows.login(looked_up(name)).await?;
        let hash = row.as_ref().and_then(|row| row.password_hash.clone());
        let verdict = hasher.verify(password.clone(), hash).await?;
        match (row, verdict) {
            (Some(row), Verdict::Right) => Ok(Some(self.proof(row)?)),
            (Some(row), Verdict::RightButOutdated) => {
                if let Err(failure) = self.renew_hash(&row, password).await {
                    // The password is right all the same; the next login tries again.
                    warn!(user = row.name, "cannot renew a password hash: {failure:#}");
                }
                Ok(Some(self.proof(row)?))
            }
            (_, Verdict::Wrong) | (None, _) => Ok(None),
        }
    }

    /// Hashes a password that was right once more, with the argon2 settings of now.
    async fn renew_hash(&self, row: &LoginRow, password: Zeroizing<String>) -> anyhow::Result<()> {
        let Some(old) = &row.password_hash else {
            return Ok(());
        };
        let Inner { rows, hasher, .. } = &*self.inner;
        let new = hasher.hash(&Password::new(password)?).await?;
        rows.refresh_password(&row.name, old, &new).await
    }

    /// May this key log in to the account? `key_blob` is the key as on the wire (RFC 4253,
    /// section 6.6). The name and the key may be anything that a peer can send.
    pub async fn has_key(&self, name: &str, key_blob: &[u8]) -> anyhow::Result<bool> {
        Ok(self.login_with_key(name, key_blob).await?.is_some())
    }

    /// As [`Accounts::has_key`]; the caller must have verified a signature by the key over this
    /// session, or the proof is none.
    pub async fn check_key(&self, name: &str, key_blob: &[u8]) -> anyhow::Result<Option<Proof>> {
        self.login_with_key(name, key_blob)
            .await?
            .map(|row| self.proof(row))
            .transpose()
    }

    async fn login_with_key(
        &self,
        name: &str,
        key_blob: &[u8],
    ) -> anyhow::Result<Option<LoginRow>> {
        let key = keys::from_wire(key_blob);
        let key = key.as_deref().unwrap_or(NO_KEY);
        self.inner
            .rows
            .login_with_key(looked_up(name), key, calendar::now())
            .await
    }

    fn proof(&self, row: LoginRow) -> anyhow::Result<Proof> {
        let account = self.account(&row.name, row.home, row.allowance, row.safe_overwrite)?;
        Ok(Proof { account })
    }

    fn account(
        &self,
        name: &str,
        home: homes::Stored,
        allowance: Allowance,
        safe_overwrite: Option<bool>,
    ) -> anyhow::Result<Account> {
        let name: UserName = stored_name(name)?;
        let home = self.inner.homes.absolute(&name, home);
        Ok(Account {
            name,
            home,
            allowance,
            safe_overwrite,
        })
    }

    /// Adds an account and makes its home.
    pub async fn add(&self, new: NewAccount) -> anyhow::Result<Account> {
        let hash = self.hash(new.password.as_ref()).await?;
        let change = self.inner.rows.change().await?;
        self.insert(change, new, hash).await
    }

    /// Adds an account if there is none at all; `None` if there is one.
    pub async fn add_first(&self, new: NewAccount) -> anyhow::Result<Option<Account>> {
        let hash = self.hash(new.password.as_ref()).await?;
        let mut change = self.inner.rows.change().await?;
        if !change.is_empty().await? {
            return Ok(None);
        }
        self.insert(change, new, hash).await.map(Some)
    }

    async fn hash(&self, password: Option<&Password>) -> anyhow::Result<Option<String>> {
        match password {
            Some(password) => self.inner.hasher.hash(password).await.map(Some),
            None => Ok(None),
        }
    }

    async fn insert(
        &self,
        mut change: Change,
        new: NewAccount,
        hash: Option<String>,
    ) -> anyhow::Result<Account> {
        let NewAccount {
            name,
            home,
            allowance,
            safe_overwrite,
            keys,
            ..
        } = new;
        if change.exists(name.as_str()).await? {
            bail!("there is a user {name} already");
        }
        let stored = self
            .choose_home(&mut change, &name, home.as_deref())
            .await?;
        let now = calendar::now();
        change
            .insert(
                name.as_str(),
                stored.as_deref(),
                hash.as_deref(),
                allowance,
                safe_overwrite,
                now,
            )
            .await?;
        add_keys(&mut change, &name, keys, now).await?;
        let account = self.account(name.as_str(), stored, allowance, safe_overwrite)?;
        homes::make(&account.home)?;
        change.commit().await?;
        Ok(account)
    }

    async fn choose_home(
        &self,
        change: &mut Change,
        name: &UserName,
        wish: Option<&Path>,
    ) -> anyhow::Result<homes::Stored> {
        let homes = &self.inner.homes;
        let stored = homes.choose(name, wish)?;
        // Folders of their own under data/homes cannot overlap each other.
        let rows = change.homes_but_of(name.as_str(), stored.is_none()).await?;
        let others = rows
            .into_iter()
            .map(|(name, home)| Ok((stored_name(&name)?, home)))
            .collect::<anyhow::Result<Vec<_>>>()?;
        homes.refuse_overlap(&homes.absolute(name, stored.clone()), others)?;
        Ok(stored)
    }

    /// Gives an account another home, which is made if there is none; what is in the old one stays
    /// there. Gives the account as it was and as it is.
    pub async fn set_home(
        &self,
        name: &UserName,
        home: &Path,
    ) -> anyhow::Result<(Account, Account)> {
        let before = self.find(name).await?.account;
        let mut change = self.inner.rows.change().await?;
        let stored = self.choose_home(&mut change, name, Some(home)).await?;
        change.set_home(name.as_str(), stored.as_deref()).await?;
        let (allowance, safe) = (before.allowance, before.safe_overwrite);
        let after = self.account(name.as_str(), stored, allowance, safe)?;
        homes::make(&after.home)?;
        change.commit().await?;
        Ok((before, after))
    }

    /// Changes how much an account may use; gives what holds now.
    pub async fn set_allowance(
        &self,
        name: &UserName,
        change: impl FnOnce(&mut Allowance),
    ) -> anyhow::Result<Allowance> {
        let mut transaction = self.inner.rows.change().await?;
        let Some(mut allowance) = transaction.allowance(name.as_str()).await? else {
            return Err(no_such_user(name));
        };
        change(&mut allowance);
        transaction.set_allowance(name.as_str(), allowance).await?;
        transaction.commit().await?;
        Ok(allowance)
    }

    /// Says whether the files of an account are overwritten safely; `None` is as the config says.
    pub async fn set_safe_overwrite(
        &self,
        name: &UserName,
        safe_overwrite: Option<bool>,
    ) -> anyhow::Result<()> {
        let mut change = self.inner.rows.change().await?;
        if !change
            .set_safe_overwrite(name.as_str(), safe_overwrite)
            .await?
        {
            return Err(no_such_user(name));
        }
        change.commit().await
    }

    /// Gives an account another password, or none.
    pub async fn set_password(
        &self,
        name: &UserName,
        password: Option<Password>,
    ) -> anyhow::Result<()> {
        let hash = self.hash(password.as_ref()).await?;
        let mut change = self.inner.rows.change().await?;
        if !change.set_password(name.as_str(), hash.as_deref()).await? {
            return Err(no_such_user(name));
        }
        change.commit().await
    }

    /// Removes an account and its keys; its home stays.
    pub async fn remove(&self, name: &UserName) -> anyhow::Result<()> {
        let mut change = self.inner.rows.change().await?;
        if !change.remove(name.as_str()).await? {
            return Err(no_such_user(name));
        }
        change.commit().await
    }

    /// All accounts, by name.
    pub async fn list(&self) -> anyhow::Result<Vec<Details>> {
        self.details(None).await
    }

    /// One account.
    pub async fn find(&self, name: &UserName) -> anyhow::Result<Details> {
        self.details(Some(name.as_str()))
            .await?
            .pop()
            .ok_or_else(|| no_such_user(name))
    }

    async fn details(&self, name: Option<&str>) -> anyhow::Result<Vec<Details>> {
        let rows = self.inner.rows.accounts(name).await?;
        let details = |row: sql::AccountRow| {
            Ok(Details {
                account: self.account(&row.name, row.home, row.allowance, row.safe_overwrite)?,
                has_password: row.password_hash.is_some(),
                keys: u64::try_from(row.keys)?,
                created_at: row.created_at,
            })
        };
        rows.into_iter().map(details).collect()
    }

    /// The keys of an account, in the order in which they were added.
    pub async fn keys(&self, name: &UserName) -> anyhow::Result<Vec<AuthorizedKey>> {
        self.find(name).await?;
        self.inner.rows.keys(name.as_str()).await
    }

    /// Adds keys to an account; gives those that it did not have yet. All are added, or none.
    pub async fn add_keys(
        &self,
        name: &UserName,
        keys: Vec<AuthorizedKey>,
    ) -> anyhow::Result<Vec<AuthorizedKey>> {
        let mut change = self.inner.rows.change().await?;
        if !change.exists(name.as_str()).await? {
            return Err(no_such_user(name));
        }
        let added = add_keys(&mut change, name, keys, calendar::now()).await?;
        change.commit().await?;
        Ok(added)
    }

    /// Removes the one key that goes by this fingerprint or comment; gives its fingerprint.
    pub async fn remove_key(&self, name: &UserName, which: &str) -> anyhow::Result<String> {
        let mut change = self.inner.rows.change().await?;
        if !change.exists(name.as_str()).await? {
            return Err(no_such_user(name));
        }
        let found = change.find_keys(name.as_str(), which).await?;
        match found.as_slice() {
            [fingerprint] => {
                change.remove_key(name.as_str(), fingerprint).await?;
                change.commit().await?;
                Ok(fingerprint.clone())
            }
            [] => bail!("{name} has no key {which:?}; see: landfall user key list {name}"),
            several => bail!(
                "{name} has {} keys {which:?}; name one by its fingerprint: {}",
                several.len(),
                several.join(", ")
            ),
        }
    }
}

/// Adds the keys that the account does not have; gives those.
async fn add_keys(
    change: &mut Change,
    name: &UserName,
    keys: Vec<AuthorizedKey>,
    now: i64,
) -> anyhow::Result<Vec<AuthorizedKey>> {
    let mut added = Vec::new();
    for key in keys {
        if change.add_key(name.as_str(), &key, now).await? {
            added.push(key);
        }
    }
    Ok(added)
}

/// The name to look up for what a peer calls itself.
fn looked_up(name: &str) -> &str {
    if name.parse::<UserName>().is_ok() {
        name
    } else {
        NO_NAME
    }
}

fn stored_name(name: &str) -> anyhow::Result<UserName> {
    name.parse()
        .with_context(|| format!("the database holds the name {name:?}"))
}

fn no_such_user(name: &UserName) -> anyhow::Error {
    anyhow!("there is no user {name}; see: landfall user list")
}
