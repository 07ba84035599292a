//! The events of the audit log.

use std::collections::BTreeSet;
use std::fs;
use std::process::Command;

use serde_json::{Value, json};

use super::{noted, of_kind, trail};
use crate::common::connection::{Connection, Options};
use crate::common::flood::{HTTP, knock, source};
use crate::common::raw::RawSftp;
use crate::common::server::{make_key, with_password};
use crate::common::wire::{Attrs, OPENDIR, code, flag};
use crate::common::{
    HOST, KIB, MIB, Running, STEP, TRANSFER, TestServer, USER, python, random_file, run, run_ok,
    sha256_of, wait_until,
};

const NEW: u32 = flag::WRITE | flag::CREAT | flag::TRUNC;

/// Removes the values that differ from run to run.
fn plain(event: &Value) -> Value {
    let mut event = event.clone();
    for field in ["time", "peer", "session", "duration_ms"] {
        assert!(event.as_object_mut().unwrap().remove(field).is_some() || field != "time");
    }
    event
}

#[test]
fn what_real_clients_and_the_operator_do_is_noted_and_fits_the_schema() {
    let mut server = TestServer::start();
    server
        .admin(&["user", "set", USER, "--quota", "1MiB"], "")
        .ok();
    fs::write(server.local("small"), "content").unwrap();
    random_file(&server.local("large"), 2 * MIB as u64, 1);
    let batch = "put small a\nget a back\nrename a b\nln b c\nln -s b d\nmkdir e\nrmdir e\nrm c\n\
                 chmod 600 b\ncp b f\n-put large\n";
    run_ok(&mut server.sftp_batch(&[], batch), STEP);
    run_ok(server.ssh().args([HOST, "md5sum", "b"]), STEP);
    run(
        with_password(&server, "wrong", "ssh").args([HOST, "quota"]),
        STEP,
    )
    .failed();
    let other = server.local("other");
    make_key(&other, &["-t", "ed25519"]);
    let stranger = Connection::open(&server, &Options::default());
    assert!(!stranger.key(USER, &other, None).unwrap().success());
    // The path of another user's home.
    let mut raw = Connection::logged_in(&server).sftp();
    let elsewhere = raw.extended("expand-path@openssh.com", |body| body.string("~bob/x"));
    assert_eq!(elsewhere.code(), code::PERMISSION_DENIED);
    server.admin(&["session", "kill", "--user", USER], "").ok();
    server.admin(&["reload"], "").ok();
    // An address that does not speak SSH is banned, and the ban is lifted.
    for _ in 0..3 {
        knock(&server, source(601), HTTP);
    }
    server.admin(&["ban", "lift", "--all"], "").ok();
    drop(raw);
    server
        .admin(
            &["user", "passwd", USER, "--password-stdin"],
            "another secret\n",
        )
        .ok();
    let public = other.with_extension("pub");
    server
        .admin(&["user", "key", "add", USER, public.to_str().unwrap()], "")
        .ok();
    server.admin(&["user", "rm", USER], "").ok();
    server.stop();

    let events = trail(&server);
    let only = |name: &str| {
        let found = of_kind(&events, name);
        assert_eq!(found.len(), 1, "{name}: {found:#?}");
        plain(found[0])
    };
    let by_alice = |mut event: Value| {
        event["user"] = json!(USER);
        event
    };
    for expected in [
        json!({"event": "download", "path": "/a", "bytes": 7, "offset": 0, "result": "complete"}),
        json!({"event": "rename", "from": "/a", "to": "/b"}),
        json!({"event": "link", "from": "/b", "to": "/c"}),
        json!({"event": "symlink", "path": "/d", "target": "b"}),
        json!({"event": "mkdir", "path": "/e"}),
        json!({"event": "rmdir", "path": "/e"}),
        json!({"event": "remove", "path": "/c"}),
        json!({"event": "copy", "from": "/b", "to": "/f"}),
        json!({"event": "command", "line": "md5sum b"}),
    ] {
        assert_eq!(
            only(expected["event"].as_str().unwrap()),
            by_alice(expected)
        );
    }
    // The target of `cp` is not an upload, and the upload that did not fit has failed.
    let uploads = of_kind(&events, "upload");
    let uploads: Vec<_> = uploads
        .iter()
        .map(|one| (&one["path"], &one["result"]))
        .collect();
    let expected = [
        (json!("/a"), json!("complete")),
        (json!("/large"), json!("failed")),
    ];
    assert_eq!(
        uploads,
        expected
            .iter()
            .map(|(path, result)| (path, result))
            .collect::<Vec<_>>()
    );
    let modes = of_kind(&events, "setstat");
    assert!(
        modes
            .iter()
            .any(|one| one["path"] == "/b" && one["mode"] == "0600"),
        "{modes:#?}"
    );
    // All pipelined writes are one refusal.
    let refused: Vec<_> = of_kind(&events, "refused")
        .iter()
        .map(|one| plain(one))
        .collect();
    assert_eq!(refused.len(), 2, "{refused:#?}");
    assert_eq!(
        (&refused[0]["action"], &refused[0]["reason"]),
        (&json!("write"), &json!("quota"))
    );
    let message = refused[0]["message"].as_str().unwrap();
    assert!(message.starts_with("Quota exceeded: "), "{message}");
    let elsewhere = json!({
        "event": "refused", "user": USER, "action": "find_home", "path": "/bob",
        "reason": "permission", "message": "Only your own home directory is known here",
    });
    assert_eq!(refused[1], elsewhere);

    // Logins: with the key, with a wrong password, with an unknown key.
    let logins = of_kind(&events, "login");
    let shown = run_ok(
        Command::new("ssh-keygen")
            .arg("-lf")
            .arg(server.public_key()),
        STEP,
    )
    .out();
    let fingerprint = shown.split_whitespace().nth(1).unwrap();
    assert_eq!(logins[0]["key"], fingerprint);
    assert_eq!(logins[0]["ok"], true);
    let client = |one: &Value| one["client"].as_str().unwrap().to_owned();
    assert!(client(logins[0]).starts_with("SSH-2.0-OpenSSH"));
    // Refused ones, too.
    assert!(logins.iter().all(|one| client(one).starts_with("SSH-2.0-")));
    let refusals: BTreeSet<_> = logins
        .iter()
        .filter(|one| one["ok"] == false)
        .map(|one| {
            (
                one["method"].as_str().unwrap(),
                one["reason"].as_str().unwrap(),
            )
        })
        .collect();
    assert!(
        refusals.contains(&("keyboard-interactive", "wrong password")),
        "{logins:#?}"
    );
    assert!(
        refusals.contains(&("publickey", "unknown key")),
        "{logins:#?}"
    );
    let session = &logins[0]["session"];
    let logout = events
        .iter()
        .find(|one| one["event"] == "logout" && one["session"] == *session);
    let logout = plain(logout.unwrap());
    assert_eq!(
        (&logout["downloaded_bytes"], &logout["downloaded_files"]),
        (&json!(7), &json!(1))
    );
    assert_eq!(logout["uploaded_files"], 2);

    // The operator with their name.
    let accounts = of_kind(&events, "account");
    let actions: Vec<_> = accounts
        .iter()
        .map(|one| one["action"].as_str().unwrap())
        .collect();
    assert_eq!(actions, ["add", "set", "password", "key_add", "remove"]);
    let uid = rustix::process::getuid().as_raw();
    assert!(
        accounts
            .iter()
            .all(|one| one["name"] == USER && one["operator"]["uid"] == uid)
    );
    assert!(
        accounts[1]["message"].as_str().unwrap().contains("1MiB"),
        "{accounts:#?}"
    );
    assert_eq!(
        (
            of_kind(&events, "start").len(),
            of_kind(&events, "stop").len()
        ),
        (1, 1)
    );

    let killed = of_kind(&events, "kill")[0];
    assert_eq!(killed["name"], USER);
    assert_eq!(killed["operator"]["uid"], uid);
    let ended = events
        .iter()
        .find(|one| one["event"] == "logout" && one["session"] == killed["killed"]);
    assert!(ended.is_some(), "{events:#?}");
    let kinds: BTreeSet<_> = events
        .iter()
        .map(|one| one["event"].as_str().unwrap())
        .collect();
    let rare = BTreeSet::from(["lost"]);
    let all: BTreeSet<_> = landfall::observe::audit::KINDS.iter().copied().collect();
    assert_eq!(
        all.difference(&kinds).copied().collect::<BTreeSet<_>>(),
        rare
    );
    assert_fits_the_schema(&server);
}

