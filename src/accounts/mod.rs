//! Accounts, and the only place that verifies identities.

mod account;
mod basis;
mod certificates;
mod credential;
mod declared;
mod guest;
mod hasher;
mod homes;
mod key_file;
mod key_options;
mod keys;
mod last_login;
mod live;
mod login;
mod options;
mod password;
mod prepared;
mod refusal;
mod revoked;
mod security_key;
mod sql;
#[cfg(test)]
mod tests;
mod trust;

use std::collections::HashMap;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};

use anyhow::{Context as _, anyhow, bail};

use self::hasher::PasswordHasher;
use self::homes::Homes;
use self::last_login::LastLogins;
use self::sql::{AccountChange, AccountRow, DetailsRow, Rows};
use self::trust::Trust;
use crate::database::{Alone, Database};
use crate::observe::outcome::LoginMethod;
use crate::values::time;

pub use self::account::{Account, AccountSettings, Allowance, Details, LastLogin, NewAccount};
pub use self::basis::{AccountStanding, Basis, Lost};
pub use self::credential::{Certificate, Credential};
pub use self::declared::Declared;
pub use self::hasher::hash_password;
pub use self::homes::ready as make_home;
pub use self::key_file::decode as decode_keys;
pub use self::keys::AuthorizedKey;
pub use self::live::HeldCredential;
pub use self::login::{Given, KeyProof, Proof};
pub use self::options::{AccountOptions, DeclaredUser, GuestOptions, LoginOptions, RefusedUsers};
pub use self::password::{MAX_PASSWORD, NotAHash, Password, PasswordHash};
pub use self::prepared::PreparedChange;
pub use self::refusal::LoginRefusal;
pub use self::security_key::SecurityKeyFlags;
pub use self::trust::TrustStamp;
pub use crate::values::user_name::{NotAName, UserName};

/// All accounts: a handle that is cheap to clone.
///
/// Every error comes from the disk, the database or the system, or refuses a change; each says what to do.
#[derive(Clone)]
pub struct Accounts {
    inner: Arc<Inner>,
}

struct Inner {
    database: Database,
    rows: Rows,
    hasher: RwLock<Arc<PasswordHasher>>,
    trust: RwLock<Arc<Trust>>,
    homes: Homes,
    logins: LastLogins,
}

impl Accounts {
    /// Opens the existing database.
    pub async fn open(options: AccountOptions<'_>) -> anyhow::Result<Self> {
        Self::of(options, Database::open(options.data).await?).await
    }

    /// Opens the database; creates it and the data folder if absent.
    pub async fn open_or_make(options: AccountOptions<'_>) -> anyhow::Result<Self> {
        Self::of(options, Database::open_or_make(options.data).await?).await
    }

    /// Opens the database for a comparison with a configuration: `None` if there is none, or its schema is
    /// older.
    pub async fn open_as_they_are(options: AccountOptions<'_>) -> anyhow::Result<Option<Self>> {
        match Database::open_as_it_is(options.data).await? {
            Some(database) => Self::of(options, database).await.map(Some),
            None => Ok(None),
        }
    }

    /// As [`Accounts::open_or_make`], for the holder of the data folder's lock.
    pub async fn open_alone(options: AccountOptions<'_>, alone: &Alone) -> anyhow::Result<Self> {
        Self::of(options, Database::open_alone(options.data, alone).await?).await
    }

    async fn of(options: AccountOptions<'_>, database: Database) -> anyhow::Result<Self> {
        let data = options.data;
        Ok(Self {
            inner: Arc::new(Inner {
                rows: Rows::new(database.clone()),
                logins: LastLogins::new(database.clone()),
                database,
                hasher: RwLock::new(Arc::new(PasswordHasher::new(options.login)?)),
                trust: RwLock::new(Arc::new(Trust::new(options))),
                homes: Homes::new(data, options.keys).await?,
            }),
        })
    }

    /// Returns whether this is the guest, who needs no credential.
    pub fn is_guest(&self, name: &str) -> bool {
        self.trust().is_guest(name)
    }

