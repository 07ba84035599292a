//! Usage in the database: all SQL about usage, and the one task that runs it, which keeps reads and
//! writes of an account in order.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, anyhow};
use sqlx::query::Query;
use sqlx::sqlite::SqliteArguments;
use sqlx::{Connection as _, Row as _, Sqlite, SqliteConnection};
use tokio::sync::{mpsc, oneshot};
use tracing::{error, warn};

use super::usage::Usage;
use crate::database::{Database, Relaxed};
use crate::values::error_chain::chain;

/// The stored usage of an account.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StoredUsage {
    /// The usage.
    pub used: Usage,
    /// Whether it is exact: nothing has changed since it was written.
    pub clean: bool,
}

/// An account, and its home according to the database.
pub type AccountHome = (String, PathBuf);

enum KeeperJob {
    Mark(LedgerKey, oneshot::Sender<anyhow::Result<()>>),
    Save(LedgerKey, Usage),
    SaveProvisional(LedgerKey, Usage),
    Read(
        LedgerKey,
        oneshot::Sender<anyhow::Result<Option<StoredUsage>>>,
    ),
    Publish(Vec<(LedgerKey, Usage)>),
    Counted(LedgerKey, Usage),
    Forget(LedgerKey),
    Request(LedgerKey, oneshot::Sender<anyhow::Result<()>>),
    Unclean(oneshot::Sender<anyhow::Result<Vec<AccountHome>>>),
    Requested(oneshot::Sender<anyhow::Result<Vec<AccountHome>>>),
    Flush(oneshot::Sender<()>),
}

/// An account with its home: usage of another home does not count.
struct LedgerKey {
    user: String,
    home: String,
}

impl LedgerKey {
    fn new(user: &str, home: &Path) -> Self {
        Self {
            user: user.to_owned(),
            home: home.to_string_lossy().into_owned(),
        }
    }
}

/// A handle of the task; cheap to clone.
#[derive(Clone)]
pub(super) struct Keeper {
    jobs: mpsc::UnboundedSender<KeeperJob>,
}

const STOPPED: &str = "the server is stopping";

impl Keeper {
    /// Starts the task, which ends with its last handle.
    pub(super) fn start(database: Database) -> Self {
        let (jobs, mut queue) = mpsc::unbounded_channel();
        tokio::spawn(async move {
            // What it loses when the machine goes down is counted again ([`begin_serving`]).
            let mut relaxed = Relaxed::default();
            while let Some(job) = queue.recv().await {
                carry_out(&database, &mut relaxed, job).await;
            }
        });
        Self { jobs }
    }

    /// Records that the usage changes from now on. Blocks, so never call it from async code.
    pub(super) fn mark(&self, user: &str, home: &Path) -> anyhow::Result<()> {
        let (done, marked) = oneshot::channel();
        let who = LedgerKey::new(user, home);
        self.jobs
            .send(KeeperJob::Mark(who, done))
            .map_err(|_| anyhow!(STOPPED))?;
        marked.blocking_recv().context(STOPPED)?
    }

    /// Writes usage that does not change any more.
    pub(super) fn save(&self, user: &str, home: &Path, used: Usage) {
        if self
            .jobs
            .send(KeeperJob::Save(LedgerKey::new(user, home), used))
            .is_err()
        {
            error!(user, "{STOPPED}: the next start counts the home");
        }
    }

    /// Writes usage of a home that has none stored.
    pub(super) fn save_provisional(&self, user: &str, home: &Path, used: Usage) {
        let who = LedgerKey::new(user, home);
        let _ = self.jobs.send(KeeperJob::SaveProvisional(who, used));
    }

    /// Publishes the current usage for the operator's commands while it changes.
    pub(super) fn publish(&self, usage: impl IntoIterator<Item = (String, PathBuf, Usage)>) {
        let usage: Vec<_> = usage
            .into_iter()
            .map(|(user, home, used)| (LedgerKey::new(&user, &home), used))
            .collect();
        if !usage.is_empty() {
            // Without a task the server is stopping.
            let _ = self.jobs.send(KeeperJob::Publish(usage));
        }
    }

