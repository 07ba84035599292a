//! The number of accounts. The account that logs in is in the middle of the others, each of which has a
//! password, a key, a quota, usage figures, and an empty home. Homes are links to one folder: a million
//! folders would measure how fast the disk finds them. sshd has no accounts of its own.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::rc::Rc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use landfall::database;
use sqlx::sqlite::{SqliteConnectOptions, SqliteSynchronous};
use sqlx::{ConnectOptions, Connection};

use super::{Axis, milliseconds, on_all_processors, thousands, until_quiet};
use crate::common::fixture::Fixture;
use crate::common::servers::{Installed, Peer};
use crate::common::sizes::mebibytes;
use crate::rounds::{Place, Run, Values};
use crate::session::Session;

const START: &str = "start of the server: ms";
const START_CPU: &str = "start: server CPU ms";
const FIRST: &str = "first log in: ms";
const SWEEP: &str = "until it rests: server CPU ms";
const REST: &str = "PSS of the server at rest: MiB";
const LOGIN: &str = "log in: ms";
const LOGIN_CPU: &str = "log in: server CPU ms";
const LATER: &str = "PSS of the server after the logins: MiB";

pub(super) const AXIS: Axis = Axis {
    name: "accounts",
    title: "accounts",
    label: thousands,
    measures: &[
        START, START_CPU, FIRST, SWEEP, REST, LOGIN, LOGIN_CPU, LATER,
    ],
    places,
};

fn places(run: &Run) -> Result<Vec<Place>> {
    let mut places = Vec::new();
    for &accounts in &run.scale.accounts {
        let fixture = Rc::new(run.fixture(&format!("accounts-{accounts}"))?);
        let program = fixture.programs.server(Peer::Landfall);
        let program = program.context("no landfall")?;
        let folder = fixture.server_folder("Landfall")?;
        let landfall = Installed::new(Peer::Landfall, program, &fixture, folder)?;
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        // The account that logs in exists already.
        let others = accounts.saturating_sub(1);
        let homes = landfall.data().canonicalize()?.join("homes");
        runtime
            .block_on(fill(&landfall.data(), &homes, others))
            .context("cannot make the accounts")?;
        make_homes(&homes, others).context("cannot make the homes")?;
        let logins = run.scale.logins;
        places.push(Place {
            at: accounts,
            peer: Peer::Landfall,
            measure: Box::new(move || measure(&fixture, &landfall, logins)),
        });
    }
    Ok(places)
}

fn measure(fixture: &Fixture, landfall: &Installed, logins: u32) -> Result<Values> {
    let began = Instant::now();
    let server = landfall.start(fixture)?;
    let start = began.elapsed();
    let start_cpu = server.cpu()?;
    let began = Instant::now();
    Session::open(fixture, &server, server.port)?.end()?;
    let first = began.elapsed();
    let rests = until_quiet(&server)?;
    let rest = server.memory()?.proportional;

    let mut login = Duration::ZERO;
    for _ in 0..logins {
        let began = Instant::now();
        let session = Session::open(fixture, &server, server.port)?;
        login += began.elapsed();
        session.end()?;
    }
    let login_cpu = server.cpu()? - rests;
    let each = |time: Duration| milliseconds(time) / f64::from(logins);
    Ok(vec![
        (START, milliseconds(start)),
        (START_CPU, milliseconds(start_cpu)),
        (FIRST, milliseconds(first)),
        (SWEEP, milliseconds(rests)),
        (REST, mebibytes(rest)),
        (LOGIN, each(login)),
        (LOGIN_CPU, each(login_cpu)),
        (LATER, mebibytes(server.memory()?.proportional)),
    ])
}

/// The homes of the accounts that [`fill`] makes.
fn make_homes(homes: &Path, accounts: u64) -> Result<()> {
    const EMPTY: &str = "empty";
    fs::create_dir_all(homes.join(EMPTY))?;
    on_all_processors(accounts, |number| {
        let n = number + 1;
        let half = if n % 2 == 0 { 'a' } else { 'z' };
        symlink(EMPTY, homes.join(format!("{half}-{n:07}")))
    })
}

/// Rows as `landfall user add` and a server would write them; half of the names sort before "bench", half
/// after it. Changes are numbered after the existing ones. $1 is the number of accounts.
const ACCOUNTS: &str = "
     WITH RECURSIVE numbers (n) AS
         (SELECT 1 WHERE $1 > 0 UNION ALL SELECT n + 1 FROM numbers WHERE n < $1)
     INSERT INTO account (name, password_hash, created_at, quota_bytes, quota_files, made_by, password_by)
     SELECT printf('%s-%07d', CASE n % 2 WHEN 0 THEN 'a' ELSE 'z' END, n),
         '$argon2id$v=19$m=19456,t=2,p=1$' || hex(randomblob(11)) || '$' || substr(hex(randomblob(22)), 1, 43),
         1767225600, 10737418240, 100000, n + 1000, n + 1000
     FROM numbers";
const KEYS: &str = "
     INSERT INTO account_key (account, public_key, fingerprint, comment, options, added_at)
     SELECT name, 'ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAI' || substr(hex(randomblob(22)), 1, 43),
         'SHA256:' || substr(hex(randomblob(22)), 1, 43), name || '@example.org', '', created_at
     FROM account WHERE made_by > 1000";
const CHANGES: &str = "
     INSERT INTO account_change (account, number)
     SELECT name, made_by FROM account WHERE made_by > 1000";
/// $1 is the folder of the homes.
const USES: &str = "
     INSERT INTO account_usage (account, home, bytes, files, clean, recount)
     SELECT name, $1 || '/' || name, 1000000, 10, TRUE, FALSE
     FROM account WHERE made_by > 1000";

/// Adds further accounts.
async fn fill(data: &Path, homes: &Path, accounts: u64) -> Result<()> {
    let homes = homes.to_str().context("a folder that is not UTF-8")?;
    let accounts = i64::try_from(accounts)?;
    let mut connection = SqliteConnectOptions::new()
        .filename(data.join(database::NAME))
        // Nobody else uses the database, and after a power loss the run starts again.
        .synchronous(SqliteSynchronous::Off)
        .connect()
        .await?;
    for statement in [
        sqlx::query(ACCOUNTS).bind(accounts),
        sqlx::query(KEYS),
        sqlx::query(CHANGES),
        sqlx::query(USES).bind(homes),
        sqlx::query("PRAGMA wal_checkpoint(TRUNCATE)"),
    ] {
        statement.execute(&mut connection).await?;
    }
    Ok(connection.close().await?)
}
