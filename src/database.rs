//! The database: one SQLite file in the data folder, opened by one process at a time, its schema
//! brought up to date. What stands in it is read and written by `accounts::sql` and `quota::keeper`.

use std::fs::{self, DirBuilder, File, OpenOptions, Permissions, TryLockError};
use std::io::ErrorKind;
use std::os::unix::fs::{
    DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _,
};
use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, anyhow, bail};
use sqlx::migrate::MigrateError;
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous};
use sqlx::{ConnectOptions as _, Sqlite, SqliteConnection, SqlitePool, Transaction};

const DATABASE: &str = "landfall.db";
/// Held while a process opens the database, so that only one makes or changes its schema.
const OPENING: &str = "landfall.db.opening";
/// Held by the one server of a data folder.
const SERVING: &str = "landfall.serving";

/// The schema, step by step.
static MIGRATIONS: sqlx::migrate::Migrator = sqlx::migrate!("./migrations");

/// How long one command waits for another that is writing.
const PATIENCE: Duration = Duration::from_secs(30);

/// A transaction that will write takes SQLite's write lock at its start: then two of them wait for
/// each other, where otherwise one would fail half-way.
const BEGIN_WRITE: &str = "BEGIN IMMEDIATE";

/// The database; cheap to clone.
#[derive(Clone)]
pub struct Database {
    pool: SqlitePool,
}

impl Database {
    /// Opens the database in a data folder; makes both if they are not there.
    ///
    /// # Errors
    /// One of the disk or of the database, or a folder that others can change, with what to do.
    pub async fn open(data: &Path) -> anyhow::Result<Self> {
        prepare_folder(data)?;
        let lock = data.join(OPENING);
        let lock = private_file(&lock)
            .and_then(|file| file.lock().map(|()| file))
            .with_context(|| format!("cannot lock {}", lock.display()))?;
        let file = data.join(DATABASE);
        prepare_database(&file)?;
        let database = Self::connect(&file).await?;
        drop(lock);
        Ok(database)
    }

    /// For statements.
    pub(crate) fn pool(&self) -> &SqlitePool {
        &self.pool
    }

    /// Starts a transaction that will write; no other one does meanwhile.
    pub(crate) async fn begin_write(&self) -> anyhow::Result<Transaction<'static, Sqlite>> {
        let transaction = self.pool.begin_with(BEGIN_WRITE).await;
        transaction.context("the database is busy; try again")
    }

    /// A connection of its own, whose commits do not wait for the disk: for what may be lost in a
    /// crash.
    pub(crate) async fn relaxed(&self) -> anyhow::Result<SqliteConnection> {
        let mut connection = self.pool.acquire().await?.detach();
        sqlx::query("PRAGMA synchronous = NORMAL")
            .execute(&mut connection)
            .await?;
        Ok(connection)
    }

    /// Writes everything to the main file and lets go of it.
    pub async fn close(&self) {
        self.pool.close().await;
    }

    /// Opens the file, which must exist (it may be empty), and brings its schema up to date. Two
    /// processes must not do this at the same time.
    async fn connect(file: &Path) -> anyhow::Result<Self> {
        let shown = file.display();
        let options = SqliteConnectOptions::new()
            .filename(file)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full)
            .foreign_keys(true)
            .busy_timeout(PATIENCE)
            .disable_statement_logging();
        let pool = SqlitePoolOptions::new()
            .max_connections(4)
            .acquire_timeout(PATIENCE)
            .idle_timeout(None)
            .max_lifetime(None)
            .connect_with(options)
            .await
            .with_context(|| format!("cannot open the database {shown}"))?;
        match MIGRATIONS.run(&pool).await {
            Ok(()) => Ok(Self { pool }),
            Err(MigrateError::VersionMissing(version)) => Err(anyhow!(
                "the database {shown} was written by a newer landfall (its schema is version {version}): use that landfall, or restore a backup"
            )),
            Err(failure) => {
                Err(anyhow!(failure).context(format!("cannot prepare the database {shown}")))
            }
        }
    }
}

/// Makes sure that one server alone serves a data folder, for as long as the file lives: each keeps
/// account of the homes in its memory.
pub fn serve_alone(data: &Path) -> anyhow::Result<File> {
    match try_serving(data)? {
        Some(file) => Ok(file),
        None => bail!("another landfall serves {} already", data.display()),
    }
}

/// As [`serve_alone`], for commands that can do their work while no server runs: `None` if one does.
pub fn try_serving(data: &Path) -> anyhow::Result<Option<File>> {
    let path = data.join(SERVING);
    let shown = path.display();
    let file = private_file(&path).with_context(|| format!("cannot open {shown}"))?;
    match file.try_lock() {
        Ok(()) => Ok(Some(file)),
        Err(TryLockError::WouldBlock) => Ok(None),
        Err(TryLockError::Error(failure)) => {
            Err(failure).with_context(|| format!("cannot lock {shown}"))
        }
    }
}

/// Makes the data folder for this user alone; of one that exists, checks that nobody else can change
/// what is in it.
fn prepare_folder(data: &Path) -> anyhow::Result<()> {
    let shown = data.display();
    let made = DirBuilder::new().recursive(true).mode(0o700).create(data);
    made.with_context(|| format!("cannot make the data folder {shown}"))?;
    let metadata = fs::metadata(data).with_context(|| format!("cannot use {shown}"))?;
    let (owner, me) = (metadata.uid(), rustix::process::geteuid().as_raw());
    if owner != me {
        // As root it would work, and leave files behind that the server cannot use.
        bail!(
            "the data folder {shown} belongs to user id {owner}, but this is user id {me}: run landfall as its owner"
        );
    }
    let mode = metadata.mode() & 0o777;
    if mode & 0o022 != 0 {
        bail!(
            "others can write to the data folder {shown} (mode {mode:03o}): run chmod go-w {shown}"
        );
    }
    Ok(())
}

/// Makes an empty database that only this user can read. SQLite gives its other files the same mode.
///
/// One that exists is not opened: closing it would take SQLite's locks from this process.
fn prepare_database(file: &Path) -> anyhow::Result<()> {
    let shown = file.display();
    match fs::symlink_metadata(file) {
        Ok(metadata) if metadata.is_file() && metadata.mode() & 0o077 == 0 => Ok(()),
        Ok(metadata) if metadata.is_file() => {
            fs::set_permissions(file, Permissions::from_mode(0o600))
                .with_context(|| format!("cannot keep others from reading {shown}"))
        }
        Ok(_) => bail!("{shown} is not a file"),
        Err(failure) if failure.kind() == ErrorKind::NotFound => {
            private_file(file).with_context(|| format!("cannot make {shown}"))?;
            Ok(())
        }
        Err(failure) => Err(failure).with_context(|| format!("cannot use {shown}")),
    }
}

fn private_file(file: &Path) -> std::io::Result<File> {
    OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(file)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
impl Database {
    /// Writes down a step of the schema that this program does not know.
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
