//! Nothing that a client does, or leaves undone, makes the server hang or hold what it should let go.

#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

mod common;

use std::collections::VecDeque;
use std::fs;
use std::time::Duration;

use common::connection::Connection;
use common::files::assert_same;
use common::raw::{InFlight, RawSftp};
use common::wire::{self, Attrs, code, flag};
use common::{
    KIB, MIB, Running, STEP, TRANSFER, TestServer, bytes_of, random_file, run_ok, wait_until,
};

fn send_reads(sftp: &mut RawSftp, handle: &[u8], count: u64, length: u32) -> InFlight {
    let mut in_flight = InFlight(VecDeque::new());
    for number in 0..count {
        let offset = number * u64::from(length);
        let body = sftp.body(wire::READ).string(handle).u64(offset).u32(length);
        in_flight.send(sftp, &body);
    }
    in_flight
}

#[test]
fn sixty_four_of_the_largest_reads_are_answered_to_one_who_reads_late() {
    let server = TestServer::start();
    let length = 255 * KIB;
    let data = bytes_of(64 * length, 1);
    fs::write(server.at_home("f"), &data).unwrap();
    // Over ssh, so that what is not read from it stays in the server's window.
    let mut sftp = RawSftp::over_ssh(&mut server.ssh());
    sftp.init();
    for pause in [0, 3] {
        let handle = sftp.opened("/f", flag::READ);
        let mut in_flight = send_reads(&mut sftp, &handle, 64, length as u32);
        std::thread::sleep(Duration::from_secs(pause));
        for expected in data.chunks(length) {
            assert!(in_flight.reply(&mut sftp).data() == expected);
        }
        assert_eq!(sftp.close(&handle), code::OK);
    }
}

#[test]
fn a_whole_gibibyte_is_asked_for_before_the_first_reply_is_read() {
    let server = TestServer::start();
    let file = fs::File::create(server.at_home("huge")).unwrap();
    file.set_len(1 << 30).unwrap();
    let connection = Connection::logged_in(&server);
    let mut sftp = connection.sftp();
    let handle = sftp.opened("/huge", flag::READ);
    let mut in_flight = send_reads(&mut sftp, &handle, 32 * 1024, 32 * 1024);
    for _ in 0..32 * 1024 {
        assert_eq!(in_flight.reply(&mut sftp).data().len(), 32 * KIB);
    }
}

#[test]
fn one_who_never_reads_harms_nobody_and_is_let_go_when_killed() {
    let server = TestServer::start();
    random_file(&server.at_home("f"), 64 * MIB as u64, 2);
    let files = server.open_files();
    let mut greedy = RawSftp::over_ssh(&mut server.ssh());
    greedy.init();
    let handle = greedy.opened("/f", flag::READ);
    // As many as it can send: then it, or the server, stops.
    for number in 0..20_000_u64 {
        let body = greedy
            .body(wire::READ)
            .string(&handle)
            .u64(number % 200 * 261_120)
            .u32(261_120);
        if !greedy.try_send(&body, Duration::from_millis(500)) {
            break;
        }
    }
    let get = server.local("got");
    run_ok(&mut server.sftp_batch(&[], "get f got\n"), TRANSFER);
    assert_same(&server.at_home("f"), &get);
    let memory = server.memory_kib("VmRSS");
    assert!(memory < 128 * 1024, "{memory} KiB");
    drop(greedy);
    wait_until("the descriptors to be closed", STEP, || {
        server.open_files() <= files
    });
}

#[test]
fn a_stalled_channel_does_not_stop_another_of_the_same_connection() {
    let server = TestServer::start();
    random_file(&server.at_home("f"), 64 * MIB as u64, 3);
    let control = server.local("control");
    // Two channels in one ssh connection: the second goes through the first one's master.
    let share = |command: &mut std::process::Command, master: &str| {
        command.args(["-o", &format!("ControlMaster={master}")]);
        command.args(["-o", &format!("ControlPath={}", control.display())]);
    };
    let mut ssh = server.ssh();
    share(&mut ssh, "yes");
    let mut stalled = RawSftp::over_ssh(&mut ssh);
    stalled.init();
    let handle = stalled.opened("/f", flag::READ);
    for number in 0..200_u64 {
        let body = stalled
            .body(wire::READ)
            .string(&handle)
            .u64(number * 261_120)
            .u32(261_120);
        assert!(stalled.try_send(&body, STEP));
    }
    std::thread::sleep(Duration::from_millis(500));
    random_file(&server.local("up"), 50 * MIB as u64, 4);
    let mut shared = server.sftp();
    share(&mut shared, "no");
    let batch = server.local("shared-batch");
    fs::write(&batch, "put up\nget f got\n").unwrap();
    shared.arg("-b").arg(batch).arg(common::HOST);
    run_ok(&mut shared, TRANSFER);
    assert_same(&server.local("up"), &server.at_home("up"));
    assert_same(&server.local("got"), &server.at_home("f"));
    // The stalled one goes on where it was.
    for number in 0..200_usize {
        assert_eq!(
            stalled.reply_within(TRANSFER).data().len(),
            261_120,
            "{number}"
        );
    }
}

