//! Input that no good client sends, systematically: every request cut at every byte, every request
//! with every bad handle and path, every packet type. Each is refused in words, changes nothing on
//! the disk, and leaves the session (or, where the framing is broken, all others) as it was.

#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

mod common;

use std::fs;
use std::os::unix::net::UnixListener;
use std::path::Path;

use common::connection::Connection;
use common::files::{Random, tree_of};
use common::raw::RawSftp;
use common::wire::{self, Attrs, Body, MAX_PACKET, Reply, code, flag};
use common::{TestServer, against_openssh, bytes_of, wait_until};

const NO_ATTRS: Attrs = Attrs {
    size: None,
    owner: None,
    permissions: None,
    times: None,
};

/// A server, a session on it, and a home with a file and a directory.
fn session() -> (TestServer, RawSftp) {
    let server = TestServer::start();
    fs::write(server.at_home("file"), "untouched").unwrap();
    fs::create_dir(server.at_home("dir")).unwrap();
    let sftp = Connection::logged_in(&server).sftp();
    (server, sftp)
}

/// The home is as [`session`] made it.
#[track_caller]
fn assert_untouched(server: &TestServer) {
    assert_eq!(fs::read(server.at_home("file")).unwrap(), b"untouched");
    assert_eq!(names(server.home()), ["dir", "file"]);
    assert_eq!(names(&server.at_home("dir")), [""; 0]);
}

fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).unwrap();
    let mut names: Vec<String> = entries
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

/// A STATUS with this code, in words.
#[track_caller]
fn refused(reply: &Reply, code: u32) {
    assert_eq!(reply.code(), code, "{reply:?}");
    assert!(!reply.message().is_empty(), "refused without a word");
}

/// Every request of the protocol and every extension, complete and harmless: they name things that
/// do not exist, or would make what [`assert_untouched`] finds.
fn every_request() -> Vec<(&'static str, Body)> {
    let all = Attrs {
        size: Some(1),
        owner: Some((0, 0)),
        permissions: Some(0o600),
        times: Some((1, 1)),
    };
    let body = |kind: u8| Body::new(kind, 0x1234_5678);
    let extended = |name: &str| body(wire::EXTENDED).string(name);
    let handle = [0xab; 12];
    vec![
        (
            "OPEN",
            body(wire::OPEN)
                .string("made")
                .u32(flag::WRITE | flag::CREAT)
                .attrs(&all),
        ),
        ("CLOSE", body(wire::CLOSE).string(handle)),
        ("READ", body(wire::READ).string(handle).u64(0).u32(1)),
        (
            "WRITE",
            body(wire::WRITE).string(handle).u64(0).string("data"),
        ),
        ("LSTAT", body(wire::LSTAT).string("none")),
        ("FSTAT", body(wire::FSTAT).string(handle)),
        ("SETSTAT", body(wire::SETSTAT).string("file").attrs(&all)),
        ("FSETSTAT", body(wire::FSETSTAT).string(handle).attrs(&all)),
        ("OPENDIR", body(wire::OPENDIR).string("none")),
        ("READDIR", body(wire::READDIR).string(handle)),
        ("REMOVE", body(wire::REMOVE).string("file")),
        ("MKDIR", body(wire::MKDIR).string("made").attrs(&all)),
        ("RMDIR", body(wire::RMDIR).string("dir")),
        ("REALPATH", body(wire::REALPATH).string("none")),
        ("STAT", body(wire::STAT).string("none")),
        ("RENAME", body(wire::RENAME).string("file").string("made")),
        ("READLINK", body(wire::READLINK).string("none")),
        ("SYMLINK", body(wire::SYMLINK).string("file").string("made")),
        (
            "posix-rename",
            extended("posix-rename@openssh.com")
                .string("file")
                .string("made"),
        ),
        ("statvfs", extended("statvfs@openssh.com").string("none")),
        ("fstatvfs", extended("fstatvfs@openssh.com").string(handle)),
        (
            "hardlink",
            extended("hardlink@openssh.com")
                .string("file")
                .string("made"),
        ),
        ("fsync", extended("fsync@openssh.com").string(handle)),
        (
            "lsetstat",
            extended("lsetstat@openssh.com").string("file").attrs(&all),
        ),
        (
            "expand-path",
            extended("expand-path@openssh.com").string("~/none"),
        ),
        (
            "copy-data",
            extended("copy-data")
                .string(handle)
                .u64(0)
                .u64(0)
                .string(handle)
                .u64(0),
        ),
        ("home-directory", extended("home-directory").string("bob")),
        (
            "users-groups-by-id",
            extended("users-groups-by-id@openssh.com")
                .string([0; 4])
                .string([0; 4]),
        ),
    ]
}