    fn trust(&self) -> Arc<Trust> {
        let trust = self.inner.trust.read();
        trust.unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn hasher(&self) -> Arc<PasswordHasher> {
        let hasher = self.inner.hasher.read();
        hasher.unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Returns the database of the accounts.
    pub fn database(&self) -> &Database {
        &self.inner.database
    }

    /// Closes the database for all handles.
    pub async fn close(&self) {
        self.inner.database.close().await;
    }

    /// Returns the number of accounts.
    pub async fn count(&self) -> anyhow::Result<u64> {
        self.inner.rows.count().await
    }

    fn account(&self, row: AccountRow) -> anyhow::Result<Account> {
        let name: UserName = stored_name(&row.name)?;
        let home = self.inner.homes.absolute(&name, row.home);
        Ok(Account {
            name,
            home,
            settings: row.settings,
        })
    }

    /// Adds an account and creates its home.
    pub async fn add(&self, new: NewAccount) -> anyhow::Result<Account> {
        let hash = self.hash(new.password.as_ref()).await?;
        if self.find_any(&new.name).await?.is_some() {
            return Err(exists_already(&new.name));
        }
        let home = self.ready_home(&new.name, new.home.as_deref()).await?;
        let mut change = self.inner.rows.change().await?;
        let account = self.insert(&mut change, new, hash, home).await?;
        change.commit().await?;
        Ok(account)
    }

    /// Adds an account if there is none at all; `None` if there is one.
    pub async fn add_first(&self, new: NewAccount) -> anyhow::Result<Option<Account>> {
        let hash = self.hash(new.password.as_ref()).await?;
        let home = self.ready_home(&new.name, new.home.as_deref()).await?;
        let mut change = self.inner.rows.change().await?;
        if !change.is_empty().await? {
            return Ok(None);
        }
        let account = self.insert(&mut change, new, hash, home).await?;
        change.commit().await?;
        Ok(Some(account))
    }

    async fn hash(&self, password: Option<&Password>) -> anyhow::Result<Option<String>> {
        match password {
            Some(password) => self.hasher().hash(password).await.map(Some),
            None => Ok(None),
        }
    }

    async fn insert(
        &self,
        change: &mut AccountChange,
        new: NewAccount,
        hash: Option<String>,
        home: homes::Stored,
    ) -> anyhow::Result<Account> {
        let NewAccount {
            name,
            settings,
            keys,
            ..
        } = new;
        if change.exists(name.as_str()).await? {
            return Err(exists_already(&name));
        }
        self.refuse_overlap(change, &name, &home).await?;
        let now = time::now();
        change
            .insert(name.as_str(), home.as_deref(), hash.as_deref(), now)
            .await?;
        change.set_settings(name.as_str(), &settings).await?;
        add_keys(change, &name, keys, now).await?;
        Ok(Account {
            home: self.inner.homes.absolute(&name, home),
            name,
            settings,
        })
    }

    /// Chooses the home of an account and creates it. Accesses the disk, so no change is in progress yet;
    /// the change checks again that the home overlaps no other.
    async fn ready_home(
        &self,
        name: &UserName,
        wish: Option<&Path>,
    ) -> anyhow::Result<homes::Stored> {
        let homes = &self.inner.homes;
        let found = homes::resolve_one(homes.asked(name, wish)).await?;
        let stored = homes.choose(name, wish, found)?;
        let only_elsewhere = homes.only_elsewhere(name, &stored);
        let rows = self.inner.rows.homes_but_of(name.as_str(), only_elsewhere);
        self.refuse_overlap_with(rows.await?, name, &stored)?;
        homes::make_one(homes.absolute(name, stored.clone())).await?;
        Ok(stored)
    }

    /// Refuses a home that overlaps the home of another account.
    async fn refuse_overlap(
        &self,
        change: &mut AccountChange,
        name: &UserName,
        stored: &homes::Stored,
    ) -> anyhow::Result<()> {
        let only_elsewhere = self.inner.homes.only_elsewhere(name, stored);
        let rows = change.homes_but_of(name.as_str(), only_elsewhere).await?;
        self.refuse_overlap_with(rows, name, stored)
    }

    fn refuse_overlap_with(
        &self,
        rows: Vec<(String, homes::Stored)>,
        name: &UserName,
        stored: &homes::Stored,
    ) -> anyhow::Result<()> {
        let homes = &self.inner.homes;
        let others = rows
            .into_iter()
            .map(|(name, home)| Ok((stored_name(&name)?, home)))
            .collect::<anyhow::Result<Vec<_>>>()?;
        homes.refuse_overlap(&homes.absolute(name, stored.clone()), others)
    }

    /// Gives an account another home, which is created if absent; the contents of the old one stay there.
    /// Returns the account before and after.
    pub async fn set_home(
        &self,
        name: &UserName,
        home: &Path,
    ) -> anyhow::Result<(Account, Account)> {
        let before = self.find(name).await?.account;
        let stored = self.ready_home(name, Some(home)).await?;
        let mut change = self.inner.rows.change().await?;
        self.refuse_overlap(&mut change, name, &stored).await?;
        change.set_home(name.as_str(), stored.as_deref()).await?;
        change.commit().await?;
        let after = Account {
            home: self.inner.homes.absolute(name, stored),
            ..before.clone()
        };
        Ok((before, after))
    }

    /// Changes the settings of an account in one transaction; returns the new ones.
    pub async fn set(
        &self,
        name: &UserName,
        change: impl FnOnce(&mut AccountSettings),
    ) -> anyhow::Result<AccountSettings> {
        let mut transaction = self.inner.rows.change().await?;
        let Some(row) = transaction.account(name.as_str()).await? else {
            return Err(no_such_user(name));
        };
        let mut settings = row.settings;
        change(&mut settings);
        transaction.set_settings(name.as_str(), &settings).await?;
        transaction.commit().await?;
        Ok(settings)
    }

    /// Sets or removes the password of an account.
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

    /// Returns all accounts, by name.
    pub async fn list(&self) -> anyhow::Result<Vec<Details>> {
        self.after(None, i64::MAX).await
    }

    /// Returns up to `limit` accounts, by name: the first ones, or those after one. Callers that go through
    /// all need not hold all.
    pub async fn after(&self, name: Option<&UserName>, limit: i64) -> anyhow::Result<Vec<Details>> {
        let name = name.map_or("", UserName::as_str);
        let rows = self.inner.rows.accounts_after(name, limit).await?;
        rows.into_iter().map(|found| self.details(found)).collect()
    }

    /// Returns the homes outside of data/homes.
    pub async fn homes_elsewhere(&self) -> anyhow::Result<Vec<PathBuf>> {
        let rows = self.inner.rows.homes_but_of("", true).await?;
        let stored = rows.into_iter().filter_map(|(_, home)| home);
        Ok(stored.map(PathBuf::from).collect())
    }

    /// Returns one account.
    pub async fn find(&self, name: &UserName) -> anyhow::Result<Details> {
        let found = self.find_any(name).await?;
        found.ok_or_else(|| no_such_user(name))
    }

    /// Returns one account; `None` if there is none.
    pub async fn find_any(&self, name: &UserName) -> anyhow::Result<Option<Details>> {
        let found = self.inner.rows.details(name.as_str()).await?;
        found.map(|found| self.details(found)).transpose()
    }

    fn details(&self, found: DetailsRow) -> anyhow::Result<Details> {
        let row = found.account;
        Ok(Details {
            has_password: row.password_hash.is_some(),
            keys: u64::try_from(found.keys)?,
            created_at: row.created_at,
            last_login: found.last_login,
            recorded_since: row.created_at.max(found.record_began),
            account: self.account(row)?,
        })
    }

    /// Returns the keys of an account, in the order in which they were added.
    pub async fn keys(&self, name: &UserName) -> anyhow::Result<Vec<AuthorizedKey>> {
        self.find(name).await?;
        self.inner.rows.keys(name.as_str()).await
    }

    /// Records a login to an account.
    pub fn record_login(&self, name: &UserName, method: LoginMethod, address: IpAddr) {
        self.inner.logins.record(name, method, address);
    }

    /// Writes recorded logins to the database, some time after each. Never returns.
    pub async fn keep_logins(self) {
        self.inner.logins.keep_saving().await;
    }

    /// Writes recorded logins to the database now. After a failure they stay in memory.
    pub async fn save_logins(&self) -> anyhow::Result<()> {
        self.inner.logins.save().await
    }

    /// Adds keys to an account, or none after an error; an existing key gets the new options and comment.
    pub async fn add_keys(
        &self,
        name: &UserName,
        keys: Vec<AuthorizedKey>,
    ) -> anyhow::Result<PutKeys> {
        let mut change = self.inner.rows.change().await?;
        if !change.exists(name.as_str()).await? {
            return Err(no_such_user(name));
        }
        let added = add_keys(&mut change, name, keys, time::now()).await?;
        change.commit().await?;
        Ok(added)
    }

    /// Removes the one key with this fingerprint or comment; returns its fingerprint.
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
                "{name} has {} keys {which:?}; give a fingerprint: {}",
                several.len(),
                several.join(", ")
            ),
        }
    }
}

