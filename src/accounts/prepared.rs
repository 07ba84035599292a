//! A changed config, prepared so that all of it takes effect, or nothing.

use std::sync::{Arc, PoisonError};

use super::hasher::PasswordHasher;
use super::homes::Disks;
use super::options::{AccountOptions, DeclaredUser, GuestOptions};
use super::sql::AccountChange;
use super::trust::Trust;
use super::{Accounts, Declared};

/// What a config makes of the accounts and their logins. Nothing of it holds before [`PreparedChange::commit`],
/// and no account can be changed until then.
pub struct PreparedChange {
    accounts: Accounts,
    hasher: Arc<PasswordHasher>,
    trust: Arc<Trust>,
    change: AccountChange,
    declared: Declared,
}

impl Accounts {
    /// Prepares a changed config.
    ///
    /// # Errors
    /// The files of keys that it names cannot be used, or the guest or a declared user cannot be so.
    pub async fn prepare(&self, options: AccountOptions<'_>) -> anyhow::Result<PreparedChange> {
        let hasher = Arc::new(PasswordHasher::new(options.login)?);
        let trust = Arc::new(Trust::new(options));
        trust.check().await?;
        let (change, declared) = self.fit(Some(options.guest), Some(options)).await?;
        Ok(PreparedChange {
            accounts: self.clone(),
            hasher,
            trust,
            change,
            declared,
        })
    }

    /// Makes the declared accounts what the config of the start says.
    ///
    /// # Errors
    /// As [`Accounts::prepare`].
    pub async fn declare(&self, options: AccountOptions<'_>) -> anyhow::Result<Declared> {
        let (change, declared) = self.fit(None, Some(options)).await?;
        change.commit().await?;
        Ok(declared)
    }

    /// Compares a config with the accounts, and changes nothing.
    ///
    /// # Errors
    /// What [`Accounts::prepare`] would refuse of the guest and the declared users.
    pub async fn compare(&self, options: AccountOptions<'_>) -> anyhow::Result<()> {
        let mut disks = self.ask_disks(Some(options.guest), Some(options)).await?;
        // It is never committed.
        let mut change = self.inner.rows.change().await?;
        self.set_guest(&mut change, &mut disks, options.guest)
            .await?;
        self.set_declared(&mut change, &mut disks, options).await?;
        Ok(())
    }

    /// What is left to be done with the config of the start, once [`Accounts::declare`] has been: reads the
    /// files of keys, and makes the guest's account what the config says.
    ///
    /// # Errors
    /// As [`Accounts::prepare`].
    pub async fn begin(&self, options: AccountOptions<'_>) -> anyhow::Result<()> {
        self.trust().check().await?;
        let (change, _) = self.fit(Some(options.guest), None).await?;
        change.commit().await
    }

    /// Asks where the homes lead that a config names.
    async fn ask_disks(
        &self,
        guest: Option<&GuestOptions>,
        declared: Option<AccountOptions<'_>>,
    ) -> anyhow::Result<Disks> {
        let homes = &self.inner.homes;
        let users = declared.into_iter().flat_map(|options| options.users);
        let mut asked: Vec<_> = users
            .map(DeclaredUser::named_home)
            .map(|(name, wish)| homes.asked(name, wish))
            .collect();
        if let Some(guest) = guest.filter(|guest| guest.enabled) {
            asked.push(homes.asked(&guest.name.parse()?, guest.home.as_deref()));
        }
        Ok(Disks::ask(asked).await)
    }

    /// Starts a change in which the guest, or the declared users of a config, or both, are what it says.
    async fn fit(
        &self,
        guest: Option<&GuestOptions>,
        declared: Option<AccountOptions<'_>>,
    ) -> anyhow::Result<(AccountChange, Declared)> {
        let mut disks = self.ask_disks(guest, declared).await?;
        loop {
            let mut change = self.inner.rows.change().await?;
            if let Some(guest) = guest {
                self.set_guest(&mut change, &mut disks, guest).await?;
            }
            let done = match declared {
                Some(options) => self.set_declared(&mut change, &mut disks, options).await?,
                None => Declared::default(),
            };
            if disks.has_all() {
                return Ok((change, done));
            }
            // No disk is waited for in a change: that is taken back, and made again.
            drop(change);
            disks.make().await;
        }
    }
}

impl PreparedChange {
    /// Has all of it hold.
    ///
    /// # Errors
    /// Of the database: then nothing of it holds.
    pub async fn commit(self) -> anyhow::Result<Declared> {
        self.change.commit().await?;
        let inner = &self.accounts.inner;
        *inner.hasher.write().unwrap_or_else(PoisonError::into_inner) = self.hasher;
        *inner.trust.write().unwrap_or_else(PoisonError::into_inner) = self.trust;
        Ok(self.declared)
    }
}
