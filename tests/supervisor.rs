//! Under systemd: notifications, and the sockets that systemd passes.

use std::fs;
use std::net::{Ipv4Addr, TcpListener};
use std::os::unix::net::UnixDatagram;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::common::operator::Operator;
use crate::common::{Running, STEP, database, have, run_ok, wait_until};
use rustix::process::{Pid, Signal};

/// A `landfall serve` in an operator's folder, started as systemd would.
struct Service(Child);

impl Service {
    fn start(command: &mut Command) -> Self {
        let quiet = command.stdout(Stdio::piped()).stderr(Stdio::piped());
        Self(quiet.spawn().unwrap())
    }

    fn terminate(&self) {
        rustix::process::kill_process(Pid::from_child(&self.0), Signal::TERM).unwrap();
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn receive(socket: &UnixDatagram) -> String {
    let mut message = [0; 1024];
    let length = socket.recv(&mut message).unwrap();
    String::from_utf8_lossy(&message[..length]).into_owned()
}

#[test]
fn systemd_is_told_of_readiness_of_life_and_of_the_end() {
    let operator = Operator::with_config("[server]\nlisten = [\"127.0.0.1:0\"]\n");
    let path = operator.path("notify");
    let socket = UnixDatagram::bind(&path).unwrap();
    socket.set_read_timeout(Some(STEP)).unwrap();
    let mut service = Service::start(
        operator
            .command(&["serve"])
            .env("NOTIFY_SOCKET", &path)
            .env("WATCHDOG_USEC", "1000000"),
    );
    assert!(receive(&socket).contains("READY=1"));
    let begin = Instant::now();
    for _ in 0..4 {
        assert!(receive(&socket).contains("WATCHDOG=1"));
    }
    // Twice in systemd's waiting time.
    assert!(begin.elapsed() < Duration::from_secs(4));
    service.terminate();
    while !receive(&socket).contains("STOPPING=1") {}
    assert!(service.0.wait().unwrap().success());
}

/// Waits for the thread with this name; a thread gets its name shortly after it starts.
fn thread(process: u32, name: &str) -> String {
    let named = || {
        let threads = fs::read_dir(format!("/proc/{process}/task")).unwrap();
        threads.map(|thread| thread.unwrap().path()).find(|path| {
            fs::read_to_string(path.join("comm")).is_ok_and(|comm| comm.trim() == name)
        })
    };
    let mut found = None;
    wait_until("the thread has its name", STEP, || {
        found = named();
        found.is_some()
    });
    found
        .unwrap()
        .file_name()
        .unwrap()
        .to_str()
        .unwrap()
        .to_owned()
}

#[test]
fn a_shard_that_hangs_is_told_by_silence() {
    if !have(&["strace"]) {
        return;
    }
    let operator = Operator::with_config("[server]\nlisten = [\"127.0.0.1:0\"]\nshards = 2\n");
    let path = operator.path("notify");
    let socket = UnixDatagram::bind(&path).unwrap();
    socket.set_read_timeout(Some(STEP)).unwrap();
    let service = Service::start(
        operator
            .command(&["serve"])
            .env("NOTIFY_SOCKET", &path)
            .env("WATCHDOG_USEC", "1000000"),
    );
    while !receive(&socket).contains("WATCHDOG=1") {}
    // One of two shards hangs in a system call.
    let mut strace = Command::new("strace");
    strace.args(["-qq", "-e", "inject=epoll_wait:delay_enter=60000000", "-p"]);
    strace.arg(thread(service.0.id(), "shard-1"));
    let holder = Service::start(&mut strace);
    let mut silent = 0;
    for _ in 0..100 {
        socket
            .set_read_timeout(Some(Duration::from_millis(1500)))
            .unwrap();
        match socket.recv(&mut [0; 64]) {
            Ok(_) => silent = 0,
            Err(_) => silent += 1,
        }
        if silent == 2 {
            break;
        }
    }
    assert_eq!(silent, 2, "signs of life of a server with a dead shard");
    drop(holder);
    // Notifications continue when the shard does.
    socket.set_read_timeout(Some(STEP)).unwrap();
    while !receive(&socket).contains("WATCHDOG=1") {}
}

#[test]
fn a_server_whose_shard_dies_ends_with_an_error_so_that_it_is_started_anew() {
    if !have(&["strace"]) {
        return;
    }
    let operator = Operator::with_config("[server]\nlisten = [\"127.0.0.1:0\"]\nshards = 2\n");
    let mut server = Running::start(&mut operator.command(&["serve"]));
    wait_until("the server listens", STEP, || {
        server.stdout_so_far().contains("Listening on")
    });
    // No runtime survives such an error.
    let mut strace = Command::new("strace");
    strace.args(["-qq", "-e", "inject=epoll_wait:error=EBADF", "-p"]);
    strace.arg(thread(server.id(), "shard-1"));
    let _holder = Service::start(&mut strace);
    wait_until("the server has ended", STEP, || !server.is_running());
    let output = server.wait(STEP).failed();
    for words in [
        "worker thread 1 has panicked: the server ends, so that it can be restarted",
        "landfall: a thread of the server has panicked: see the log",
    ] {
        assert!(output.err().contains(words), "{}", output.describe());
    }
    // It has exited cleanly.
    assert!(!operator.path("data/control.sock").exists());
    let figures = operator.path("data/landfall.db");
    let unclean = "SELECT CAST(COUNT(*) AS TEXT) FROM account_usage WHERE NOT clean";
    assert_eq!(database::text(&figures, unclean), "0");
}

#[test]
fn a_socket_of_systemd_is_served() {
    if !have(&["systemd-socket-activate"]) {
        return;
    }
    let operator = Operator::with_config("[server]\nlisten = [\"192.0.2.1:1\"]\n");
    let free = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let port = free.local_addr().unwrap().port();
    drop(free);
    let landfall = operator.command(&["serve"]);
    let _service = Service::start(
        Command::new("systemd-socket-activate")
            .args(["-l", &format!("127.0.0.1:{port}")])
            .arg(landfall.get_program())
            .args(landfall.get_args())
            .current_dir(operator.path("")),
    );
    wait_until("the host keys can be had", STEP, || {
        // The first client starts the server.
        let scan = Command::new("ssh-keyscan")
            .args(["-T", "2", "-p", &port.to_string(), "127.0.0.1"])
            .output()
            .unwrap();
        String::from_utf8_lossy(&scan.stdout).contains("ssh-ed25519")
    });
}

#[test]
fn no_password_goes_to_the_journal() {
    let operator = Operator::with_config("[server]\nlisten = [\"127.0.0.1:0\"]\n");
    let path = operator.path("notify");
    let socket = UnixDatagram::bind(&path).unwrap();
    socket.set_read_timeout(Some(STEP)).unwrap();
    let mut command = operator.command(&["serve"]);
    let log = fs::File::create(operator.path("journal")).unwrap();
    let mut service = Service(
        command
            .env("NOTIFY_SOCKET", &path)
            .env("JOURNAL_STREAM", "8:1")
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap(),
    );
    assert!(receive(&socket).contains("READY=1"));
    service.terminate();
    assert!(service.0.wait().unwrap().success());
    let journal = fs::read_to_string(operator.path("journal")).unwrap();
    assert!(!journal.contains("password"), "{journal}");
    assert!(journal.contains("landfall user add"), "{journal}");
}

#[test]
fn the_unit_is_valid_and_well_fenced() {
    if !have(&["systemd-analyze"]) {
        return;
    }
    let units = concat!(env!("CARGO_MANIFEST_DIR"), "/packaging");
    // Rated 2.0 or better.
    run_ok(
        Command::new("systemd-analyze")
            .args(["security", "--offline=true", "--threshold=20", "--no-pager"])
            .arg(format!("{units}/landfall.service")),
        STEP,
    );
}
