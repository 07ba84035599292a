//! Listing and closing sessions, and the control socket for it.

mod frozen;

use std::fs;
use std::io::{Read as _, Write as _};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt as _;
use std::process::Command;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use crate::common::connection::{Connection, Options};
use crate::common::held::Held;
use crate::common::wire::flag;
use crate::common::{MIB, PASSWORD, STEP, TestServer, USER, bytes_of, run_ok, skip, wait_until};

/// `session list --json`.
#[track_caller]
fn sessions(server: &TestServer) -> Vec<Value> {
    let said = server.admin(&["session", "list", "--json"], "").accepted();
    let list: Value = serde_json::from_str(&said).unwrap();
    list.as_array().unwrap().clone()
}

#[track_caller]
fn ids(server: &TestServer) -> Vec<String> {
    let sessions = sessions(server).into_iter();
    sessions.map(|one| one["id"].to_string()).collect()
}

fn socket(server: &TestServer) -> std::path::PathBuf {
    server.path("data/control.sock")
}

#[test]
fn the_list_shows_who_is_there_from_where_with_what_and_since_when() {
    let server = TestServer::start();
    let none = server.admin(&["session", "list"], "").accepted();
    assert_eq!(none, "There are no open sessions\n");
    let held = Held::open(&server);
    let other = Connection::logged_in_as(
        &server,
        &Options {
            identification: "SSH-2.0-Other_2.0 of somebody",
            ..Options::default()
        },
    );
    let listed = sessions(&server);
    assert_eq!(listed.len(), 2, "{listed:?}");
    for one in &listed {
        assert_eq!(one["user"], USER);
        assert!(one["peer"].as_str().unwrap().starts_with("127.0.0.1:"));
        let since = one["since"].as_str().unwrap();
        assert!(since.starts_with("20") && since.ends_with('Z'), "{since}");
    }
    assert!(listed[0]["client"].as_str().unwrap().contains("OpenSSH"));
    assert_eq!(listed[1]["client"], "SSH-2.0-Other_2.0 of somebody");
    let table = server.admin(&["session", "list"], "").accepted();
    let lines: Vec<_> = table.lines().collect();
    assert_eq!(lines.len(), 3, "{table}");
    assert!(lines[0].starts_with("ID") && lines[0].contains("FROM"));
    assert!(lines[2].contains("SSH-2.0-Other_2.0 of somebody"));
    drop(other);
    held.leave();
    wait_until("the list is empty", STEP, || ids(&server).is_empty());
}

#[test]
fn a_connection_without_a_login_is_no_session() {
    let server = TestServer::start();
    let connection = Connection::open(&server, &Options::default());
    assert!(!connection.password(USER, "wrong").unwrap().success());
    assert!(ids(&server).is_empty());
}

#[test]
fn who_is_ended_is_told_why_and_nobody_else_notices() {
    let server = TestServer::start();
    let first = Held::open(&server);
    let mut second = Held::open(&server);
    let listed = ids(&server);
    let said = server
        .admin(
            &["session", "kill", &listed[0], "--reason", "Backups run now"],
            "",
        )
        .accepted();
    assert!(
        said.starts_with(&format!("Closed session {} of {USER} from 127", listed[0])),
        "{said}"
    );
    let output = first.ended();
    assert!(!output.status.success());
    assert!(output.err().contains("Backups run now"), "{}", output.err());
    second.assert_alive();
    wait_until("it is gone from the list", STEP, || {
        ids(&server) == listed[1..]
    });
    let log = server.log();
    assert!(log.contains("Backups run now"), "{log}");

    server
        .admin(&["session", "kill", &listed[1]], "")
        .accepted();
    let output = second.ended();
    assert!(
        output
            .err()
            .contains("The operator has closed this session")
    );

    // Ids are never reused.
    let third = Held::open(&server);
    let again = ids(&server);
    assert!(!listed.contains(&again[0]), "{listed:?} {again:?}");
    third.leave();
}

#[test]
fn all_sessions_of_a_user_are_ended_at_once() {
    let server = TestServer::start();
    server.add_user("bob", PASSWORD, &[&server.public_key()]);
    let hers: Vec<_> = (0..3).map(|_| Connection::logged_in(&server)).collect();
    let his = Connection::open(&server, &Options::default());
    assert!(his.key("bob", &server.key(), None).unwrap().success());
    let said = server
        .admin(&["session", "kill", "--user", USER], "")
        .accepted();
    assert_eq!(said.lines().count(), 3, "{said}");
    for connection in &hers {
        wait_until("hers are closed", STEP, || connection.is_closed());
    }
    assert!(!his.is_closed());
    let left = sessions(&server);
    assert_eq!((left.len(), &left[0]["user"]), (1, &"bob".into()));
    let said = server
        .admin(&["session", "kill", "--user", USER], "")
        .accepted();
    assert_eq!(said, format!("{USER} has no open session\n"));
}

