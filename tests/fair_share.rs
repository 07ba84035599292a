//! The share of an honest client beside others that send requests without end.

use std::fs;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crate::common::connection::Connection;
use crate::common::raw::RawSftp;
use crate::common::wire::{self, flag};
use crate::common::{KIB, MIB, STEP, TestServer, bytes_of, run_ok};

const FLOODERS: u32 = 4;

/// Sends and reads as fast as it can: the server always has work for it.
fn flood(server: &TestServer, number: u32, stop: &AtomicBool) {
    let mut sftp = RawSftp::over_ssh(server.ssh().args(["-o", "LogLevel=QUIET"]));
    sftp.init();
    let handle = sftp.opened("file", flag::READ);
    let mut block = Vec::new();
    for _ in 0..64 {
        let ask = match number % 2 {
            0 => sftp.body(wire::STAT).string("file"),
            _ => sftp
                .body(wire::READ)
                .string(&handle)
                .u64(0)
                .u32(32 * KIB as u32),
        };
        block.extend(ask.packet());
    }
    while !stop.load(Ordering::Relaxed) {
        sftp.send_bytes(&block);
        for _ in 0..64 {
            sftp.try_packet(STEP).unwrap();
        }
    }
}

fn download(server: &TestServer) -> Duration {
    let began = Instant::now();
    run_ok(&mut server.sftp_batch(&[], "get file back\n"), STEP);
    began.elapsed()
}

#[test]
fn beside_four_that_flood_an_honest_client_keeps_half_of_its_fair_share() {
    let server = TestServer::start();
    fs::write(server.at_home("file"), bytes_of(64 * MIB, 1)).unwrap();
    download(&server);
    let alone = download(&server);
    let stop = AtomicBool::new(false);
    let (small, beside) = thread::scope(|scope| {
        for number in 0..FLOODERS {
            let (server, stop) = (&server, &stop);
            scope.spawn(move || flood(server, number, stop));
        }
        thread::sleep(Duration::from_secs(1));
        let mut sftp = Connection::logged_in(&server).sftp();
        let began = Instant::now();
        for _ in 0..20 {
            sftp.with_string(wire::STAT, "file");
        }
        let small = began.elapsed() / 20;
        let beside = download(&server);
        stop.store(true, Ordering::Relaxed);
        (small, beside)
    });
    println!("alone {alone:?}, beside {FLOODERS} floods {beside:?}; a small request {small:?}");
    assert!(
        beside < alone * (FLOODERS + 1) * 2,
        "{beside:?} instead of {alone:?}"
    );
    assert!(
        small < Duration::from_millis(100),
        "{small:?} for a small request"
    );
}
