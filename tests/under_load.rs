//! New keys under load, clients that stop reading, connections that die at the wrong moment: nothing
//! waits for ever, is lost, or stays behind. Every wait in here has a deadline.

use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::thread::sleep;
use std::time::{Duration, Instant, UNIX_EPOCH};

use crate::common::command::Running;
use crate::common::connection::{Connection, Options};
use crate::common::files::assert_same;
use crate::common::raw::{InFlight, RawSftp};
use crate::common::wire::{self, Attrs, Body, code, flag};
use crate::common::{
    KIB, MIB, STEP, TRANSFER, TestServer, bytes_of, random_file, run_ok, wait_until,
};
use rustix::process::Signal;

/// What OpenSSH's client asks for at once, as soon as a server advertises its limits.
const LONG: usize = 255 * KIB;
/// What every other client asks for.
const SHORT: usize = 32 * KIB;
/// Requests that OpenSSH's client has under way.
const DEPTH: usize = 64;
/// Enough for the server to fill every window and buffer there is.
const A_WHILE: Duration = Duration::from_secs(1);

/// A session whose flow control is real: over the OpenSSH client, which takes no more than a window
/// and a pipe's worth unless the test reads.
fn over_ssh(server: &TestServer, options: &[&str]) -> RawSftp {
    let mut sftp = RawSftp::over_ssh(server.ssh().args(options));
    sftp.init();
    sftp
}

fn read_body(sftp: &mut RawSftp, handle: &[u8], offset: usize, length: usize) -> Body {
    let body = sftp.body(wire::READ).string(handle);
    body.u64(offset as u64).u32(length as u32)
}

/// Asks for the whole of `length` bytes at once.
fn ask_for_all(sftp: &mut RawSftp, handle: &[u8], length: usize, piece: usize) -> InFlight {
    let mut in_flight = InFlight::default();
    for offset in (0..length).step_by(piece) {
        let body = read_body(sftp, handle, offset, piece.min(length - offset));
        in_flight.send(sftp, &body);
    }
    in_flight
}

/// Downloads as OpenSSH's client does: always so many requests under way.
#[track_caller]
fn download(sftp: &mut RawSftp, path: &str, expected: &[u8], mut halfway: impl FnMut(&RawSftp)) {
    let handle = sftp.opened(path, flag::READ);
    let mut in_flight = InFlight::default();
    let (mut asked, mut taken) = (0, 0);
    let mut halfway_seen = false;
    while taken < expected.len() {
        while asked < expected.len() && in_flight.0.len() < DEPTH {
            let length = LONG.min(expected.len() - asked);
            let body = read_body(sftp, &handle, asked, length);
            in_flight.send(sftp, &body);
            asked += length;
        }
        if taken >= expected.len() / 2 && !halfway_seen {
            halfway_seen = true;
            halfway(sftp);
        }
        let data = in_flight.reply(sftp).data();
        assert!(
            expected[taken..].starts_with(&data),
            "wrong bytes at {taken}"
        );
        taken += data.len();
    }
    assert_eq!(sftp.close(&handle), code::OK);
}

/// Uploads as OpenSSH's client does.
#[track_caller]
fn upload(sftp: &mut RawSftp, path: &str, data: &[u8]) {
    let handle = sftp.opened(path, flag::WRITE | flag::CREAT | flag::TRUNC);
    let mut in_flight = InFlight::default();
    for (number, piece) in data.chunks(SHORT).enumerate() {
        if in_flight.0.len() == DEPTH {
            assert_eq!(in_flight.reply(sftp).code(), code::OK);
        }
        let body = sftp.body(wire::WRITE).string(&handle);
        let body = body.u64((number * SHORT) as u64).string(piece);
        in_flight.send(sftp, &body);
    }
    while !in_flight.0.is_empty() {
        assert_eq!(in_flight.reply(sftp).code(), code::OK);
    }
    assert_eq!(sftp.close(&handle), code::OK);
}

