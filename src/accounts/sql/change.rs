//! Changes of accounts and keys, in one transaction.

use sqlx::{Row as _, Sqlite, Transaction};

use super::{AccountRow, figure, homes_but_of, joined, keys};
use crate::accounts::account::AccountSettings;
use crate::accounts::homes::Stored;
use crate::accounts::keys::AuthorizedKey;

/// A transaction in progress; no other one runs beside it.
pub(in crate::accounts) struct AccountChange(pub(super) Transaction<'static, Sqlite>);

impl AccountChange {
    pub(in crate::accounts) async fn commit(self) -> anyhow::Result<()> {
        Ok(self.0.commit().await?)
    }

    /// Records that an account is changed or removed; returns the number of the change.
    async fn number(&mut self, name: &str) -> anyhow::Result<i64> {
        let row = sqlx::query(
            "INSERT INTO account_change (account, number)
             SELECT $1, COALESCE(MAX(number), 0) + 1 FROM account_change WHERE TRUE
             ON CONFLICT (account) DO UPDATE SET number = excluded.number
             RETURNING number",
        )
        .bind(name)
        .fetch_one(&mut *self.0)
        .await?;
        Ok(row.try_get(0)?)
    }

    pub(in crate::accounts) async fn exists(&mut self, name: &str) -> anyhow::Result<bool> {
        let row = sqlx::query("SELECT 1 FROM account WHERE name = $1")
            .bind(name)
            .fetch_optional(&mut *self.0)
            .await?;
        Ok(row.is_some())
    }

    pub(in crate::accounts) async fn is_empty(&mut self) -> anyhow::Result<bool> {
        let row = sqlx::query("SELECT 1 FROM account LIMIT 1")
            .fetch_optional(&mut *self.0)
            .await?;
        Ok(row.is_none())
    }

    /// Returns the names of all declared accounts.
    pub(in crate::accounts) async fn declared(&mut self) -> anyhow::Result<Vec<String>> {
        let rows = sqlx::query("SELECT name FROM account WHERE declared ORDER BY name")
            .fetch_all(&mut *self.0)
            .await?;
        rows.into_iter().map(|row| Ok(row.try_get(0)?)).collect()
    }

    /// Returns the keys of an account, within this transaction.
    pub(in crate::accounts) async fn keys(
        &mut self,
        name: &str,
    ) -> anyhow::Result<Vec<AuthorizedKey>> {
        keys(&mut *self.0, name).await
    }

    /// As [`Rows::homes_but_of`], within this transaction.
    pub(in crate::accounts) async fn homes_but_of(
        &mut self,
        name: &str,
        only_elsewhere: bool,
    ) -> anyhow::Result<Vec<(String, Stored)>> {
        homes_but_of(&mut *self.0, name, only_elsewhere).await
    }

    /// Returns the account, within this transaction.
    pub(in crate::accounts) async fn account(
        &mut self,
        name: &str,
    ) -> anyhow::Result<Option<AccountRow>> {
        let row = sqlx::query("SELECT * FROM account WHERE name = $1")
            .bind(name)
            .fetch_optional(&mut *self.0)
            .await?;
        row.map(|row| AccountRow::new(&row)).transpose()
    }

    /// Adds an account without settings.
    pub(in crate::accounts) async fn insert(
        &mut self,
        name: &str,
        home: Option<&str>,
        password_hash: Option<&str>,
        now: i64,
    ) -> anyhow::Result<()> {
        let change = self.number(name).await?;
        sqlx::query(
            "INSERT INTO account (name, home, password_hash, created_at, made_by, password_by)
             VALUES ($1, $2, $3, $4, $5, $5)",
        )
        .bind(name)
        .bind(home)
        .bind(password_hash)
        .bind(now)
        .bind(change)
        .execute(&mut *self.0)
        .await?;
        Ok(())
    }

    pub(in crate::accounts) async fn set_settings(
        &mut self,
        name: &str,
        settings: &AccountSettings,
    ) -> anyhow::Result<()> {
        let AccountSettings {
            allowance,
            safe_overwrite,
            rules,
            declared,
        } = settings;
        self.number(name).await?;
        sqlx::query(
            "UPDATE account SET quota_bytes = $1, quota_files = $2, safe_overwrite = $3,
                 permissions = $4, networks = $5, expires_at = $6, disabled = $7,
                 max_sessions = $8, login_policy = $9, upload_rate = $10, download_rate = $11,
                 declared = $12
             WHERE name = $13",
        )
        .bind(figure(allowance.bytes)?)
        .bind(figure(allowance.files)?)
        .bind(safe_overwrite)
        .bind(rules.permissions.to_string())
        .bind(joined(&rules.networks))
        .bind(rules.expires_at)
        .bind(rules.disabled)
        .bind(rules.max_sessions.map(i64::from))
        .bind(rules.login_policy.to_string())
        .bind(figure(rules.bandwidth.up)?)
        .bind(figure(rules.bandwidth.down)?)
        .bind(declared)
        .bind(name)
        .execute(&mut *self.0)
        .await?;
        Ok(())
    }

    /// Removes an account with its keys; returns false if there is none.
    pub(in crate::accounts) async fn remove(&mut self, name: &str) -> anyhow::Result<bool> {
        self.number(name).await?;
        let done = sqlx::query("DELETE FROM account WHERE name = $1")
            .bind(name)
            .execute(&mut *self.0)
            .await?;
        Ok(done.rows_affected() > 0)
    }

    pub(in crate::accounts) async fn set_home(
        &mut self,
        name: &str,
        home: Option<&str>,
    ) -> anyhow::Result<()> {
        self.number(name).await?;
        sqlx::query("UPDATE account SET home = $1 WHERE name = $2")
            .bind(home)
            .bind(name)
            .execute(&mut *self.0)
            .await?;
        Ok(())
    }

    /// Sets the password hash; returns false if there is no such account.
    pub(in crate::accounts) async fn set_password(
        &mut self,
        name: &str,
        password_hash: Option<&str>,
    ) -> anyhow::Result<bool> {
        let change = self.number(name).await?;
        let set = "UPDATE account SET password_hash = $1, password_by = $2 WHERE name = $3";
        let done = sqlx::query(set)
            .bind(password_hash)
            .bind(change)
            .bind(name)
            .execute(&mut *self.0)
            .await?;
        Ok(done.rows_affected() > 0)
    }

    /// Adds a key, or changes the options and comment of an existing one.
    pub(in crate::accounts) async fn put_key(
        &mut self,
        name: &str,
        key: &AuthorizedKey,
        now: i64,
    ) -> anyhow::Result<()> {
        self.number(name).await?;
        sqlx::query(
            "INSERT INTO account_key
                 (account, public_key, fingerprint, comment, options, expires_at, added_at)
             VALUES ($1, $2, $3, $4, $5, $6, $7)
             ON CONFLICT (account, public_key) DO UPDATE
                 SET comment = excluded.comment, options = excluded.options,
                     expires_at = excluded.expires_at",
        )
        .bind(name)
        .bind(&key.public_key)
        .bind(&key.fingerprint)
        .bind(&key.comment)
        .bind(&key.options)
        .bind(key.expires_at)
        .bind(now)
        .execute(&mut *self.0)
        .await?;
        Ok(())
    }

    /// Returns the fingerprints of keys with this fingerprint or comment.
    pub(in crate::accounts) async fn find_keys(
        &mut self,
        name: &str,
        fingerprint_or_comment: &str,
    ) -> anyhow::Result<Vec<String>> {
        let rows = sqlx::query(
            "SELECT fingerprint FROM account_key
             WHERE account = $1 AND (fingerprint = $2 OR comment = $2)",
        )
        .bind(name)
        .bind(fingerprint_or_comment)
        .fetch_all(&mut *self.0)
        .await?;
        rows.into_iter().map(|row| Ok(row.try_get(0)?)).collect()
    }

    pub(in crate::accounts) async fn remove_key(
        &mut self,
        name: &str,
        fingerprint: &str,
    ) -> anyhow::Result<()> {
        self.number(name).await?;
        sqlx::query("DELETE FROM account_key WHERE account = $1 AND fingerprint = $2")
            .bind(name)
            .bind(fingerprint)
            .execute(&mut *self.0)
            .await?;
        Ok(())
    }
}