// ---- framing

#[test]
fn the_longest_packet_is_taken_whole() {
    let (server, mut sftp) = session();
    let handle = sftp.opened("long", flag::WRITE | flag::CREAT);
    let head = sftp.body(wire::WRITE).string(&handle).u64(0);
    let data = bytes_of(MAX_PACKET - head.0.len() - 4, 1);
    let body = head.string(&data);
    assert_eq!(body.0.len(), MAX_PACKET);
    assert_eq!(sftp.ask(&body).code(), code::OK);
    assert!(fs::read(server.at_home("long")).unwrap() == data);
    sftp.assert_alive();
}

#[test]
fn a_packet_one_byte_too_long_ends_its_channel_and_no_other() {
    let (server, mut sftp) = session();
    let connection = Connection::logged_in(&server);
    let (mut bad, mut neighbour) = (connection.sftp(), connection.sftp());
    let handle = bad.opened("file", flag::WRITE);
    let head = bad.body(wire::WRITE).string(&handle).u64(0);
    let data = bytes_of(MAX_PACKET + 1 - head.0.len() - 4, 1);
    let body = head.string(&data);
    assert_eq!(body.0.len(), MAX_PACKET + 1);
    bad.send(&body);
    bad.until_closed();
    if !against_openssh() {
        assert_eq!(bad.exit_status, Some(1));
    }
    neighbour.assert_alive();
    sftp.assert_alive();
    connection.sftp().assert_alive();
    assert_untouched(&server);
}

#[test]
fn a_length_of_four_gibibytes_ends_the_channel_and_takes_no_memory() {
    let (server, mut sftp) = session();
    let connection = Connection::logged_in(&server);
    let before = server.memory_kib("VmHWM");
    for length in [u32::MAX, i32::MAX as u32, MAX_PACKET as u32 + 1] {
        let mut bad = connection.sftp();
        bad.send_bytes(&length.to_be_bytes());
        bad.until_closed();
    }
    let after = server.memory_kib("VmHWM");
    assert!(after < before + 16 * 1024, "{before} KiB, then {after} KiB");
    sftp.assert_alive();
    assert_untouched(&server);
}

#[test]
fn a_packet_too_short_for_an_id_ends_the_channel() {
    let (server, mut sftp) = session();
    for length in 1..5 {
        let mut bad = Connection::logged_in(&server).sftp();
        bad.send(&Body([wire::REMOVE, 0, 0, 0, 0][..length].to_vec()));
        bad.until_closed();
    }
    sftp.assert_alive();
    assert_untouched(&server);
}

#[test]
fn a_channel_that_ends_in_the_middle_of_a_packet_changes_nothing() {
    let (server, mut sftp) = session();
    let mut cut = Connection::logged_in(&server).sftp();
    let packet = cut.body(wire::REMOVE).string("file").packet();
    cut.send_bytes(&packet[..packet.len() - 1]);
    cut.send_eof();
    cut.until_closed();
    sftp.assert_alive();
    assert_untouched(&server);
}

#[test]
fn random_bytes_harm_nobody_else() {
    let (server, mut sftp) = session();
    let connection = Connection::logged_in(&server);
    let mut random = Random::new(7);
    for _ in 0..50 {
        let mut bad = connection.sftp();
        let mut garbage = vec![0; 1 + random.below(600) as usize];
        random.fill(&mut garbage);
        // Well framed half of the time, so that the garbage reaches the fields.
        if random.below(2) == 0 {
            bad.send(&Body(garbage));
        } else {
            bad.send_bytes(&garbage);
        }
        bad.send_eof();
        bad.until_closed();
    }
    sftp.assert_alive();
    assert_untouched(&server);
}

