//! The database: one SQLite file in the data folder, opened by one process at a time, with its schema
//! migrated. `accounts::sql` and `quota::keeper` read and write its tables.

mod data_folder;

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context as _, anyhow, bail};
use sqlx::migrate::MigrateError;
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous};
use sqlx::{ConnectOptions as _, Sqlite, SqliteConnection, SqlitePool, Transaction};
use tokio::time::sleep;
use tracing::warn;

use self::data_folder::{prepare_database, prepare_folder, private_file};

pub use self::data_folder::{Alone, KNOWN_SOURCES, NAME, exists, try_serving};
pub(crate) use self::data_folder::{NO_LINK, copy_to_new, new_private_file, remove_if_present};

/// The lock for opening the database, so that only one process creates or migrates its schema.
const OPENING: &str = "landfall.db.opening";
/// The steps of the schema.
static MIGRATIONS: sqlx::migrate::Migrator = sqlx::migrate!("./migrations");

/// How long a command waits for another one that writes.
const PATIENCE: Duration = Duration::from_secs(30);
/// How long a command waits for a starting server to migrate the schema.
const PATIENCE_WITH_A_START: Duration = Duration::from_secs(5);
/// How often it tries again.
const LOOK_AGAIN: Duration = Duration::from_millis(100);

/// Takes SQLite's write lock at the start of a transaction that will write, so that two of them wait for
/// each other instead of one failing later.
const BEGIN_WRITE: &str = "BEGIN IMMEDIATE";

/// The database; cheap to clone.
#[derive(Clone)]
pub struct Database {
    pool: SqlitePool,
}

impl Database {
    /// Opens the existing database of a data folder. Migrates its schema unless a server uses it.
    ///
    /// # Errors
    ///
    /// As [`Database::open_or_make`], and if there is none.
    pub async fn open(data: &Path) -> anyhow::Result<Self> {
        if !exists(data)? {
            bail!("there is no database in {}", data.display());
        }
        Self::open_or_make(data).await
    }

    /// Opens the database of a data folder, creating both if absent. Migrates its schema unless a server
    /// uses it.
    ///
    /// # Errors
    ///
    /// An error of the disk or the database, a folder that others can change, or a running server of an
    /// older version, with what to do.
    pub async fn open_or_make(data: &Path) -> anyhow::Result<Self> {
        prepare_folder(data)?;
        let began = Instant::now();
        loop {
            if let Some(database) = Self::open_with(data, None).await? {
                return Ok(database);
            }
            if let Some(alone) = try_serving(data)? {
                return Self::open_alone(data, &alone).await;
            }
            if began.elapsed() > PATIENCE_WITH_A_START {
                bail!(
                    "{} has an older schema, and a server uses it: restart the server with this landfall first",
                    data.join(NAME).display()
                );
            }
            // A starting server migrates it.
            sleep(LOOK_AGAIN).await;
        }
    }

    /// Opens a database for a comparison: `None` if there is none, or its schema is older.
    ///
    /// # Errors
    ///
    /// As [`Database::open_or_make`].
    pub async fn open_as_it_is(data: &Path) -> anyhow::Result<Option<Self>> {
        if !exists(data)? {
            return Ok(None);
        }
        prepare_folder(data)?;
        Self::open_with(data, None).await
    }

    /// Opens a database of any version without changing it or its folder.
    ///
    /// # Errors
    ///
    /// There is none, or an error of the disk.
    pub(crate) async fn look_at(data: &Path) -> anyhow::Result<Self> {
        let options = SqliteConnectOptions::new()
            .filename(data.join(NAME))
            .busy_timeout(PATIENCE)
            .disable_statement_logging();
        let pool = SqlitePoolOptions::new().max_connections(1);
        Ok(Self {
            pool: pool.connect_with(options).await?,
        })
    }

    /// As [`Database::open_or_make`], for the holder of the data folder's lock.
    ///
    /// # Errors
    ///
    /// An error of the disk or the database, with what to do.
    pub async fn open_alone(data: &Path, alone: &Alone) -> anyhow::Result<Self> {
        let database = Self::open_with(data, Some(alone)).await?;
        database.context("the database still has an older schema")
    }

