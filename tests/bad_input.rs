//! What a hostile or broken client sends: a clear status or the end of that channel, nothing lost,
//! everybody else unharmed.

#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

mod common;

use std::fs;
use std::process::Command;
use std::time::Instant;

use common::connection::Connection;
use common::files::tree_of;
use common::raw::{Outgoing, RawSftp};
use common::wire::{self, Attrs, Body, MAX_PACKET, Reply, code, flag};
use common::{STEP, TestServer, run_ok};

/// A server with a file that must stay as it is, and a connection with one SFTP session.
fn scene(settings: &[(&str, &str)]) -> (TestServer, Connection, RawSftp) {
    let server = TestServer::start_with(settings);
    fs::write(server.at_home("kept"), "kept").unwrap();
    let connection = Connection::logged_in(&server);
    let sftp = connection.sftp();
    (server, connection, sftp)
}

fn assert_untouched(server: &TestServer, expected: &[&str]) {
    let names: Vec<_> = tree_of(server.home())
        .into_iter()
        .map(|(name, _)| name)
        .collect();
    assert_eq!(names, expected);
    assert_eq!(fs::read(server.at_home("kept")).unwrap(), b"kept");
}

#[test]
fn broken_framing_ends_that_channel_and_no_other() {
    let (server, connection, mut beside) = scene(&[]);
    let too_long = u32::try_from(MAX_PACKET + 1).unwrap().to_be_bytes();
    let request_before_init = Body::new(wire::STAT, 1).string("/").packet();
    let no_id = [0, 0, 0, 2, wire::STAT, 0];
    let cases: [(&[u8], bool); 4] = [
        (&too_long, true),
        (&[0; 4], true),
        (&request_before_init, false),
        (&no_id, true),
    ];
    for (bytes, init) in cases {
        let mut sftp = if init {
            connection.sftp()
        } else {
            connection.subsystem()
        };
        sftp.send_bytes(bytes);
        sftp.until_closed();
        assert_eq!(sftp.exit_status, Some(1), "{bytes:?}");
        beside.assert_alive();
    }
    assert_untouched(&server, &["kept"]);
}

#[test]
fn the_longest_packet_is_taken_and_bytes_after_the_fields_are_ignored() {
    let (_server, _connection, mut sftp) = scene(&[]);
    let mut body = sftp.body(wire::STAT).string("/kept");
    body.0.resize(MAX_PACKET, 0xaa);
    assert_eq!(sftp.ask(&body).attrs().size, Some(4));
}

#[test]
fn unknown_requests_and_extensions_are_told_so() {
    let (_server, _connection, mut sftp) = scene(&[]);
    for kind in [0, 2, 21, 99, 101, 199, 201, 255] {
        let body = sftp.body(kind).string("x");
        assert_eq!(sftp.ask(&body).code(), code::OP_UNSUPPORTED, "{kind}");
    }
    let reply = sftp.extended("nonsense@example.org", |body| body.string("x"));
    assert_eq!(reply.code(), code::OP_UNSUPPORTED);
    // A second INIT is answered like the first.
    sftp.init();
    sftp.assert_alive();
}

#[test]
fn fields_that_are_cut_short_or_lie_are_a_bad_message() {
    let (server, _connection, mut sftp) = scene(&[]);
    for kind in (wire::OPEN..=wire::SYMLINK).chain([wire::EXTENDED]) {
        for tail in [&b""[..], b"\0\0", b"\xff\xff\xff\xff", b"\0\0\0\x09kept"] {
            let body = sftp.body(kind).raw(tail);
            assert_eq!(sftp.ask(&body).code(), code::BAD_MESSAGE, "{kind} {tail:?}");
        }
    }
    // Extended attributes whose count lies.
    let body = sftp
        .body(wire::SETSTAT)
        .string("/kept")
        .u32(0x8000_0000)
        .u32(u32::MAX);
    assert_eq!(sftp.ask(&body).code(), code::BAD_MESSAGE);
    sftp.assert_alive();
    assert_untouched(&server, &["kept"]);
}

