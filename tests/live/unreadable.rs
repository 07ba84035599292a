//! Changes of accounts while the database cannot be read, in part or completely.

use std::time::Duration;

use crate::common::connection::{Connection, Options};
use crate::common::database;
use crate::common::{PASSWORD, STEP, TestServer, USER, wait_until};

const OTHERS: [&str; 2] = ["bob", "carol"];

/// Another process with the database: it changes rows without notifying the server.
fn at_the_database(server: &TestServer, statements: &[&str]) {
    database::execute(&server.path("data/landfall.db"), statements);
}

fn sessions(server: &TestServer) -> [Connection; 3] {
    for name in OTHERS {
        server.add_user(name, PASSWORD, &[&server.public_key()]);
    }
    let log_in = |name| Connection::logged_in_to(server, name, &Options::default());
    [USER, OTHERS[0], OTHERS[1]].map(log_in)
}

/// Numbers a change of each of them, in this order.
const NUMBERED: [&str; 3] = [
    "INSERT OR REPLACE INTO account_change SELECT 'alice', MAX(number) + 1 FROM account_change",
    "INSERT OR REPLACE INTO account_change SELECT 'bob', MAX(number) + 1 FROM account_change",
    "INSERT OR REPLACE INTO account_change SELECT 'carol', MAX(number) + 1 FROM account_change",
];

#[test]
fn an_account_that_cannot_be_read_holds_up_no_change_of_another() {
    let server = TestServer::start();
    let [alice, bob, carol] = sessions(&server);
    // The first and the last of them cannot be read; all are disabled.
    at_the_database(
        &server,
        &[
            &[
                "BEGIN IMMEDIATE",
                "UPDATE account SET disabled = TRUE",
                "UPDATE account SET permissions = 'nonsense' WHERE name <> 'bob'",
            ][..],
            &NUMBERED,
            &["COMMIT"],
        ]
        .concat(),
    );
    wait_until("the session in between is closed", STEP, || bob.is_closed());
    assert!(!alice.is_closed() && !carol.is_closed());
    let log = server.log();
    assert!(log.contains("cannot read account changes"), "{log}");
    // They are read as soon as possible, without another change.
    at_the_database(&server, &["UPDATE account SET permissions = 'full'"]);
    for session in [alice, carol] {
        wait_until("the session is closed", STEP, || session.is_closed());
    }
}

#[test]
fn a_change_while_nothing_can_be_read_is_applied_afterwards() {
    let server = TestServer::start();
    let sessions = sessions(&server);
    at_the_database(&server, &["ALTER TABLE account RENAME TO elsewhere"]);
    at_the_database(&server, &["UPDATE elsewhere SET disabled = TRUE"]);
    at_the_database(&server, &NUMBERED);
    wait_until("the server has tried to read them", STEP, || {
        server.log().contains("cannot read account changes")
    });
    std::thread::sleep(Duration::from_secs(2));
    assert!(sessions.iter().all(|session| !session.is_closed()));
    at_the_database(&server, &["ALTER TABLE elsewhere RENAME TO account"]);
    for session in &sessions {
        wait_until("the session is closed", STEP, || session.is_closed());
    }
}
