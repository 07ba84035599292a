//! `landfall audit`.

use std::fs;

use serde_json::Value;

use super::events::assert_fits_the_schema;
use super::{noted, of_kind, trail};
use crate::common::connection::{Connection, Options};
use crate::common::flood::source;
use crate::common::operator::Operator;
use crate::common::wire::{code, flag};
use crate::common::{HOST, Running, STEP, TestServer, USER, run, run_ok, wait_until};

#[test]
fn it_shows_what_was_asked_for_and_does_nothing_to_a_terminal() {
    let server = TestServer::start();
    let mut sftp = Connection::logged_in(&server).sftp();
    sftp.put("/evil\x1b[2J", b"content");
    assert_eq!(sftp.mkdir("/d"), code::OK);
    server.add_user("bob", "another secret", &[]);
    noted(&server, "bob", |one| {
        one["event"] == "account" && one["name"] == "bob"
    });
    let show = |args: &[&str]| {
        let args: Vec<_> = ["audit"].iter().chain(args).copied().collect();
        server.admin(&args, "").ok().out()
    };
    let all = show(&[]);
    assert!(
        all.contains("login") && all.contains("mkdir     /d"),
        "{all}"
    );
    assert!(all.contains("/evil\u{fffd}[2J  7 bytes in"), "{all}");
    assert!(!all.contains('\x1b'));
    assert!(
        all.contains("account   add  bob  Added bob with the home"),
        "{all}"
    );
    let kinds = show(&["--event", "mkdir", "upload"]);
    assert_eq!(kinds.lines().count(), 2, "{kinds}");
    assert_eq!(show(&["--event", "mkdir,upload"]), kinds);
    assert_eq!(show(&["--user", "bob"]).lines().count(), 1);
    assert_eq!(
        show(&["--user", USER, "--since", "1h", "--event", "mkdir"])
            .lines()
            .count(),
        1
    );
    assert_eq!(show(&["--since", "2100-01-01"]), "");
    assert_eq!(show(&["--since", "2020-01-01T10:00"]), all);
    // With `--json`: the lines of the files.
    let mut lines: Vec<_> = ["data/audit.jsonl", "data/audit-operations.jsonl"]
        .iter()
        .flat_map(|file| {
            fs::read_to_string(server.path(file))
                .unwrap()
                .lines()
                .map(str::to_owned)
                .collect::<Vec<_>>()
        })
        .collect();
    let json = show(&["--json"]);
    let mut shown: Vec<_> = json.lines().map(str::to_owned).collect();
    // By time, whatever their file.
    assert!(
        shown.is_sorted_by_key(|line| line[..40].to_owned()),
        "{json}"
    );
    lines.sort();
    shown.sort();
    assert_eq!(shown, lines);
    // The lines of a command's output are one line here.
    let set = [
        "user",
        "set",
        "bob",
        "--quota",
        "1MiB",
        "--max-sessions",
        "3",
    ];
    let said = server.admin(&set, "").ok().out();
    assert_eq!(said.lines().count(), 2, "{said}");
    let said = said.trim_end().replace('\n', "; ");
    let bobs = show(&["--user", "bob"]);
    assert!(bobs.lines().any(|line| line.contains(&said)), "{bobs}");

    for (args, complaint) in [
        (["audit", "--event", "nonsense"], "possible values: login"),
        (["audit", "--since", "yesterday"], "an age such as 12h"),
    ] {
        let refused = server.admin(&args, "");
        assert_eq!(refused.status.code(), Some(2), "{}", refused.describe());
        assert!(refused.err().contains(complaint), "{}", refused.describe());
    }
}

#[test]
fn who_follows_it_sees_the_last_ten_and_what_comes() {
    let server = TestServer::start();
    let mut sftp = Connection::logged_in(&server).sftp();
    for number in 0..20 {
        assert_eq!(sftp.mkdir(format!("/{number}")), code::OK);
    }
    noted(&server, "the last", |one| one["path"] == "/19");
    let out = server.local("followed");
    let mut follow = server.command(&["audit", "-f", "--event", "mkdir"]);
    let shell = format!("exec \"$@\" > {}", out.display());
    let mut command = std::process::Command::new("sh");
    command
        .args(["-c", &shell, "sh"])
        .arg(follow.get_program())
        .args(follow.get_args());
    command.current_dir(
        follow
            .current_dir(server.path("."))
            .get_current_dir()
            .unwrap(),
    );
    let _follower = Running::start(&mut command);
    let lines = || fs::read_to_string(&out).unwrap_or_default().lines().count();
    wait_until("the last ten are shown", STEP, || lines() == 10);
    assert_eq!(sftp.mkdir("/20"), code::OK);
    wait_until("the next is shown", STEP, || lines() == 11);
    let text = fs::read_to_string(&out).unwrap();
    assert!(
        text.lines().next().unwrap().contains("/10") && text.contains("/20"),
        "{text}"
    );
}

