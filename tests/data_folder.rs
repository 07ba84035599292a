//! The lock of the data folder: one server, or commands without one; and which of them may migrate the
//! database.

use std::fs::{self, DirBuilder, File};
use std::os::unix::fs::DirBuilderExt as _;
use std::path::Path;
use std::time::Instant;

use rustix::process::Signal;
use sqlx::migrate::Migrator;

use crate::common::operator::Operator;
use crate::common::{Running, STEP, TestServer, database, run, wait_until};

static MIGRATIONS: Migrator = sqlx::migrate!("./migrations");

const CONFIG: &str = "[server]\nlisten = [\"127.0.0.1:0\"]\n";

/// An operator with a database of the first version.
fn with_an_old_database() -> Operator {
    let operator = Operator::with_config(CONFIG);
    let data = operator.path("data");
    DirBuilder::new().mode(0o700).create(data).unwrap();
    let first = MIGRATIONS.iter().take(1).cloned().collect::<Vec<_>>();
    let old = Migrator {
        migrations: first.into(),
        ..Migrator::DEFAULT
    };
    database::with(&file(&operator), async |database| {
        old.run_direct(None, database, false).await.unwrap();
    });
    operator
}

fn file(operator: &Operator) -> std::path::PathBuf {
    operator.path("data/landfall.db")
}

fn schema(file: &Path) -> i64 {
    let question = "SELECT CAST(MAX(version) AS TEXT) FROM _sqlx_migrations";
    database::text(file, question).parse().unwrap()
}

fn newest() -> i64 {
    MIGRATIONS.iter().map(|step| step.version).max().unwrap()
}

/// Locks the data folder, as a server or a running command does.
fn have(operator: &Operator) -> File {
    let lock = File::create(operator.path("data/landfall.serving")).unwrap();
    lock.try_lock().unwrap();
    lock
}

#[test]
fn a_database_that_a_server_uses_gets_no_newer_schema() {
    let operator = with_an_old_database();
    let server = have(&operator);
    for command in [&["user", "list"][..], &["quota", "show"]] {
        let refused = operator.run(command).refused();
        assert!(
            refused.contains("has an older schema, and a server uses it: restart the server"),
            "{refused}"
        );
        assert_eq!(schema(&file(&operator)), 1);
    }
    drop(server);
    operator.run(&["user", "list"]).ok();
    assert_eq!(schema(&file(&operator)), newest());
}

#[test]
fn a_server_waits_for_a_command_that_has_the_data_and_changes_nothing_before() {
    let operator = with_an_old_database();
    let command = have(&operator);
    let mut server = Running::start(&mut operator.command(&["serve"]));
    wait_until("the server says that it waits", STEP, || {
        assert!(server.is_running());
        server.stderr_so_far().contains("a landfall command uses")
    });
    assert_eq!(schema(&file(&operator)), 1);
    assert_eq!(server.stdout_so_far(), "");
    drop(command);
    wait_until("the server listens", STEP, || {
        assert!(server.is_running());
        server.stdout_so_far().contains("Listening on")
    });
    assert_eq!(schema(&file(&operator)), newest());
    server.signal(Signal::TERM);
    server.wait(STEP).ok();
}

#[test]
fn a_second_server_is_refused_at_once_and_the_first_one_goes_on() {
    let server = TestServer::start();
    let began = Instant::now();
    let output = run(&mut server.command(&["serve"]), STEP);
    assert_eq!(output.status.code(), Some(1), "{}", output.describe());
    assert!(
        output
            .err()
            .contains("another landfall server already uses"),
        "{}",
        output.describe()
    );
    assert!(!output.err().contains("waiting"), "{}", output.describe());
    println!("refused after {:?}", began.elapsed());
    server.admin(&["session", "list"], "").accepted();
}

/// Another recount is not a server that could do the counting.
#[test]
fn a_recount_waits_for_another_one_and_counts_then() {
    let operator = Operator::with_config(CONFIG);
    operator.run(&["user", "add", "anna", "--no-password"]).ok();
    fs::write(operator.path("data/homes/anna/file"), [1; 1000]).unwrap();
    let other = have(&operator);
    let mut recount = Running::start(&mut operator.command(&["quota", "recount"]));
    let requested = "SELECT CAST(COUNT(*) AS TEXT) FROM account_usage WHERE recount";
    wait_until("it takes the other one for a server", STEP, || {
        assert!(recount.is_running());
        database::text(&file(&operator), requested) == "1"
    });
    drop(other);
    let said = recount.wait(STEP).ok().out();
    assert!(said.starts_with("anna uses 1000 bytes"), "{said}");
}
