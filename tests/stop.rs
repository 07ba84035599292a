//! Stopping the server: transfers complete, and all clients get the reason.

use std::fs;
use std::io::Read as _;
use std::net::TcpStream;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use crate::common::files::assert_same;
use crate::common::{STEP, TestServer, USER, against_openssh, random_file, wait_until};

const SIZE: u64 = 6_000_000;

/// Returns an `sftp` that moves the file at about 2 MB/s and has started to.
fn slow_sftp(server: &TestServer, line: &str, target: &std::path::Path) -> Child {
    let child = server
        .sftp_batch(&["-l", "16000"], line)
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    wait_until("the file grows", STEP, || {
        fs::metadata(target).is_ok_and(|file| file.len() > 100_000)
    });
    child
}

/// Waits for the end; returns whether it succeeded, and its output.
fn ended(mut child: Child) -> (bool, String) {
    drop(child.stdin.take());
    let mut words = String::new();
    child
        .stderr
        .take()
        .unwrap()
        .read_to_string(&mut words)
        .unwrap();
    (child.wait().unwrap().success(), words)
}

/// A session that is logged in and idle.
fn idle_sftp(server: &TestServer) -> Child {
    let mut child = server
        .sftp()
        .args(["-b", "-", crate::common::HOST])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    use std::io::Write as _;
    let input = child.stdin.as_mut().unwrap();
    input.write_all(b"pwd\n").unwrap();
    input.flush().unwrap();
    let mut first = [0];
    child
        .stdout
        .as_mut()
        .unwrap()
        .read_exact(&mut first)
        .unwrap();
    child
}

#[test]
fn transfers_come_to_their_end_and_nobody_comes_in() {
    if against_openssh() {
        return;
    }
    let mut server = TestServer::start_with(&[("server.stop_grace", "\"60s\"")]);
    random_file(&server.at_home("big"), SIZE, 1);
    random_file(&server.local("up"), SIZE, 2);
    let target = server.local("got");
    let get = slow_sftp(&server, "get big got\n", &target);
    let put = slow_sftp(&server, "put up up\n", &server.at_home("up"));
    let idle = idle_sftp(&server);
    let stranger = TcpStream::connect(server.address()).unwrap();

    let begin = Instant::now();
    server.terminate();
    // It reads its commands first, and only then notices that the connection has ended.
    std::thread::sleep(Duration::from_secs(1));
    let (_, words) = ended(idle);
    assert!(words.contains("The server is stopping"), "{words}");
    // The server does not wait for clients that are not logged in.
    stranger.set_read_timeout(Some(STEP)).unwrap();
    let mut greeting = Vec::new();
    let _ = (&stranger).read_to_end(&mut greeting);
    assert!(TcpStream::connect(server.address()).is_err());

    for (transfer, source, target) in [
        (get, server.at_home("big"), target),
        (put, server.local("up"), server.at_home("up")),
    ] {
        let (fine, words) = ended(transfer);
        assert!(fine, "{words}");
        assert_same(&source, &target);
    }
    assert_eq!(server.wait(STEP).unwrap().code(), Some(0));
    assert!(begin.elapsed() < Duration::from_secs(30), "the whole grace");
}

#[test]
fn who_takes_too_long_is_told_why_and_the_figures_are_settled() {
    if against_openssh() {
        return;
    }
    let mut server = TestServer::start_with(&[("server.stop_grace", "\"1s\"")]);
    random_file(&server.local("up"), 10 * SIZE, 3);
    let put = slow_sftp(&server, "put up up\n", &server.at_home("up"));
    let begin = Instant::now();
    server.terminate();
    let (fine, words) = ended(put);
    assert!(!fine);
    assert!(words.contains("The server is stopping"), "{words}");
    assert_eq!(server.wait(STEP).unwrap().code(), Some(0));
    let took = begin.elapsed();
    // server.stop_grace, and some time for a busy machine.
    assert!(
        Duration::from_millis(900) < took && took < Duration::from_secs(6),
        "{took:?}"
    );
    // Without a server: the stored figures, and the disk.
    let shown = server
        .admin(&["quota", "show", USER, "--json"], "")
        .accepted();
    let on_disk = fs::metadata(server.at_home("up")).unwrap().len();
    assert!(on_disk > 0);
    assert!(shown.contains(&format!("{on_disk}")), "{shown} {on_disk}");
}

#[test]
fn a_second_signal_ends_it_now() {
    if against_openssh() {
        return;
    }
    let mut server = TestServer::start_with(&[("server.stop_grace", "\"600s\"")]);
    random_file(&server.local("up"), 10 * SIZE, 3);
    let put = slow_sftp(&server, "put up up\n", &server.at_home("up"));
    server.terminate();
    wait_until("the server refuses connections", STEP, || {
        TcpStream::connect(server.address()).is_err()
    });
    let begin = Instant::now();
    server.terminate();
    let (fine, words) = ended(put);
    assert!(!fine);
    assert!(words.contains("The server is stopping"), "{words}");
    assert_eq!(server.wait(STEP).unwrap().code(), Some(0));
    // It does not wait for the transfer, for which server.stop_grace would allow ten minutes.
    assert!(begin.elapsed() < Duration::from_secs(6));
}
