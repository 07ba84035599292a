//! The client is killed at any byte of a transfer, and the next login resumes it.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use crate::common::connection::Connection;
use crate::common::files::{Random, assert_same};
use crate::common::wire::{code, flag};
use crate::common::{KIB, MIB, Running, TRANSFER, TestServer, random_file, run_ok};

/// Waits until the file is longer than `length`, while the transfer is still running.
fn grown_past(path: &Path, length: u64, client: &mut Running) {
    let began = Instant::now();
    while fs::metadata(path).map_or(0, |metadata| metadata.len()) <= length {
        assert!(
            client.is_running(),
            "the transfer was over before it could be cut"
        );
        assert!(began.elapsed() < TRANSFER, "the transfer does not get on");
        std::thread::sleep(Duration::from_millis(1));
    }
}

#[test]
fn uploads_and_downloads_cut_by_a_kill_are_resumed_byte_for_byte() {
    let server = TestServer::start();
    let (file, there, back) = (
        server.local("file"),
        server.at_home("file"),
        server.local("back"),
    );
    random_file(&file, 24 * MIB as u64 + 11, 1);
    let mut random = Random::new(1);
    for round in 0..4 {
        // 64 Mbit/s: the whole file takes three seconds, so that the kill interrupts it.
        let slow = ["-l", "64000"];
        let resume_put = if round % 2 == 0 {
            "put -a file\n"
        } else {
            "reput file\n"
        };
        let _ = fs::remove_file(&there);
        let mut put = Running::start(&mut server.sftp_batch(&slow, "put file\n"));
        grown_past(&there, random.below(12 * MIB as u64), &mut put);
        put.kill();
        // The resumed transfer is interrupted and resumed as well.
        let mut again = Running::start(&mut server.sftp_batch(&slow, resume_put));
        let have = fs::metadata(&there).unwrap().len();
        assert!(have > 0 && have < 24 * MIB as u64, "cut at {have}");
        grown_past(&there, have + random.below(2 * MIB as u64), &mut again);
        again.kill();
        run_ok(&mut server.sftp_batch(&[], resume_put), TRANSFER);
        assert_same(&file, &there);

        let resume_get = if round % 2 == 0 {
            "get -a file back\n"
        } else {
            "reget file back\n"
        };
        let _ = fs::remove_file(&back);
        let mut get = Running::start(&mut server.sftp_batch(&slow, "get file back\n"));
        grown_past(&back, random.below(12 * MIB as u64), &mut get);
        get.kill();
        run_ok(&mut server.sftp_batch(&[], resume_get), TRANSFER);
        assert_same(&file, &back);
    }
}

#[test]
fn an_upload_resumes_from_every_kind_of_byte() {
    let server = TestServer::start();
    let file = server.local("file");
    random_file(&file, 700 * KIB as u64 + 1, 2);
    let whole = fs::read(&file).unwrap();
    for cut in [
        0,
        1,
        4095,
        32 * KIB,
        255 * KIB - 1,
        255 * KIB,
        256 * KIB + 1,
        whole.len() - 1,
    ] {
        fs::write(server.at_home("file"), &whole[..cut]).unwrap();
        run_ok(&mut server.sftp_batch(&[], "reput file\n"), TRANSFER);
        assert_same(&file, &server.at_home("file"));
        fs::write(server.local("back"), &whole[..cut]).unwrap();
        run_ok(&mut server.sftp_batch(&[], "reget file back\n"), TRANSFER);
        assert_same(&file, &server.local("back"));
    }
}

#[test]
fn append_writes_at_the_end_in_the_order_of_arrival_whatever_the_offset() {
    let server = TestServer::start();
    fs::write(server.at_home("log"), "0").unwrap();
    let (one, two) = (
        Connection::logged_in(&server),
        Connection::logged_in(&server),
    );
    let (mut one, mut two) = (one.sftp(), two.sftp());
    let first = one.opened("/log", flag::WRITE | flag::APPEND);
    let second = two.opened("/log", flag::WRITE | flag::APPEND | flag::CREAT);
    assert_eq!(one.write(&first, 0, b"1"), code::OK);
    assert_eq!(two.write(&second, 1 << 40, b"2"), code::OK);
    assert_eq!(one.write(&first, 7, b"3"), code::OK);
    assert_eq!(fs::read_to_string(server.at_home("log")).unwrap(), "0123");
}

#[test]
fn writes_at_offsets_leave_the_rest_and_fill_gaps_with_zeros() {
    let server = TestServer::start();
    fs::write(server.at_home("f"), "abcdef").unwrap();
    let connection = Connection::logged_in(&server);
    let mut sftp = connection.sftp();
    let handle = sftp.opened("/f", flag::WRITE);
    assert_eq!(sftp.write(&handle, 2, b"XY"), code::OK);
    assert_eq!(sftp.write(&handle, 8, b"Z"), code::OK);
    assert_eq!(sftp.close(&handle), code::OK);
    assert_eq!(fs::read(server.at_home("f")).unwrap(), b"abXYef\0\0Z");
}