/// Another client transfers a file both ways, promptly.
#[track_caller]
fn assert_others_work(server: &TestServer) {
    let began = Instant::now();
    let data = bytes_of(5 * MIB, 99);
    let mut other = Connection::logged_in(server).sftp();
    upload(&mut other, "others", &data);
    download(&mut other, "others", &data, |_| {});
    assert!(fs::read(server.at_home("others")).unwrap() == data);
    assert_eq!(other.remove("others"), code::OK);
    // It does not wait for the other sessions, which never end by themselves.
    assert!(began.elapsed() < STEP, "it took {:?}", began.elapsed());
}

// ---- clients that read late, or never

#[test]
fn a_client_that_stops_reading_its_replies_for_a_while_gets_them_all() {
    let server = TestServer::start();
    let data = bytes_of(48 * MIB, 2);
    fs::write(server.at_home("file"), &data).unwrap();
    let mut sftp = over_ssh(&server, &[]);
    download(&mut sftp, "file", &data, |_| sleep(Duration::from_secs(3)));
    sftp.assert_alive();
}

#[test]
fn a_client_that_stops_reading_its_socket_for_a_while_gets_all_replies() {
    let server = TestServer::start();
    let data = bytes_of(48 * MIB, 3);
    fs::write(server.at_home("file"), &data).unwrap();
    let mut sftp = over_ssh(&server, &[]);
    download(&mut sftp, "file", &data, |sftp| {
        let ssh = sftp.program.as_ref().unwrap();
        ssh.signal(Signal::STOP);
        sleep(Duration::from_secs(3));
        ssh.signal(Signal::CONT);
    });
    sftp.assert_alive();
}

/// The window of a channel: so much may wait in the server (RFC 4254, section 5.2).
const WINDOW: usize = 2 * MIB;

#[test]
fn a_client_that_asks_on_and_never_reads_is_held_and_costs_the_others_nothing() {
    let server = TestServer::start();
    fs::write(server.at_home("file"), bytes_of(LONG, 4)).unwrap();
    assert_others_work(&server);
    let before = server.memory_kib("VmHWM");
    let mut greedy = over_ssh(&server, &["-o", "LogLevel=QUIET"]);
    let handle = greedy.opened("file", flag::READ);
    // A thousand requests at once; ssh passes them on in packets of up to 32 KiB.
    let mut block = Vec::new();
    for _ in 0..1000 {
        block.extend(read_body(&mut greedy, &handle, 0, 512).packet());
    }
    let mut blocks = 0;
    while greedy.try_send_bytes(&block, Duration::from_secs(3)) {
        blocks += 1;
        assert!(blocks * block.len() < 8 * MIB, "nothing holds it");
    }
    let sent = blocks * block.len();
    assert!(sent > WINDOW, "held after only {sent} bytes");
    assert_others_work(&server);
    // The window, a batch of replies, the buffers of the channel, and what the allocator keeps.
    let grown = server.memory_kib("VmHWM").saturating_sub(before);
    assert!(
        grown < 8 * 1024,
        "grown by {grown} KiB for {sent} bytes of requests"
    );
    // Once it reads, it gets all that it asked for.
    for number in 0..blocks * 1000 {
        let reply = greedy.try_packet(STEP).unwrap_or_else(|ended| {
            panic!("{ended:?} after {number} replies");
        });
        assert_eq!(reply.len(), 1 + 4 + 4 + 512);
    }
    greedy.assert_alive();
}

// ---- everything asked for at once, and new keys meanwhile

/// A sparse file that says at every MiB where that is, so that no piece can pass for another.
fn marked_file(server: &TestServer, length: usize) {
    let file = File::create(server.at_home("marked")).unwrap();
    file.set_len(length as u64).unwrap();
    for offset in (0..length).step_by(MIB) {
        let mark = (offset as u64 ^ 0xA5A5_A5A5_A5A5_A5A5).to_be_bytes();
        file.write_all_at(&mark, offset as u64).unwrap();
    }
}