    /// Writes a count that the operator has requested.
    pub(super) fn counted(&self, user: &str, home: &Path, used: Usage) {
        let _ = self
            .jobs
            .send(KeeperJob::Counted(LedgerKey::new(user, home), used));
    }

    /// Removes stored usage after a failed count.
    pub(super) fn forget(&self, user: &str, home: &Path) {
        let _ = self
            .jobs
            .send(KeeperJob::Forget(LedgerKey::new(user, home)));
    }

    /// Requests a count from the running server.
    pub(super) async fn request(&self, user: &str, home: &Path) -> anyhow::Result<()> {
        let who = LedgerKey::new(user, home);
        self.ask(|reply| KeeperJob::Request(who, reply)).await?
    }

    /// Returns the counts that the operator has requested.
    pub(super) async fn requested(&self) -> anyhow::Result<Vec<AccountHome>> {
        self.ask(KeeperJob::Requested).await?
    }

    /// Returns the stored usage of an account.
    pub(super) async fn kept(
        &self,
        user: &str,
        home: &Path,
    ) -> anyhow::Result<Option<StoredUsage>> {
        let who = LedgerKey::new(user, home);
        self.ask(|reply| KeeperJob::Read(who, reply)).await?
    }

    /// Returns the accounts whose stored usage is not exact.
    pub(super) async fn unclean(&self) -> anyhow::Result<Vec<AccountHome>> {
        self.ask(KeeperJob::Unclean).await?
    }

    /// Waits until all earlier jobs are done.
    pub(super) async fn flush(&self) -> anyhow::Result<()> {
        self.ask(KeeperJob::Flush).await
    }

    async fn ask<T>(&self, job: impl FnOnce(oneshot::Sender<T>) -> KeeperJob) -> anyhow::Result<T> {
        let (reply, answer) = oneshot::channel();
        self.jobs.send(job(reply)).map_err(|_| anyhow!(STOPPED))?;
        answer.await.context(STOPPED)
    }
}

/// A caller that no longer waits for the answer is no error.
async fn carry_out(database: &Database, relaxed: &mut Relaxed, job: KeeperJob) {
    match job {
        KeeperJob::Mark(who, done) => {
            let marked = relaxed.run(database, async |to| mark(to, &who).await).await;
            let _ = done.send(marked);
        }
        KeeperJob::Save(who, used) => {
            let saved = relaxed.run(database, async |to| save(to, &who, used).await);
            if let Err(failure) = saved.await {
                let user = &who.user;
                error!(
                    user,
                    "cannot save the usage of a home; the next start counts it: {}",
                    chain(&failure)
                );
            }
        }
        KeeperJob::SaveProvisional(who, used) => {
            let saved = relaxed.run(database, async |to| save_provisional(to, &who, used).await);
            if let Err(failure) = saved.await {
                let user = &who.user;
                warn!(user, "cannot save the count of a home: {}", chain(&failure));
            }
        }
        KeeperJob::Publish(usage) => {
            let told = relaxed.run(database, async |to| publish(to, &usage).await);
            if let Err(failure) = told.await {
                warn!("cannot publish the current usage: {}", chain(&failure));
            }
        }
        KeeperJob::Counted(who, used) => {
            if let Err(failure) = counted(database, &who, used).await {
                let user = who.user;
                error!(user, "cannot save the count of a home: {}", chain(&failure));
            }
        }
        KeeperJob::Forget(who) => {
            if let Err(failure) = forget(database, &who).await {
                let user = who.user;
                error!(user, "cannot record a failed count: {}", chain(&failure));
            }
        }
        KeeperJob::Request(who, done) => {
            let _ = done.send(request(database, &who).await);
        }
        KeeperJob::Requested(reply) => {
            let _ = reply.send(homes(database, REQUESTED).await);
        }
        KeeperJob::Read(who, reply) => {
            let _ = reply.send(kept(database, &who).await);
        }
        KeeperJob::Unclean(reply) => {
            let _ = reply.send(homes(database, UNCLEAN).await);
        }
        KeeperJob::Flush(reply) => {
            let _ = reply.send(());
        }
    }
}

