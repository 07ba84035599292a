//! copy-data (draft-ietf-secsh-filexfer-extensions-00, section 7): copies without sending data.

use std::fs;

use crate::common::connection::Connection;
use crate::common::raw::RawSftp;
use crate::common::wire::{code, flag};
use crate::common::{MIB, TestServer, bytes_of};

/// Copies a range of one open file to another; length 0 is everything.
fn copy(sftp: &mut RawSftp, from: (&[u8], u64, u64), to: (&[u8], u64)) -> u32 {
    let reply = sftp.extended("copy-data", |body| {
        body.string(from.0)
            .u64(from.1)
            .u64(from.2)
            .string(to.0)
            .u64(to.1)
    });
    reply.code()
}

#[test]
fn a_whole_file_and_a_range_are_copied_exactly() {
    let server = TestServer::start();
    let content = bytes_of(20 * MIB + 7, 1);
    fs::write(server.at_home("source"), &content).unwrap();
    let connection = Connection::logged_in(&server);
    let mut sftp = connection.sftp();
    let source = sftp.opened("source", flag::READ);
    let whole = sftp.opened("whole", flag::WRITE | flag::CREAT);
    let part = sftp.opened("part", flag::WRITE | flag::CREAT);
    assert_eq!(copy(&mut sftp, (&source, 0, 0), (&whole, 0)), code::OK);
    assert_eq!(fs::read(server.at_home("whole")).unwrap(), content);
    let range = (source.as_slice(), 1000, 70_000);
    assert_eq!(copy(&mut sftp, range, (&part, 10)), code::OK);
    let copied = fs::read(server.at_home("part")).unwrap();
    assert_eq!(copied.len(), 70_010);
    assert_eq!(copied[..10], [0; 10]);
    assert_eq!(copied[10..], content[1000..71_000]);
    // Behind the end there is nothing to copy.
    assert_eq!(copy(&mut sftp, (&source, 1 << 40, 0), (&part, 0)), code::OK);
    assert_eq!(fs::read(server.at_home("part")).unwrap(), copied);
}

#[test]
fn a_range_beyond_the_end_is_refused_within_one_file_as_between_two() {
    let server = TestServer::start();
    if server.is_reference() {
        return; // Before version 9.3 it copies what there is, and says that all is well.
    }
    fs::write(server.at_home("a"), "0123456789").unwrap();
    let connection = Connection::logged_in(&server);
    let mut sftp = connection.sftp();
    let a = sftp.opened("a", flag::READ | flag::WRITE);
    let b = sftp.opened("b", flag::WRITE | flag::CREAT);
    assert_ne!(copy(&mut sftp, (&a, 0, 30), (&b, 0)), code::OK);
    assert_ne!(copy(&mut sftp, (&a, 0, 30), (&a, 20)), code::OK);
    assert_eq!(copy(&mut sftp, (&a, 0, 10), (&b, 0)), code::OK);
    assert_eq!(fs::read(server.at_home("b")).unwrap(), b"0123456789");
}

/// The client does not choose where to append, so no offset is too large.
#[test]
fn a_copy_to_an_appending_file_goes_to_its_end_whatever_the_offset() {
    let server = TestServer::start();
    fs::write(server.at_home("source"), "new").unwrap();
    fs::write(server.at_home("log"), "old ").unwrap();
    let connection = Connection::logged_in(&server);
    let mut sftp = connection.sftp();
    let source = sftp.opened("source", flag::READ);
    let log = sftp.opened("log", flag::WRITE | flag::APPEND);
    for offset in [0, 1 << 40, u64::MAX] {
        assert_eq!(copy(&mut sftp, (&source, 0, 0), (&log, offset)), code::OK);
    }
    assert_eq!(fs::read(server.at_home("log")).unwrap(), b"old newnewnew");
    sftp.assert_alive();
}

#[test]
fn copies_that_cannot_be_are_refused_and_change_nothing() {
    let server = TestServer::start();
    fs::write(server.at_home("source"), "0123456789").unwrap();
    fs::write(server.at_home("target"), "target").unwrap();
    let connection = Connection::logged_in(&server);
    let mut sftp = connection.sftp();
    let read = sftp.opened("source", flag::READ);
    let both = sftp.opened("source", flag::READ | flag::WRITE);
    let target = sftp.opened("target", flag::WRITE);
    let stale = sftp.opened("target", flag::READ | flag::WRITE);
    assert_eq!(sftp.close(&stale), code::OK);
    for (from, offset, length, to, to_offset) in [
        // Onto a part of itself, through one handle or two.
        (&both, 0, 0, &both, 3),
        (&both, 3, 5, &both, 0),
        (&read, 0, 0, &both, 0),
        // Not opened for it, or not at all.
        (&read, 0, 0, &read, 100),
        (&target, 0, 0, &both, 0),
        (&stale, 0, 0, &target, 0),
        (&read, 0, 0, &stale, 0),
        // Where no file can be.
        (&read, u64::MAX, 0, &target, 0),
        (&read, 0, 0, &target, u64::MAX),
        (&read, u64::MAX, u64::MAX, &target, u64::MAX),
    ] {
        let said = copy(&mut sftp, (from, offset, length), (to, to_offset));
        assert_ne!(said, code::OK, "{offset} {length} {to_offset}");
    }
    let content = |name| fs::read(server.at_home(name)).unwrap();
    assert_eq!(content("source"), b"0123456789");
    assert_eq!(content("target"), b"target");
    sftp.assert_alive();
    if server.is_reference() {
        return; // It copies no file into itself.
    }
    // A file may be copied into itself without overlap.
    assert_eq!(copy(&mut sftp, (&read, 0, 5), (&both, 10)), code::OK);
    assert_eq!(content("source"), b"012345678901234");
}
