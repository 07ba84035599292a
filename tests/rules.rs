//! What clients rely on beyond the text of the draft, packet by packet. With TESTS_AGAINST=openssh the
//! same tests run against OpenSSH's server.

mod slash;

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};

use crate::common::connection::Connection;
use crate::common::raw::RawSftp;
use crate::common::wire::{self, Attrs, Fields, Reply, code, flag};
use crate::common::{KIB, STEP, TestServer, against_openssh, bytes_of};

const NEW: u32 = flag::WRITE | flag::CREAT | flag::TRUNC;

fn scene() -> (TestServer, Connection, RawSftp) {
    let server = TestServer::start();
    let connection = Connection::logged_in(&server);
    let sftp = connection.sftp();
    (server, connection, sftp)
}

fn times(seconds: u32) -> Attrs {
    Attrs {
        times: Some((seconds, seconds)),
        ..Attrs::default()
    }
}

fn permissions(mode: u32) -> Attrs {
    Attrs {
        permissions: Some(mode),
        ..Attrs::default()
    }
}

fn size(bytes: u64) -> Attrs {
    Attrs {
        size: Some(bytes),
        ..Attrs::default()
    }
}

#[test]
fn a_listing_has_the_lines_of_ls_and_every_attribute() {
    let (server, _connection, mut sftp) = scene();
    fs::create_dir(server.at_home("d")).unwrap();
    fs::write(server.at_home("d/new"), "12345").unwrap();
    fs::write(server.at_home("d/old"), "").unwrap();
    fs::create_dir(server.at_home("d/sub")).unwrap();
    symlink("new", server.at_home("d/link")).unwrap();
    assert_eq!(sftp.setstat("/d/old", &times(1_000_040_000)), code::OK);
    assert_eq!(sftp.setstat("/d/new", &permissions(0o640)), code::OK);

    let names = sftp.list("/d");
    let found: Vec<_> = names.iter().map(|entry| entry.name.as_slice()).collect();
    let expected: [&[u8]; 6] = [b".", b"..", b"link", b"new", b"old", b"sub"];
    assert_eq!(found, expected);
    for entry in &names {
        let line = String::from_utf8(entry.longname.clone()).unwrap();
        let name = std::str::from_utf8(&entry.name).unwrap();
        let fields: Vec<_> = line.split_whitespace().collect();
        // Mode, links, owner, group, size, month, day, time or year, name; no " -> target".
        assert_eq!(fields.len(), 9, "{line}");
        assert_eq!(fields[8], name, "{line}");
        assert_eq!(fields[4], entry.attrs.size.unwrap().to_string(), "{line}");
        let kind = match name {
            "link" => 'l',
            "new" | "old" => '-',
            _ => 'd',
        };
        assert!(line.starts_with(kind), "{line}");
        assert!(entry.attrs.owner.is_some() && entry.attrs.times.is_some());
    }
    let line = |name: &[u8]| {
        let entry = names.iter().find(|entry| entry.name == name).unwrap();
        String::from_utf8(entry.longname.clone()).unwrap()
    };
    assert!(line(b"new").starts_with("-rw-r-----"), "{}", line(b"new"));
    assert!(line(b"new").contains(':'), "{}", line(b"new"));
    assert!(line(b"old").contains("Sep  9  2001"), "{}", line(b"old"));
}

#[test]
fn replies_to_readdir_are_small_and_never_empty() {
    let (server, _connection, mut sftp) = scene();
    fs::create_dir(server.at_home("many")).unwrap();
    for number in 0..1500 {
        let name = format!("many/{number:04}{}", "n".repeat(200));
        fs::write(server.at_home(&name), "").unwrap();
    }
    let handle = sftp.with_string(wire::OPENDIR, "/many").handle();
    let mut seen = 0;
    loop {
        let body = sftp.body(wire::READDIR).string(&handle);
        sftp.send(&body);
        let packet = sftp.try_packet(STEP).unwrap();
        assert!(packet.len() <= 64 * KIB, "{} bytes", packet.len());
        match Reply::parse(&packet) {
            Reply::Name { names, .. } => {
                assert!(!names.is_empty());
                seen += names.len();
            }
            end => break assert_eq!(end.code(), code::EOF),
        }
    }
    assert_eq!(seen, 1502);
}

