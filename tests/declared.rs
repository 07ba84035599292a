//! Users that are declared in config.toml.

use std::fs;

use serde_json::Value;

use crate::common::connection::{Connection, Options};
use crate::common::held::Held;
use crate::common::{PASSWORD, STEP, TestServer, USER, wait_until};

/// All settings of a user except the home.
const FULL: &str = r#"
quota = "1MiB"
max_files = 100
permissions = ["full", "/incoming=upload-only"]
networks = ["127.0.0.0/8", "::1"]
expires = "2099-12-31"
disabled = false
max_sessions = 3
login = "any"
upload_rate = "10MiB/s"
download_rate = "20MiB/s"
safe_overwrite = true
"#;

/// config.toml before a test declares users.
fn plain(server: &TestServer) -> String {
    let text = fs::read_to_string(server.path("config.toml")).unwrap();
    let plain = text.split("\n[user.").next().unwrap();
    format!("{}\n", plain.trim_end())
}

/// Appends these sections to config.toml.
fn declare(server: &TestServer, users: &str) {
    let text = plain(server) + users;
    fs::write(server.path("config.toml"), text).unwrap();
}

fn hash(server: &TestServer, password: &str) -> String {
    let input = format!("{password}\n");
    let said = server.admin(&["hash-password", "--password-stdin"], &input);
    said.accepted().trim_end().to_owned()
}

fn key(server: &TestServer) -> String {
    let line = fs::read_to_string(server.public_key()).unwrap();
    line.trim_end().to_owned()
}

#[track_caller]
fn reload(server: &TestServer) -> String {
    server.admin(&["reload"], "").accepted()
}

#[track_caller]
fn shown(server: &TestServer, name: &str) -> Value {
    let said = server
        .admin(&["user", "show", name, "--json"], "")
        .accepted();
    serde_json::from_str(&said).unwrap()
}

fn log_in(server: &TestServer, name: &str) -> Option<Connection> {
    let connection = Connection::open(server, &Options::default());
    let login = connection.key(name, &server.key(), None).unwrap();
    login.success().then_some(connection)
}

#[test]
fn declared_users_are_there_at_the_start_and_after_a_reload() {
    let mut server = TestServer::start();
    assert!(server.stop().unwrap().success());
    let (hash, key) = (hash(&server, PASSWORD), key(&server));
    assert!(hash.starts_with("$argon2id$v=19$m=8192,t=1,p=1$"), "{hash}");
    let anna = format!("[user.anna]\npassword_hash = '{hash}'\nkeys = ['{key}']\n{FULL}");
    declare(&server, &anna);
    server.serve();
    assert!(server.log().contains("declared users added: anna"));
    assert!(log_in(&server, "anna").is_some());
    let by_password = Connection::open(&server, &Options::default());
    assert!(by_password.password("anna", PASSWORD).unwrap().success());
    assert!(server.path("data/homes/anna").is_dir());
    let anna_shown = shown(&server, "anna");
    for (name, value) in [
        ("quota", Value::from(1 << 20)),
        ("max_files", 100.into()),
        ("max_sessions", 3.into()),
        ("login", "any".into()),
        ("networks", vec!["127.0.0.0/8", "::1"].into()),
        ("upload_rate", (10 << 20).into()),
        ("download_rate", (20 << 20).into()),
        ("safe_overwrite", true.into()),
        ("expires", "2099-12-31T00:00:00Z".into()),
        ("disabled", false.into()),
        ("declared", true.into()),
    ] {
        assert_eq!(anna_shown[name], value, "{name}");
    }
    assert_eq!(anna_shown["permissions"]["/incoming"], "upload-only");

    let more = format!("{anna}[user.\"b.o@b\"]\nhome = \"bobs\"\nkeys = ['{key}']\n");
    declare(&server, &more);
    let said = reload(&server);
    assert!(said.ends_with("declared users added: b.o@b\n"), "{said}");
    assert!(log_in(&server, "b.o@b").is_some());
    assert!(server.path("bobs").is_dir());
    let list = server.admin(&["user", "list"], "").accepted();
    let line = |name: &str| list.lines().find(|line| line.starts_with(name)).unwrap();
    assert!(line("anna ").contains(" config.toml "), "{list}");
    assert!(line("alice ").contains(" command "), "{list}");
    // Unchanged users are left alone.
    let said = reload(&server);
    assert_eq!(said, "no live setting has changed\n");
}