#[test]
fn events_are_found_by_path_session_source_result_and_time() {
    let server = TestServer::start();
    let first = Connection::logged_in(&server);
    let mut sftp = first.sftp();
    assert_eq!(sftp.mkdir("/in"), code::OK);
    assert_eq!(sftp.mkdir("/in/old"), code::OK);
    for path in ["/in/invoice.pdf", "/in/old/invoice.pdf", "/inside"] {
        sftp.put(path, b"content");
    }
    assert_eq!(sftp.rename("/in/invoice.pdf", "/paid.pdf"), code::OK);
    assert_eq!(sftp.remove("/in/old/invoice.pdf"), code::OK);
    // Another session, from another address, that is cut during an upload.
    let options = Options {
        from: Some(source(601)),
        ..Options::default()
    };
    let second = Connection::logged_in_as(&server, &options);
    let mut other = second.sftp();
    let handle = other.opened("/cut", flag::WRITE | flag::CREAT);
    assert_eq!(other.write(&handle, 0, b"half"), code::OK);
    let reason = ["--reason", "maintenance\u{202e}"];
    let kill = ["session", "kill", "2", reason[0], reason[1]];
    server.admin(&kill, "").ok();
    noted(&server, "the second logout", |one| {
        one["event"] == "logout" && one["session"] == 2
    });

    let show = |args: &[&str]| {
        let args = [&["audit", "--json"], args].concat();
        let text = server.admin(&args, "").ok().out();
        let parse = |line| serde_json::from_str::<Value>(line).unwrap();
        text.lines().map(parse).collect::<Vec<_>>()
    };
    let kinds = |args: &[&str]| {
        let of = |one: &Value| one["event"].as_str().unwrap().to_owned();
        let mut kinds: Vec<_> = show(args).iter().map(of).collect();
        // Events of the same millisecond have no order.
        kinds.sort();
        kinds.join(" ")
    };
    // A file with its history; a name in any directory; a directory with its contents only.
    assert_eq!(kinds(&["--path", "/in/invoice.pdf"]), "rename upload");
    assert_eq!(kinds(&["--path", "/paid.pdf"]), "rename");
    assert_eq!(
        kinds(&["--path", "invoice.pdf"]),
        "remove rename upload upload"
    );
    assert_eq!(kinds(&["--path", "old/invoice.pdf"]), "remove upload");
    assert_eq!(kinds(&["--path", "nvoice.pdf"]), "");
    assert_eq!(
        kinds(&["--path", "in/", "--event", "upload"]),
        "upload upload"
    );
    assert_eq!(kinds(&["--path", "/old"]), "");
    // A session with its kill, an address, a result.
    assert_eq!(kinds(&["--session", "2"]), "kill login logout upload");
    let from = source(601).to_string();
    assert_eq!(kinds(&["--source", &from]), "login logout upload");
    assert_eq!(
        show(&["--source", "127.0.0.0/8"]).len(),
        show(&["--event", "login,logout,mkdir,upload,rename,remove"]).len()
    );
    assert_eq!(show(&["--result", "cut"])[0]["path"], "/cut");
    assert_eq!(show(&["--result", "complete,failed"]).len(), 3);
    // The last ones, and a time.
    let all = show(&[]);
    assert_eq!(show(&["--limit", "2"]), all[all.len() - 2..]);
    assert_eq!(show(&["--limit", "0"]), Vec::<Value>::new());
    assert_eq!(show(&["--until", "2100-01-01"]), all);
    assert_eq!(show(&["--until", "1h"]), Vec::<Value>::new());

    // Why the sessions ended, for programs and for people.
    let kill = &show(&["--event", "kill"])[0];
    assert_eq!(kill["reason"], "maintenance\u{202e}");
    let logout = &show(&["--event", "logout"])[0];
    assert_eq!(logout["reason"], "maintenance\u{202e}");
    let args = ["audit", "--event", "kill,logout"];
    let text = server.admin(&args, "").ok().out();
    assert_eq!(
        text.matches("  maintenance\u{fffd}  [").count(),
        2,
        "{text}"
    );
    let args = ["audit", "--event", "kill,logout", "--json"];
    let text = server.admin(&args, "").ok().out();
    assert_eq!(text.matches("\"maintenance\\u202e\"").count(), 2, "{text}");
}