const UNCLEAN: &str = "SELECT account, home FROM account_usage WHERE NOT clean ORDER BY account";
const REQUESTED: &str = "SELECT account, home FROM account_usage WHERE recount ORDER BY account";

/// Binds an account ($1), its home ($2), bytes ($3) and files ($4) to a statement.
fn with_figures<'q>(
    statement: &'static str,
    who: &'q LedgerKey,
    used: Usage,
) -> Query<'q, Sqlite, SqliteArguments> {
    sqlx::query(statement)
        .bind(&who.user)
        .bind(&who.home)
        .bind(figure(used.bytes))
        .bind(figure(used.files))
}

fn figure(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

async fn mark(connection: &mut SqliteConnection, who: &LedgerKey) -> anyhow::Result<()> {
    sqlx::query(
        "INSERT INTO account_usage (account, home, bytes, files, clean, recount)
         SELECT name, $2, 0, 0, FALSE, FALSE FROM account WHERE name = $1
         ON CONFLICT (account) DO UPDATE
         SET home = $2, clean = FALSE, provisional = FALSE",
    )
    .bind(&who.user)
    .bind(&who.home)
    .execute(connection)
    .await?;
    Ok(())
}

async fn save(
    connection: &mut SqliteConnection,
    who: &LedgerKey,
    used: Usage,
) -> anyhow::Result<()> {
    with_figures(
        "INSERT INTO account_usage (account, home, bytes, files, clean, recount)
         SELECT name, $2, $3, $4, TRUE, FALSE FROM account WHERE name = $1
         ON CONFLICT (account) DO UPDATE
         SET bytes = $3, files = $4, clean = TRUE, provisional = FALSE
         WHERE account_usage.home = $2",
        who,
        used,
    )
    .execute(connection)
    .await?;
    Ok(())
}

async fn save_provisional(
    connection: &mut SqliteConnection,
    who: &LedgerKey,
    used: Usage,
) -> anyhow::Result<()> {
    with_figures(
        "INSERT INTO account_usage (account, home, bytes, files, clean, recount, provisional)
         SELECT name, $2, $3, $4, TRUE, FALSE, TRUE FROM account WHERE name = $1
         ON CONFLICT (account) DO UPDATE
         SET home = $2, bytes = $3, files = $4, clean = TRUE, provisional = TRUE
         WHERE account_usage.home <> $2",
        who,
        used,
    )
    .execute(connection)
    .await?;
    Ok(())
}

async fn publish(
    connection: &mut SqliteConnection,
    usage: &[(LedgerKey, Usage)],
) -> anyhow::Result<()> {
    let mut transaction = connection.begin().await?;
    for (who, used) in usage {
        with_figures(
            "UPDATE account_usage SET bytes = $3, files = $4
             WHERE account = $1 AND home = $2 AND NOT clean",
            who,
            *used,
        )
        .execute(&mut *transaction)
        .await?;
    }
    Ok(transaction.commit().await?)
}

async fn counted(database: &Database, who: &LedgerKey, used: Usage) -> anyhow::Result<()> {
    with_figures(
        "UPDATE account_usage SET bytes = $3, files = $4, recount = FALSE
         WHERE account = $1 AND home = $2",
        who,
        used,
    )
    .execute(database.pool())
    .await?;
    Ok(())
}

async fn forget(database: &Database, who: &LedgerKey) -> anyhow::Result<()> {
    sqlx::query("DELETE FROM account_usage WHERE account = $1 AND home = $2")
        .bind(&who.user)
        .bind(&who.home)
        .execute(database.pool())
        .await?;
    Ok(())
}

async fn request(database: &Database, who: &LedgerKey) -> anyhow::Result<()> {
    sqlx::query(
        "INSERT INTO account_usage (account, home, bytes, files, clean, recount)
         SELECT name, $2, 0, 0, FALSE, TRUE FROM account WHERE name = $1
         ON CONFLICT (account) DO UPDATE SET home = $2, clean = FALSE, recount = TRUE",
    )
    .bind(&who.user)
    .bind(&who.home)
    .execute(database.pool())
    .await?;
    Ok(())
}

async fn kept(database: &Database, who: &LedgerKey) -> anyhow::Result<Option<StoredUsage>> {
    let row = sqlx::query(
        "SELECT bytes, files, clean AND NOT provisional FROM account_usage
         WHERE account = $1 AND home = $2",
    )
    .bind(&who.user)
    .bind(&who.home)
    .fetch_optional(database.pool())
    .await?;
    row.map(|row| {
        Ok(StoredUsage {
            used: Usage {
                bytes: u64::try_from(row.try_get::<i64, _>(0)?)?,
                files: u64::try_from(row.try_get::<i64, _>(1)?)?,
            },
            clean: row.try_get(2)?,
        })
    })
    .transpose()
}

async fn homes(database: &Database, statement: &'static str) -> anyhow::Result<Vec<AccountHome>> {
    let rows = sqlx::query(statement).fetch_all(database.pool()).await?;
    rows.into_iter()
        .map(|row| Ok((row.try_get(0)?, row.try_get::<String, _>(1)?.into())))
        .collect()
}

/// Records that a server runs. Returns true if the machine went down during the last run: commits that did
/// not wait for the disk may be lost, so no stored usage is exact.
pub(super) async fn begin_serving(database: &Database) -> anyhow::Result<bool> {
    // Without it every start counts as one after a reboot.
    let boot = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
    let mut transaction = database.begin_write().await?;
    let last = sqlx::query("SELECT boot, running FROM server_run")
        .fetch_optional(&mut *transaction)
        .await?;
    let went_down = match last {
        Some(row) => row.try_get(1)? && (boot.is_empty() || row.try_get::<String, _>(0)? != boot),
        None => false,
    };
    if went_down {
        distrust(&mut transaction).await?;
    }
    sqlx::query("DELETE FROM server_run")
        .execute(&mut *transaction)
        .await?;
    sqlx::query("INSERT INTO server_run (boot, running) VALUES ($1, TRUE)")
        .bind(&boot)
        .execute(&mut *transaction)
        .await?;
    transaction.commit().await?;
    Ok(went_down)
}

/// Makes the next server count the files of all accounts again, as after a restore.
///
/// # Errors
///
/// Errors of the database.
pub async fn distrust_all(database: &Database) -> anyhow::Result<()> {
    let mut connection = database.pool().acquire().await?;
    distrust(&mut connection).await
}

async fn distrust(connection: &mut SqliteConnection) -> anyhow::Result<()> {
    sqlx::query("UPDATE account_usage SET clean = FALSE WHERE NOT provisional")
        .execute(connection)
        .await?;
    Ok(())
}

/// Records a regular end of the server. All earlier commits are on disk.
pub(super) async fn end_serving(database: &Database) -> anyhow::Result<()> {
    sqlx::query("UPDATE server_run SET running = FALSE")
        .execute(database.pool())
        .await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns how SQLite would execute a statement.
    async fn plan(database: &Database, statement: &str) -> String {
        let plan = sqlx::AssertSqlSafe(format!("EXPLAIN QUERY PLAN {statement}"));
        let rows = sqlx::query(plan).fetch_all(database.pool()).await.unwrap();
        let steps = rows.iter().map(|row| row.get::<String, _>("detail"));
        steps.collect::<Vec<_>>().join("\n")
    }

    #[tokio::test]
    async fn what_is_asked_every_second_does_not_read_all_accounts() {
        let folder = tempfile::TempDir::new().unwrap();
        let database = Database::open_or_make(&folder.path().join("data"))
            .await
            .unwrap();
        for (statement, index) in [
            (REQUESTED, "account_usage_recount"),
            (UNCLEAN, "account_usage_unclean"),
        ] {
            let plan = plan(&database, statement).await;
            assert!(plan.ends_with(&format!("USING INDEX {index}")), "{plan}");
        }
    }
}