    /// Opens it; `None` if its schema is older and a server may be using it.
    async fn open_with(data: &Path, alone: Option<&Alone>) -> anyhow::Result<Option<Self>> {
        let lock = data.join(OPENING);
        let _lock = private_file(&lock)
            .and_then(|file| file.lock().map(|()| file))
            .with_context(|| format!("cannot lock {}", lock.display()))?;
        let file = data.join(NAME);
        prepare_database(&file)?;
        let database = Self::connect(&file).await?;
        let old = database.schema().await;
        if old.is_none_or(|old| newest_schema() > Some(old)) && alone.is_none() {
            database.close().await;
            return Ok(None);
        }
        database.migrate(&file, old).await?;
        Ok(Some(database))
    }

    /// Returns the connection pool.
    pub(crate) fn pool(&self) -> &SqlitePool {
        &self.pool
    }

    /// Starts a transaction that will write; no other one writes meanwhile.
    pub(crate) async fn begin_write(&self) -> anyhow::Result<Transaction<'static, Sqlite>> {
        let transaction = self.pool.begin_with(BEGIN_WRITE).await;
        transaction.context("the database is busy; try again")
    }

    /// Opens a connection whose commits do not wait for the disk.
    async fn relaxed(&self) -> anyhow::Result<SqliteConnection> {
        let mut connection = self.pool.acquire().await?.detach();
        sqlx::query("PRAGMA synchronous = NORMAL")
            .execute(&mut connection)
            .await?;
        Ok(connection)
    }

    /// Writes a consistent copy of the database into a new private file, even while others write.
    ///
    /// # Errors
    ///
    /// The file exists or cannot be written.
    pub async fn copy_to(&self, file: &Path) -> anyhow::Result<()> {
        let shown = file.display();
        // SQLite would create it with the umask's mode; it accepts an empty file.
        new_private_file(file).with_context(|| format!("cannot create {shown}"))?;
        let name = file
            .to_str()
            .with_context(|| format!("{shown} is not UTF-8"))?;
        sqlx::query("VACUUM INTO $1")
            .bind(name)
            .execute(&self.pool)
            .await
            .with_context(|| format!("cannot copy the database to {shown}"))?;
        Ok(())
    }

    /// Returns the last applied step of the schema; `None` if there is none.
    async fn schema(&self) -> Option<i64> {
        let steps =
            sqlx::query_scalar::<_, Option<i64>>("SELECT MAX(version) FROM _sqlx_migrations")
                .fetch_one(&self.pool)
                .await;
        // Without that table the database is empty.
        steps.ok().flatten()
    }

    /// Migrates the schema. `old` is the last step that the existing one has, if any.
    async fn migrate(&self, file: &Path, old: Option<i64>) -> anyhow::Result<()> {
        let shown = file.display();
        if let Some(old) = old.filter(|old| newest_schema() > Some(*old)) {
            self.keep_before_migrating(file, old).await?;
        }
        match MIGRATIONS.run(&self.pool).await {
            Ok(()) => Ok(()),
            Err(MigrateError::VersionMissing(version)) => Err(anyhow!(
                "the database {shown} was written by a newer landfall (its schema is version {version}): use that landfall, or restore a backup"
            )),
            Err(failure) => {
                Err(anyhow!(failure).context(format!("cannot prepare the database {shown}")))
            }
        }
    }

    /// Copies a database before its schema is migrated.
    async fn keep_before_migrating(&self, file: &Path, old: i64) -> anyhow::Result<()> {
        let copy = file.with_extension(format!("db.schema-{old}"));
        // Left over from an attempt that failed.
        remove_if_present(&copy).with_context(|| format!("cannot replace {}", copy.display()))?;
        self.copy_to(&copy).await?;
        warn!(
            "migrating the database; the old one is kept as {}",
            copy.display()
        );
        Ok(())
    }

    /// Writes everything to the main file and closes it.
    pub async fn close(&self) {
        self.pool.close().await;
    }

    /// Opens the file, which must exist and may be empty. Two processes must not do this at the same time.
    async fn connect(file: &Path) -> anyhow::Result<Self> {
        let shown = file.display();
        let options = SqliteConnectOptions::new()
            .filename(file)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full)
            .foreign_keys(true)
            .busy_timeout(PATIENCE)
            // The sandbox excludes folders for temporary files.
            .pragma("temp_store", "MEMORY")
            .disable_statement_logging();
        let pool = SqlitePoolOptions::new()
            .max_connections(4)
            .acquire_timeout(PATIENCE)
            .idle_timeout(None)
            .max_lifetime(None)
            .connect_with(options)
            .await
            .with_context(|| format!("cannot open the database {shown}"))?;
        Ok(Self { pool })
    }
}