// ---- INIT

#[test]
fn a_request_before_init_ends_the_channel_and_is_not_carried_out() {
    let (server, mut sftp) = session();
    let mut early = Connection::logged_in(&server).subsystem();
    let body = early.body(wire::REMOVE).string("file");
    early.send(&body);
    early.until_closed();
    sftp.assert_alive();
    assert_untouched(&server);
}

#[test]
fn an_init_without_a_version_ends_the_channel() {
    let server = TestServer::start();
    let mut bad = Connection::logged_in(&server).subsystem();
    bad.send(&Body(vec![wire::INIT, 0, 0]));
    bad.until_closed();
    Connection::logged_in(&server).sftp().assert_alive();
}

#[test]
fn a_second_init_is_answered_and_the_open_handles_stay() {
    let (server, mut sftp) = session();
    let handle = sftp.opened("file", flag::READ);
    sftp.init();
    assert_eq!(sftp.read(&handle, 0, 100).data(), b"untouched");
    assert_eq!(sftp.close(&handle), code::OK);
    assert_untouched(&server);
}

// ---- requests that are no requests

#[test]
fn an_unknown_packet_type_is_unsupported_and_its_id_is_answered() {
    let (server, mut sftp) = session();
    let known = every_request();
    for kind in 0..=u8::MAX {
        if kind == wire::INIT || known.iter().any(|(_, body)| body.0[0] == kind) {
            continue;
        }
        let body = sftp.body(kind).string("file").string("made");
        refused(&sftp.ask(&body), code::OP_UNSUPPORTED);
    }
    sftp.assert_alive();
    assert_untouched(&server);
}

#[test]
fn an_unknown_extension_is_unsupported() {
    let (server, mut sftp) = session();
    let long = "x".repeat(100_000);
    for name in [
        "",
        "no-such@example.com",
        "posix-rename",
        "\u{fffd}\0",
        &long,
    ] {
        let reply = sftp.extended(name, |body| body.string("file").string("made"));
        refused(&reply, code::OP_UNSUPPORTED);
    }
    sftp.assert_alive();
    assert_untouched(&server);
}

#[test]
fn a_request_cut_short_anywhere_is_a_bad_message_with_its_id() {
    if against_openssh() {
        return; // It ends the whole session.
    }
    let (server, mut sftp) = session();
    for (name, whole) in every_request() {
        for length in 5..whole.0.len() {
            let cut = Body(whole.0[..length].to_vec());
            let reply = sftp.ask(&cut);
            assert_eq!(
                reply.code(),
                code::BAD_MESSAGE,
                "{name} of {length} bytes: {reply:?}"
            );
        }
    }
    sftp.assert_alive();
    assert_untouched(&server);
}

#[test]
fn a_string_that_claims_to_be_longer_than_its_packet_is_a_bad_message() {
    if against_openssh() {
        return; // It ends the whole session.
    }
    let (server, mut sftp) = session();
    let handle = sftp.opened("file", flag::READ | flag::WRITE);
    let before = server.memory_kib("VmHWM");
    for lie in [u32::MAX, i32::MAX as u32, 262_144, 10] {
        for (name, whole) in every_request() {
            let mut body = Body(whole.0[..5].to_vec()).u32(lie);
            body.0.extend_from_slice(b"file");
            let reply = sftp.ask(&body);
            assert_eq!(reply.code(), code::BAD_MESSAGE, "{name}: {reply:?}");
        }
        let write = sftp.body(wire::WRITE).string(&handle).u64(0).u32(lie);
        refused(&sftp.ask(&write.raw(b"changed")), code::BAD_MESSAGE);
        let rename = sftp.body(wire::RENAME).string("file").u32(lie).raw(b"made");
        refused(&sftp.ask(&rename), code::BAD_MESSAGE);
    }
    let after = server.memory_kib("VmHWM");
    assert!(after < before + 16 * 1024, "{before} KiB, then {after} KiB");
    sftp.assert_alive();
    assert_untouched(&server);
}

