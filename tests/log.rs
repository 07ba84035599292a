//! The log: its formats, secrets that must not be in it, and that no session waits for its reader.

use std::fs::{self, File};
use std::io::Read as _;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use crate::common::connection::{Connection, Options};
use crate::common::server::{make_key, with_password};
use crate::common::wire::{code, flag};
use crate::common::{
    HOST, MIB, PASSWORD, STEP, TestServer, USER, metrics, python, run, run_ok, skip, wait_until,
};
use crate::disks::small::SmallDisk;
use serde_json::Value;

/// The socket of systemd's journal.
const JOURNAL: &str = "/run/systemd/journal/socket";

#[test]
fn as_json_each_line_is_an_object_with_its_fields() {
    let mut server = TestServer::start_with(&[("log.format", "\"json\"")]);
    Connection::logged_in(&server)
        .sftp()
        .put("/f\n\"x\"", b"content");
    server.stop();
    let log = server.log();
    let lines: Vec<Value> = log
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let login = lines
        .iter()
        .find(|line| line["message"] == "login")
        .unwrap();
    assert_eq!(
        (&login["level"], &login["user"]),
        (&"INFO".into(), &USER.into())
    );
    let upload = lines
        .iter()
        .find(|line| line["message"] == "upload complete")
        .unwrap();
    assert_eq!(upload["bytes"], 7);
}

#[test]
fn as_text_it_has_colours_for_nobody_but_a_terminal() {
    let server = TestServer::start();
    drop(Connection::logged_in(&server));
    let log = server.log();
    assert!(
        log.contains("INFO landfall::session: login user=\"alice\""),
        "{log}"
    );
    assert!(!log.contains('\x1b'), "{log}");
}

/// Returns the lines with this message, as JSON.
fn lines(log: &str, message: &str) -> Vec<Value> {
    let lines = log.lines().map(|line| serde_json::from_str(line).unwrap());
    lines
        .filter(|line: &Value| line["message"] == message)
        .collect()
}

#[test]
fn a_transfer_has_its_result_and_a_session_its_end() {
    let mut server = TestServer::start_with(&[("log.format", "\"json\"")]);
    let quota = ["user", "set", USER, "--quota", "1MiB", "--max-files", "9"];
    server.admin(&quota, "").ok();
    let connection = Connection::logged_in(&server);
    let mut sftp = connection.sftp();
    sftp.put("/whole", &[1; 100]);
    sftp.get("/whole");
    let file = sftp.opened("/large", flag::WRITE | flag::CREAT);
    assert_eq!(sftp.write(&file, 0, b"some"), code::OK);
    assert_eq!(sftp.write(&file, 2 * MIB as u64, b"x"), code::FAILURE);
    sftp.close(&file);
    let file = sftp.opened("/cut", flag::WRITE | flag::CREAT);
    assert_eq!(sftp.write(&file, 0, b"abc"), code::OK);
    drop((sftp, connection));
    wait_until("the session is closed", STEP, || {
        server.log().contains("\"logout\"")
    });
    server.stop();
    let log = server.log();
    let login = &lines(&log, "login")[0];
    for (message, level, path, bytes, reason) in [
        ("upload complete", "INFO", "/whole", 100, None),
        ("download complete", "INFO", "/whole", 100, None),
        ("upload failed", "WARN", "/large", 4, Some("Quota exceeded")),
        ("upload cut", "WARN", "/cut", 3, Some("the session ended")),
    ] {
        let found = lines(&log, message);
        assert_eq!(found.len(), 1, "{message}: {log}");
        let line = &found[0];
        assert_eq!(line["level"], level, "{line}");
        assert_eq!(
            (&line["path"], &line["bytes"]),
            (&path.into(), &bytes.into())
        );
        assert_eq!(line["result"], message.split_once(' ').unwrap().1);
        assert_eq!(
            (&line["user"], &line["session"]),
            (&USER.into(), &login["session"])
        );
        assert!(line["duration_ms"].is_u64(), "{line}");
        let told = line["reason"].as_str();
        assert_eq!(told.is_some(), reason.is_some(), "{line}");
        assert!(
            told.unwrap_or_default()
                .starts_with(reason.unwrap_or_default()),
            "{line}"
        );
    }
    let logout = &lines(&log, "logout")[0];
    assert_eq!(logout["session"], login["session"]);
    assert_eq!(
        (&logout["uploaded_bytes"], &logout["downloaded_bytes"]),
        (&107.into(), &100.into())
    );
    // Ordinary events of each start are logged at debug.
    assert!(!log.contains("counting the files"), "{log}");
}

