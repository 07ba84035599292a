//! Usage figures, read from the database.

use std::collections::HashMap;
use std::path::PathBuf;

use sqlx::query::Query;
use sqlx::sqlite::{SqliteArguments, SqliteRow};
use sqlx::{Row as _, Sqlite};

use super::usage::Usage;
use crate::database::Database;

/// Returns the stored usage of all accounts, each with the home that was counted.
pub async fn stored_usage_of_all(
    database: &Database,
) -> anyhow::Result<HashMap<String, (PathBuf, Usage)>> {
    let all = "SELECT account, home, bytes, files FROM account_usage";
    figures(database, sqlx::query(all)).await
}

/// Returns the stored usage of the accounts between two names.
pub(super) async fn stored_usage_between(
    database: &Database,
    first: &str,
    last: &str,
) -> anyhow::Result<HashMap<String, (PathBuf, Usage)>> {
    let some = "SELECT account, home, bytes, files FROM account_usage
                WHERE account >= $1 AND account <= $2";
    figures(database, sqlx::query(some).bind(first).bind(last)).await
}

async fn figures(
    database: &Database,
    query: Query<'_, Sqlite, SqliteArguments>,
) -> anyhow::Result<HashMap<String, (PathBuf, Usage)>> {
    let rows = query
        .map(|row: SqliteRow| anyhow::Ok((row.try_get("account")?, counted_home(&row)?)))
        .fetch_all(database.pool())
        .await?;
    rows.into_iter().collect()
}

/// Returns the stored usage of one account.
pub async fn stored_usage_of(
    database: &Database,
    user: &str,
) -> anyhow::Result<Option<(PathBuf, Usage)>> {
    let row = sqlx::query("SELECT home, bytes, files FROM account_usage WHERE account = $1")
        .bind(user)
        .fetch_optional(database.pool())
        .await?;
    row.map(|row| counted_home(&row)).transpose()
}

fn counted_home(row: &SqliteRow) -> anyhow::Result<(PathBuf, Usage)> {
    let home: String = row.try_get("home")?;
    let used = Usage {
        bytes: u64::try_from(row.try_get::<i64, _>("bytes")?)?,
        files: u64::try_from(row.try_get::<i64, _>("files")?)?,
    };
    Ok((home.into(), used))
}