#[test]
fn an_attribute_block_that_lies_about_its_extended_pairs_is_a_bad_message() {
    if against_openssh() {
        return; // It ends the whole session.
    }
    let (server, mut sftp) = session();
    for count in [1, 2, u32::MAX] {
        let open = sftp
            .body(wire::OPEN)
            .string("made")
            .u32(flag::WRITE | flag::CREAT);
        refused(
            &sftp.ask(&open.u32(0x8000_0000).u32(count)),
            code::BAD_MESSAGE,
        );
        let setstat = sftp.body(wire::SETSTAT).string("file");
        let lie = setstat.u32(0x8000_0001).u64(0).u32(count).string("a");
        refused(&sftp.ask(&lie), code::BAD_MESSAGE);
        let mkdir = sftp.body(wire::MKDIR).string("made").u32(0x8000_0000);
        let lie = mkdir.u32(count).string("a").u32(u32::MAX);
        refused(&sftp.ask(&lie), code::BAD_MESSAGE);
    }
    // As many pairs as it says: passed over.
    let honest = sftp.body(wire::MKDIR).string("made").u32(0x8000_0000);
    let honest = honest.u32(2).string("a").string("b").string("").string("");
    assert_eq!(sftp.ask(&honest).code(), code::OK);
    fs::remove_dir(server.at_home("made")).unwrap();
    assert_untouched(&server);
}

#[test]
fn bytes_behind_the_last_field_are_passed_over() {
    let (server, mut sftp) = session();
    let rest = [0xff; 37];
    let stat = sftp.body(wire::STAT).string("file").raw(&rest);
    assert_eq!(sftp.ask(&stat).attrs().size, Some(9));
    let open = sftp.body(wire::OPEN).string("file").u32(flag::READ);
    let handle = sftp.ask(&open.attrs(&NO_ATTRS).raw(&rest)).handle();
    let read = sftp.body(wire::READ).string(&handle).u64(0).u32(4);
    assert_eq!(sftp.ask(&read.raw(&rest)).data(), b"unto");
    let close = sftp.body(wire::CLOSE).string(&handle).raw(&rest);
    assert_eq!(sftp.ask(&close).code(), code::OK);
    assert_untouched(&server);
}

// ---- handles

/// What each request that takes a handle says to this one.
#[track_caller]
fn every_use_of(sftp: &mut RawSftp, handle: &[u8]) -> Vec<(&'static str, Reply)> {
    let cut = Attrs {
        size: Some(0),
        ..NO_ATTRS
    };
    let read = sftp.body(wire::READ).string(handle).u64(0).u32(10);
    let write = sftp.body(wire::WRITE).string(handle).u64(0).string("lost");
    let fstat = sftp.body(wire::FSTAT).string(handle);
    let fsetstat = sftp.body(wire::FSETSTAT).string(handle).attrs(&cut);
    let readdir = sftp.body(wire::READDIR).string(handle);
    let extended = |sftp: &mut RawSftp, name| sftp.body(wire::EXTENDED).string(name).string(handle);
    let fstatvfs = extended(sftp, "fstatvfs@openssh.com");
    let fsync = extended(sftp, "fsync@openssh.com");
    let close = sftp.body(wire::CLOSE).string(handle);
    [
        ("READ", read),
        ("WRITE", write),
        ("FSTAT", fstat),
        ("FSETSTAT", fsetstat),
        ("READDIR", readdir),
        ("fstatvfs", fstatvfs),
        ("fsync", fsync),
        ("CLOSE", close),
    ]
    .map(|(name, body)| (name, sftp.ask(&body)))
    .into()
}

#[track_caller]
fn assert_no_use_of(sftp: &mut RawSftp, handle: &[u8]) {
    for (name, reply) in every_use_of(sftp, handle) {
        assert_eq!(reply.code(), code::FAILURE, "{name}: {reply:?}");
        assert!(
            !reply.message().is_empty(),
            "{name} is refused without a word"
        );
    }
}

