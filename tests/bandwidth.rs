//! Bandwidth limits, with real clients.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread::sleep;
use std::time::{Duration, Instant};

use crate::common::connection::Connection;
use crate::common::programs::rclone;
use crate::common::{
    HOST, KIB, MIB, Running, STEP, TRANSFER, TestServer, USER, have, random_file, run_ok,
    wait_until,
};

const RATE: &str = "4MiB/s";
const BYTES_A_SECOND: f64 = 4.0 * MIB as f64;

fn limited(options: &[&str]) -> TestServer {
    let server = TestServer::start();
    let args: Vec<_> = ["user", "set", USER]
        .iter()
        .chain(options)
        .copied()
        .collect();
    server.admin(&args, "").ok();
    server
}

fn sizes(files: &[PathBuf]) -> u64 {
    files
        .iter()
        .map(|file| fs::metadata(file).map_or(0, |found| found.len()))
        .sum()
}

/// Returns how fast these files grow together, over some seconds, once all have begun.
#[track_caller]
fn speed_of(files: &[PathBuf]) -> f64 {
    wait_until("all have begun", STEP, || {
        files
            .iter()
            .all(|file| fs::metadata(file).is_ok_and(|found| found.len() > 0))
    });
    // Data that was pipelined at the beginning has arrived.
    sleep(Duration::from_secs(2));
    let (began, before) = (Instant::now(), sizes(files));
    sleep(Duration::from_secs(5));
    (sizes(files) - before) as f64 / began.elapsed().as_secs_f64()
}

#[track_caller]
fn assert_near(speed: f64, limit: f64) {
    let part = speed / limit;
    assert!(
        (0.9..=1.1).contains(&part),
        "{:.2} MiB/s",
        speed / MIB as f64
    );
}

/// A client that ends with the test, in any case.
fn begin(command: &mut Command) -> Running {
    Running::start(command)
}

#[test]
fn two_uploads_of_one_account_keep_to_its_limit_together_and_another_account_is_as_fast_as_ever() {
    let server = limited(&["--upload-rate", RATE]);
    server.add_user("bob", "x x x x x x", &[&server.public_key()]);
    random_file(&server.local("f"), 128 * MIB as u64, 1);
    let files = [server.at_home("a"), server.at_home("b")];
    let _sftp = begin(&mut server.sftp_batch(&[], "put f a\n"));
    let _scp = begin(server.scp().args(["-O", "f", &format!("{HOST}:b")]));
    let speed = speed_of(&files);
    assert_near(speed, BYTES_A_SECOND);
    // Each gets about half.
    let each = files
        .each_ref()
        .map(|file| fs::metadata(file).unwrap().len() as f64);
    let part = each[0] / (each[0] + each[1]);
    assert!((0.25..=0.75).contains(&part), "{each:?}");
    // Waiting data does not accumulate in the server.
    assert!(
        server.memory_kib("VmRSS") < 120 * 1024,
        "{}",
        server.memory_kib("VmRSS")
    );

    let began = Instant::now();
    let mut bob = server.scp();
    run_ok(
        bob.args(["-o", "User=bob", "f", &format!("{HOST}:f")]),
        TRANSFER,
    );
    // At the limit of the other it would take half a minute.
    assert!(
        began.elapsed() < Duration::from_secs(12),
        "{:?}",
        began.elapsed()
    );
}

#[test]
fn two_downloads_of_one_account_keep_to_its_limit_together() {
    let server = limited(&["--download-rate", RATE]);
    random_file(&server.at_home("f"), 128 * MIB as u64, 1);
    let files = [server.local("a"), server.local("b")];
    let _sftp = begin(&mut server.sftp_batch(&[], "get f a\n"));
    let _scp = begin(server.scp().args(["-O", &format!("{HOST}:f"), "b"]));
    assert_near(speed_of(&files), BYTES_A_SECOND);
    // The other direction has no limit.
    random_file(&server.local("up"), 32 * MIB as u64, 1);
    let began = Instant::now();
    run_ok(server.scp().args(["up", &format!("{HOST}:up")]), TRANSFER);
    // At the limit it would take eight seconds.
    assert!(
        began.elapsed() < Duration::from_secs(6),
        "{:?}",
        began.elapsed()
    );
}

#[test]
fn a_client_with_several_connections_gets_no_more() {
    if !have(&["rclone"]) {
        return;
    }
    let server = limited(&["--upload-rate", RATE, "--download-rate", RATE]);
    let size = 4 * MIB as u64;
    fs::create_dir(server.local("up")).unwrap();
    for number in 0..4 {
        random_file(&server.local("up").join(number.to_string()), size, number);
    }
    // The program may have to be read from a disk first.
    run_ok(&mut rclone(&server, &["lsf", "there:"]), STEP);
    for (from, to) in [("up", "there:d"), ("there:d", "down")] {
        let began = Instant::now();
        run_ok(
            &mut rclone(&server, &["copy", "--transfers", "4", from, to]),
            TRANSFER,
        );
        let speed = 4.0 * size as f64 / began.elapsed().as_secs_f64();
        // Starting and comparing take time, too.
        let part = speed / BYTES_A_SECOND;
        assert!(
            (0.6..=1.1).contains(&part),
            "{from}: {:.2} MiB/s",
            speed / MIB as f64
        );
    }
    for number in 0..4 {
        let name = number.to_string();
        crate::common::files::assert_same(
            &server.local("up").join(&name),
            &server.local("down").join(&name),
        );
    }
}