#[test]
fn each_end_of_a_session_has_its_reason() {
    let mut server = TestServer::start();
    run_ok(server.ssh().args([HOST, "quota"]), STEP);
    drop(Connection::logged_in(&server));
    server.add_user("bob", "another secret", &[]);
    let bob = Connection::open(&server, &Options::default());
    assert!(bob.password("bob", "another secret").unwrap().success());
    server.admin(&["user", "set", "bob", "--disabled"], "").ok();
    noted(&server, "bob's logout", |one| {
        one["event"] == "logout" && one["user"] == "bob"
    });
    let last = Connection::logged_in(&server);
    last.sftp().assert_alive();
    server.stop();
    let mut reasons: Vec<_> = of_kind(&trail(&server), "logout")
        .iter()
        .map(|one| one["reason"].as_str().unwrap().to_owned())
        .collect();
    reasons.sort();
    assert_eq!(
        reasons,
        [
            "The server is stopping",
            "This account has been disabled",
            "connection closed by the client",
            "disconnected by the client",
        ]
    );
}

#[test]
fn a_command_that_there_is_not_is_noted_with_its_line() {
    let server = TestServer::start();
    for line in ["rm -rf '/x y'\u{9b}", "md5sum --version; reboot", "'open"] {
        run(server.ssh().args([HOST, line]), STEP).failed();
        let shown = line.as_bytes().escape_ascii().to_string();
        let event = noted(&server, line, |one| one["line"] == shown.as_str());
        assert_eq!(
            (&event["event"], &event["refused"]),
            (&"command".into(), &true.into())
        );
        assert!(server.log().contains(&format!("command refused: {shown}")));
    }
    run_ok(server.ssh().args([HOST, "quota"]), STEP);
    let quota = noted(&server, "quota", |one| one["line"] == "quota");
    assert_eq!(quota["refused"], Value::Null);
    let text = server
        .admin(&["audit", "--event", "command"], "")
        .ok()
        .out();
    assert!(text.contains("command   REFUSED  rm -rf"), "{text}");
    assert!(text.contains("command   quota"), "{text}");
    assert_fits_the_schema(&server);
}

#[test]
fn a_user_of_nobody_is_an_error_and_makes_no_database() {
    let server = TestServer::start();
    let stranger = Connection::open(&server, &Options::default());
    assert!(!stranger.password("mallory", "guess").unwrap().success());
    noted(&server, "the refusal", |one| one["user"] == "mallory");
    server.add_user("bob", "another secret", &[]);
    for user in ["mallory", "bob"] {
        assert_ne!(server.admin(&["audit", "--user", user], "").ok().out(), "");
    }
    // There are events of the user, but none that matches.
    let args = ["audit", "--user", USER, "--event", "kill"];
    assert_eq!(server.admin(&args, "").ok().out(), "");
    for user in ["nobody", "bo", "x\u{202e}y z"] {
        let refused = server.admin(&["audit", "--user", user], "");
        assert_eq!(
            (refused.status.code(), refused.out()),
            (Some(1), String::new())
        );
        let shown = user.replace('\u{202e}', "\u{fffd}");
        let said = format!("no user and no event has the name {shown}");
        assert!(refused.err().contains(&said), "{}", refused.err());
    }
    // An account without events, since the log is gone.
    for name in ["audit.jsonl", "audit-operations.jsonl"] {
        let _ = fs::remove_file(server.path("data").join(name));
    }
    assert_eq!(server.admin(&["audit", "--user", "bob"], "").ok().out(), "");

    let operator = Operator::new();
    operator.run(&["audit", "--user", "bob"]).refused();
    assert!(operator.names(".").is_empty(), "{:?}", operator.names("."));
}

#[test]
fn names_that_would_steer_a_terminal_are_shown_harmlessly_in_json_too() {
    let server = TestServer::start();
    let name = "/a\u{9b}2J\u{7f}\u{202e}fdp.exe\u{2066}";
    let connection = Connection::logged_in(&server);
    let mut sftp = connection.sftp();
    sftp.put(name, b"content");
    // Half an upload, for the list of sessions.
    let handle = sftp.opened(format!("{name}2"), flag::WRITE | flag::CREAT);
    assert_eq!(sftp.write(&handle, 0, b"half"), code::OK);
    noted(&server, "the upload", |one| one["path"] == name);
    let escaped = "/a\\u009b2J\\u007f\\u202efdp.exe\\u2066";
    let replaced = "/a\u{fffd}2J\u{fffd}\u{fffd}fdp.exe\u{fffd}";
    for (args, shown) in [
        (&["audit"][..], replaced),
        (&["audit", "--json"], escaped),
        (&["session", "list"], replaced),
        (&["session", "list", "--json"], escaped),
    ] {
        let said = server.admin(args, "").ok().out();
        assert!(said.contains(shown), "{args:?}: {said}");
        let steers =
            |c: char| (c.is_control() && c != '\n') || ('\u{202a}'..='\u{2069}').contains(&c);
        assert!(!said.contains(steers), "{args:?}: {said:?}");
    }
}