#[test]
fn a_write_to_a_full_disk_is_in_the_log() {
    let Some(disk) = SmallDisk::mount("log", "size=1m,mode=700") else {
        return;
    };
    let server = TestServer::start();
    let home = disk.home();
    let add = [
        "user",
        "add",
        "bob",
        "--password-stdin",
        "--home",
        home.to_str().unwrap(),
    ];
    server.admin(&add, "password of bob\n").ok();
    let connection = Connection::open(&server, &Options::default());
    assert!(
        connection
            .password("bob", "password of bob")
            .unwrap()
            .success()
    );
    let mut sftp = connection.sftp();
    let file = sftp.opened("/f", flag::WRITE | flag::CREAT);
    disk.fill(MIB - 64 * 1024);
    for number in 0..8 {
        sftp.write(&file, number * 32_000, &[1; 32_000]);
    }
    sftp.close(&file);
    let log = server.log();
    for message in ["write failed", "upload failed"] {
        let lines: Vec<_> = log.lines().filter(|line| line.contains(message)).collect();
        assert_eq!(lines.len(), 1, "{log}");
        assert!(
            lines[0].contains("WARN") && lines[0].contains("reason=\"No space left"),
            "{lines:?}"
        );
    }
}

#[test]
fn in_the_journal_entries_have_their_fields() {
    let path = Path::new(JOURNAL);
    if path.exists() || fs::create_dir_all(path.parent().unwrap()).is_err() {
        skip("a journal is here already, or its folder cannot be made");
        return;
    }
    // Without a journal the server says what to do.
    let without = TestServer::start();
    fs::write(without.path("other.toml"), "[log]\nformat = \"journald\"\n").unwrap();
    let refused = without
        .admin(&["--config", "other.toml", "serve"], "")
        .failed();
    assert!(
        refused
            .err()
            .contains("cannot connect to systemd's journal"),
        "{}",
        refused.err()
    );

    let journal = UnixDatagram::bind(path).unwrap();
    let _gone_afterwards = Journal(path);
    journal.set_read_timeout(Some(STEP)).unwrap();
    let server = TestServer::start_with(&[("log.format", "\"journald\"")]);
    drop(Connection::logged_in(&server));
    let mut entry = [0; 4096];
    let login = loop {
        let length = journal.recv(&mut entry).unwrap();
        let text = String::from_utf8_lossy(&entry[..length]).into_owned();
        if text.contains("login\n") && text.contains("F_METHOD") {
            break text;
        }
    };
    assert!(
        login.contains("alice") && login.contains("F_USER"),
        "{login:?}"
    );
    assert!(
        login.contains("SYSLOG_IDENTIFIER") && login.contains("PRIORITY"),
        "{login:?}"
    );
    assert_eq!(server.log(), "");

    // A journal that does not read: its socket accepts a few entries, and then none.
    for _ in 0..30 {
        let connection = Connection::logged_in(&server);
        assert_eq!(connection.sftp().mkdir("/f"), code::OK);
        fs::remove_dir(server.at_home("f")).unwrap();
    }
    // Once it reads again, it gets all of them.
    let mut logins = 0;
    while logins < 30 {
        let length = journal.recv(&mut entry).unwrap();
        let text = String::from_utf8_lossy(&entry[..length]);
        logins += usize::from(text.contains("login\n") && text.contains("F_METHOD"));
    }
}

