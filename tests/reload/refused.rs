//! A refused reload changes nothing, whatever the reason, and however late it is refused.

use std::fs;
use std::process::Command;

use super::{configure, handles, reload};
use crate::common::connection::{Connection, Options};
use crate::common::database;
use crate::common::raw::RawSftp;
use crate::common::server::make_key;
use crate::common::{PASSWORD, STEP, TestServer, USER, bytes_of, run, wait_until};

const MANY: usize = 200_000;

fn connect(server: &TestServer) -> Connection {
    Connection::open(server, &Options::default())
}

/// Returns the argon2 settings of the account's newest password hash.
fn hashed_by(server: &TestServer) -> String {
    let file = server.path("data/landfall.db");
    let hash = database::text(
        &file,
        "SELECT password_hash FROM account WHERE name = 'alice'",
    );
    hash.split('$').nth(3).unwrap().to_owned()
}

fn offers_ecdsa(server: &TestServer) -> bool {
    let port = server.port().to_string();
    let mut scan = Command::new("ssh-keyscan");
    scan.args(["-T", "10", "-t", "ecdsa", "-p", &port, "127.0.0.1"]);
    run(&mut scan, STEP).out().contains("ecdsa-sha2-nistp256")
}

/// Expects that everything is as at the start.
#[track_caller]
fn assert_unchanged(server: &TestServer, open: &mut RawSftp) {
    assert!(!connect(server).none("guest").unwrap().success());
    for name in ["guest", "anna"] {
        let shown = server.admin(&["user", "show", name], "").refused();
        assert!(shown.contains("no user "), "{shown}");
    }
    // The key is not revoked.
    let mut new = Connection::logged_in(server).sftp();
    assert_eq!(handles(&mut new), 3);
    assert!(connect(server).password(USER, PASSWORD).unwrap().success());
    assert_eq!(hashed_by(server), "m=8192,t=1,p=1");
    assert!(!offers_ecdsa(server));
    // At the rate of the refused configuration, this would take 200 s.
    assert!(open.get("/many") == bytes_of(MANY, 1));
    assert!(server.log().contains("login user="), "its level is info");
}

#[test]
fn a_declared_user_that_is_refused_last_leaves_everything_as_it_was() {
    let server = TestServer::start_with(&[("sftp.max_handles", "3")]);
    let connection = Connection::logged_in(&server);
    let mut open = connection.sftp();
    open.put("/many", &bytes_of(MANY, 1));
    let key = fs::read_to_string(server.public_key()).unwrap();
    fs::write(server.path("revoked"), key).unwrap();
    make_key(&server.path("keys/ssh_host_ecdsa_key"), &["-t", "ecdsa"]);
    configure(
        &server,
        &[
            ("sftp.max_handles", "5"),
            ("guest.enabled", "true"),
            ("login.argon2_passes", "2"),
            ("login.revoked_keys", "\"revoked\""),
            ("bandwidth.download", "\"1KiB/s\""),
            ("log.level", "\"error\""),
            ("server.max_connections", "2"),
            ("admission.per_source", "1"),
        ],
    );
    let good = fs::read_to_string(server.path("config.toml")).unwrap();
    // Only the database shows that the second value is not possible.
    let home = server.home().display();
    let bad = format!("{good}[user.anna]\n[user.bob]\nhome = \"{home}\"\n");
    fs::write(server.path("config.toml"), bad).unwrap();
    let refused = server.admin(&["reload"], "").refused();
    assert!(refused.contains("overlaps the home of alice"), "{refused}");
    assert_unchanged(&server, &mut open);
    // The same with an invalid guest account.
    let bad = good.replace(
        "guest.enabled = true",
        &format!("guest.enabled = true\nguest.home = \"{home}\""),
    );
    fs::write(server.path("config.toml"), bad).unwrap();
    let refused = server.admin(&["reload"], "").refused();
    assert!(refused.contains("overlaps the home of alice"), "{refused}");
    assert_unchanged(&server, &mut open);

    // The configuration applies once every fault is fixed.
    let good = good.replace("server.max_connections = 2", "server.max_connections = 20");
    fs::write(server.path("config.toml"), good).unwrap();
    reload(&server);
    wait_until("the session of the revoked key is closed", STEP, || {
        connection.is_closed()
    });
    let refused = connect(&server).key(USER, &server.key(), None);
    assert!(!refused.unwrap().success());
    assert!(connect(&server).password(USER, PASSWORD).unwrap().success());
    assert_eq!(hashed_by(&server), "m=8192,t=2,p=1");
    assert!(connect(&server).none("guest").unwrap().success());
    assert!(offers_ecdsa(&server));
}

#[test]
fn a_keys_folder_without_keys_is_refused_and_none_is_made() {
    let server = TestServer::start();
    let keys = server.path("keys");
    let elsewhere = server.path("keys elsewhere");
    for is_empty in [true, false] {
        fs::rename(&keys, &elsewhere).unwrap();
        if is_empty {
            fs::create_dir(&keys).unwrap();
        }
        let refused = server.admin(&["reload"], "").refused();
        assert!(refused.contains("no host key in"), "{refused}");
        if is_empty {
            assert_eq!(fs::read_dir(&keys).unwrap().count(), 0);
            fs::remove_dir(&keys).unwrap();
        }
        assert!(!keys.exists());
        fs::rename(&elsewhere, &keys).unwrap();
        // The host key is unchanged.
        drop(Connection::logged_in(&server));
    }
    reload(&server);
}