#[track_caller]
pub(super) fn assert_fits_the_schema(server: &TestServer) {
    let Some(python) = python() else { return };
    let root = env!("CARGO_MANIFEST_DIR");
    for stream in [super::ACCESS, super::OPERATIONS] {
        let file = server.path("data").join(format!("{stream}.jsonl"));
        if fs::metadata(&file).unwrap().len() == 0 {
            continue;
        }
        let mut check = Command::new(python);
        check
            .arg(format!("{root}/tests/clients/audit_schema.py"))
            .arg(format!("{root}/docs/audit.schema.json"))
            .arg(file);
        run_ok(&mut check, STEP);
    }
}

#[test]
fn names_in_bytes_are_noted_without_loss() {
    let server = TestServer::start();
    let mut sftp = Connection::logged_in(&server).sftp();
    let names: [&[u8]; 4] = [
        b"caf\xe9\xff",
        b"back\\slash",
        b"new\nline \"x\"",
        "é".as_bytes(),
    ];
    for name in names {
        let file = sftp.opened(name, NEW);
        assert_eq!(sftp.write(&file, 0, b"x"), code::OK);
        assert_eq!(sftp.close(&file), code::OK);
    }
    let shown = ["/caf\\xe9\\xff", "/back\\\\slash", "/new\nline \"x\"", "/é"];
    for path in shown {
        noted(&server, path, |one| {
            one["event"] == "upload" && one["path"] == path
        });
    }
    assert_fits_the_schema(&server);
}