#[test]
fn a_closed_handle_is_no_handle_any_more_even_when_its_place_is_taken() {
    if against_openssh() {
        return; // It hands out the same handle again.
    }
    let (server, mut sftp) = session();
    let stale = sftp.opened("file", flag::READ | flag::WRITE);
    assert_eq!(sftp.close(&stale), code::OK);
    assert_no_use_of(&mut sftp, &stale);
    let new = sftp.opened("file", flag::READ | flag::WRITE);
    assert_ne!(stale, new);
    assert_no_use_of(&mut sftp, &stale);
    assert_eq!(sftp.read(&new, 0, 100).data(), b"untouched");
    assert_untouched(&server);
}

#[test]
fn a_handle_of_another_session_or_channel_is_no_handle_here() {
    if against_openssh() {
        return; // Its handles are small numbers, the same in every session.
    }
    let (server, mut sftp) = session();
    let connection = Connection::logged_in(&server);
    let (mut neighbour, mut other) = (connection.sftp(), connection.sftp());
    let theirs = sftp.opened("file", flag::READ | flag::WRITE);
    let next_door = neighbour.opened("file", flag::READ | flag::WRITE);
    // In the same place of its own table.
    let own = other.opened("file", flag::READ);
    assert_no_use_of(&mut other, &theirs);
    assert_no_use_of(&mut other, &next_door);
    assert_eq!(other.read(&own, 0, 100).data(), b"untouched");
    assert_eq!(sftp.read(&theirs, 0, 100).data(), b"untouched");
    assert_eq!(neighbour.read(&next_door, 0, 100).data(), b"untouched");
    assert_untouched(&server);
}

#[test]
fn empty_short_long_and_random_handles_are_no_handles() {
    let (server, mut sftp) = session();
    let own = sftp.opened("file", flag::READ | flag::WRITE);
    let mut random = Random::new(3);
    let mut candidates: Vec<Vec<u8>> = (0..=40).map(|length| vec![0xff; length]).collect();
    candidates.push(vec![0; 1000]);
    candidates.push(own[..own.len() - 1].to_vec());
    candidates.push([&own[..], &[0]].concat());
    for _ in 0..50 {
        let mut handle = own.clone();
        random.fill(&mut handle[own.len() / 2..]);
        candidates.push(handle);
    }
    candidates.retain(|candidate| *candidate != own);
    for handle in candidates {
        assert_no_use_of(&mut sftp, &handle);
    }
    assert_eq!(sftp.read(&own, 0, 100).data(), b"untouched");
    assert_untouched(&server);
}

#[test]
fn a_file_opened_for_reading_is_not_written() {
    let (server, mut sftp) = session();
    let handle = sftp.opened("file", flag::READ);
    let write = sftp.body(wire::WRITE).string(&handle).u64(0).string("lost");
    refused(&sftp.ask(&write), code::FAILURE);
    let empty = sftp.body(wire::WRITE).string(&handle).u64(0).string("");
    if !against_openssh() {
        refused(&sftp.ask(&empty), code::FAILURE);
    }
    let cut = Attrs {
        size: Some(0),
        ..NO_ATTRS
    };
    assert_ne!(sftp.fsetstat(&handle, &cut), code::OK);
    assert_eq!(sftp.read(&handle, 0, 100).data(), b"untouched");
    assert_untouched(&server);
}