#[test]
fn all_accounts_together_keep_to_the_limit_of_the_server() {
    let server = TestServer::start_with(&[("bandwidth.download", "\"4MiB/s\"")]);
    server.add_user("bob", "x x x x x x", &[&server.public_key()]);
    random_file(&server.at_home("f"), 128 * MIB as u64, 1);
    fs::copy(server.at_home("f"), server.path("data/homes/bob/f")).unwrap();
    let files = [server.local("a"), server.local("b")];
    let from = format!("{HOST}:f");
    let _alice = begin(server.scp().args([&from, "a"]));
    let _bob = begin(server.scp().args(["-o", "User=bob", &from, "b"]));
    assert_near(speed_of(&files), BYTES_A_SECOND);
}

#[test]
fn bytes_come_smoothly() {
    let server = limited(&["--upload-rate", RATE, "--download-rate", RATE]);
    random_file(&server.local("f"), 128 * MIB as u64, 1);
    random_file(&server.at_home("g"), 128 * MIB as u64, 1);
    let up = begin(&mut server.sftp_batch(&[], "put f up\n"));
    let down = begin(&mut server.sftp_batch(&[], "get g down\n"));
    for file in [server.at_home("up"), server.local("down")] {
        speed_of(std::slice::from_ref(&file));
        let mut last = sizes(std::slice::from_ref(&file));
        for _ in 0..10 {
            sleep(Duration::from_millis(300));
            let now = sizes(std::slice::from_ref(&file));
            let grown = (now - last) as f64;
            last = now;
            // The amount of a third of a second, give or take some requests and a busy machine.
            assert!(
                grown > 0.0 && grown < 0.3 * BYTES_A_SECOND + 1.5 * MIB as f64,
                "{} in 300 ms of {}",
                grown / MIB as f64,
                file.display()
            );
        }
    }
    drop((up, down));
}

#[test]
fn small_requests_of_a_session_that_is_held_back_do_not_wait_for_long() {
    let server = limited(&["--upload-rate", "2MiB/s", "--download-rate", "2MiB/s"]);
    random_file(&server.local("f"), 64 * MIB as u64, 1);
    random_file(&server.at_home("g"), 64 * MIB as u64, 1);
    let control = server.path("mux");
    let control = format!("ControlPath={}", control.display());
    let _master = begin(server.ssh().args(["-o", &control, "-M", "-N", HOST]));
    wait_until("the connection is there", STEP, || {
        server.path("mux").exists()
    });
    let through = |batch: &str| {
        let mut sftp = server.sftp_batch(&["-o", &control], batch);
        sftp.env("LC_ALL", "C");
        sftp
    };
    for (batch, file) in [
        ("get g a\n", server.local("a")),
        ("put f b\n", server.at_home("b")),
    ] {
        let transfer = begin(&mut through(batch));
        wait_for(&file, 6 * MIB as u64);
        for _ in 0..3 {
            let began = Instant::now();
            run_ok(&mut through("ls\n"), STEP);
            // Replies of the transfer that are already queued may delay it, but no more than these.
            assert!(
                began.elapsed() < Duration::from_secs(1),
                "{batch}: {:?}",
                began.elapsed()
            );
        }
        transfer.kill();
    }
    // In a connection of its own it waits for nothing.
    let _transfer = begin(&mut server.sftp_batch(&[], "put f c\n"));
    wait_for(&server.at_home("c"), 4 * MIB as u64);
    let began = Instant::now();
    Connection::logged_in(&server).sftp().list("/");
    assert!(
        began.elapsed() < Duration::from_millis(500),
        "{:?}",
        began.elapsed()
    );
}

#[track_caller]
fn wait_for(file: &Path, size: u64) {
    wait_until("some of it has come", STEP, || {
        fs::metadata(file).is_ok_and(|found| found.len() >= size)
    });
}

#[test]
fn a_changed_limit_is_felt_in_a_transfer_that_runs() {
    let server = limited(&["--upload-rate", "512KiB/s"]);
    let size = 48 * MIB as u64;
    random_file(&server.local("f"), size, 1);
    let upload = begin(server.scp().args(["f", &format!("{HOST}:f")]));
    wait_for(&server.at_home("f"), MIB as u64);
    server
        .admin(&["user", "set", USER, "--upload-rate", "none"], "")
        .ok();
    let began = Instant::now();
    upload.wait(TRANSFER).ok();
    // At the old limit it would take a minute and a half.
    assert!(
        began.elapsed() < Duration::from_secs(10),
        "{:?}",
        began.elapsed()
    );
    assert_eq!(fs::metadata(server.at_home("f")).unwrap().len(), size);
}

#[test]
fn a_client_that_is_killed_is_gone_once_what_it_sent_is_stored() {
    let server = limited(&["--upload-rate", "1MiB/s"]);
    random_file(&server.local("f"), 64 * MIB as u64, 1);
    for old_protocol in [None, Some("-O")] {
        let to = format!("{HOST}:f");
        let scp = begin(server.scp().args(old_protocol).args(["f", &to]));
        wait_for(&server.at_home("f"), 64 * KIB as u64);
        let before = server.open_files();
        scp.kill();
        // Its pipelined data is stored, and nothing else is waited for.
        wait_until("its session has ended", Duration::from_secs(10), || {
            server.open_files() < before
        });
        fs::remove_file(server.at_home("f")).unwrap();
    }
}

#[test]
fn limits_in_the_config_are_checked() {
    let server = TestServer::start();
    for (value, complaint) in [
        ("\"fast\"", "neither a rate of at least"),
        ("\"1\"", "a rate of at least \"1KiB/s\""),
        ("10", "is a number"),
    ] {
        fs::write(
            server.path("other.toml"),
            format!("[bandwidth]\nupload = {value}\n"),
        )
        .unwrap();
        let refused = server
            .admin(&["--config", "other.toml", "check"], "")
            .failed();
        assert!(
            refused.err().contains(complaint),
            "{value}: {}",
            refused.err()
        );
    }
}
