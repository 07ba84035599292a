//! Meaningless offsets, sizes and open flags.

use super::*;

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