/// Is this what [`marked_file`] holds here?
fn is_marked(data: &[u8], offset: usize) -> bool {
    let mut expected = vec![0; data.len()];
    if offset.is_multiple_of(MIB) && data.len() >= 8 {
        expected[..8].copy_from_slice(&(offset as u64 ^ 0xA5A5_A5A5_A5A5_A5A5).to_be_bytes());
    }
    data == expected
}

/// How often both sides have changed to new keys, by what `ssh -v` says.
fn key_exchanges(log: &str) -> usize {
    log.matches("SSH2_MSG_NEWKEYS received").count()
}

/// As paramiko's `get` does it. The many small READs behind it, which nearly fill the window, keep
/// requests waiting at the moment when the server, which has sent 1 GiB by then, asks for new keys.
#[test]
fn a_gibibyte_asked_for_before_the_first_reply_is_read_arrives_with_new_keys_on_the_way() {
    const LENGTH: usize = 1024 * MIB;
    const SMALL: usize = 512;
    const SMALL_READS: usize = 20_000;
    let server = TestServer::start();
    marked_file(&server, LENGTH);
    let log = server.local("ssh.log");
    let mut sftp = over_ssh(&server, &["-v", "-E", log.to_str().unwrap()]);
    let handle = sftp.opened("marked", flag::READ);
    let mut in_flight = ask_for_all(&mut sftp, &handle, LENGTH, SHORT);
    assert_eq!(in_flight.0.len(), 32_768);
    for number in 0..SMALL_READS {
        let body = read_body(&mut sftp, &handle, number * SMALL, SMALL);
        in_flight.send(&mut sftp, &body);
    }
    for offset in (0..LENGTH).step_by(SHORT) {
        let data = in_flight.reply(&mut sftp).data();
        assert_eq!(data.len(), SHORT);
        assert!(is_marked(&data, offset), "wrong bytes at {offset}");
    }
    for number in 0..SMALL_READS {
        let data = in_flight.reply(&mut sftp).data();
        assert_eq!(data.len(), SMALL);
        assert!(is_marked(&data, number * SMALL), "wrong bytes at the end");
    }
    sftp.assert_alive();
    let exchanges = key_exchanges(&fs::read_to_string(&log).unwrap());
    assert!(exchanges >= 2, "no new keys on the way");
}

#[test]
fn new_keys_at_every_mebibyte_disturb_neither_put_nor_get() {
    let server = TestServer::start();
    let local = server.local("source");
    random_file(&local, 200 * MIB as u64, 7);
    for (line, copy) in [
        ("put source there", server.at_home("there")),
        ("get there back", server.local("back")),
    ] {
        let options = ["-v", "-o", "RekeyLimit=1M"];
        let done = run_ok(&mut server.sftp_batch(&options, line), TRANSFER);
        assert_same(&local, &copy);
        let exchanges = key_exchanges(&done.err());
        assert!(exchanges > 50, "{line}: only {exchanges} exchanges of keys");
    }
}

