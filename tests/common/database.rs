//! The server's database, from outside of the server.

use std::path::Path;

use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use sqlx::{AssertSqlSafe, ConnectOptions as _, Connection as _};

use super::STEP;

/// Runs `work` with a connection to the database, which is created if absent.
pub fn with<T>(file: &Path, work: impl AsyncFnOnce(&mut SqliteConnection) -> T) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let options = SqliteConnectOptions::new()
            .filename(file)
            .create_if_missing(true)
            .busy_timeout(STEP);
        let mut database = options.connect().await.unwrap();
        let outcome = work(&mut database).await;
        database.close().await.unwrap();
        outcome
    })
}

/// Executes statements one after the other.
pub fn execute(file: &Path, statements: &[&str]) {
    with(file, async |database| {
        for statement in statements {
            let statement = sqlx::query(AssertSqlSafe(*statement));
            statement.execute(&mut *database).await.unwrap();
        }
    });
}

/// Returns the single value of a query.
pub fn text(file: &Path, question: &str) -> String {
    with(file, async |database| {
        let question = sqlx::query_scalar(AssertSqlSafe(question));
        question.fetch_one(database).await.unwrap()
    })
}
