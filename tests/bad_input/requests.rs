//! Malformed requests: unknown, truncated, or with wrong lengths.

use super::*;

/// Every request of the protocol and every extension, complete and harmless: they name missing files, or
/// would create what [`assert_untouched`] finds.
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
        (
            "space-available",
            extended("space-available").string("none"),
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
    // As many pairs as announced: ignored.
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

/// Each id of four bytes is answered with a name: a reply beyond the packet limit would break the client's
/// stream.
#[test]
fn more_ids_than_have_room_in_a_reply_are_refused() {
    if against_openssh() {
        return; // It sends the reply that no client can take.
    }
    let (server, mut sftp) = session();
    let owner = sftp.stat(".").attrs().owner.unwrap().0;
    let mut ask = |count: usize| {
        let ids = owner.to_be_bytes().repeat(count);
        sftp.extended("users-groups-by-id@openssh.com", |body| {
            body.string(&ids).string("")
        })
    };
    assert!(ask(10_000).extended().len() > 10_000 * server.user().len());
    assert_eq!(ask(60_000).code(), code::FAILURE);
    sftp.assert_alive();
}
