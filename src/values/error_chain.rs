//! Errors with their causes, for people.

use std::fmt;

/// Returns an error with its causes, as `{:#}` shows them, but without a cause that the previous error
/// already ends with, as those of sqlx do.
pub fn chain(failure: &anyhow::Error) -> impl fmt::Display {
    fmt::from_fn(|f| {
        let mut before = String::new();
        for cause in failure.chain() {
            let text = cause.to_string();
            if before.is_empty() {
                f.write_str(&text)?;
            } else if !before.ends_with(&text) {
                write!(f, ": {text}")?;
            }
            before = text;
        }
        Ok(())
    })
}

#[cfg(test)]
mod tests {
    use anyhow::Context as _;

    use super::*;

    #[tokio::test]
    async fn an_error_of_the_database_is_shown_once() {
        let pool = sqlx::SqlitePool::connect("sqlite::memory:").await.unwrap();
        let failed = sqlx::query("SELECT * FROM missing").fetch_one(&pool).await;
        let failure = failed.context("cannot read").unwrap_err();
        let text = "cannot read: error returned from database: (code: 1) no such table: missing";
        assert_eq!(chain(&failure).to_string(), text);
        assert_eq!(format!("{failure:#}").matches("no such table").count(), 2);
    }
}
