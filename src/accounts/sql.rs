//! All SQL about accounts. It is kept to what SQLite and PostgreSQL both understand.

use anyhow::Context as _;
use sqlx::sqlite::SqliteRow;
use sqlx::{Connection as _, Row as _, Sqlite, SqliteConnection, Transaction};

use super::account::{Allowance, LastLogin, Settings};
use super::homes::Stored;
use super::keys::AuthorizedKey;
use crate::database::Database;
use crate::rules::{Bandwidth, Network, Rules};
use crate::values::time;
use crate::values::user_name::UserName;

/// The rows of accounts and keys.
pub(super) struct Rows {
    database: Database,
}

/// An account as a row.
pub(super) struct AccountRow {
    pub(super) name: String,
    pub(super) home: Stored,
    pub(super) password_hash: Option<String>,
    pub(super) created_at: i64,
    pub(super) settings: Settings,
    /// The change that made it.
    pub(super) made_by: i64,
    /// The change that gave it its password.
    pub(super) password_by: i64,
}

impl AccountRow {
    /// From the columns of `account` by their names.
    fn new(row: &SqliteRow) -> anyhow::Result<Self> {
        Ok(Self {
            name: row.try_get("name")?,
            home: row.try_get("home")?,
            password_hash: row.try_get("password_hash")?,
            created_at: row.try_get("created_at")?,
            settings: settings(row)?,
            made_by: row.try_get("made_by")?,
            password_by: row.try_get("password_by")?,
        })
    }
}

fn settings(row: &SqliteRow) -> anyhow::Result<Settings> {
    let figure = |column| {
        let number: Option<i64> = row.try_get(column)?;
        anyhow::Ok(number.map(u64::try_from).transpose()?)
    };
    let text = |column| row.try_get::<String, _>(column);
    let networks = text("networks")?;
    let max_sessions: Option<i64> = row.try_get("max_sessions")?;
    Ok(Settings {
        allowance: Allowance {
            bytes: figure("quota_bytes")?,
            files: figure("quota_files")?,
        },
        safe_overwrite: row.try_get("safe_overwrite")?,
        rules: Rules {
            permissions: text("permissions")?.parse()?,
            networks: networks
                .split_whitespace()
                .map(str::parse)
                .collect::<Result<_, _>>()?,
            expires_at: row.try_get("expires_at")?,
            disabled: row.try_get("disabled")?,
            max_sessions: max_sessions.map(u32::try_from).transpose()?,
            login_policy: text("login_policy")?.parse()?,
            bandwidth: Bandwidth {
                up: figure("upload_rate")?,
                down: figure("download_rate")?,
            },
        },
        declared: row.try_get("declared")?,
    })
}

/// As the database keeps it.
fn figure(number: Option<u64>) -> anyhow::Result<Option<i64>> {
    let figure = number.map(i64::try_from).transpose();
    figure.context("a quota or a rate must be less than 8 EiB")
}

fn joined(networks: &[Network]) -> String {
    let networks: Vec<String> = networks.iter().map(ToString::to_string).collect();
    networks.join(" ")
}

/// A key of an account.
pub(super) struct KeyRow {
    /// When it expires: seconds since 1970-01-01 00:00 UTC.
    pub(super) until: Option<i64>,
    pub(super) options: String,
}

/// An account with what an operator wants to know of it.
pub(super) struct DetailsRow {
    pub(super) account: AccountRow,
    /// The number of its keys.
    pub(super) keys: i64,
    pub(super) last_login: Option<LastLogin>,
    /// Since when logins are recorded.
    pub(super) record_began: i64,
}

/// The accounts of which `$which` is true, as a [`DetailsRow`] each.
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

impl DetailsRow {
    fn new(row: &SqliteRow) -> anyhow::Result<Self> {
        let login = |at| {
            anyhow::Ok(LastLogin {
                at,
                method: row.try_get("method")?,
                address: row.try_get("address")?,
            })
        };
        let at: Option<i64> = row.try_get("at")?;
        let record_began: String = row.try_get("record_began")?;
        Ok(Self {
            account: AccountRow::new(row)?,
            keys: row.try_get("keys")?,
            last_login: at.map(login).transpose()?,
            // What CURRENT_TIMESTAMP gives is a time of RFC 3339 but for two letters.
            record_began: time::parse_rfc3339(&(record_began.replace(' ', "T") + "Z"))
                .context("the database does not say since when logins are recorded")?,
        })
    }
}

impl Rows {
    pub(super) fn new(database: Database) -> Self {
        Self { database }
    }

