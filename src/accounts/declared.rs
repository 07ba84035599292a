//! Applies the users of config.toml to the accounts.

use std::path::Path;

use anyhow::bail;

use super::homes::{Disks, Stored};
use super::options::{AccountOptions, DeclaredUser, RefusedUsers};
use super::sql::{AccountChange, AccountRow};
use super::{Accounts, UserName, add_keys, homes, stored_name};
use crate::values::time;

/// The changes made for the users of config.toml.
#[derive(Debug, Default)]
pub struct Declared {
    /// Added users.
    pub added: Vec<UserName>,
    /// Changed users.
    pub changed: Vec<UserName>,
    /// Removed users; their files stay.
    pub removed: Vec<UserName>,
}

impl Declared {
    /// Returns the changes as lines of text; none if nothing changed.
    pub fn summary(&self) -> Vec<String> {
        let line = |what: &str, users: &[UserName]| {
            let names: Vec<_> = users.iter().map(UserName::as_str).collect();
            (!names.is_empty()).then(|| format!("declared users {what}: {}", names.join(", ")))
        };
        let lines = [
            line("added", &self.added),
            line("changed", &self.changed),
            line("removed (their files stay)", &self.removed),
        ];
        lines.into_iter().flatten().collect()
    }

    /// Returns the users whose open sessions may be affected.
    pub fn affected(&self) -> impl Iterator<Item = &UserName> {
        self.changed.iter().chain(&self.removed)
    }
}

impl Accounts {
    /// Creates, changes and removes declared accounts as config.toml says. The guest is
    /// [set](Self::set_guest) separately.
    ///
    /// # Errors
    ///
    /// [`RefusedUsers`]: a user's settings are impossible, or an account of that name was added by a
    /// command.
    pub(super) async fn set_declared(
        &self,
        change: &mut AccountChange,
        disks: &mut Disks,
        options: AccountOptions<'_>,
    ) -> anyhow::Result<Declared> {
        let (users, guest) = (options.users, options.guest.name.as_str());
        let mut done = Declared::default();
        for name in change.declared().await? {
            let name = stored_name(&name)?;
            if name.as_str() != guest && !users.iter().any(|user| user.name == name) {
                change.remove(name.as_str()).await?;
                done.removed.push(name);
            }
        }
        let mut faults = Vec::new();
        for user in users {
            let name = &user.name;
            match change.account(name.as_str()).await? {
                Some(row) if !row.settings.declared => faults.push((
                    name.clone(),
                    format!(
                        "a user {name} already exists, added by a command: remove [user.{name}], or remove that user with landfall user rm {name} (the files stay)"
                    ),
                )),
                Some(row) => match self.adapt(change, disks, row, user).await {
                    Ok(true) => done.changed.push(name.clone()),
                    Ok(false) => {}
                    Err(failure) => faults.push((name.clone(), format!("{failure:#}"))),
                },
                None => match self.declare_new(change, disks, user).await {
                    Ok(()) => done.added.push(name.clone()),
                    Err(failure) => faults.push((name.clone(), format!("{failure:#}"))),
                },
            }
        }
        if !faults.is_empty() {
            return Err(RefusedUsers(faults).into());
        }
        Ok(done)
    }

    /// Returns the home of a declared account. If its disk does not answer, the account keeps its home.
    pub(super) async fn declared_home(
        &self,
        change: &mut AccountChange,
        disks: &Disks,
        (name, wish): (&UserName, Option<&Path>),
        now: Option<&Stored>,
    ) -> anyhow::Result<Stored> {
        let homes = &self.inner.homes;
        let asked = homes.asked(name, wish);
        let stored = match (disks.found(&asked), now) {
            (Some(Ok(found)), _) => homes.choose(name, wish, found.clone())?,
            (Some(Err(failure)), _) => bail!("{failure}"),
            (None, Some(now)) if homes.absolute(name, now.clone()) == asked => now.clone(),
            (None, _) => bail!(homes::silence(&asked)),
        };
        self.refuse_overlap(change, name, &stored).await?;
        Ok(stored)
    }

    async fn declare_new(
        &self,
        change: &mut AccountChange,
        disks: &mut Disks,
        user: &DeclaredUser,
    ) -> anyhow::Result<()> {
        let name = user.name.as_str();
        let stored = self
            .declared_home(change, disks, user.named_home(), None)
            .await?;
        let hash = user.password.as_ref().map(|hash| hash.as_str());
        let now = time::now();
        change.insert(name, stored.as_deref(), hash, now).await?;
        change.set_settings(name, &user.settings).await?;
        add_keys(change, &user.name, user.keys.clone(), now).await?;
        disks.want(self.inner.homes.absolute(&user.name, stored))
    }

    /// Changes only what differs, so that sessions do not notice the rest. Returns whether anything
    /// changed.
    async fn adapt(
        &self,
        change: &mut AccountChange,
        disks: &mut Disks,
        row: AccountRow,
        user: &DeclaredUser,
    ) -> anyhow::Result<bool> {
        let name = user.name.as_str();
        let stored = self
            .declared_home(change, disks, user.named_home(), Some(&row.home))
            .await?;
        let hash = user.password.as_ref().map(|hash| hash.as_str());
        let has_home = row.home == stored;
        let has_settings = row.settings == user.settings;
        let has_hash = row.password_hash.as_deref() == hash;
        if !has_home {
            change.set_home(name, stored.as_deref()).await?;
            disks.want(self.inner.homes.absolute(&user.name, stored))?;
        }
        if !has_settings {
            change.set_settings(name, &user.settings).await?;
        }
        if !has_hash {
            change.set_password(name, hash).await?;
        }
        let old = change.keys(name).await?;
        let gone = old.iter().filter(|key| !user.keys.contains(key));
        let mut has_keys = true;
        for key in gone {
            change.remove_key(name, &key.fingerprint).await?;
            has_keys = false;
        }
        let now = time::now();
        let put = add_keys(change, &user.name, user.keys.clone(), now).await?;
        has_keys &= put.added.is_empty() && put.changed.is_empty();
        Ok(!(has_home && has_settings && has_hash && has_keys))
    }
}