#[test]
fn realpath_gives_one_absolute_name_and_lets_the_last_one_be_missing() {
    let (server, _connection, mut sftp) = scene();
    fs::create_dir_all(server.at_home("a/b")).unwrap();
    symlink("a/b", server.at_home("link")).unwrap();
    for (asked, answer) in [
        ("", "/"),
        (".", "/"),
        ("/", "/"),
        ("..", "/"),
        ("/../..", "/"),
        ("a/./b//", "/a/b"),
        ("a/b/..", "/a"),
        ("link", "/a/b"),
        ("link/..", "/a"),
        ("a/not-yet", "/a/not-yet"),
    ] {
        let got = sftp.realpath(asked);
        assert_eq!(got.escape_ascii().to_string(), answer, "{asked:?}");
    }
    let reply = sftp.with_string(wire::REALPATH, "missing/below");
    assert_eq!(reply.code(), code::NO_SUCH_FILE);
}

#[test]
fn errors_have_the_codes_that_clients_look_for() {
    let (server, _connection, mut sftp) = scene();
    fs::write(server.at_home("file"), "file").unwrap();
    fs::create_dir_all(server.at_home("full/inner")).unwrap();
    for missing in ["/missing", "/missing/below", "/file/below"] {
        assert_eq!(sftp.stat(missing).code(), code::NO_SUCH_FILE, "{missing}");
        assert_eq!(sftp.lstat(missing).code(), code::NO_SUCH_FILE);
        let opened = sftp.open(missing, flag::READ, &Attrs::default());
        assert_eq!(opened.code(), code::NO_SUCH_FILE);
        assert_eq!(sftp.remove(missing), code::NO_SUCH_FILE);
        assert_eq!(sftp.rename(missing, "/x"), code::NO_SUCH_FILE);
        assert_eq!(sftp.setstat(missing, &times(1)), code::NO_SUCH_FILE);
        let listed = sftp.with_string(wire::OPENDIR, missing);
        assert_eq!(listed.code(), code::NO_SUCH_FILE);
    }
    assert_eq!(sftp.mkdir("/full"), code::FAILURE);
    assert_eq!(sftp.mkdir("/file"), code::FAILURE);
    let rmdir = sftp.with_string(wire::RMDIR, "/full");
    assert_eq!(rmdir.code(), code::FAILURE);
    assert_eq!(sftp.remove("/full"), code::FAILURE);
    assert_eq!(sftp.rename("/full", "/file"), code::FAILURE);
    let readlink = sftp.with_string(wire::READLINK, "/file");
    assert_ne!(readlink.code(), code::OK);
    assert_eq!(fs::read(server.at_home("file")).unwrap(), b"file");
    assert!(server.at_home("full/inner").is_dir());
}

#[test]
fn attributes_of_an_open_apply_only_to_a_file_that_it_makes() {
    let (server, _connection, mut sftp) = scene();
    let mode = |name: &str| fs::metadata(server.at_home(name)).unwrap().mode() & 0o7777;
    // libssh2 also sends the file type bits.
    let handle = sftp.open("/f", NEW, &permissions(0o100_640)).handle();
    assert_eq!(mode("f"), 0o640);
    assert_eq!(sftp.write(&handle, 0, b"12345"), code::OK);
    assert_eq!(sftp.close(&handle), code::OK);
    let again = Attrs {
        size: Some(1000),
        ..permissions(0o600)
    };
    let handle = sftp.open("/f", flag::WRITE, &again).handle();
    assert_eq!(sftp.close(&handle), code::OK);
    assert_eq!(mode("f"), 0o640);
    assert_eq!(fs::read(server.at_home("f")).unwrap(), b"12345");
}