#[test]
fn with_declared_users_the_first_start_makes_no_account() {
    let mut server = TestServer::start_without_accounts(&[]);
    assert!(server.stop().unwrap().success());
    server.admin(&["user", "rm", "demo"], "").ok();
    declare(&server, "[user.anna]\n");
    server.serve();
    let list = server.admin(&["user", "list", "--json"], "").accepted();
    let list: Value = serde_json::from_str(&list).unwrap();
    assert_eq!(list.as_array().unwrap().len(), 1);
    assert_eq!(list[0]["name"], "anna");
}

#[test]
fn what_is_changed_in_the_file_holds_for_open_sessions() {
    let server = TestServer::start();
    let key = key(&server);
    let of = |rest: &str| format!("[user.anna]\nkeys = ['{key}']\n{rest}\n");
    declare(&server, &of("quota = \"1000\""));
    reload(&server);
    let connection = log_in(&server, "anna").unwrap();
    let mut sftp = connection.sftp();
    sftp.put("/f", &[1; 1000]);
    let mut other = Held::open(&server);
    declare(&server, &of("quota = \"2000\""));
    let said = reload(&server);
    assert!(said.ends_with("declared users changed: anna\n"), "{said}");
    sftp.put("/g", &[1; 1000]);
    // Removed, with all their files kept.
    declare(&server, "");
    let said = reload(&server);
    assert!(
        said.ends_with("declared users removed (their files stay): anna\n"),
        "{said}"
    );
    wait_until("her session is ended", STEP, || connection.is_closed());
    assert!(server.log().contains("This account has been removed"));
    assert!(server.path("data/homes/anna/f").exists());
    assert!(log_in(&server, "anna").is_none());
    other.assert_alive();
    // And added again: the files are there.
    declare(&server, &of(""));
    reload(&server);
    let mut sftp = log_in(&server, "anna").unwrap().sftp();
    assert_eq!(sftp.get("/g"), [1; 1000]);
    other.leave();
}

#[test]
fn another_hash_or_a_key_less_ends_the_sessions_that_came_by_it() {
    let server = TestServer::start();
    let key = key(&server);
    let of = |hash: &str, keys: &str| {
        format!("[user.anna]\npassword_hash = '{hash}'\nkeys = [{keys}]\n")
    };
    let (first, second) = (hash(&server, PASSWORD), hash(&server, PASSWORD));
    declare(&server, &of(&first, &format!("'{key}'")));
    reload(&server);
    let by_key = log_in(&server, "anna").unwrap();
    let by_password = Connection::open(&server, &Options::default());
    assert!(by_password.password("anna", PASSWORD).unwrap().success());
    declare(&server, &of(&second, &format!("'{key}'")));
    reload(&server);
    wait_until("the password's session is ended", STEP, || {
        by_password.is_closed()
    });
    assert!(!by_key.is_closed());
    declare(&server, &of(&second, ""));
    reload(&server);
    wait_until("the key's session is ended", STEP, || by_key.is_closed());
}

#[test]
fn commands_do_not_change_what_is_declared() {
    let server = TestServer::start();
    declare(&server, "[user.anna]\n");
    let line = fs::read_to_string(server.path("config.toml")).unwrap();
    let line = line.lines().position(|line| line == "[user.anna]").unwrap() + 1;
    let early = server
        .admin(&["user", "add", "anna", "--no-password"], "")
        .refused();
    let place = format!("anna is declared in config.toml, line {line}");
    assert!(
        early.contains(&format!("{place}: run landfall reload")),
        "{early}"
    );
    reload(&server);
    let key = server.public_key();
    let key = key.to_str().unwrap();
    for args in [
        &["user", "set", "anna", "--quota", "1"][..],
        &["user", "rm", "anna"],
        &["user", "passwd", "anna", "--no-password"],
        &["user", "key", "add", "anna", key],
        &["user", "key", "rm", "anna", "x"],
    ] {
        let refused = server.admin(args, "").refused();
        assert!(
            refused.contains(&format!("{place}: change it there and run landfall reload")),
            "{args:?} {refused}"
        );
    }
    declare(&server, "");
    let refused = server.admin(&["user", "rm", "anna"], "").refused();
    assert!(
        refused.contains("is no longer declared in config.toml: run landfall reload"),
        "{refused}"
    );
    reload(&server);
    server
        .admin(&["user", "add", "anna", "--no-password"], "")
        .accepted();
}