#[test]
fn past_the_cap_of_handles_an_open_is_refused_and_does_nothing() {
    if against_openssh() {
        return;
    }
    let server = TestServer::start_with(&[("sftp.max_handles", "4")]);
    fs::write(server.at_home("file"), "untouched").unwrap();
    fs::create_dir(server.at_home("dir")).unwrap();
    let connection = Connection::logged_in(&server);
    let mut sftp = connection.sftp();
    let mut held: Vec<_> = (0..3).map(|_| sftp.opened("file", flag::READ)).collect();
    held.push(sftp.with_string(wire::OPENDIR, "dir").handle());
    for flags in [
        flag::READ,
        flag::WRITE | flag::TRUNC,
        flag::WRITE | flag::CREAT | flag::EXCL,
    ] {
        for path in ["file", "made"] {
            let reply = sftp.open(path, flags, &NO_ATTRS);
            refused(&reply, code::FAILURE);
            assert!(reply.message().contains('4'), "which limit? {reply:?}");
        }
    }
    refused(&sftp.with_string(wire::OPENDIR, "dir"), code::FAILURE);
    assert_untouched(&server);
    // It is the cap of one session, and closing makes room.
    connection.sftp().opened("file", flag::READ);
    for handle in held {
        assert_eq!(sftp.close(&handle), code::OK);
        let again = sftp.opened("file", flag::READ);
        refused(&sftp.open("file", flag::READ, &NO_ATTRS), code::FAILURE);
        assert_eq!(sftp.read(&again, 0, 100).data(), b"untouched");
    }
    assert_untouched(&server);
}

#[test]
fn past_the_cap_of_channels_another_is_refused_until_one_is_closed() {
    if against_openssh() {
        return;
    }
    let server = TestServer::start_with(&[("sftp.max_channels", "3")]);
    let connection = Connection::logged_in(&server);
    let mut held: Vec<_> = (0..3).map(|_| connection.sftp()).collect();
    assert!(
        connection.try_channel().is_err(),
        "a fourth channel was opened"
    );
    for sftp in &mut held {
        sftp.assert_alive();
    }
    Connection::logged_in(&server).sftp().assert_alive();
    drop(held.pop());
    let mut channel = None;
    wait_until("closing a channel makes room", common::STEP, || {
        channel = connection.try_channel().ok();
        channel.is_some()
    });
    assert!(
        connection.try_channel().is_err(),
        "a fourth channel was opened"
    );
    for sftp in &mut held {
        sftp.assert_alive();
    }
}

// ---- names

/// Every request that takes a path, with this one; nothing may come of it but `code`.
#[track_caller]
fn assert_no_such_path(sftp: &mut RawSftp, path: &[u8], code: u32) {
    let create = flag::WRITE | flag::CREAT | flag::TRUNC;
    let one_path = [
        wire::LSTAT,
        wire::STAT,
        wire::OPENDIR,
        wire::REMOVE,
        wire::RMDIR,
        wire::REALPATH,
        wire::READLINK,
    ];
    let mut bodies: Vec<Body> = one_path
        .into_iter()
        .map(|kind| sftp.body(kind).string(path))
        .collect();
    bodies.push(sftp.body(wire::OPEN).string(path).u32(create).u32(0));
    bodies.push(sftp.body(wire::MKDIR).string(path).u32(0));
    bodies.push(sftp.body(wire::SETSTAT).string(path).u32(1).u64(0));
    bodies.push(sftp.body(wire::RENAME).string("file").string(path));
    bodies.push(sftp.body(wire::RENAME).string(path).string("made"));
    bodies.push(sftp.body(wire::SYMLINK).string("file").string(path));
    for name in ["posix-rename@openssh.com", "hardlink@openssh.com"] {
        let body = sftp.body(wire::EXTENDED).string(name);
        bodies.push(body.string("file").string(path));
        let body = sftp.body(wire::EXTENDED).string(name);
        bodies.push(body.string(path).string("made"));
    }
    for name in ["statvfs@openssh.com", "expand-path@openssh.com"] {
        bodies.push(sftp.body(wire::EXTENDED).string(name).string(path));
    }
    for body in bodies {
        let reply = sftp.ask(&body);
        assert_eq!(reply.code(), code, "type {}: {reply:?}", body.0[0]);
        assert!(!reply.message().is_empty(), "refused without a word");
    }
}