#[test]
fn times_set_before_a_close_or_rename_stay() {
    let (server, _connection, mut sftp) = scene();
    let handle = sftp.opened("/f", NEW);
    assert_eq!(sftp.write(&handle, 0, b"x"), code::OK);
    assert_eq!(sftp.fsetstat(&handle, &times(1_111_111_111)), code::OK);
    assert_eq!(sftp.close(&handle), code::OK);
    assert_eq!(sftp.rename("/f", "/g"), code::OK);
    assert_eq!(sftp.stat("/g").attrs().mtime(), 1_111_111_111);
    assert_eq!(
        fs::metadata(server.at_home("g")).unwrap().mtime(),
        1_111_111_111
    );
}

#[test]
fn a_handle_stays_with_its_file_whatever_becomes_of_the_name() {
    let (server, _connection, mut sftp) = scene();
    let handle = sftp.opened("/f", NEW | flag::READ);
    assert_eq!(sftp.write(&handle, 0, b"mine"), code::OK);
    assert_eq!(sftp.rename("/f", "/moved"), code::OK);
    fs::write(server.at_home("f"), "another").unwrap();
    fs::set_permissions(server.at_home("f"), PermissionsExt::from_mode(0o644)).unwrap();
    assert_eq!(sftp.fsetstat(&handle, &permissions(0o600)), code::OK);
    assert_eq!(sftp.fsetstat(&handle, &size(2)), code::OK);
    let attrs = sftp.with_string(wire::FSTAT, &handle).attrs();
    assert_eq!((attrs.size, attrs.mode()), (Some(2), 0o600));
    assert_eq!(fs::read(server.at_home("moved")).unwrap(), b"mi");
    assert_eq!(fs::read(server.at_home("f")).unwrap(), b"another");
    assert_eq!(sftp.remove("/moved"), code::OK);
    assert_eq!(sftp.read(&handle, 0, 10).data(), b"mi");
    assert_eq!(sftp.close(&handle), code::OK);
    assert_eq!(sftp.stat("/f").attrs().mode(), 0o644);
}

#[test]
fn sizes_are_cut_and_grown_by_path() {
    let (server, _connection, mut sftp) = scene();
    fs::write(server.at_home("f"), "12345").unwrap();
    assert_eq!(sftp.setstat("/f", &size(3)), code::OK);
    assert_eq!(fs::read(server.at_home("f")).unwrap(), b"123");
    assert_eq!(sftp.setstat("/f", &size(5)), code::OK);
    assert_eq!(fs::read(server.at_home("f")).unwrap(), b"123\0\0");
}

#[test]
fn a_read_is_short_only_at_the_end_of_the_file() {
    let (server, _connection, mut sftp) = scene();
    let data = bytes_of(600 * KIB + 7, 1);
    fs::write(server.at_home("f"), &data).unwrap();
    let handle = sftp.opened("/f", flag::READ);
    for (offset, length) in [
        (0, 1),
        (1, 4096),
        (77, 32 * KIB),
        (5, 255 * KIB),
        (300_000, 255 * KIB),
    ] {
        let got = sftp.read(&handle, offset as u64, length as u32).data();
        assert!(got == data[offset..offset + length], "{length} at {offset}");
    }
    let end = data.len() as u64;
    assert_eq!(
        sftp.read(&handle, end - 7, 100).data(),
        data[data.len() - 7..]
    );
    assert_eq!(sftp.read(&handle, end, 1).code(), code::EOF);
    assert_eq!(sftp.read(&handle, end + 100, 1).code(), code::EOF);
}

#[test]
fn posix_rename_replaces_and_a_hard_link_is_the_same_file() {
    let (server, _connection, mut sftp) = scene();
    fs::write(server.at_home("old"), "old").unwrap();
    fs::write(server.at_home("new"), "new").unwrap();
    let reply = sftp.extended("posix-rename@openssh.com", |body| {
        body.string("/new").string("/old")
    });
    assert_eq!(reply.code(), code::OK);
    assert_eq!(fs::read(server.at_home("old")).unwrap(), b"new");
    assert!(!server.at_home("new").exists());
    let link = |sftp: &mut RawSftp| {
        let reply = sftp.extended("hardlink@openssh.com", |body| {
            body.string("/old").string("/second")
        });
        reply.code()
    };
    assert_eq!(link(&mut sftp), code::OK);
    assert_eq!(link(&mut sftp), code::FAILURE);
    let inode = |name: &str| fs::metadata(server.at_home(name)).unwrap().ino();
    assert_eq!(inode("old"), inode("second"));
}