/// The changes of keys; keys that were there already are in neither list.
#[derive(Debug, Default)]
pub struct PutKeys {
    /// New keys.
    pub added: Vec<AuthorizedKey>,
    /// Keys with changed options or comment.
    pub changed: Vec<AuthorizedKey>,
}

/// Adds new keys, and changes those with other options or comment.
async fn add_keys(
    change: &mut AccountChange,
    name: &UserName,
    keys: Vec<AuthorizedKey>,
    now: i64,
) -> anyhow::Result<PutKeys> {
    let had = change.keys(name.as_str()).await?.into_iter();
    let mut had: HashMap<_, _> = had.map(|key| (key.public_key.clone(), key)).collect();
    let mut put = PutKeys::default();
    for key in keys {
        let list = match had.insert(key.public_key.clone(), key.clone()) {
            Some(had) if had == key => continue,
            Some(_) => &mut put.changed,
            None => &mut put.added,
        };
        change.put_key(name.as_str(), &key, now).await?;
        list.push(key);
    }
    Ok(put)
}

/// Returns the homes outside of data/homes of any data folder.
///
/// # Errors
///
/// It has no database, or the database cannot be read.
pub async fn homes_elsewhere_of(data: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let database = Database::look_at(data).await?;
    let found = Rows::new(database.clone()).homes_but_of("", true).await;
    database.close().await;
    let stored = found?.into_iter().filter_map(|(_, home)| home);
    Ok(stored.map(PathBuf::from).collect())
}

fn stored_name(name: &str) -> anyhow::Result<UserName> {
    name.parse()
        .with_context(|| format!("the database contains the invalid name {name:?}"))
}

fn exists_already(name: &UserName) -> anyhow::Error {
    anyhow!("user {name} already exists")
}

fn no_such_user(name: &UserName) -> anyhow::Error {
    anyhow!("no user {name}; see: landfall user list")
}