#[test]
fn handles_that_are_stale_foreign_or_nonsense_are_refused() {
    let (server, connection, mut sftp) = scene(&[]);
    let stale = sftp.opened("/kept", flag::READ | flag::WRITE);
    assert_eq!(sftp.close(&stale), code::OK);
    let mut other = connection.sftp();
    let foreign = other.opened("/kept", flag::READ | flag::WRITE);
    let long = vec![0; 300];
    for handle in [
        &stale[..],
        &foreign,
        b"",
        b"x",
        b"\0\0\0\0\0\0\0\0\0\0\0\0",
        &long,
    ] {
        assert_eq!(sftp.read(handle, 0, 10).code(), code::FAILURE, "{handle:?}");
        assert_eq!(sftp.write(handle, 0, b"lost"), code::FAILURE);
        assert_eq!(sftp.close(handle), code::FAILURE);
        assert_eq!(
            sftp.fsetstat(
                handle,
                &Attrs {
                    size: Some(0),
                    ..Attrs::default()
                }
            ),
            code::FAILURE
        );
    }
    let directory = sftp.with_string(wire::OPENDIR, "/").handle();
    assert_eq!(sftp.read(&directory, 0, 10).code(), code::FAILURE);
    let read_only = sftp.opened("/kept", flag::READ);
    assert_eq!(sftp.write(&read_only, 0, b"lost"), code::FAILURE);
    assert_eq!(
        sftp.with_string(wire::READDIR, &read_only).code(),
        code::FAILURE
    );
    let write_only = sftp.opened("/kept", flag::WRITE);
    assert_eq!(sftp.read(&write_only, 0, 10).code(), code::FAILURE);
    assert_eq!(other.read(&foreign, 0, 10).data(), b"kept");
    assert_untouched(&server, &["kept"]);
}

#[test]
fn names_that_cannot_be_are_refused_by_every_request() {
    let (server, _connection, mut sftp) = scene(&[]);
    let long_name = "n".repeat(256);
    let long_path = "p/".repeat(2048);
    for path in [&b"a\0b"[..], long_name.as_bytes(), long_path.as_bytes()] {
        let made = sftp.open(path, flag::WRITE | flag::CREAT, &Attrs::default());
        assert_eq!(made.code(), code::BAD_MESSAGE);
        for kind in [
            wire::LSTAT,
            wire::STAT,
            wire::OPENDIR,
            wire::REMOVE,
            wire::RMDIR,
            wire::REALPATH,
            wire::READLINK,
        ] {
            assert_eq!(
                sftp.with_string(kind, path).code(),
                code::BAD_MESSAGE,
                "{kind}"
            );
        }
        assert_eq!(sftp.mkdir(path), code::BAD_MESSAGE);
        assert_eq!(sftp.rename("/kept", path), code::BAD_MESSAGE);
        assert_eq!(sftp.rename(path, "/kept"), code::BAD_MESSAGE);
    }
    let body = sftp.body(wire::SYMLINK).string("t\0").string("/link");
    assert_eq!(sftp.ask(&body).code(), code::BAD_MESSAGE);
    assert_untouched(&server, &["kept"]);
}

#[test]
fn offsets_and_sizes_beyond_reason_change_nothing() {
    let (server, _connection, mut sftp) = scene(&[]);
    let handle = sftp.opened("/kept", flag::READ | flag::WRITE);
    for offset in [1 << 63, u64::MAX - 1, u64::MAX] {
        assert_ne!(sftp.write(&handle, offset, b"lost"), code::OK, "{offset}");
        assert_ne!(sftp.read(&handle, offset, 10).code(), code::OK);
        let size = Attrs {
            size: Some(offset),
            ..Attrs::default()
        };
        assert_ne!(sftp.fsetstat(&handle, &size), code::OK);
    }
    assert_eq!(sftp.read(&handle, 0, 0).code(), code::EOF);
    assert_eq!(sftp.read(&handle, 0, u32::MAX).data(), b"kept");
    assert_untouched(&server, &["kept"]);
}

