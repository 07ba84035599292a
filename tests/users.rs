//! The account commands and `check`, as programs in a folder without a server, or beside one.

#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

mod common;

use std::fs;
use std::os::unix::fs::MetadataExt;

use common::server::make_key;
use common::{PASSWORD, STEP, TestServer, USER, run};

fn json(server: &TestServer, args: &[&str]) -> serde_json::Value {
    serde_json::from_str(&server.admin(args, "").ok().out()).unwrap()
}

fn names(server: &TestServer) -> Vec<String> {
    let list = json(server, &["user", "list", "--json"]);
    let names = list.as_array().unwrap().iter();
    names
        .map(|row| row["name"].as_str().unwrap().to_owned())
        .collect()
}

#[test]
fn accounts_are_added_shown_changed_and_removed() {
    let server = TestServer::start();
    make_key(&server.local("k"), &["-t", "ed25519"]);
    let key = server.local("k.pub");
    let key = key.to_str().unwrap();
    let said = server
        .admin(&["user", "add", "bob", "--key", key], "")
        .ok()
        .out();
    assert!(said.contains("bob"), "{said}");
    let home = server.path("data/homes/bob");
    let metadata = fs::metadata(&home).unwrap();
    assert!(metadata.is_dir() && metadata.mode() & 0o777 == 0o700);
    assert_eq!(names(&server), [USER, "bob"]);

    let shown = json(&server, &["user", "show", "bob", "--json"]);
    assert_eq!(shown["password"], false);
    assert_eq!(shown["keys"][0]["kind"], "ssh-ed25519");
    let fingerprint = shown["keys"][0]["fingerprint"].as_str().unwrap().to_owned();
    for args in [&["user", "list"][..], &["user", "show", "bob"]] {
        assert!(server.admin(args, "").ok().out().contains("bob"));
    }

    server.admin(&["user", "key", "add", "bob", key], "").ok();
    let key_list = json(&server, &["user", "key", "list", "bob", "--json"]);
    assert_eq!(
        key_list.as_array().unwrap().len(),
        1,
        "the same key twice: {key_list}"
    );
    server
        .admin(&["user", "key", "rm", "bob", &fingerprint], "")
        .ok();
    server
        .admin(&["user", "key", "rm", "bob", &fingerprint], "")
        .failed();

    server
        .admin(&["user", "passwd", "bob", "--password-stdin"], "one\n")
        .ok();
    assert_eq!(
        json(&server, &["user", "show", "bob", "--json"])["password"],
        true
    );
    server
        .admin(&["user", "passwd", "bob", "--no-password"], "")
        .ok();
    assert_eq!(
        json(&server, &["user", "show", "bob", "--json"])["password"],
        false
    );

    let other = server.path("elsewhere");
    server
        .admin(
            &["user", "set", "bob", "--home", other.to_str().unwrap()],
            "",
        )
        .ok();
    assert!(other.is_dir());
    fs::write(other.join("kept"), "kept").unwrap();
    let said = server.admin(&["user", "rm", "bob"], "").ok().out();
    assert!(said.contains(other.to_str().unwrap()), "{said}");
    assert_eq!(fs::read_to_string(other.join("kept")).unwrap(), "kept");
    assert_eq!(names(&server), [USER]);
}

