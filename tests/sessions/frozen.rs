//! Commands that freeze, and requests that hang: they block neither the server nor other commands.

use std::fs;
use std::io::{ErrorKind, Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use rustix::fs::{CWD, FileType, Mode};

use super::{ids, socket};
use crate::common::held::Held;
use crate::common::{STEP, TestServer, run, wait_until};

/// Far more than were served at a time before each had a deadline.
const MANY: usize = 40;

fn say(server: &TestServer, words: &str) -> UnixStream {
    let mut stream = UnixStream::connect(socket(server)).unwrap();
    stream.write_all(words.as_bytes()).unwrap();
    stream
}

/// Returns whether the server still keeps the connection.
fn is_served(mut stream: &UnixStream) -> bool {
    stream.set_nonblocking(true).unwrap();
    let read = stream.read(&mut [0; 1]);
    matches!(read, Err(failure) if failure.kind() == ErrorKind::WouldBlock)
}

/// Sends a request beside frozen commands; returns whether the server had to drop one of them first.
fn waits_for_the_frozen(server: &TestServer) -> bool {
    let frozen = |number: usize| {
        // Nothing, half a request, or a whole request whose reply nobody reads.
        let says = ["", "{\"request\":", "{\"request\":\"sessions\"}\n"];
        say(server, says[number % 3])
    };
    let frozen: Vec<_> = (0..MANY).map(frozen).collect();
    assert_eq!(ids(server).len(), 1);
    let mut silent = frozen.iter().step_by(3);
    silent.any(|stream| !is_served(stream))
}

#[test]
fn commands_that_freeze_hold_up_neither_the_server_nor_other_commands() {
    let server = TestServer::start();
    let mut held = Held::open(&server);
    // A machine that is busy enough drops them before the command starts.
    let attempts = (0..5).map(|_| waits_for_the_frozen(&server));
    assert!(!attempts.into_iter().all(|waited| waited));
    held.assert_alive();
    let silent = say(&server, "");
    wait_until("it is given up", STEP, || !is_served(&silent));
    held.leave();
}

#[test]
fn reloads_that_hang_hold_up_no_other_request_and_are_answered_in_time() {
    let server = TestServer::start();
    let mut held = Held::open(&server);
    let (config, copy) = (server.path("config.toml"), server.path("copy.toml"));
    fs::copy(&config, &copy).unwrap();
    // A reader of a FIFO waits, as on a disk that hangs.
    fs::remove_file(&config).unwrap();
    rustix::fs::mknodat(CWD, &config, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap();
    let mut hung: Vec<_> = (0..MANY)
        .map(|_| say(&server, "{\"request\":\"reload\",\"by\":{\"uid\":0}}\n"))
        .collect();
    let copy = copy.to_str().unwrap();
    let command = |args: &[&str]| {
        let mut command = server.command(&[&["--config", copy], args].concat());
        run(&mut command, STEP).accepted()
    };
    let began = Instant::now();
    assert!(command(&["session", "list"]).contains("alice"));
    command(&["ban", "list"]);
    let said = command(&["user", "set", "alice", "--max-files", "1000"]);
    assert!(said.ends_with("Updated 1 open session\n"), "{said}");
    let took = began.elapsed();
    let answered = hung.iter().filter(|stream| !is_served(stream)).count();
    assert!(answered == 0 || took > Duration::from_secs(19), "{took:?}");
    held.assert_alive();
    // They get an answer.
    let first = &mut hung[0];
    first.set_nonblocking(false).unwrap();
    first.set_read_timeout(Some(STEP)).unwrap();
    let mut answer = [0; 4096];
    let length = first.read(&mut answer).unwrap();
    let answer = String::from_utf8_lossy(&answer[..length]);
    assert!(answer.contains("has not finished within 20s"), "{answer}");
    drop(hung);
    // The hung request completes once the disk works again, and the next one is served.
    let text = fs::read(copy).unwrap();
    fs::OpenOptions::new()
        .write(true)
        .open(&config)
        .unwrap()
        .write_all(&text)
        .unwrap();
    wait_until("the reload is done", STEP, || {
        server.log().contains("reload: no live setting")
    });
    fs::remove_file(&config).unwrap();
    fs::write(&config, text).unwrap();
    server.admin(&["reload"], "").accepted();
    held.leave();
}