#[test]
fn a_client_that_is_killed_has_cut_its_transfer() {
    let server = TestServer::start();
    let size = 8 * MIB as u64;
    random_file(&server.local("up"), size, 1);
    random_file(&server.at_home("down"), size, 2);
    // 8000 kbit/s: some seconds for 8 MiB.
    for (number, old_protocol) in [(0, false), (1, true)] {
        for (kind, from, to) in [
            ("upload", "up".to_owned(), format!("{HOST}:up{number}")),
            ("download", format!("{HOST}:down"), format!("down{number}")),
        ] {
            let before = trail(&server).len();
            let mut scp = server.scp();
            scp.args(["-l", "8000"])
                .args(old_protocol.then_some("-O"))
                .args([&from, &to]);
            let scp = Running::start(&mut scp);
            let place = match kind {
                "upload" => server.at_home(&format!("up{number}")),
                _ => server.local(&format!("down{number}")),
            };
            wait_until("some of it has come", STEP, || {
                fs::metadata(&place).is_ok_and(|found| found.len() > 200 * KIB as u64)
            });
            scp.kill();
            let mut cut = None;
            wait_until("the cut is noted", STEP, || {
                let events = trail(&server).split_off(before);
                cut = of_kind(&events, kind).first().map(|one| (*one).clone());
                cut.is_some()
            });
            let cut = cut.unwrap();
            let bytes = cut["bytes"].as_u64().unwrap();
            assert_eq!(cut["result"], "cut", "{cut}");
            assert!(bytes > 0 && bytes < size, "{cut}");
        }
    }
}

