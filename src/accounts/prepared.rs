//! A changed config, prepared so that all of it takes effect, or nothing.

use std::sync::{Arc, PoisonError};

use super::password::Hasher;
use super::sql::Change;
use super::trust::Trust;
use super::{Accounts, Declared};
use crate::config::Config;

/// What a config makes of the accounts and their logins. Nothing of it holds before [`Prepared::commit`],
/// and no account can be changed until then.
pub struct Prepared {
    accounts: Accounts,
    hasher: Arc<Hasher>,
    trust: Arc<Trust>,
    change: Change,
    declared: Declared,
}

impl Accounts {
    /// Prepares a changed config.
    ///
    /// # Errors
    /// The files of keys that it names cannot be used, or the guest or a declared user cannot be so.
    pub async fn prepare(&self, config: &Config) -> anyhow::Result<Prepared> {
        let hasher = Arc::new(Hasher::new(&config.login)?);
        let trust = Arc::new(Trust::new(config));
        trust.check().await?;
        let mut change = self.inner.rows.change().await?;
        self.set_guest(&mut change, &config.guest).await?;
        let declared = self.set_declared(&mut change, config).await?;
        Ok(Prepared {
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
    pub async fn declare(&self, config: &Config) -> anyhow::Result<Declared> {
        let mut change = self.inner.rows.change().await?;
        let declared = self.set_declared(&mut change, config).await?;
        change.commit().await?;
        Ok(declared)
    }

    /// What is left to be done with the config of the start, once [`Accounts::declare`] has been: reads the
    /// files of keys, and makes the guest's account what the config says.
    ///
    /// # Errors
    /// As [`Accounts::prepare`].
    pub async fn begin(&self, config: &Config) -> anyhow::Result<()> {
        self.trust().check().await?;
        let mut change = self.inner.rows.change().await?;
        self.set_guest(&mut change, &config.guest).await?;
        change.commit().await
    }
}

impl Prepared {
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
