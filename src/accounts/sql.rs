//! The accounts in SQL: the only place that knows it. Plain enough for SQLite and PostgreSQL.

use std::fs;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use sqlx::migrate::{MigrateError, Migrator};
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePool, SqliteRow};
use sqlx::{Row, Sqlite, Transaction};

use super::keys::{AuthorizedKey, fingerprint, now};
use super::{Account, UserName};

const FILE: &str = "landfall.db";

/// How long one command waits for another to finish with the database.
const BUSY_TIMEOUT: Duration = Duration::from_secs(30);

static MIGRATIONS: Migrator = sqlx::migrate!();

#[derive(Clone)]
pub(super) struct Database(SqlitePool);

pub(super) struct Found {
    pub(super) account: Account,
    pub(super) password_hash: Option<String>,
}

impl Database {
    pub(super) async fn open(data: &Path) -> anyhow::Result<Self> {
        let file = data.join(FILE);
        prepare(data, &file)?;
        let options = SqliteConnectOptions::new()
            .filename(&file)
            .foreign_keys(true)
            .journal_mode(SqliteJournalMode::Wal)
            .busy_timeout(BUSY_TIMEOUT);
        let pool = SqlitePool::connect_with(options)
            .await
            .with_context(|| format!("cannot open the database {}", file.display()))?;
        match MIGRATIONS.run(&pool).await {
            Ok(()) => Ok(Self(pool)),
            Err(MigrateError::VersionMissing(_)) => bail!(
                "the database {} was made by a newer version of landfall: run that one",
                file.display()
            ),
            Err(error) => {
                Err(error).with_context(|| format!("cannot bring {} up to date", file.display()))
            }
        }
    }

    /// A change that sees, and keeps, what it has read: others wait until it is done.
    async fn change(&self) -> anyhow::Result<Transaction<'_, Sqlite>> {
        Ok(self.0.begin_with("BEGIN IMMEDIATE").await?)
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
            "SELECT account.* FROM account JOIN account_key ON account_key.account = account.name \
             WHERE account.name = $1 AND account_key.fingerprint = $2",
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
        let mut change = self.change().await?;
        let taken = sqlx::query("SELECT 1 FROM account WHERE name = $1")
            .bind(name.as_str())
            .fetch_optional(&mut *change)
            .await?;
        ensure!(taken.is_none(), "there is an account {name} already");
        free_home(&mut change, name, home).await?;
        sqlx::query(
            "INSERT INTO account (name, home, password_hash, created) VALUES ($1, $2, $3, $4)",
        )
        .bind(name.as_str())
        .bind(as_text(home)?)
        .bind(hash)
        .bind(now())
        .execute(&mut *change)
        .await?;
        for key in keys {
            insert_key(&mut change, name, key).await?;
        }
        Ok(change.commit().await?)
    }

    pub(super) async fn set_home(&self, name: &UserName, home: &Path) -> anyhow::Result<bool> {
        let mut change = self.change().await?;
        free_home(&mut change, name, home).await?;
        let done = sqlx::query("UPDATE account SET home = $2 WHERE name = $1")
            .bind(name.as_str())
            .bind(as_text(home)?)
            .execute(&mut *change)
            .await?;
        change.commit().await?;
        Ok(done.rows_affected() > 0)
    }

    pub(super) async fn set_password(
        &self,
        name: &UserName,
        hash: Option<&str>,
    ) -> anyhow::Result<bool> {
        let done = sqlx::query("UPDATE account SET password_hash = $2 WHERE name = $1")
            .bind(name.as_str())
            .bind(hash)
            .execute(&self.0)
            .await?;
        Ok(done.rows_affected() > 0)
    }

    pub(super) async fn remove(&self, name: &UserName) -> anyhow::Result<bool> {
        let done = sqlx::query("DELETE FROM account WHERE name = $1")
            .bind(name.as_str())
            .execute(&self.0)
            .await?;
        Ok(done.rows_affected() > 0)
    }

    pub(super) async fn keys(&self, name: &UserName) -> anyhow::Result<Vec<AuthorizedKey>> {
        let rows =
            sqlx::query("SELECT line FROM account_key WHERE account = $1 ORDER BY added, line")
                .bind(name.as_str())
                .fetch_all(&self.0)
                .await?;
        rows.iter()
            .map(|row| AuthorizedKey::parse(row.try_get("line")?))
            .collect()
    }

    pub(super) async fn add_keys(
        &self,
        name: &UserName,
        keys: &[AuthorizedKey],
    ) -> anyhow::Result<u64> {
        let mut change = self.change().await?;
        let mut added = 0;
        for key in keys {
            added += insert_key(&mut change, name, key).await?;
        }
        change.commit().await?;
        Ok(added)
    }

    pub(super) async fn remove_key(
        &self,
        name: &UserName,
        fingerprint: &str,
    ) -> anyhow::Result<bool> {
        let done = sqlx::query("DELETE FROM account_key WHERE account = $1 AND fingerprint = $2")
            .bind(name.as_str())
            .bind(fingerprint)
            .execute(&self.0)
            .await?;
        Ok(done.rows_affected() > 0)
    }
}

/// Makes the data folder (0700) and the file (0600), so that hashes are never readable by others.
fn prepare(data: &Path, file: &Path) -> anyhow::Result<()> {
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(data)
        .with_context(|| format!("cannot make the data folder {}", data.display()))?;
    fs::OpenOptions::new()
        .append(true)
        .create(true)
        .mode(0o600)
        .open(file)
        .with_context(|| format!("cannot open the database {}", file.display()))?;
    Ok(())
}

/// 1 if it was not there yet.
async fn insert_key(
    change: &mut Transaction<'_, Sqlite>,
    name: &UserName,
    key: &AuthorizedKey,
) -> anyhow::Result<u64> {
    let done = sqlx::query(
        "INSERT INTO account_key (account, fingerprint, line, added) VALUES ($1, $2, $3, $4) \
         ON CONFLICT (account, fingerprint) DO NOTHING",
    )
    .bind(name.as_str())
    .bind(key.fingerprint())
    .bind(key.line()?)
    .bind(now())
    .execute(&mut **change)
    .await?;
    Ok(done.rows_affected())
}

/// No two homes may overlap: one account would read, and fill, the other's.
async fn free_home(
    change: &mut Transaction<'_, Sqlite>,
    name: &UserName,
    home: &Path,
) -> anyhow::Result<()> {
    let rows = sqlx::query("SELECT * FROM account WHERE name <> $1")
        .bind(name.as_str())
        .fetch_all(&mut **change)
        .await?;
    for row in &rows {
        let Account {
            name: other,
            home: taken,
            ..
        } = found(row)?.account;
        ensure!(
            !home.starts_with(&taken) && !taken.starts_with(home),
            "the home {} overlaps with {}, the home of {other}: give each account one of its own",
            home.display(),
            taken.display()
        );
    }
    Ok(())
}

fn found(row: &SqliteRow) -> anyhow::Result<Found> {
    let password_hash: Option<String> = row.try_get("password_hash")?;
    Ok(Found {
        account: Account {
            name: UserName::parse(row.try_get("name")?)?,
            home: PathBuf::from(row.try_get::<String, _>("home")?),
            has_password: password_hash.is_some(),
            created: row.try_get("created")?,
        },
        password_hash,
    })
}

fn as_text(path: &Path) -> anyhow::Result<&str> {
    path.to_str()
        .with_context(|| format!("the path {} is not UTF-8", path.display()))
}