#[test]
fn what_exists_is_not_made_again_nor_replaced_by_a_plain_rename() {
    let (server, _connection, mut sftp) = scene(&[]);
    fs::write(server.at_home("other"), "other").unwrap();
    assert_eq!(sftp.mkdir("/kept"), code::FAILURE);
    assert_eq!(sftp.rename("/other", "/kept"), code::FAILURE);
    let exclusive = flag::WRITE | flag::CREAT | flag::EXCL | flag::TRUNC;
    assert_eq!(
        sftp.open("/kept", exclusive, &Attrs::default()).code(),
        code::FAILURE
    );
    let no_write = sftp.open("/kept", flag::READ | flag::TRUNC, &Attrs::default());
    assert!(matches!(no_write, Reply::Status { .. }), "{no_write:?}");
    assert_untouched(&server, &["kept", "other"]);
}

#[test]
fn open_files_are_capped_and_closing_makes_room() {
    let (server, connection, mut sftp) =
        scene(&[("sftp.max_handles", "3"), ("sftp.max_channels", "2")]);
    let handles: Vec<_> = (0..3).map(|_| sftp.opened("/kept", flag::READ)).collect();
    let refused = sftp.open("/new", flag::WRITE | flag::CREAT, &Attrs::default());
    assert_eq!(refused.code(), code::FAILURE);
    assert!(refused.message().contains("limit 3"), "{refused:?}");
    let truncating = sftp.open("/kept", flag::WRITE | flag::TRUNC, &Attrs::default());
    assert_eq!(truncating.code(), code::FAILURE);
    assert_eq!(sftp.with_string(wire::OPENDIR, "/").code(), code::FAILURE);
    assert_untouched(&server, &["kept"]);
    assert_eq!(sftp.close(&handles[0]), code::OK);
    sftp.opened("/kept", flag::READ);

    let second = connection.sftp();
    assert!(connection.try_channel().is_err());
    drop(second);
    sftp.assert_alive();
}

#[test]
fn fifos_and_sockets_are_refused_at_once() {
    let (server, _connection, mut sftp) = scene(&[]);
    run_ok(Command::new("mkfifo").arg(server.at_home("fifo")), STEP);
    let _socket = std::os::unix::net::UnixListener::bind(server.at_home("socket")).unwrap();
    let began = Instant::now();
    for name in ["/fifo", "/socket"] {
        for flags in [
            flag::READ,
            flag::WRITE,
            flag::READ | flag::WRITE | flag::TRUNC,
        ] {
            let reply = sftp.open(name, flags, &Attrs::default());
            assert!(
                matches!(reply, Reply::Status { .. }),
                "{name} {flags}: {reply:?}"
            );
        }
    }
    assert!(began.elapsed().as_secs() < 5, "{:?}", began.elapsed());
    assert_eq!(fs::read(server.at_home("kept")).unwrap(), b"kept");
}

#[test]
fn a_refused_subsystem_holds_up_nothing_and_a_running_one_is_not_started_again() {
    let (_server, connection, mut beside) = scene(&[("sftp.max_channels", "3")]);
    for _ in 0..5 {
        let mut channel = connection.channel();
        // Many more than russh's mailbox holds: they must be drained, granted or not.
        for _ in 0..150 {
            channel.send(Outgoing::Subsystem("nonsense"));
            assert!(!channel.accepted());
        }
        channel.send(Outgoing::Subsystem("sftp"));
        assert!(channel.accepted());
        channel.send(Outgoing::Subsystem("sftp"));
        assert!(!channel.accepted());
        beside.assert_alive();
        channel.send(Outgoing::Eof);
        channel.until_closed();
    }
}