#[test]
fn a_name_with_nul_is_a_bad_message() {
    if against_openssh() {
        return; // It ends the whole session.
    }
    let (server, mut sftp) = session();
    for path in [&b"file\0"[..], b"\0", b"dir/\0/x", b"made\0.txt"] {
        assert_no_such_path(&mut sftp, path, code::BAD_MESSAGE);
    }
    let target = sftp.body(wire::SYMLINK).string("fi\0le").string("made");
    refused(&sftp.ask(&target), code::BAD_MESSAGE);
    sftp.assert_alive();
    assert_untouched(&server);
}

#[test]
fn a_name_over_255_bytes_is_a_bad_message_and_one_of_255_is_a_name() {
    let (server, mut sftp) = session();
    let longest = "n".repeat(255);
    if !against_openssh() {
        for path in [format!("{longest}n"), format!("dir/{longest}n/x")] {
            assert_no_such_path(&mut sftp, path.as_bytes(), code::BAD_MESSAGE);
        }
    }
    assert_untouched(&server);
    sftp.put(&longest, b"data");
    assert_eq!(fs::read(server.at_home(&longest)).unwrap(), b"data");
    assert_eq!(sftp.remove(&longest), code::OK);
    assert_untouched(&server);
}

#[test]
fn a_path_of_4096_bytes_and_more_is_a_bad_message_and_one_of_4095_is_a_path() {
    let (server, mut sftp) = session();
    let of_length = |length: usize| {
        let mut path = "./".repeat(length / 2 - 2);
        path.push_str(&"/".repeat(length - path.len() - 4));
        path + "file"
    };
    if !against_openssh() {
        for length in [4096, 4097, 65_536, 200_000] {
            let path = of_length(length);
            assert_eq!(path.len(), length);
            assert_no_such_path(&mut sftp, path.as_bytes(), code::BAD_MESSAGE);
        }
        let target = sftp
            .body(wire::SYMLINK)
            .string("x".repeat(4096))
            .string("made");
        refused(&sftp.ask(&target), code::BAD_MESSAGE);
    }
    assert_eq!(sftp.stat(of_length(4095)).attrs().size, Some(9));
    assert_untouched(&server);
}

#[test]
fn a_directory_is_not_made_where_there_is_a_name_already() {
    let (server, mut sftp) = session();
    for path in ["file", "dir", "/", "."] {
        let body = sftp.body(wire::MKDIR).string(path).attrs(&NO_ATTRS);
        refused(&sftp.ask(&body), code::FAILURE);
    }
    sftp.assert_alive();
    assert_untouched(&server);
}

#[test]
fn a_rename_onto_an_existing_name_fails_and_leaves_both() {
    let (server, mut sftp) = session();
    fs::write(server.at_home("second"), "mine").unwrap();
    fs::create_dir(server.at_home("second dir")).unwrap();
    let before = tree_of(server.home());
    for (from, to) in [
        ("file", "second"),
        ("file", "dir"),
        ("dir", "second dir"),
        ("dir", "file"),
    ] {
        let body = sftp.body(wire::RENAME).string(from).string(to);
        let reply = sftp.ask(&body);
        if !against_openssh() || to == "second" {
            refused(&reply, code::FAILURE);
        }
    }
    sftp.assert_alive();
    if !against_openssh() {
        assert_eq!(tree_of(server.home()), before);
    }
}

// ---- offsets and sizes

#[test]
fn a_read_of_nothing_and_one_past_the_end_is_the_end_of_the_file() {
    let (server, mut sftp) = session();
    let handle = sftp.opened("file", flag::READ);
    for (offset, length) in [
        (0, 0),
        (5, 0),
        (9, 1),
        (9, u32::MAX),
        (i64::MAX as u64 - 5, 1),
    ] {
        refused(&sftp.read(&handle, offset, length), code::EOF);
    }
    assert_eq!(sftp.read(&handle, 0, u32::MAX).data(), b"untouched");
    assert_untouched(&server);
}

#[test]
fn a_write_at_an_offset_that_no_file_can_have_is_refused() {
    let (server, mut sftp) = session();
    let handle = sftp.opened("file", flag::WRITE);
    for offset in [u64::MAX, 1 << 63, i64::MAX as u64, i64::MAX as u64 - 2] {
        let write = sftp.body(wire::WRITE).string(&handle).u64(offset);
        let reply = sftp.ask(&write.string("lost"));
        assert_ne!(reply.code(), code::OK, "at {offset}");
        assert!(!reply.message().is_empty(), "refused without a word");
        assert_untouched(&server);
    }
    sftp.assert_alive();
}