#[test]
fn a_name_that_was_made_by_a_command_is_not_taken_over() {
    let mut server = TestServer::start_with(&[("sftp.max_handles", "3")]);
    let mut held = Held::open(&server);
    let key = key(&server);
    declare(
        &server,
        &format!("[user.anna]\n[user.{USER}]\nkeys = ['{key}']\n"),
    );
    let line = plain(&server).lines().count() + 2;
    let refused = server.admin(&["reload"], "").refused();
    let words = format!("config.toml:{line}:7: a user {USER} already exists");
    assert!(refused.starts_with(&words), "{refused} {words}");
    // Nothing was changed.
    assert!(
        server
            .admin(&["user", "show", "anna"], "")
            .refused()
            .contains("no user anna")
    );
    assert_eq!(shown(&server, USER)["declared"], false);
    held.assert_alive();
    held.leave();
    assert!(server.stop().unwrap().success());
    let start = crate::common::run(&mut server.command(&["serve"]), STEP);
    assert_eq!(start.status.code(), Some(1));
    assert!(start.err().contains(&words), "{}", start.err());
}

#[test]
fn every_fault_of_a_declared_user_has_its_place() {
    let server = TestServer::start();
    let text = "[user.\"a b\"]\n[user.anna]\nquota = \"much\"\nkeys = [\"ssh-rsa\"]\n\
                password_hash = \"hunter2\"\nnetworks = [\"10.1.2.3/8\"]\npermission = []\n\
                permissions = [\"all\"]\nexpires = \"soon\"\nupload_rate = \"1\"\n\
                max_sessions = 0\nlogin = \"never\"\nhome = 7\n[user]\nquota = \"1\"\n";
    declare(&server, text);
    let first = plain(&server).lines().count() + 1;
    for command in ["check", "reload"] {
        let refused = server.admin(&[command], "").refused();
        // It may be the password itself, and the error goes to the log.
        assert!(!refused.contains("hunter2"), "{refused}");
        for (line, words) in [
            (1, "\"a b\" cannot be a user name"),
            (3, "quota is \"much\""),
            (4, "keys has an item which is \"ssh-rsa\""),
            (5, "password_hash is wrong: this is not an argon2id hash"),
            (6, "this address is inside the network 10.0.0.0/8"),
            (7, "did you mean permissions?"),
            (8, "permissions has an item which is \"all\""),
            (9, "expires is \"soon\""),
            (10, "upload_rate is \"1\""),
            (11, "max_sessions is 0"),
            (12, "login is \"never\""),
            (13, "home is a number"),
            (15, "quota belongs in the section of a user"),
        ] {
            let place = format!("config.toml:{}:", first + line - 1);
            let found = refused.lines().find(|one| one.starts_with(&place));
            assert!(
                found.is_some_and(|one| one.contains(words)),
                "{place} {words}\n{refused}"
            );
        }
    }
}

#[test]
fn homes_that_overlap_are_refused_with_their_place() {
    let server = TestServer::start();
    declare(
        &server,
        "[user.anna]\nhome = \"h\"\n[user.bob]\nhome = \"h/b\"\n",
    );
    let refused = server.admin(&["reload"], "").refused();
    assert!(refused.contains("overlaps the home of anna"), "{refused}");
    assert!(
        server
            .admin(&["user", "show", "anna"], "")
            .refused()
            .contains("no user anna")
    );
}