#[test]
fn a_resumed_transfer_tells_where_it_went_on() {
    let server = TestServer::start();
    random_file(&server.local("f"), 100_000, 1);
    let content = fs::read(server.local("f")).unwrap();
    fs::write(server.at_home("f"), &content[..60_000]).unwrap();
    run_ok(&mut server.sftp_batch(&[], "reput f\n"), TRANSFER);
    fs::write(server.local("g"), &content[..30_000]).unwrap();
    run_ok(&mut server.sftp_batch(&[], "reget f g\n"), TRANSFER);
    let upload = noted(&server, "the upload", |one| one["event"] == "upload");
    assert_eq!(
        (&upload["offset"], &upload["bytes"], &upload["result"]),
        (&json!(60_000), &json!(40_000), &json!("complete"))
    );
    let download = noted(&server, "the download", |one| one["event"] == "download");
    assert_eq!(
        (&download["offset"], &download["bytes"], &download["result"]),
        (&json!(30_000), &json!(70_000), &json!("complete"))
    );
    // A client that reads only the beginning has not read all of it.
    let mut sftp = Connection::logged_in(&server).sftp();
    let file = sftp.opened("/f", flag::READ);
    assert_eq!(sftp.read(&file, 0, 1000).data().len(), 1000);
    assert_eq!(sftp.close(&file), code::OK);
    noted(&server, "a part", |one| {
        one["event"] == "download" && one["result"] == "partial"
    });
}

#[test]
fn files_without_a_byte_are_noted_and_files_that_are_only_looked_at_are_not() {
    let server = TestServer::start();
    fs::write(server.local("empty"), "").unwrap();
    run_ok(
        server.scp().args(["-O", "empty", &format!("{HOST}:a")]),
        STEP,
    );
    run_ok(server.scp().args(["empty", &format!("{HOST}:b")]), STEP);
    run_ok(server.scp().args(["-O", &format!("{HOST}:a"), "c"]), STEP);
    let mut sftp = Connection::logged_in(&server).sftp();
    fs::write(server.at_home("full"), "full").unwrap();
    let file = sftp.opened("/full", flag::READ | flag::WRITE);
    assert_eq!(sftp.close(&file), code::OK);
    let hash = sftp.extended("check-file-name", |body| {
        body.string("/full").string("md5").u64(0).u64(0).u32(0)
    });
    assert!(!hash.extended().is_empty());
    assert_eq!(sftp.mkdir("/last"), code::OK);
    noted(&server, "the last", |one| one["event"] == "mkdir");
    let moved: Vec<_> = trail(&server)
        .into_iter()
        .filter(|one| one["event"] == "upload" || one["event"] == "download")
        .map(|one| format!("{} {} {}", one["event"], one["path"], one["result"]))
        .collect();
    let expected = [
        "\"upload\" \"/a\" \"complete\"",
        "\"upload\" \"/b\" \"complete\"",
        "\"download\" \"/a\" \"complete\"",
    ];
    assert_eq!(moved, expected);
}

#[test]
fn hashes_are_noted_when_they_are_asked_for() {
    let server = TestServer::start_with(&[("audit.sha256", "true")]);
    random_file(&server.local("f"), 300_000, 1);
    let expected = sha256_of(&server.local("f"));
    run_ok(&mut server.sftp_batch(&[], "put f\nget f g\n"), STEP);
    for kind in ["upload", "download"] {
        let moved = noted(&server, kind, |one| one["event"] == kind);
        assert_eq!(moved["sha256"], expected.as_str(), "{moved}");
    }
    // Not for an interrupted transfer.
    let connection = Connection::logged_in(&server);
    let mut sftp = connection.sftp();
    let file = sftp.opened("/cut", NEW);
    assert_eq!(sftp.write(&file, 0, b"some"), code::OK);
    sftp.send_eof();
    let cut = noted(&server, "the cut", |one| {
        one["path"] == "/cut" && one["event"] == "upload"
    });
    assert_eq!(
        (&cut["result"], &cut["sha256"]),
        (&json!("cut"), &Value::Null)
    );
    assert_fits_the_schema(&server);
}

