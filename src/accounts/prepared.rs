//! A changed configuration, prepared so that all of it takes effect or nothing.

use std::sync::{Arc, PoisonError};

use super::hasher::PasswordHasher;
use super::homes::Disks;
use super::options::{AccountOptions, DeclaredUser, GuestOptions};
use super::sql::AccountChange;
use super::trust::Trust;
use super::{Accounts, Declared};

/// The changes that a configuration makes to accounts and logins. They take effect with
/// [`PreparedChange::commit`]; no account can be changed before.
pub struct PreparedChange {
    accounts: Accounts,
    hasher: Arc<PasswordHasher>,
    trust: Arc<Trust>,
    change: AccountChange,
    declared: Declared,
}

impl Accounts {
    /// Prepares a changed configuration.
    ///
    /// # Errors
    ///
    /// Its key files cannot be used, or the settings of the guest or a declared user are impossible.
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

    /// Applies the declared users of the configuration at the start.
    ///
    /// # Errors
    ///
    /// As [`Accounts::prepare`].
    pub async fn declare(&self, options: AccountOptions<'_>) -> anyhow::Result<Declared> {
        let (change, declared) = self.fit(None, Some(options)).await?;
        change.commit().await?;
        Ok(declared)
    }

    /// Compares a configuration with the accounts without changing anything.
    ///
    /// # Errors
    ///
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

    /// Applies the rest of the configuration at the start, after [`Accounts::declare`]: reads the key files
    /// and applies the guest.
    ///
    /// # Errors
    ///
    /// As [`Accounts::prepare`].
    pub async fn begin(&self, options: AccountOptions<'_>) -> anyhow::Result<()> {
        self.trust().check().await?;
        let (change, _) = self.fit(Some(options.guest), None).await?;
        change.commit().await
    }

    /// Resolves the homes in a configuration.
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

    /// Starts a change that applies the guest, the declared users, or both.
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
            // The change must not wait for a disk: it is rolled back and started again.
            drop(change);
            disks.make().await;
        }
    }
}

impl PreparedChange {
    /// Makes all changes take effect.
    ///
    /// # Errors
    ///
    /// Errors of the database; then none takes effect.
    pub async fn commit(self) -> anyhow::Result<Declared> {
        self.change.commit().await?;
        let inner = &self.accounts.inner;
        *inner.hasher.write().unwrap_or_else(PoisonError::into_inner) = self.hasher;
        *inner.trust.write().unwrap_or_else(PoisonError::into_inner) = self.trust;
        Ok(self.declared)
    }
}
