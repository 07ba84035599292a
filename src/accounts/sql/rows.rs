//! Queries of accounts and keys.

use sqlx::Row as _;
use sqlx::sqlite::SqliteRow;

use super::{AccountChange, AccountRow, DetailsRow, KeyRow, homes_but_of, keys};
use crate::accounts::homes::Stored;
use crate::accounts::keys::AuthorizedKey;
use crate::database::Database;

/// The rows of accounts and keys.
pub(in crate::accounts) struct Rows {
    database: Database,
}

/// Selects accounts for which `$which` is true, as a [`DetailsRow`] each.
macro_rules! details {
    ($which:literal) => {
        concat!(
            "SELECT account.*, login.at, login.method, login.address,
                 (SELECT COUNT(*) FROM account_key
                     WHERE account_key.account = account.name) AS keys,
                 (SELECT MIN(began) FROM login_record) AS record_began
             FROM account LEFT JOIN account_login AS login ON login.account = account.name
             WHERE ",
            $which
        )
    };
}

impl Rows {
    pub(in crate::accounts) fn new(database: Database) -> Self {
        Self { database }
    }

    pub(in crate::accounts) async fn count(&self) -> anyhow::Result<u64> {
        let row = sqlx::query("SELECT COUNT(*) FROM account")
            .fetch_one(self.database.pool())
            .await?;
        Ok(u64::try_from(row.try_get::<i64, _>(0)?)?)
    }

    pub(in crate::accounts) async fn account(
        &self,
        name: &str,
    ) -> anyhow::Result<Option<AccountRow>> {
        let row = sqlx::query("SELECT * FROM account WHERE name = $1")
            .bind(name)
            .fetch_optional(self.database.pool())
            .await?;
        row.map(|row| AccountRow::new(&row)).transpose()
    }

    /// Returns the account, and the key if the account has it. One query for both, so that an account
    /// without the key takes as long as no account.
    pub(in crate::accounts) async fn account_with_key(
        &self,
        name: &str,
        public_key: &str,
    ) -> anyhow::Result<Option<(AccountRow, Option<KeyRow>)>> {
        let row = sqlx::query(
            "SELECT account.*, account_key.expires_at AS key_expires_at,
                    account_key.options AS key_options
             FROM account LEFT JOIN account_key
             ON account_key.account = account.name AND account_key.public_key = $2
             WHERE account.name = $1",
        )
        .bind(name)
        .bind(public_key)
        .fetch_optional(self.database.pool())
        .await?;
        let found = |row: SqliteRow| {
            let until = row.try_get("key_expires_at")?;
            let options: Option<String> = row.try_get("key_options")?;
            let key = options.map(|options| KeyRow { until, options });
            Ok((AccountRow::new(&row)?, key))
        };
        row.map(found).transpose()
    }

    pub(in crate::accounts) async fn last_change(&self) -> anyhow::Result<i64> {
        let row = sqlx::query("SELECT COALESCE(MAX(number), 0) FROM account_change")
            .fetch_one(self.database.pool())
            .await?;
        Ok(row.try_get(0)?)
    }

    /// Returns the next accounts whose last change has a greater number, in the order of these numbers.
    pub(in crate::accounts) async fn changed_since(
        &self,
        number: i64,
        limit: i64,
    ) -> anyhow::Result<Vec<(String, i64)>> {
        let rows = sqlx::query(
            "SELECT account, number FROM account_change
             WHERE number > $1 ORDER BY number LIMIT $2",
        )
        .bind(number)
        .bind(limit)
        .fetch_all(self.database.pool())
        .await?;
        rows.into_iter()
            .map(|row| Ok((row.try_get(0)?, row.try_get(1)?)))
            .collect()
    }

    /// Replaces a hash if it is still the known one.
    pub(in crate::accounts) async fn refresh_password(
        &self,
        name: &str,
        old: &str,
        new: &str,
    ) -> anyhow::Result<()> {
        sqlx::query("UPDATE account SET password_hash = $1 WHERE name = $2 AND password_hash = $3")
            .bind(new)
            .bind(name)
            .bind(old)
            .execute(self.database.pool())
            .await?;
        Ok(())
    }

    /// Returns the accounts after a name, by name.
    pub(in crate::accounts) async fn accounts_after(
        &self,
        name: &str,
        limit: i64,
    ) -> anyhow::Result<Vec<DetailsRow>> {
        let rows = sqlx::query(details!("name > $1 ORDER BY name LIMIT $2"))
            .bind(name)
            .bind(limit)
            // Row by row: the rows of many accounts take more memory than the results.
            .map(|row| DetailsRow::new(&row))
            .fetch_all(self.database.pool())
            .await?;
        rows.into_iter().collect()
    }

    /// Returns the account of this name.
    pub(in crate::accounts) async fn details(
        &self,
        name: &str,
    ) -> anyhow::Result<Option<DetailsRow>> {
        let row = sqlx::query(details!("name = $1"))
            .bind(name)
            .fetch_optional(self.database.pool())
            .await?;
        row.map(|row| DetailsRow::new(&row)).transpose()
    }

    /// Returns the keys of an account in the order in which they were added.
    pub(in crate::accounts) async fn keys(&self, name: &str) -> anyhow::Result<Vec<AuthorizedKey>> {
        keys(self.database.pool(), name).await
    }

    /// Returns names and homes of all accounts but one; on request only those with a home outside of
    /// data/homes.
    pub(in crate::accounts) async fn homes_but_of(
        &self,
        name: &str,
        only_elsewhere: bool,
    ) -> anyhow::Result<Vec<(String, Stored)>> {
        homes_but_of(self.database.pool(), name, only_elsewhere).await
    }

    /// Starts a transaction: everything takes effect at [`AccountChange::commit`], or nothing.
    pub(in crate::accounts) async fn change(&self) -> anyhow::Result<AccountChange> {
        self.database.begin_write().await.map(AccountChange)
    }
}