#[test]
fn lsetstat_touches_the_link_and_setstat_what_it_points_to() {
    let (server, _connection, mut sftp) = scene();
    fs::write(server.at_home("f"), "").unwrap();
    symlink("f", server.at_home("link")).unwrap();
    let reply = sftp.extended("lsetstat@openssh.com", |body| {
        body.string("/link").attrs(&times(5))
    });
    assert_eq!(reply.code(), code::OK);
    assert_eq!(sftp.lstat("/link").attrs().mtime(), 5);
    assert_ne!(sftp.stat("/link").attrs().mtime(), 5);
    assert_eq!(sftp.setstat("/link", &times(6)), code::OK);
    assert_eq!(fs::metadata(server.at_home("f")).unwrap().mtime(), 6);
    assert_eq!(sftp.lstat("/link").attrs().mtime(), 5);
    // A size is invalid there, for a link and for a file.
    for path in ["/link", "/f"] {
        let cut = Attrs {
            size: Some(0),
            ..times(7)
        };
        let reply = sftp.extended("lsetstat@openssh.com", |body| body.string(path).attrs(&cut));
        assert_eq!(reply.code(), code::BAD_MESSAGE, "{path}");
    }
    assert_eq!(sftp.stat("/f").attrs().mtime(), 6);
}

#[test]
fn the_standard_codes_have_the_texts_that_some_clients_compare() {
    let (server, _connection, mut sftp) = scene();
    fs::write(server.at_home("f"), "f").unwrap();
    #[track_caller]
    fn assert_says(reply: Reply, expected: u32, text: &str) {
        let Reply::Status { code, message, .. } = reply else {
            panic!("{reply:?}");
        };
        assert_eq!((code, message.as_str()), (expected, text));
    }
    let missing = "No such file";
    for path in ["/missing", "/missing/below", "/f/below"] {
        assert_says(sftp.stat(path), code::NO_SUCH_FILE, missing);
        let opened = sftp.open(path, flag::READ, &Attrs::default());
        assert_says(opened, code::NO_SUCH_FILE, missing);
        // node-ssh creates the parent directories if the message says this.
        let made = sftp.open(format!("{path}/new"), NEW, &Attrs::default());
        assert_says(made, code::NO_SUCH_FILE, missing);
        for kind in [wire::OPENDIR, wire::REMOVE, wire::RMDIR, wire::READLINK] {
            assert_says(sftp.with_string(kind, path), code::NO_SUCH_FILE, missing);
        }
    }
    let handle = sftp.opened("/f", flag::READ);
    assert_says(sftp.read(&handle, 1, 1), code::EOF, "End of file");
    let closed = sftp.with_string(wire::CLOSE, &handle);
    assert_says(closed, code::OK, "Success");
    let unknown = sftp.extended("nothing@example.com", |body| body);
    assert_says(unknown, code::OP_UNSUPPORTED, "Operation unsupported");
    let no_link = sftp.with_string(wire::READLINK, "/f");
    assert_says(no_link, code::BAD_MESSAGE, "Bad message");
    let given = Attrs {
        owner: Some((12_345, 12_345)),
        ..Attrs::default()
    };
    if !against_openssh() {
        // OpenSSH's server runs as root here, so it may change the owner.
        let body = sftp.body(wire::SETSTAT).string("/f").attrs(&given);
        assert_says(
            sftp.ask(&body),
            code::PERMISSION_DENIED,
            "Permission denied",
        );
    }
}