#[test]
fn new_keys_while_reads_and_writes_are_under_way_lose_nothing() {
    const PIECES: usize = 1500;
    let server = TestServer::start();
    let data = bytes_of(PIECES * SHORT, 8);
    fs::write(server.at_home("from"), &data).unwrap();
    let options = Options {
        rekey_after: 4 * MIB,
        ..Options::default()
    };
    let connection = Connection::logged_in_as(&server, &options);
    let mut sftp = connection.sftp();
    let from = sftp.opened("from", flag::READ);
    let to = sftp.opened("to", flag::WRITE | flag::CREAT);
    let before = connection.key_exchanges();
    let mut in_flight = InFlight::default();
    for (number, piece) in data.chunks(SHORT).enumerate() {
        let offset = number * SHORT;
        let body = read_body(&mut sftp, &from, offset, SHORT);
        in_flight.send(&mut sftp, &body);
        let body = sftp.body(wire::WRITE).string(&to).u64(offset as u64);
        in_flight.send(&mut sftp, &body.string(piece));
        if number % 300 == 150 {
            connection.rekey();
        }
    }
    for (number, piece) in data.chunks(SHORT).enumerate() {
        assert!(in_flight.reply(&mut sftp).data() == piece, "READ {number}");
        assert_eq!(in_flight.reply(&mut sftp).code(), code::OK);
    }
    assert_eq!(sftp.close(&to), code::OK);
    assert!(fs::read(server.at_home("to")).unwrap() == data);
    let exchanges = connection.key_exchanges() - before;
    assert!(exchanges >= 5, "only {exchanges} exchanges of keys");
}

// ---- connections that end at the wrong moment

/// A client with open files that the server waits for, since it does not read.
fn stuck(server: &TestServer) -> RawSftp {
    let mut sftp = over_ssh(server, &["-o", "LogLevel=QUIET"]);
    for _ in 0..20 {
        sftp.opened("file", flag::READ | flag::WRITE);
    }
    let handle = sftp.opened("file", flag::READ);
    ask_for_all(&mut sftp, &handle, DEPTH * LONG, LONG);
    sleep(A_WHILE);
    sftp
}

#[test]
fn a_connection_killed_while_the_server_waits_for_it_leaves_nothing_behind() {
    let server = TestServer::start();
    fs::write(server.at_home("file"), bytes_of(DEPTH * LONG, 9)).unwrap();
    assert_others_work(&server);
    let idle = server.open_files();
    // By FIN: ssh has read its socket empty, and the window is shut.
    let mut closed = stuck(&server);
    assert!(server.open_files() >= idle + 21, "its files are open");
    closed.program.take().unwrap().kill();
    wait_until("all is closed after FIN", Duration::from_secs(10), || {
        server.open_files() <= idle
    });
    // By RST: there is something in the socket that ssh has not read.
    let mut sftp = over_ssh(&server, &["-o", "LogLevel=QUIET"]);
    for _ in 0..20 {
        sftp.opened("file", flag::READ | flag::WRITE);
    }
    let handle = sftp.opened("file", flag::READ);
    ask_for_all(&mut sftp, &handle, DEPTH * LONG, LONG);
    let reset = sftp.program.take().unwrap();
    reset.signal(Signal::STOP);
    sleep(A_WHILE);
    assert!(server.open_files() >= idle + 21, "its files are open");
    reset.kill();
    wait_until("all is closed after RST", Duration::from_secs(10), || {
        server.open_files() <= idle
    });
    assert_others_work(&server);
}

/// WinSCP sends WRITE..., CLOSE, SETSTAT at the end of an upload and does not wait.
#[test]
fn what_was_asked_for_before_the_channel_was_closed_takes_effect() {
    let server = TestServer::start();
    let data = bytes_of(DEPTH * SHORT, 10);
    let connection = Connection::logged_in(&server);
    let mut sftp = connection.sftp();
    let handle = sftp.opened("file", flag::WRITE | flag::CREAT | flag::TRUNC);
    for (number, piece) in data.chunks(SHORT).enumerate() {
        let body = sftp.body(wire::WRITE).string(&handle);
        sftp.send(&body.u64((number * SHORT) as u64).string(piece));
    }
    let close = sftp.body(wire::CLOSE).string(&handle);
    sftp.send(&close);
    let times = Attrs {
        times: Some((1_000_000_000, 1_000_000_000)),
        ..Attrs::default()
    };
    let setstat = sftp.body(wire::SETSTAT).string("file").attrs(&times);
    sftp.send(&setstat);
    // CLOSE goes out at once, without EOF.
    drop(sftp);
    let path = server.at_home("file");
    let set = UNIX_EPOCH + Duration::from_secs(1_000_000_000);
    wait_until("the last request takes effect", STEP, || {
        fs::metadata(&path).unwrap().modified().unwrap() == set
    });
    assert!(fs::read(&path).unwrap() == data);
    connection.sftp().assert_alive();
}

