//! Accounts with their usage.

use std::path::PathBuf;

use crate::accounts::{Accounts, Details};
use crate::quota::{Usage, stored_usage_of, stored_usage_of_all};

/// An account and its usage.
#[derive(Debug)]
pub struct AccountUsage {
    /// The account.
    pub details: Details,
    /// Usage from the database: up to a second old while sessions are open. `None` if the home was never
    /// counted.
    pub used: Option<Usage>,
}

impl AccountUsage {
    /// Returns an account with its usage.
    ///
    /// # Errors
    ///
    /// Errors of the database.
    pub async fn of(accounts: &Accounts, details: Details) -> anyhow::Result<Self> {
        let name = details.account.name.as_str();
        let counted = stored_usage_of(accounts.database(), name).await?;
        Ok(Self::new(details, counted.as_ref()))
    }

    /// Returns all accounts with their usage, by name.
    ///
    /// # Errors
    ///
    /// Errors of the database.
    pub async fn of_all(accounts: &Accounts) -> anyhow::Result<Vec<Self>> {
        let figures = stored_usage_of_all(accounts.database()).await?;
        let users = accounts.list().await?.into_iter();
        let user = |user: Details| {
            let counted = figures.get(user.account.name.as_str());
            Self::new(user, counted)
        };
        Ok(users.map(user).collect())
    }

    /// Ignores usage that was counted in an earlier home of the account.
    fn new(details: Details, counted: Option<&(PathBuf, Usage)>) -> Self {
        let used = counted
            .filter(|(home, _)| home.to_string_lossy() == details.account.home.to_string_lossy())
            .map(|(_, used)| *used);
        Self { details, used }
    }
}
