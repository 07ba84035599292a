//! The accounts in SQL: the only place that knows it.

use std::path::Path;
use std::time::{Duration, SystemTime};

use anyhow::{Context, bail};
use sqlx::Row;
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePool, SqliteRow};

use super::keys::{AuthorizedKey, fingerprint};
use super::{Account, UserName};
use crate::store::seconds;

#[derive(Clone)]
pub(super) struct Database(SqlitePool);

pub(super) struct Found {
    pub(super) account: Account,
    pub(super) password_hash: Option<String>,
}

impl Database {
    pub(super) async fn open(data: &Path) -> anyhow::Result<Self> {
        std::fs::create_dir_all(data)?;
        let options = SqliteConnectOptions::new()
            .filename(data.join("landfall.db"))
            .create_if_missing(true)
            .foreign_keys(true)
            .journal_mode(SqliteJournalMode::Wal)
            .busy_timeout(Duration::from_secs(10));
        let pool = SqlitePool::connect_with(options)
            .await
            .context("cannot open the database")?;
        sqlx::migrate!()
            .run(&pool)
            .await
            .context("cannot bring the database up to date")?;
        Ok(Self(pool))
    }

    pub(super) async fn count(&self) -> anyhow::Result<u64> {
        let row = sqlx::query("SELECT COUNT(*) FROM account")
            .fetch_one(&self.0)
            .await?;
        Ok(u64::try_from(row.try_get::<i64, _>(0)?)?)
    }

    pub(super) async fn list(&self) -> anyhow::Result<Vec<Account>> {
        let rows = sqlx::query("SELECT * FROM account ORDER BY name")
            .fetch_all(&self.0)
            .await?;
        rows.iter().map(|row| Ok(found(row)?.account)).collect()
    }

    pub(super) async fn find(&self, name: &str) -> anyhow::Result<Option<Found>> {
        let row = sqlx::query("SELECT * FROM account WHERE name = $1")
            .bind(name)
            .fetch_optional(&self.0)
            .await?;
        row.as_ref().map(found).transpose()
    }

    pub(super) async fn find_by_key(
        &self,
        name: &str,
        blob: &[u8],
    ) -> anyhow::Result<Option<Account>> {
        let row = sqlx::query(
            "SELECT account.* FROM account JOIN account_key ON account = name
             WHERE name = $1 AND fingerprint = $2",
        )
        .bind(name)
        .bind(fingerprint(blob).unwrap_or_default())
        .fetch_optional(&self.0)
        .await?;
        Ok(row
            .as_ref()
            .map(found)
            .transpose()?
            .map(|found| found.account))
    }

    pub(super) async fn add(
        &self,
        name: &UserName,
        home: &Path,
        hash: Option<&str>,
        keys: &[AuthorizedKey],
    ) -> anyhow::Result<()> {
        let mut tx = self.0.begin_with("BEGIN IMMEDIATE").await?;
        let now = seconds(SystemTime::now());
        sqlx::query(
            "INSERT INTO account (name, home, password_hash, created) VALUES ($1, $2, $3, $4)",
        )
        .bind(name.as_str())
        .bind(home.to_str().context("the home's path is not UTF-8")?)
        .bind(hash)
        .bind(now)
        .execute(&mut *tx)
        .await
        .with_context(|| format!("cannot add {name}"))?;
        for key in keys {
            sqlx::query("INSERT INTO account_key (account, fingerprint, line, added) VALUES ($1, $2, $3, $4)")
                .bind(name.as_str())
                .bind(key.fingerprint())
                .bind(key.line()?)
                .bind(now)
                .execute(&mut *tx)
                .await?;
        }
        Ok(tx.commit().await?)
    }

    pub(super) async fn set_home(&self, _: &UserName, _: &Path) -> anyhow::Result<()> {
        bail!("not yet")
    }

    pub(super) async fn remove(&self, _: &UserName) -> anyhow::Result<bool> {
        bail!("not yet")
    }

    pub(super) async fn set_password(&self, _: &UserName, _: Option<&str>) -> anyhow::Result<bool> {
        bail!("not yet")
    }

    pub(super) async fn keys(&self, _: &UserName) -> anyhow::Result<Vec<AuthorizedKey>> {
        bail!("not yet")
    }

    pub(super) async fn add_key(&self, _: &UserName, _: &AuthorizedKey) -> anyhow::Result<bool> {
        bail!("not yet")
    }

    pub(super) async fn remove_key(&self, _: &UserName, _: &str) -> anyhow::Result<bool> {
        bail!("not yet")
    }
}

fn found(row: &SqliteRow) -> anyhow::Result<Found> {
    let password_hash: Option<String> = row.try_get("password_hash")?;
    Ok(Found {
        account: Account {
            name: UserName::parse(row.try_get("name")?)?,
            home: row.try_get::<String, _>("home")?.into(),
            has_password: password_hash.is_some(),
            created: row.try_get("created")?,
        },
        password_hash,
    })
}
