//! Handles that this session does not hold, or holds for something else, and too many handles.

use super::*;

/// Returns the reply of each request that takes a handle.
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
    // In the same slot of its own table.
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
fn a_handle_of_the_other_kind_is_refused() {
    let (server, mut sftp) = session();
    let directory = sftp.with_string(wire::OPENDIR, "dir").handle();
    refused(&sftp.read(&directory, 0, 10), code::FAILURE);
    let write = sftp.body(wire::WRITE).string(&directory).u64(0);
    refused(&sftp.ask(&write.string("lost")), code::FAILURE);
    let file = sftp.opened("file", flag::READ);
    refused(&sftp.with_string(wire::READDIR, &file), code::FAILURE);
    let write_only = sftp.opened("file", flag::WRITE);
    refused(&sftp.read(&write_only, 0, 10), code::FAILURE);
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
    // The limit applies to one session, and closing makes room.
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
    wait_until("closing a channel makes room", crate::common::STEP, || {
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