    pub(super) async fn count(&self) -> anyhow::Result<u64> {
        let row = sqlx::query("SELECT COUNT(*) FROM account")
            .fetch_one(self.database.pool())
            .await?;
        Ok(u64::try_from(row.try_get::<i64, _>(0)?)?)
    }

    pub(super) async fn account(&self, name: &str) -> anyhow::Result<Option<AccountRow>> {
        let row = sqlx::query("SELECT * FROM account WHERE name = $1")
            .bind(name)
            .fetch_optional(self.database.pool())
            .await?;
        row.map(|row| AccountRow::new(&row)).transpose()
    }

    /// The account, and the key if it is one of its own. One query for both: an account without the key
    /// costs as much as none.
    pub(super) async fn account_with_key(
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

    pub(super) async fn last_change(&self) -> anyhow::Result<i64> {
        let row = sqlx::query("SELECT COALESCE(MAX(number), 0) FROM account_change")
            .fetch_one(self.database.pool())
            .await?;
        Ok(row.try_get(0)?)
    }

    /// The next accounts whose last change has a greater number, with that, in its order.
    pub(super) async fn changed_since(
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

    /// Replaces a hash if it is still the one that is known.
    pub(super) async fn refresh_password(
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

    /// The accounts after a name, in the order of their names.
    pub(super) async fn accounts_after(
        &self,
        name: &str,
        limit: i64,
    ) -> anyhow::Result<Vec<DetailsRow>> {
        let rows = sqlx::query(details!("name > $1 ORDER BY name LIMIT $2"))
            .bind(name)
            .bind(limit)
            // Row by row: of many accounts, the rows are larger than what is made of them.
            .map(|row| DetailsRow::new(&row))
            .fetch_all(self.database.pool())
            .await?;
        rows.into_iter().collect()
    }

    /// The account of that name.
    pub(super) async fn details(&self, name: &str) -> anyhow::Result<Option<DetailsRow>> {
        let row = sqlx::query(details!("name = $1"))
            .bind(name)
            .fetch_optional(self.database.pool())
            .await?;
        row.map(|row| DetailsRow::new(&row)).transpose()
    }

    /// The keys of an account in the order in which they were added.
    pub(super) async fn keys(&self, name: &str) -> anyhow::Result<Vec<AuthorizedKey>> {
        keys(self.database.pool(), name).await
    }

    /// Names and homes of all accounts but one; only of those whose home is not their own folder
    /// under data/homes, if so asked.
    pub(super) async fn homes_but_of(
        &self,
        name: &str,
        only_elsewhere: bool,
    ) -> anyhow::Result<Vec<(String, Stored)>> {
        homes_but_of(self.database.pool(), name, only_elsewhere).await
    }

    /// Starts a change: all of it happens at [`Change::commit`], or nothing.
    pub(super) async fn change(&self) -> anyhow::Result<Change> {
        self.database.begin_write().await.map(Change)
    }
}

/// Writes the last logins of accounts. An account that is gone by now is left out.
pub(super) async fn save_logins(
    connection: &mut SqliteConnection,
    logins: &[(UserName, LastLogin)],
) -> anyhow::Result<()> {
    let mut transaction = connection.begin().await?;
    for (name, login) in logins {
        sqlx::query(
            "INSERT INTO account_login (account, at, method, address)
             SELECT name, $2, $3, $4 FROM account WHERE name = $1
             ON CONFLICT (account) DO UPDATE
             SET at = excluded.at, method = excluded.method, address = excluded.address",
        )
        .bind(name.as_str())
        .bind(login.at)
        .bind(&login.method)
        .bind(&login.address)
        .execute(&mut *transaction)
        .await?;
    }
    Ok(transaction.commit().await?)
}

async fn keys(
    database: impl sqlx::Executor<'_, Database = Sqlite>,
    name: &str,
) -> anyhow::Result<Vec<AuthorizedKey>> {
    let rows = sqlx::query(
        "SELECT public_key, fingerprint, comment, options, expires_at FROM account_key
         WHERE account = $1 ORDER BY added_at, fingerprint",
    )
    .bind(name)
    .fetch_all(database)
    .await?;
    let key = |row: SqliteRow| {
        Ok(AuthorizedKey {
            public_key: row.try_get(0)?,
            fingerprint: row.try_get(1)?,
            comment: row.try_get(2)?,
            options: row.try_get(3)?,
            expires_at: row.try_get(4)?,
        })
    };
    rows.into_iter().map(key).collect()
}

async fn homes_but_of(
    database: impl sqlx::Executor<'_, Database = Sqlite>,
    name: &str,
    only_elsewhere: bool,
) -> anyhow::Result<Vec<(String, Stored)>> {
    let sql = if only_elsewhere {
        // None is empty. SQLite finds what is compared by the index of homes, and NOT NULL is not.
        "SELECT name, home FROM account WHERE name <> $1 AND home > ''"
    } else {
        "SELECT name, home FROM account WHERE name <> $1"
    };
    let rows = sqlx::query(sql).bind(name).fetch_all(database).await?;
    rows.into_iter()
        .map(|row| Ok((row.try_get(0)?, row.try_get(1)?)))
        .collect()
}

/// A change that is under way; no other runs beside it.
pub(super) struct Change(Transaction<'static, Sqlite>);

impl Change {
    pub(super) async fn commit(self) -> anyhow::Result<()> {
        Ok(self.0.commit().await?)
    }

    /// Writes down that an account changes, or goes; gives the number of the change.
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

    pub(super) async fn exists(&mut self, name: &str) -> anyhow::Result<bool> {
        let row = sqlx::query("SELECT 1 FROM account WHERE name = $1")
            .bind(name)
            .fetch_optional(&mut *self.0)
            .await?;
        Ok(row.is_some())
    }

    pub(super) async fn is_empty(&mut self) -> anyhow::Result<bool> {
        let row = sqlx::query("SELECT 1 FROM account LIMIT 1")
            .fetch_optional(&mut *self.0)
            .await?;
        Ok(row.is_none())
    }

    /// The names of all accounts that config.toml declares.
    pub(super) async fn declared(&mut self) -> anyhow::Result<Vec<String>> {
        let rows = sqlx::query("SELECT name FROM account WHERE declared ORDER BY name")
            .fetch_all(&mut *self.0)
            .await?;
        rows.into_iter().map(|row| Ok(row.try_get(0)?)).collect()
    }

    /// The keys of an account, in this change.
    pub(super) async fn keys(&mut self, name: &str) -> anyhow::Result<Vec<AuthorizedKey>> {
        keys(&mut *self.0, name).await
    }

    /// As [`Rows::homes_but_of`], in this change.
    pub(super) async fn homes_but_of(
        &mut self,
        name: &str,
        only_elsewhere: bool,
    ) -> anyhow::Result<Vec<(String, Stored)>> {
        homes_but_of(&mut *self.0, name, only_elsewhere).await
    }

    /// The account, in this change.
    pub(super) async fn account(&mut self, name: &str) -> anyhow::Result<Option<AccountRow>> {
        let row = sqlx::query("SELECT * FROM account WHERE name = $1")
            .bind(name)
            .fetch_optional(&mut *self.0)
            .await?;
        row.map(|row| AccountRow::new(&row)).transpose()
    }

    /// Adds an account, with no settings yet.
    pub(super) async fn insert(
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

    pub(super) async fn set_settings(
        &mut self,
        name: &str,
        settings: &Settings,
    ) -> anyhow::Result<()> {
        let Settings {
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

    /// Removes an account with its keys; `false` if there is none.
    pub(super) async fn remove(&mut self, name: &str) -> anyhow::Result<bool> {
        self.number(name).await?;
        let done = sqlx::query("DELETE FROM account WHERE name = $1")
            .bind(name)
            .execute(&mut *self.0)
            .await?;
        Ok(done.rows_affected() > 0)
    }

    pub(super) async fn set_home(&mut self, name: &str, home: Option<&str>) -> anyhow::Result<()> {
        self.number(name).await?;
        sqlx::query("UPDATE account SET home = $1 WHERE name = $2")
            .bind(home)
            .bind(name)
            .execute(&mut *self.0)
            .await?;
        Ok(())
    }

    /// `false` if there is no such account.
    pub(super) async fn set_password(
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

    /// Adds a key, or changes the options and the comment of one that the account has.
    pub(super) async fn put_key(
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

    /// Fingerprints of the keys that go by that fingerprint or comment.
    pub(super) async fn find_keys(
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

    pub(super) async fn remove_key(&mut self, name: &str, fingerprint: &str) -> anyhow::Result<()> {
        self.number(name).await?;
        sqlx::query("DELETE FROM account_key WHERE account = $1 AND fingerprint = $2")
            .bind(name)
            .bind(fingerprint)
            .execute(&mut *self.0)
            .await?;
        Ok(())
    }
}
