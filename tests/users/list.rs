//! `landfall user list`: the last login, the order, the filters and the width.

use std::thread::sleep;
use std::time::Duration;

use super::*;
use crate::common::connection::{Connection, Options};
use crate::common::{PASSWORD, TestServer, USER};

/// What `list --json` says with these arguments.
fn listed(server: &TestServer, arguments: &[&str]) -> Vec<Value> {
    let list = [&["user", "list", "--json"], arguments].concat();
    let said = server.admin(&list, "").accepted();
    serde_json::from_str(&said).unwrap()
}

fn names(server: &TestServer, arguments: &[&str]) -> Vec<String> {
    let users = listed(server, arguments).into_iter();
    users
        .map(|user| user["name"].as_str().unwrap().to_owned())
        .collect()
}

fn last_login(server: &TestServer, name: &str) -> Value {
    let users = listed(server, &[]);
    let user = users.iter().find(|user| user["name"] == name).unwrap();
    user["last_login"].clone()
}

#[test]
fn the_last_login_is_shown_and_survives_a_stop_and_a_kill() {
    let mut server = TestServer::start();
    server.add_user("bob", PASSWORD, &[]);
    assert_eq!(last_login(&server, USER), Value::Null);
    assert_eq!(last_login(&server, "bob"), Value::Null);
    let bob = Connection::open(&server, &Options::default());
    assert!(!bob.password("bob", "wrong").unwrap().success());
    drop(Connection::logged_in(&server));
    wait_until("the login is in the database", STEP, || {
        last_login(&server, USER) != Value::Null
    });
    let first = last_login(&server, USER);
    assert_eq!(first["method"], "publickey");
    assert_eq!(first["address"], "127.0.0.1");
    let time = first["time"].as_str().unwrap();
    assert!(time.starts_with("20") && time.ends_with('Z'), "{time}");
    // A refused login is none.
    assert_eq!(last_login(&server, "bob"), Value::Null);

    server.kill();
    assert_eq!(last_login(&server, USER), first);
    server.serve();
    assert_eq!(last_login(&server, USER), first);
    let bob = Connection::open(&server, &Options::default());
    assert!(bob.password("bob", PASSWORD).unwrap().success());
    // A stop writes what came in the last moment.
    assert!(server.stop().unwrap().success());
    assert_eq!(last_login(&server, "bob")["method"], "password");
    assert_eq!(last_login(&server, USER), first);

    let table = server.admin(&["user", "list"], "").accepted();
    assert!(
        table.lines().next().unwrap().contains("LAST LOGIN"),
        "{table}"
    );
    let line = table.lines().find(|line| line.starts_with(USER)).unwrap();
    assert!(line.contains(time), "{table}");
    let shown = server.admin(&["user", "show", USER], "").accepted();
    let words = format!("{time} by publickey from 127.0.0.1\n");
    assert!(shown.contains(&words), "{shown}");
    let shown = server
        .admin(&["user", "show", USER, "--json"], "")
        .accepted();
    let shown: Value = serde_json::from_str(&shown).unwrap();
    assert_eq!(shown["last_login"], first);
    // Another account of the same name has none.
    server.admin(&["user", "rm", "bob"], "").accepted();
    server.add_user("bob", PASSWORD, &[]);
    let shown = server.admin(&["user", "show", "bob"], "").accepted();
    assert!(shown.contains("Last login   never\n"), "{shown}");
}