#[test]
fn a_wrong_id_is_refused_and_the_right_ones_are_ended() {
    let server = TestServer::start();
    let connection = Connection::logged_in(&server);
    let id = &ids(&server)[0];
    let output = server.admin(&["session", "kill", "4711", id, "4712"], "");
    assert_eq!(output.status.code(), Some(1));
    assert!(output.out().contains(&format!("Closed session {id} ")));
    assert!(
        output
            .err()
            .contains("there is no session 4711, 4712; see:"),
        "{}",
        output.err()
    );
    wait_until("it is closed", STEP, || connection.is_closed());
    for wrong in [
        &["session", "kill"][..],
        &["session", "kill", "x"],
        &["session", "kill", "1", "--reason", ""],
        &["session", "kill", "1", "--reason", "two\nlines"],
    ] {
        assert_eq!(server.admin(wrong, "").status.code(), Some(2), "{wrong:?}");
    }
    let said = server.admin(&["session", "kill", USER], "").err();
    assert!(
        said.contains("an id is a number from `landfall session list`"),
        "{said}"
    );
    assert!(said.contains("--user") && !said.contains("digit"), "{said}");
}

#[test]
fn a_client_that_takes_nothing_any_more_is_ended_too() {
    let server = TestServer::start();
    let big = fs::File::create(server.at_home("big")).unwrap();
    big.set_len(4 << 30).unwrap();
    let mut held = Held::open(&server);
    held.say("get big");
    wait_until("the download has begun", STEP, || {
        fs::metadata(server.local("big")).is_ok_and(|found| found.len() > MIB as u64)
    });
    held.running.signal_group(Signal::STOP);
    // By then, every buffer on the way is full.
    std::thread::sleep(Duration::from_millis(500));
    let id = &ids(&server)[0];
    server.admin(&["session", "kill", id], "").accepted();
    wait_until("it is gone", Duration::from_secs(6), || {
        ids(&server).is_empty()
    });
    let open = |name: &str| {
        fs::read_dir(format!("/proc/{}/fd", server.process_id()))
            .unwrap()
            .filter_map(|entry| fs::read_link(entry.ok()?.path()).ok())
            .any(|file| file.ends_with(name))
    };
    wait_until("its file is closed", STEP, || !open("alice/big"));
}

/// Files that were only read are closed in batches; no session waits for it.
#[test]
fn what_was_read_is_closed_soon_though_the_session_goes_on() {
    let server = TestServer::start();
    let names: Vec<_> = (0..100).map(|number| format!("/f{number}")).collect();
    for name in &names {
        fs::write(server.at_home(&name[1..]), name).unwrap();
    }
    let mut sftp = Connection::logged_in(&server).sftp();
    let before = server.open_files();
    for name in names.iter().cycle().take(500) {
        assert_eq!(sftp.get(name), name.as_bytes());
        let open = server.open_files().saturating_sub(before);
        assert!(open < 64, "{open}");
    }
    wait_until("all are closed", STEP, || server.open_files() <= before);
    sftp.assert_alive();
}

/// A half-open connection, as the server sees it: no more packets arrive, and none that ends it.
#[test]
fn who_does_not_answer_any_more_is_let_go_and_who_only_waits_is_not() {
    const UPLOADED: usize = 8 * MIB;
    let server = TestServer::start_with(&[("ssh.keepalive", "\"1s\"")]);
    let big = fs::File::create(server.at_home("big")).unwrap();
    big.set_len(4 << 30).unwrap();
    fs::write(server.local("up"), bytes_of(UPLOADED, 3)).unwrap();
    let slow = ["user", "set", USER, "--upload-rate", "1MiB/s"];
    server.admin(&slow, "").ok();
    let mut waiting = Held::open(&server);
    let [mut idle, mut uploading, mut downloading] = [(); 3].map(|()| Held::open(&server));
    idle.assert_alive();
    uploading.say("put up");
    downloading.say("get big");
    for there in [server.at_home("up"), server.local("big")] {
        wait_until("the transfer has begun", STEP, || {
            fs::metadata(&there).is_ok_and(|found| found.len() > 100_000)
        });
    }
    for silent in [&idle, &uploading, &downloading] {
        silent.running.signal_group(Signal::STOP);
    }
    wait_until("those that say nothing are gone", STEP, || {
        ids(&server).len() == 1
    });
    waiting.assert_alive();
    // The received part of the upload stays, and counts.
    let stored = fs::metadata(server.at_home("up")).unwrap().len();
    let said = server
        .admin(&["quota", "show", USER, "--json"], "")
        .accepted();
    let shown: Value = serde_json::from_str(&said).unwrap();
    assert_eq!(shown[0]["used_bytes"], stored + (4 << 30));
    assert!(stored < UPLOADED as u64);
    waiting.leave();
}