fn newest_schema() -> Option<i64> {
    MIGRATIONS.iter().map(|step| step.version).max()
}

/// A connection for commits that need not wait for the disk: they survive a killed server, and may be lost
/// when the machine goes down. Waiting would make the disk write everything that others have written, too.
#[derive(Default)]
pub(crate) struct Relaxed(Option<SqliteConnection>);

impl Relaxed {
    /// Runs `act` with the connection. After a failure the next call opens a new one.
    pub(crate) async fn run(
        &mut self,
        database: &Database,
        act: impl AsyncFnOnce(&mut SqliteConnection) -> anyhow::Result<()>,
    ) -> anyhow::Result<()> {
        let mut connection = match self.0.take() {
            Some(connection) => connection,
            None => database.relaxed().await?,
        };
        act(&mut connection).await?;
        self.0 = Some(connection);
        Ok(())
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
impl Database {
    /// Records a step of the schema that this program does not know.
    pub(crate) async fn pretend_newer(&self) {
        sqlx::query(
            "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time)
             VALUES (9999, 'from the future', TRUE, X'00', 0)",
        )
        .execute(&self.pool)
        .await
        .unwrap();
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::borrow::Cow;

    use sqlx::migrate::Migrator;

    use std::fs::{self, Permissions};
    use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};

    use super::*;

    fn run(future: impl Future<Output = ()>) {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        runtime.block_on(future);
    }

    async fn schema(file: &Path) -> i64 {
        let options = SqliteConnectOptions::new().filename(file).read_only(true);
        let pool = SqlitePool::connect_with(options).await.unwrap();
        sqlx::query_scalar("SELECT MAX(version) FROM _sqlx_migrations")
            .fetch_one(&pool)
            .await
            .unwrap()
    }

    #[test]
    fn an_older_database_is_migrated_and_kept_as_it_was() {
        let folder = tempfile::TempDir::new().unwrap();
        fs::set_permissions(folder.path(), Permissions::from_mode(0o700)).unwrap();
        let file = folder.path().join(NAME);
        let copies = || {
            let names = fs::read_dir(folder.path()).unwrap();
            let names = names.map(|name| name.unwrap().file_name().into_string().unwrap());
            names
                .filter(|name| name.contains("schema"))
                .collect::<Vec<_>>()
        };
        run(async {
            // The first schema, with an account.
            let first = MIGRATIONS.iter().next().unwrap().clone();
            let old = Migrator {
                migrations: Cow::Owned(vec![first]),
                ..Migrator::DEFAULT
            };
            private_file(&file).unwrap();
            let options = SqliteConnectOptions::new().filename(&file);
            let pool = SqlitePool::connect_with(options).await.unwrap();
            old.run(&pool).await.unwrap();
            sqlx::query("INSERT INTO account (name, created_at) VALUES ('ann', 1)")
                .execute(&pool)
                .await
                .unwrap();
            pool.close().await;

            let database = Database::open_or_make(folder.path()).await.unwrap();
            let name: String = sqlx::query_scalar("SELECT name FROM account")
                .fetch_one(&database.pool)
                .await
                .unwrap();
            assert_eq!(name, "ann");
            // For an account that is older than the record of logins, earlier logins are unknown.
            let began: String = sqlx::query_scalar("SELECT began FROM login_record")
                .fetch_one(&database.pool)
                .await
                .unwrap();
            assert!(began.starts_with("20") && began.len() == 19, "{began}");
            database.close().await;
            let newest = MIGRATIONS.iter().map(|step| step.version).max().unwrap();
            assert_eq!(schema(&file).await, newest);
            assert_eq!(copies(), ["landfall.db.schema-1"]);
            let copy = folder.path().join("landfall.db.schema-1");
            assert_eq!(schema(&copy).await, 1);
            assert_eq!(fs::metadata(&copy).unwrap().mode() & 0o777, 0o600);

            // A migrated one is not copied.
            fs::remove_file(&copy).unwrap();
            Database::open_or_make(folder.path())
                .await
                .unwrap()
                .close()
                .await;
            assert!(copies().is_empty());
        });
    }

    #[test]
    fn a_new_database_is_no_old_one() {
        let folder = tempfile::TempDir::new().unwrap();
        run(async {
            let data = folder.path().join("data");
            Database::open_or_make(&data).await.unwrap().close().await;
            let names = fs::read_dir(data).unwrap().count();
            assert_eq!(names, 3, "the database and its locks");
        });
    }
}