#[test]
fn what_makes_no_sense_is_refused_in_one_line_and_changes_nothing() {
    let server = TestServer::start();
    let home = server.home().to_str().unwrap().to_owned();
    let inside = format!("{home}/inside");
    fs::write(server.local("no-key"), "hello\n").unwrap();
    fs::write(server.local("options"), "command=\"ls\" ssh-ed25519 AAAA\n").unwrap();
    let no_key = server.local("no-key").to_str().unwrap().to_owned();
    let cases: &[(&[&str], &str)] = &[
        (&["user", "add", "../x", "--password-stdin"], "pw\n"),
        (&["user", "add", ".hidden", "--password-stdin"], "pw\n"),
        (&["user", "add", "a b", "--password-stdin"], "pw\n"),
        (&["user", "add", USER, "--password-stdin"], "pw\n"),
        (&["user", "add", "bob", "--password-stdin"], "\n"),
        (&["user", "add", "bob", "--password-stdin"], ""),
        (&["user", "add", "bob"], ""),
        (&["user", "add", "bob", "--key", "/nowhere/key"], ""),
        (&["user", "add", "bob", "--key", &no_key], ""),
        (
            &["user", "add", "bob", "--password-stdin", "--home", &home],
            "pw\n",
        ),
        (
            &["user", "add", "bob", "--password-stdin", "--home", &inside],
            "pw\n",
        ),
        (
            &["user", "add", "bob", "--password-stdin", "--home", "/"],
            "pw\n",
        ),
        (&["user", "show", "nobody"], ""),
        (&["user", "rm", "nobody"], ""),
        (&["user", "passwd", "nobody", "--password-stdin"], "pw\n"),
        (&["user", "key", "add", "nobody", &no_key], ""),
        (&["user", "key", "list", "nobody"], ""),
    ];
    for (args, input) in cases {
        let refused = server.admin(args, input).failed();
        assert_eq!(refused.status.code(), Some(1), "{}", refused.describe());
        assert!(
            refused.err().starts_with("landfall: "),
            "{}",
            refused.describe()
        );
        assert_eq!(refused.err().lines().count(), 1, "{}", refused.describe());
    }
    assert_eq!(names(&server), [USER]);
    assert!(!server.path("data/homes/bob").exists());
    assert!(!server.at_home("inside").exists());
    for args in [
        &["user"][..],
        &["user", "add"],
        &["nonsense"],
        &["user", "add", "bob", "--password", "pw"],
    ] {
        assert_eq!(
            server.admin(args, "").failed().status.code(),
            Some(2),
            "{args:?}"
        );
    }
}

#[test]
fn twenty_commands_at_once_lose_nothing() {
    let server = TestServer::start();
    std::thread::scope(|scope| {
        for number in 0..20 {
            let server = &server;
            scope.spawn(move || server.add_user(&format!("u{number:02}"), "pw", &[]));
        }
    });
    let mut expected = vec![USER.to_owned()];
    expected.extend((0..20).map(|number| format!("u{number:02}")));
    assert_eq!(names(&server), expected);
}

#[test]
fn a_password_is_nowhere_to_be_read() {
    let server = TestServer::start();
    common::connection::Connection::logged_in(&server)
        .sftp()
        .assert_alive();
    let mut found = vec![server.log(), server.stdout_lines().join("\n")];
    for entry in fs::read_dir(server.path("data")).unwrap() {
        let path = entry.unwrap().path();
        if path.is_file() {
            assert_eq!(
                fs::metadata(&path).unwrap().mode() & 0o077,
                0,
                "{}",
                path.display()
            );
            found.push(String::from_utf8_lossy(&fs::read(path).unwrap()).into_owned());
        }
    }
    assert!(found.iter().any(|text| text.contains("$argon2id$")));
    assert!(found.iter().all(|text| !text.contains(PASSWORD)));
}

#[test]
fn check_and_serve_tell_all_faults_with_their_places() {
    let server = TestServer::start();
    server.admin(&["check"], "").ok();
    let bad = server.path("bad.toml");
    fs::write(
        &bad,
        "[server]\nlisten = []\nlisten2 = 1\n[sftp]\numask = \"999\"\n",
    )
    .unwrap();
    let bad = bad.to_str().unwrap();
    for command in ["check", "serve"] {
        let refused = run(&mut server.command(&[command, "--config", bad]), STEP).failed();
        let said = refused.err();
        for place in ["bad.toml:2:10: ", "bad.toml:3:1: ", "bad.toml:5:9: "] {
            assert!(said.contains(place), "{command}: {said}");
        }
    }
    let refused = server
        .admin(&["check", "--config", "missing.toml"], "")
        .failed();
    assert!(refused.err().contains("missing.toml"), "{}", refused.err());
}

#[test]
fn the_host_key_is_made_once_and_kept_from_others() {
    let mut server = TestServer::start();
    let path = server.path("keys/ssh_host_ed25519_key");
    let key = fs::read(&path).unwrap();
    assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o600);
    server.stop();
    server.serve();
    assert_eq!(fs::read(&path).unwrap(), key);
    server.stop();
    fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o644)).unwrap();
    let refused = run(&mut server.command(&["serve"]), STEP).failed();
    assert!(refused.err().contains("chmod 600"), "{}", refused.err());
}