#[test]
fn attributes_are_noted_as_they_were_asked_for() {
    let server = TestServer::start();
    let mut sftp: RawSftp = Connection::logged_in(&server).sftp();
    sftp.put("/f", b"12345");
    let attrs = Attrs {
        size: Some(3),
        permissions: Some(0o640),
        times: Some((1, 2)),
        ..Attrs::default()
    };
    assert_eq!(sftp.setstat("/f", &attrs), code::OK);
    let change = noted(&server, "the change", |one| one["event"] == "setstat");
    let expected = json!({
        "event": "setstat", "user": USER, "path": "/f", "size": 3, "mode": "0640", "mtime": 2,
    });
    assert_eq!(plain(&change), expected);
    // A failed operation is not recorded.
    assert_eq!(sftp.setstat("/missing", &attrs), code::NO_SUCH_FILE);
    let body = sftp.body(OPENDIR).string("/missing");
    assert_eq!(sftp.ask(&body).code(), code::NO_SUCH_FILE);
    assert_eq!(sftp.mkdir("/last"), code::OK);
    noted(&server, "the last", |one| one["event"] == "mkdir");
    assert!(of_kind(&trail(&server), "refused").is_empty());
}

#[test]
fn what_config_declares_and_a_signal_takes_up_is_noted() {
    let mut server = TestServer::start();
    assert!(server.stop().unwrap().success());
    let config = server.path("config.toml");
    let plain = fs::read_to_string(&config).unwrap();
    let declare = |users: &str| fs::write(&config, format!("{plain}\n{users}")).unwrap();
    declare("[user.anna]\n");
    server.serve();
    let changed = |action: &str, message: &str| {
        let account = noted(&server, action, |one| {
            one["event"] == "account" && one["action"] == action && one["name"] == "anna"
        });
        assert!(account["message"].as_str().unwrap().starts_with(message));
        assert_eq!(account.get("operator"), None);
    };
    changed("add", "Added: declared in config.toml");

    declare("[user.anna]\nquota = \"1MiB\"\n");
    server.hang_up();
    changed("set", "Changed: declared in config.toml");
    let by_signal = noted(&server, "the reload", |one| one["event"] == "reload");
    assert_eq!(by_signal.get("operator"), None);
    let told = by_signal["message"].as_str().unwrap();
    assert!(told.contains("declared users changed: anna"), "{told}");

    // A command records its operator, once.
    declare("");
    server.admin(&["reload"], "").ok();
    changed("remove", "Removed");
    let by_command = noted(&server, "the other", |one| {
        one["event"] == "reload" && one.get("operator").is_some()
    });
    assert!(by_command["message"].as_str().unwrap().contains("anna"));
    assert_eq!(of_kind(&trail(&server), "reload").len(), 2);
    assert_fits_the_schema(&server);

    // A refused reload changes nothing, and is in the log.
    fs::write(&config, "nonsense").unwrap();
    server.hang_up();
    wait_until("the log says so", STEP, || {
        server.log().contains("reload refused")
    });
    assert_eq!(of_kind(&trail(&server), "reload").len(), 2);
}

#[test]
fn a_command_that_fails_half_way_is_noted_with_what_it_has_done() {
    let server = TestServer::start();
    fs::write(server.path("file"), "").unwrap();
    let set = [
        "user",
        "set",
        USER,
        "--quota",
        "1GiB",
        "--home",
        "file/home",
    ];
    let failed = server.admin(&set, "").failed();
    assert!(
        failed.out().contains("The quota of alice is 1GiB"),
        "{}",
        failed.describe()
    );
    let event = noted(&server, "what was done", |one| one["action"] == "set");
    let message = event["message"].as_str().unwrap();
    assert!(
        message.starts_with("The quota of alice is 1GiB") && message.contains("then failed: "),
        "{message}"
    );
    // Nothing was done, and nothing is recorded.
    let set = ["user", "set", USER, "--home", "file/home"];
    server.admin(&set, "").failed();
    server
        .admin(&["user", "set", USER, "--max-sessions", "7"], "")
        .ok();
    noted(&server, "the next one", |one| {
        one["action"] == "set"
            && one["message"]
                .as_str()
                .unwrap()
                .contains("Concurrent sessions of")
    });
    let sets = trail(&server)
        .into_iter()
        .filter(|one| one["action"] == "set");
    assert_eq!(sets.count(), 2);
}
