//! All SQL about accounts. It uses only what SQLite and PostgreSQL have in common.

mod change;
mod rows;

use anyhow::Context as _;
use sqlx::sqlite::SqliteRow;
use sqlx::{Connection as _, Row as _, Sqlite, SqliteConnection};

use crate::accounts::account::{AccountSettings, Allowance, LastLogin};
use crate::accounts::homes::Stored;
use crate::accounts::keys::AuthorizedKey;
use crate::rules::{Bandwidth, Network, Rules};
use crate::values::time;
use crate::values::user_name::UserName;

pub(in crate::accounts) use self::change::AccountChange;
pub(in crate::accounts) use self::rows::Rows;

/// A row of an account.
pub(in crate::accounts) struct AccountRow {
    pub(in crate::accounts) name: String,
    pub(in crate::accounts) home: Stored,
    pub(in crate::accounts) password_hash: Option<String>,
    pub(in crate::accounts) created_at: i64,
    pub(in crate::accounts) settings: AccountSettings,
    /// The change that created it.
    pub(in crate::accounts) made_by: i64,
    /// The change that set its password.
    pub(in crate::accounts) password_by: i64,
}

impl AccountRow {
    /// Reads the columns of `account` by their names.
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

fn settings(row: &SqliteRow) -> anyhow::Result<AccountSettings> {
    let figure = |column| {
        let number: Option<i64> = row.try_get(column)?;
        anyhow::Ok(number.map(u64::try_from).transpose()?)
    };
    let text = |column| row.try_get::<String, _>(column);
    let networks = text("networks")?;
    let max_sessions: Option<i64> = row.try_get("max_sessions")?;
    Ok(AccountSettings {
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

/// Converts to the database's type.
fn figure(number: Option<u64>) -> anyhow::Result<Option<i64>> {
    let figure = number.map(i64::try_from).transpose();
    figure.context("a quota or a rate must be less than 8 EiB")
}

fn joined(networks: &[Network]) -> String {
    let networks: Vec<String> = networks.iter().map(ToString::to_string).collect();
    networks.join(" ")
}

/// A key of an account.
pub(in crate::accounts) struct KeyRow {
    /// Its expiry: seconds since 1970-01-01 00:00 UTC.
    pub(in crate::accounts) until: Option<i64>,
    pub(in crate::accounts) options: String,
}

/// An account with details for the operator.
pub(in crate::accounts) struct DetailsRow {
    pub(in crate::accounts) account: AccountRow,
    /// Number of its keys.
    pub(in crate::accounts) keys: i64,
    pub(in crate::accounts) last_login: Option<LastLogin>,
    /// Since when logins are recorded.
    pub(in crate::accounts) record_began: i64,
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
            // CURRENT_TIMESTAMP of SQLite is in UTC.
            record_began: time::parse(&record_began)
                .context("the database does not contain when the record of logins began")?,
        })
    }
}

/// Writes the last logins of accounts. Skips removed accounts.
pub(in crate::accounts) async fn save_logins(
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
        // An empty home is the default. SQLite uses the index of homes for a comparison, but not for NOT
        // NULL.
        "SELECT name, home FROM account WHERE name <> $1 AND home > ''"
    } else {
        "SELECT name, home FROM account WHERE name <> $1"
    };
    let rows = sqlx::query(sql).bind(name).fetch_all(database).await?;
    rows.into_iter()
        .map(|row| Ok((row.try_get(0)?, row.try_get(1)?)))
        .collect()
}