#[test]
fn a_log_that_nobody_reads_stops_nobody_and_says_afterwards_what_was_dropped() {
    // The address of the metrics is in the log, which cannot be read here.
    let free = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let port = free.local_addr().unwrap().port();
    drop(free);
    let told = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let listen = format!("\"{port}\"");
    let settings = [
        ("log.level", "\"debug\""),
        ("metrics.listen", listen.as_str()),
    ];
    let mut server = TestServer::start_with(&settings);
    server.stop();
    let fifo = server.path("log");
    fs::remove_file(&fifo).unwrap();
    run_ok(Command::new("mkfifo").arg(&fifo), STEP);
    // A pipe with a reader that does not read.
    let mut pipe = File::options().read(true).write(true).open(&fifo).unwrap();
    server.serve();
    // A failing test would wait for the log, too.
    fs::remove_file(&fifo).unwrap();

    let dropped = || metrics::value_at(told, "landfall_log_dropped_total");
    let began = Instant::now();
    let mut sftp = Connection::logged_in(&server).sftp();
    let path = format!("/{}", "n".repeat(250)).repeat(16);
    while dropped() < 100.0 {
        // One line each.
        for _ in 0..200 {
            assert_eq!(sftp.mkdir(&path), code::NO_SUCH_FILE);
        }
        assert!(began.elapsed() < 3 * STEP, "nothing was dropped");
    }
    for _ in 0..20 {
        drop(Connection::logged_in(&server));
    }
    let memory = server.memory_kib("VmRSS");
    assert!(memory < 100 * 1024, "{memory} KiB");

    // It is read again.
    let read = thread::spawn(move || {
        let (mut text, mut piece) = (String::new(), vec![0; 1 << 20]);
        loop {
            let length = pipe.read(&mut piece).unwrap();
            text.push_str(&String::from_utf8_lossy(&piece[..length]));
            if let Some((_, rest)) = text.split_once("log lines were dropped since the start")
                && let Some((line, _)) = rest.split_once('\n')
            {
                let (_, number) = line.split_once("dropped=").unwrap();
                return (number.parse::<f64>().unwrap(), pipe);
            }
            let keep = text.rfind('\n').unwrap_or(0);
            text.drain(..keep);
        }
    });
    wait_until("it says what was dropped", STEP, || read.is_finished());
    let (said, pipe) = read.join().unwrap();
    assert_eq!(said, dropped());

    // Nor does it delay the end of the server.
    while dropped() == said {
        for _ in 0..200 {
            assert_eq!(sftp.mkdir(&path), code::NO_SUCH_FILE);
        }
    }
    assert!(server.stop().unwrap().success());
    drop(pipe);
}

struct Journal<'a>(&'a Path);

impl Drop for Journal<'_> {
    fn drop(&mut self) {
        let _ = fs::remove_file(self.0);
    }
}

/// A secret in every form in which it could be logged.
fn forms(secret: &[u8]) -> Vec<Vec<u8>> {
    let numbers: Vec<_> = secret.iter().map(u8::to_string).collect();
    let hex = |separator: &str| {
        let digits: Vec<_> = secret.iter().map(|byte| format!("{byte:02x}")).collect();
        digits.join(separator).into_bytes()
    };
    vec![
        secret.to_vec(),
        numbers.join(", ").into_bytes(),
        hex(""),
        hex(" "),
        hex(", "),
        hex(":"),
    ]
}

/// Of a private key: the lines of its file, and the secret number itself.
fn parts_of_key(path: &Path) -> Vec<Vec<u8>> {
    let text = fs::read_to_string(path).unwrap();
    // The first lines contain the public key.
    let lines: Vec<_> = text
        .lines()
        .filter(|line| !line.starts_with("---"))
        .skip(2)
        .collect();
    let mut parts: Vec<_> = lines.iter().map(|line| line.as_bytes().to_vec()).collect();
    let key = russh::keys::load_secret_key(path, None).unwrap();
    let seed = key.key_data().ed25519().unwrap().private.to_bytes();
    parts.extend(forms(&seed));
    parts
}