#[test]
fn users_are_sorted_and_filtered() {
    let server = TestServer::start();
    sleep(Duration::from_millis(1100));
    let add = |name: &str, options: &[&str]| {
        let add = ["user", "add", name, "--no-password"];
        server.admin(&[&add[..], options].concat(), "").ok();
    };
    add("old", &["--expires", "2001-01-01"]);
    add("off", &["--disabled"]);
    fs::create_dir(server.path("big")).unwrap();
    fs::write(server.path("big/file"), vec![0; 4096]).unwrap();
    let big = server.path("big");
    add("big", &["--home", big.to_str().unwrap()]);
    // What nobody has logged in to is counted, too.
    wait_until("all homes are counted", STEP, || {
        let users = listed(&server, &[]);
        users.iter().all(|user| user["used_bytes"].is_u64())
    });
    let table = server.admin(&["user", "list"], "").accepted();
    assert!(
        !table.contains('?') && !table.contains("not counted"),
        "{table}"
    );
    sleep(Duration::from_millis(1100));
    drop(Connection::logged_in(&server));
    wait_until("the login is in the database", STEP, || {
        last_login(&server, USER) != Value::Null
    });

    assert_eq!(names(&server, &[]), [USER, "big", "off", "old"]);
    assert_eq!(names(&server, &["--sort", "used"])[0], "big");
    assert_eq!(names(&server, &["--sort", "last-login"])[0], USER);
    assert_eq!(
        *names(&server, &["--sort", "created"]).last().unwrap(),
        USER
    );
    assert_eq!(names(&server, &["--state", "active"]), [USER, "big"]);
    assert_eq!(names(&server, &["--state", "expired"]), ["old"]);
    let both = ["--state", "expired", "--state", "disabled"];
    assert_eq!(names(&server, &both), ["off", "old"]);
    let states = listed(&server, &[]).into_iter();
    let states: Vec<_> = states.map(|user| user["state"].clone()).collect();
    assert_eq!(states, ["active", "active", "disabled", "expired"]);
    assert_eq!(names(&server, &["--inactive", "30d"]), [""; 0]);
    let nobody = server.admin(&["user", "list", "--inactive", "30d"], "");
    assert_eq!(nobody.accepted(), "No user matches\n");
    let inactive = ["--inactive", "3s", "--state", "active"];
    wait_until("the others are inactive", STEP, || {
        // Until it is inactive itself, a user who logs in again and again is none of them.
        drop(Connection::logged_in(&server));
        names(&server, &inactive) == ["big"]
    });
    for wrong in [
        ["--inactive", "soon"],
        ["--sort", "shoe-size"],
        ["--state", "well"],
    ] {
        let list = [&["user", "list"], &wrong[..]].concat();
        assert_eq!(server.admin(&list, "").status.code(), Some(2), "{wrong:?}");
    }
}

/// What `landfall user list` shows in a terminal of so many columns.
fn in_a_terminal(operator: &Operator, columns: usize) -> String {
    let landfall = env!("CARGO_BIN_EXE_landfall");
    let inside = format!("stty cols {columns} && exec {landfall} user list");
    let mut script = Command::new("script");
    script
        .args(["-q", "-e", "-c", &inside, "/dev/null"])
        .env_remove("LANDFALL_CONFIG")
        .current_dir(operator.path(""));
    run_ok(&mut script, STEP).out().replace('\r', "")
}

#[test]
fn the_list_fits_the_terminal() {
    let operator = operator();
    operator.add("a-much-longer-name");
    let many = "/in=upload-only";
    operator
        .run(&[
            "user",
            "add",
            "ann",
            "--no-password",
            "--permissions",
            "full",
            "--permissions",
            many,
            "--mkdir",
        ])
        .accepted();
    for columns in [10, 40, 80, 120, 400] {
        let shown = in_a_terminal(&operator, columns);
        assert!(shown.starts_with("NAME"), "{shown}");
        let (rows, note): (Vec<_>, Vec<_>) = shown
            .lines()
            .partition(|line| !line.starts_with("No room for: "));
        assert_eq!(rows.len(), 3, "{shown}");
        let head = rows[0];
        for row in &rows {
            assert!(row.chars().count() <= columns, "{columns}: {shown}");
        }
        assert_eq!(note.is_empty(), columns == 400, "{columns}: {shown}");
        assert_eq!(head.contains("STATE"), columns >= 40, "{columns}: {shown}");
        assert_eq!(head.contains("QUOTA"), columns >= 80, "{columns}: {shown}");
    }
    // A program gets all columns.
    let all = operator.run(&["user", "list"]).accepted();
    assert!(all.contains("HOME") && !all.contains("No room"), "{all}");
}