#[test]
fn new_keys_under_load_lose_nothing_in_either_direction() {
    let server = TestServer::start();
    random_file(&server.local("f"), 60 * MIB as u64 + 3, 5);
    let options = ["-o", "RekeyLimit=1M"];
    run_ok(
        &mut server.sftp_batch(&options, "put f\nget f back\n"),
        TRANSFER,
    );
    assert_same(&server.local("f"), &server.at_home("f"));
    assert_same(&server.local("f"), &server.local("back"));
}

#[test]
fn what_was_sent_before_leaving_takes_effect() {
    let server = TestServer::start();
    let data = bytes_of(300_000, 6);
    for round in 0..10 {
        let path = format!("/left-{round}");
        {
            let connection = Connection::logged_in(&server);
            let mut sftp = connection.sftp();
            let handle = sftp.opened(&path, flag::WRITE | flag::CREAT);
            let mut offset = 0;
            for chunk in data.chunks(32 * 1024 - 13) {
                let body = sftp
                    .body(wire::WRITE)
                    .string(&handle)
                    .u64(offset)
                    .string(chunk);
                sftp.send(&body);
                offset += chunk.len() as u64;
            }
            let close = sftp.body(wire::CLOSE).string(&handle);
            sftp.send(&close);
            let times = Attrs {
                times: Some((9, 9)),
                ..Attrs::default()
            };
            let setstat = sftp.body(wire::SETSTAT).string(&path).attrs(&times);
            sftp.send(&setstat);
            sftp.send_eof();
            sftp.until_closed();
        }
        assert_eq!(fs::read(server.at_home(&path[1..])).unwrap(), data);
        let modified = fs::metadata(server.at_home(&path[1..]))
            .unwrap()
            .modified()
            .unwrap();
        assert_eq!(
            modified
                .duration_since(std::time::UNIX_EPOCH)
                .unwrap()
                .as_secs(),
            9
        );
    }
}

#[test]
fn a_connection_killed_while_the_server_waits_for_window_leaves_nothing_behind() {
    let server = TestServer::start();
    random_file(&server.at_home("f"), 64 * MIB as u64, 7);
    let files = server.open_files();
    for _ in 0..5 {
        let mut sftp = RawSftp::over_ssh(&mut server.ssh());
        sftp.init();
        let handle = sftp.opened("/f", flag::READ);
        for number in 0..64_u64 {
            let body = sftp
                .body(wire::READ)
                .string(&handle)
                .u64(number * 261_120)
                .u32(261_120);
            assert!(sftp.try_send(&body, STEP));
        }
        std::thread::sleep(Duration::from_millis(300));
        assert!(server.open_files() > files);
        // Dropping it kills the ssh that carries it.
    }
    wait_until("the descriptors to be closed", STEP, || {
        server.open_files() <= files
    });
    Connection::logged_in(&server).sftp().assert_alive();
}

#[test]
fn fifty_clients_at_once_are_all_served() {
    let server = TestServer::start();
    random_file(&server.local("f"), MIB as u64, 8);
    let clients: Vec<_> = (0..50)
        .map(|number| {
            let lines = format!("put f f{number}\nget f{number} b{number}\n");
            Running::start(&mut server.sftp_batch(&[], lines))
        })
        .collect();
    for (number, client) in clients.into_iter().enumerate() {
        client.wait(TRANSFER).ok();
        assert_same(&server.local("f"), &server.at_home(&format!("f{number}")));
        assert_same(&server.local("f"), &server.local(&format!("b{number}")));
    }
}

#[test]
fn a_signal_ends_the_server_though_transfers_are_under_way() {
    let mut server = TestServer::start();
    random_file(&server.at_home("f"), 200 * MIB as u64, 9);
    let mut get = Running::start(&mut server.sftp_batch(&["-l", "8000"], "get f got\n"));
    wait_until("the transfer to begin", STEP, || {
        server.local("got").exists()
    });
    assert!(get.is_running());
    let began = std::time::Instant::now();
    let status = server.stop().expect("the server had ended by itself");
    assert!(status.success(), "{status:?}");
    assert!(began.elapsed() < Duration::from_secs(10));
    get.wait(STEP).failed();
}