#[test]
fn the_limits_are_those_that_clients_are_tuned_to() {
    let (_server, _connection, mut sftp) = scene();
    let reply = sftp.extended("limits@openssh.com", |body| body).extended();
    let mut fields = Fields(&reply);
    let limits: Vec<u64> = (0..4).map(|_| fields.u64()).collect();
    assert_eq!(limits[..3], [262_144, 261_120, 261_120]);
    assert!(limits[3] > 1000 && fields.0.is_empty(), "{limits:?}");
    // sshfs keeps many files open, and uploads from Node run all at once.
    let many: Vec<_> = (0..1000)
        .map(|number| sftp.opened(format!("/many{number}"), NEW))
        .collect();
    for handle in many {
        assert_eq!(sftp.close(&handle), code::OK);
    }
    // A write of the advertised maximum is accepted, and fits in the largest packet.
    let data = bytes_of(261_120, 2);
    let handle = sftp.opened("/f", NEW | flag::READ);
    assert_eq!(sftp.write(&handle, 0, &data), code::OK);
    assert!(sftp.read(&handle, 0, 261_120).data() == data);
    let fsync = sftp.extended("fsync@openssh.com", |body| body.string(&handle));
    assert_eq!(fsync.code(), code::OK);
}

#[test]
fn names_of_users_and_groups_come_one_for_each_id() {
    let (_server, _connection, mut sftp) = scene();
    let ids = [0_u32, 4_000_000_000].map(u32::to_be_bytes).concat();
    let reply = sftp
        .extended("users-groups-by-id@openssh.com", |body| {
            body.string(&ids).string(&ids[..4])
        })
        .extended();
    let mut fields = Fields(&reply);
    for count in [2, 1] {
        let list = fields.string();
        let mut names = Fields(&list);
        for _ in 0..count {
            names.text();
        }
        assert!(names.0.is_empty());
    }
    assert!(fields.0.is_empty());
}

#[test]
fn tildes_and_the_home_directory_lead_to_the_home() {
    if against_openssh() {
        return;
    }
    let (_server, _connection, mut sftp) = scene();
    for (extension, asked, answer) in [
        ("expand-path@openssh.com", "~", "/"),
        ("expand-path@openssh.com", "~/sub", "/sub"),
        ("expand-path@openssh.com", "sub", "/sub"),
        ("home-directory", "", "/"),
    ] {
        let names = sftp.extended(extension, |body| body.string(asked)).names();
        assert_eq!(names.len(), 1);
        let got = names[0].name.escape_ascii().to_string();
        assert_eq!(got, answer, "{extension} {asked:?}");
    }
}

#[test]
fn what_a_client_says_before_it_leaves_is_done_and_answered_with_exit_status_0() {
    let (server, connection, _sftp) = scene();
    let mut sftp = connection.sftp();
    let body = sftp
        .body(wire::MKDIR)
        .string("/made")
        .attrs(&Attrs::default());
    sftp.send(&body);
    sftp.send_eof();
    sftp.until_closed();
    assert_eq!(sftp.exit_status, Some(0));
    assert!(server.at_home("made").is_dir());
}

#[test]
fn every_advertised_extension_is_there() {
    let (_server, connection, _sftp) = scene();
    let mut sftp = connection.subsystem();
    let advertised = sftp.init();
    for (name, value) in [
        ("posix-rename@openssh.com", "1"),
        ("statvfs@openssh.com", "2"),
        ("fstatvfs@openssh.com", "2"),
        ("hardlink@openssh.com", "1"),
        ("fsync@openssh.com", "1"),
        ("lsetstat@openssh.com", "1"),
        ("limits@openssh.com", "1"),
        ("expand-path@openssh.com", "1"),
        ("copy-data", "1"),
        ("users-groups-by-id@openssh.com", "1"),
    ] {
        let pair = (name.to_owned(), value.as_bytes().to_vec());
        assert!(advertised.contains(&pair), "{name} in {advertised:?}");
    }
    if against_openssh() {
        return; // It ends a session that sends a request cut short.
    }
    for name in ["space-available", "check-file", "copy-file"] {
        let pair = (name.to_owned(), b"1".to_vec());
        assert!(advertised.contains(&pair), "{name} in {advertised:?}");
    }
    for (name, _) in &advertised {
        let reply = sftp.extended(name, |body| body);
        let unknown = matches!(
            reply,
            Reply::Status {
                code: code::OP_UNSUPPORTED,
                ..
            }
        );
        assert!(!unknown, "{name} is advertised, but not there");
    }
}