#[test]
fn a_size_that_no_file_can_have_is_refused_and_the_file_stays() {
    let (server, mut sftp) = session();
    let handle = sftp.opened("file", flag::WRITE);
    for size in [u64::MAX, 1 << 63, i64::MAX as u64] {
        let huge = Attrs {
            size: Some(size),
            ..NO_ATTRS
        };
        let fsetstat = sftp.body(wire::FSETSTAT).string(&handle).attrs(&huge);
        let setstat = sftp.body(wire::SETSTAT).string("file").attrs(&huge);
        for body in [fsetstat, setstat] {
            let reply = sftp.ask(&body);
            assert_ne!(reply.code(), code::OK, "a size of {size}");
            assert!(!reply.message().is_empty(), "refused without a word");
            assert_untouched(&server);
        }
    }
    sftp.assert_alive();
}

// ---- OPEN

#[test]
fn truncating_without_writing_is_refused_and_the_file_stays() {
    if against_openssh() {
        return; // It truncates.
    }
    let (server, mut sftp) = session();
    for flags in [flag::READ | flag::TRUNC, flag::TRUNC] {
        refused(&sftp.open("file", flags, &NO_ATTRS), code::BAD_MESSAGE);
        assert_untouched(&server);
    }
    sftp.assert_alive();
}

#[test]
fn exclusive_without_creating_is_ignored_and_makes_and_cuts_nothing() {
    let (server, mut sftp) = session();
    for flags in [flag::READ, flag::WRITE] {
        let handle = sftp.opened("file", flags | flag::EXCL);
        assert_eq!(sftp.close(&handle), code::OK);
        let reply = sftp.open("none", flags | flag::EXCL, &NO_ATTRS);
        refused(&reply, code::NO_SUCH_FILE);
    }
    sftp.assert_alive();
    assert_untouched(&server);
}

#[test]
fn a_directory_is_not_opened_as_a_file() {
    let (server, mut sftp) = session();
    for path in ["dir", "/", "."] {
        for flags in [flag::WRITE, flag::WRITE | flag::CREAT | flag::TRUNC] {
            refused(&sftp.open(path, flags, &NO_ATTRS), code::FAILURE);
        }
    }
    sftp.assert_alive();
    assert_untouched(&server);
}

#[test]
fn a_fifo_and_a_socket_are_refused_at_once() {
    if against_openssh() {
        return; // Opening a FIFO hangs its session.
    }
    let (server, mut sftp) = session();
    let fifo = server.at_home("fifo");
    rustix::fs::mknodat(
        rustix::fs::CWD,
        &fifo,
        rustix::fs::FileType::Fifo,
        rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR,
        0,
    )
    .unwrap();
    let listener = UnixListener::bind(server.at_home("socket")).unwrap();
    for path in ["fifo", "socket"] {
        for flags in [
            flag::READ,
            flag::WRITE,
            flag::READ | flag::WRITE,
            flag::WRITE | flag::CREAT | flag::TRUNC,
            flag::WRITE | flag::APPEND,
        ] {
            let began = std::time::Instant::now();
            let reply = sftp.open(path, flags, &NO_ATTRS);
            assert!(
                began.elapsed().as_secs() < 5,
                "{path} made the session wait"
            );
            refused(&reply, code::PERMISSION_DENIED);
        }
        let cut = Attrs {
            size: Some(0),
            ..NO_ATTRS
        };
        assert_ne!(sftp.setstat(path, &cut), code::OK);
        assert_eq!(sftp.stat(path).attrs().size, Some(0));
    }
    sftp.assert_alive();
    drop(listener);
    for path in ["fifo", "socket"] {
        assert_eq!(sftp.remove(path), code::OK);
    }
    assert_untouched(&server);
}
