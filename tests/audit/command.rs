//! `landfall audit`.

use std::fs;

use super::noted;
use crate::common::connection::Connection;
use crate::common::wire::code;
use crate::common::{Running, STEP, TestServer, USER, wait_until};

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
    // For programs: the lines themselves.
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
    // By time, whichever file they are in.
    assert!(
        shown.is_sorted_by_key(|line| line[..40].to_owned()),
        "{json}"
    );
    lines.sort();
    shown.sort();
    assert_eq!(shown, lines);
    // What a command has said in lines is one here.
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