// ---- the end of the server

#[test]
fn the_server_ends_at_once_when_told_to_whatever_is_under_way() {
    let mut server = TestServer::start();
    fs::write(server.at_home("file"), bytes_of(DEPTH * LONG, 12)).unwrap();
    File::create(server.at_home("huge"))
        .unwrap()
        .set_len(1 << 40)
        .unwrap();
    File::create(server.local("source"))
        .unwrap()
        .set_len(1 << 40)
        .unwrap();
    // At no more than 20 MB a second, so that the disk is not filled.
    let start = |line: &str| {
        let options = ["-l", "160000", "-o", "LogLevel=QUIET"];
        Running::start(&mut server.sftp_batch(&options, line))
    };
    let mut transfers = [start("get huge /dev/null\n"), start("put source there\n")];
    let waits_for_window = stuck(&server);
    let waits_for_socket = stuck(&server);
    let ssh = waits_for_socket.program.as_ref().unwrap();
    ssh.signal(Signal::STOP);
    let idle = Connection::logged_in(&server);
    for transfer in &mut transfers {
        assert!(transfer.is_running(), "a transfer ended too early");
    }
    let began = Instant::now();
    let status = server.stop().unwrap();
    assert!(status.success(), "ended with {status}");
    // The transfers alone would take far longer.
    assert!(began.elapsed() < Duration::from_secs(10));
    for transfer in transfers {
        transfer.wait(STEP).failed();
    }
    drop((waits_for_window, waits_for_socket, idle));
}

// ---- many at once

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
    shared.arg("-b").arg(batch).arg(crate::common::HOST);
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

// ---- requests that come together

/// More than is carried out in one go, in one piece, from a client that sends nothing more until it has
/// all replies.
#[test]
fn requests_that_come_in_one_piece_are_all_answered_though_nothing_more_comes() {
    let server = TestServer::start();
    let mut sftp = Connection::logged_in(&server).sftp();
    let mut in_flight = InFlight::default();
    let mut piece = Vec::new();
    for _ in 0..1000 {
        let body = sftp.body(wire::STAT).string("/");
        in_flight.expect(&body);
        piece.extend(body.packet());
    }
    sftp.send_bytes(&piece);
    for _ in 0..1000 {
        in_flight.reply(&mut sftp);
    }
}

#[test]
fn writes_that_come_in_one_piece_are_all_answered_where_uploads_are_held_back() {
    let server = TestServer::start();
    let limit = ["user", "set", server.user(), "--upload-rate", "10MiB/s"];
    server.admin(&limit, "").ok();
    let mut sftp = Connection::logged_in(&server).sftp();
    let handle = sftp.opened("f", flag::WRITE | flag::CREAT);
    let mut in_flight = InFlight::default();
    let mut piece = Vec::new();
    for number in 0..20 {
        let body = sftp.body(wire::WRITE).string(&handle);
        let body = body.u64(number * 1000).string(bytes_of(1000, number));
        in_flight.expect(&body);
        piece.extend(body.packet());
    }
    sftp.send_bytes(&piece);
    for _ in 0..20 {
        assert_eq!(in_flight.reply(&mut sftp).code(), code::OK);
    }
    // And what is whole when its client leaves is stored.
    piece.clear();
    for number in 20..40 {
        let body = sftp.body(wire::WRITE).string(&handle);
        let body = body.u64(number * 1000).string(bytes_of(1000, number));
        piece.extend(body.packet());
    }
    sftp.send_bytes(&piece);
    drop(sftp);
    wait_until("all of it is stored", STEP, || {
        fs::metadata(server.at_home("f")).unwrap().len() == 40_000
    });
}