#[test]
fn what_clients_send_beside_the_standard_is_no_error() {
    let Some(python) = python() else {
        return;
    };
    let mut server = TestServer::start();
    // phpseclib answers the announcement of host keys, which wants no reply, with SSH_MSG_REQUEST_FAILURE.
    const SCRIPT: &str = "
import sys, paramiko
host, port, user, password = sys.argv[1:]
transport = paramiko.Transport((host, int(port)))
transport.connect(username=user, password=password)
answer = paramiko.Message()
answer.add_byte(bytes([82]))
transport._send_user_message(answer)
# PuTTY asks for this now and then, to measure the delay.
channel = transport.open_session()
request = paramiko.Message()
request.add_byte(bytes([98]))
request.add_int(channel.remote_chanid)
request.add_string('winadj@putty.projects.tartarus.org')
request.add_boolean(True)
transport._send_user_message(request)
assert paramiko.SFTPClient.from_transport(transport).listdir() == []
transport.close()
";
    let mut client = Command::new(python);
    client.args(["-c", SCRIPT, "127.0.0.1", &server.port().to_string(), USER]);
    run_ok(client.arg(PASSWORD), STEP);
    server.stop();
    let log = server.log();
    assert!(!log.contains("ERROR") && !log.contains("russh"), "{log}");
    assert!(log.contains("login"), "{log}");
}

#[test]
fn no_password_and_no_private_key_stands_anywhere_at_the_level_of_trace() {
    for format in ["\"text\"", "\"json\""] {
        let settings = [
            ("log.level", "\"trace\""),
            ("log.format", format),
            ("audit.sha256", "true"),
        ];
        let mut server = TestServer::start_with(&settings);
        let other = server.local("other");
        make_key(&other, &["-t", "ed25519"]);
        let wrong = [
            "wrong-horse-battery",
            "for-nobody-at-all",
            "given-by-hand-once",
        ];
        // In all ways, right and wrong.
        let open = || Connection::open(&server, &Options::default());
        assert!(open().password(USER, PASSWORD).unwrap().success());
        assert!(open().keyboard_interactive(USER, PASSWORD).unwrap());
        assert!(!open().password(USER, wrong[0]).unwrap().success());
        assert!(!open().keyboard_interactive(USER, wrong[0]).unwrap());
        assert!(!open().password("nobody", wrong[1]).unwrap().success());
        assert!(!open().key(USER, &other, None).unwrap().success());
        Connection::logged_in(&server).sftp().put("/f", b"content");
        run_ok(
            with_password(&server, PASSWORD, "ssh").args([HOST, "quota"]),
            STEP,
        );
        run(
            with_password(&server, wrong[0], "ssh").args([HOST, "quota"]),
            STEP,
        )
        .failed();
        let said = [
            server.admin(
                &["user", "add", "bob", "--password-stdin"],
                "of-bob-alone\n",
            ),
            server.admin(
                &["user", "passwd", "bob", "--password-stdin"],
                "given-by-hand-once\n",
            ),
            server.admin(&["user", "show", "bob", "--json"], ""),
            server.admin(&["audit"], ""),
        ];
        assert!(!open().password("bob", wrong[0]).unwrap().success());
        std::thread::sleep(Duration::from_millis(200));
        server.stop();

        let mut secrets = Vec::new();
        for password in [PASSWORD, "of-bob-alone"].iter().chain(&wrong) {
            secrets.extend(forms(password.as_bytes()));
        }
        for key in [
            server.key(),
            other,
            server.path("keys/ssh_host_ed25519_key"),
        ] {
            secrets.extend(parts_of_key(&key));
        }
        let mut texts = vec![
            ("the log".to_owned(), server.log().into_bytes()),
            (
                "the output".to_owned(),
                server.stdout_lines().join("\n").into_bytes(),
            ),
        ];
        for said in said {
            let said = said.ok();
            texts.push(("a command".to_owned(), [said.stdout, said.stderr].concat()));
        }
        for entry in fs::read_dir(server.path("data")).unwrap() {
            let path = entry.unwrap().path();
            if path.is_file() {
                texts.push((path.display().to_string(), fs::read(&path).unwrap()));
            }
        }
        assert!(texts.iter().any(|(name, _)| name.ends_with("audit.jsonl")));
        let log = &texts[0].1;
        assert!(
            log.len() > 10_000 && contains(log, b"DEBUG"),
            "this looked at nothing"
        );
        for secret in &secrets {
            for (name, text) in &texts {
                let shown = String::from_utf8_lossy(secret);
                assert!(!contains(text, secret), "{shown:?} stands in {name}");
            }
        }
    }
}

fn contains(text: &[u8], part: &[u8]) -> bool {
    text.windows(part.len()).any(|window| window == part)
}
