//! Impossible names, and names in use.

use super::*;

/// Sends every request that takes a path, with this one; each must return `code`.
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