#[test]
fn the_list_shows_which_file_moves_how_far_and_how_fast() {
    let server = TestServer::start();
    let connection = Connection::logged_in(&server);
    let mut sftp = connection.sftp();
    let content = bytes_of(3 * MIB, 7);
    fs::write(server.at_home("down"), &content).unwrap();
    let reading = sftp.opened("down", flag::READ);
    assert!(
        sessions(&server)[0]["transfers"]
            .as_array()
            .unwrap()
            .is_empty()
    );
    sftp.read(&reading, MIB as u64, 1000);
    let moving = &sessions(&server)[0]["transfers"][0];
    assert_eq!(moving["path"], "/down");
    assert_eq!(moving["direction"], "download");
    let figures = ["offset", "bytes", "expected"].map(|name| moving[name].as_u64().unwrap());
    assert_eq!(figures, [MIB as u64, 1000, 3 * MIB as u64]);
    let writing = sftp.opened("up", flag::WRITE | flag::CREAT);
    sftp.write(&writing, 0, &content[..20_000]);
    let listed = sessions(&server);
    let moving = &listed[0]["transfers"][1];
    assert_eq!(
        (&moving["path"], &moving["bytes"]),
        (&"/up".into(), &20_000.into())
    );
    assert_eq!(moving["direction"], "upload");
    let table = server.admin(&["session", "list"], "").accepted();
    let lines: Vec<_> = table.lines().collect();
    assert!(
        lines[1].contains("down /down") && lines[1].contains("(33%)"),
        "{table}"
    );
    assert!(
        lines[2].contains("up /up") && lines[2].ends_with("/s"),
        "{table}"
    );
    sftp.close(&reading);
    sftp.close(&writing);
    assert!(
        sessions(&server)[0]["transfers"]
            .as_array()
            .unwrap()
            .is_empty()
    );
}

#[test]
fn what_is_no_request_is_refused_and_harms_nothing() {
    let server = TestServer::start();
    for nonsense in [
        b"\n".to_vec(),
        b"{}\n".to_vec(),
        b"{\"request\":\"frobnicate\"}\n".to_vec(),
        b"{\"request\":\"kill\",\"ids\":[-1],\"user\":null,\"reason\":null}\n".to_vec(),
        [vec![b'['; 60_000], b"\n".to_vec()].concat(),
        vec![b'x'; 1 << 20],
    ] {
        let mut stream = UnixStream::connect(socket(&server)).unwrap();
        stream.set_read_timeout(Some(STEP)).unwrap();
        // The server may close the connection before the end.
        let _ = stream.write_all(&nonsense);
        let mut answer = String::new();
        let _ = stream.read_to_string(&mut answer);
        let shown = String::from_utf8_lossy(&nonsense[..nonsense.len().min(80)]);
        if nonsense.len() < 1 << 16 {
            assert!(answer.contains("unknown request"), "{shown}: {answer}");
        }
    }
    assert!(ids(&server).is_empty());
}

#[test]
fn the_socket_is_the_operators_alone_and_goes_with_the_server() {
    let mut server = TestServer::start();
    let mode = fs::metadata(socket(&server)).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    if rustix::process::geteuid().is_root() {
        // Even if somebody opens it to everybody by mistake.
        for folder in ["", "data"] {
            let open = PermissionsExt::from_mode(0o755);
            fs::set_permissions(server.path(folder), open).unwrap();
        }
        fs::set_permissions(socket(&server), PermissionsExt::from_mode(0o666)).unwrap();
        let ask = "import socket,sys; s=socket.socket(socket.AF_UNIX); s.connect(sys.argv[1]); \
                   s.sendall(b'{\"request\":\"sessions\"}\\n'); print(s.recv(100))";
        let mut stranger = Command::new("python3");
        stranger.args(["-c", ask]).arg(socket(&server));
        stranger.uid(65534).gid(65534);
        let output = crate::common::run(&mut stranger, STEP);
        let refused = output.out().trim() == "b''"
            || output.err().contains("ConnectionReset")
            || output.err().contains("BrokenPipe");
        assert!(refused, "{} {}", output.out(), output.err());
        assert!(server.log().contains("refused another user"));
    } else {
        skip("only root can try the control socket as another user");
    }
    assert!(server.stop().unwrap().success());
    assert!(!socket(&server).exists());
}

#[test]
fn without_a_server_the_commands_say_so_and_a_dead_ones_socket_is_replaced() {
    let mut server = TestServer::start();
    let refused = |server: &TestServer, args: &[&str]| {
        let words = server.admin(args, "").refused();
        assert!(words.contains("no server runs on"), "{words}");
        assert!(words.contains("landfall serve"), "{words}");
    };
    let id = i32::try_from(server.process_id()).unwrap();
    kill_process(Pid::from_raw(id).unwrap(), Signal::KILL).unwrap();
    server.stop();
    assert!(socket(&server).exists());
    refused(&server, &["session", "list"]);
    refused(&server, &["session", "kill", "1"]);
    server.serve();
    let held = Held::open(&server);
    assert_eq!(ids(&server).len(), 1);
    held.leave();
    assert!(server.stop().unwrap().success());
    refused(&server, &["session", "list"]);
}

#[test]
fn a_data_folder_with_a_long_name_has_a_socket_too() {
    let deep = format!("\"{}/{}\"", "d".repeat(120), "e".repeat(120));
    let server = TestServer::start_with(&[("server.data", &deep)]);
    let held = Held::open(&server);
    assert_eq!(ids(&server).len(), 1);
    held.leave();
    run_ok(&mut server.command(&["session", "list"]), STEP);
}
