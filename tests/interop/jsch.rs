//! JSch's sequences, packet by packet, as its sources send them; needs no Java.

use std::fs;

use crate::common::ahead::Ahead;
use crate::common::connection::{Connection, Options};
use crate::common::raw::RawSftp;
use crate::common::wire::{self, Attrs, Fields, code, flag};
use crate::common::{MIB, TestServer, bytes_of};

/// As much as fits in one SSH packet.
const SIXTEEN: Ahead = Ahead {
    requests: 16,
    piece: 32 * 1024 - 21,
};

/// A session with JSch's identification, after its request for the home.
fn jsch(server: &TestServer) -> (Connection, RawSftp) {
    let options = Options {
        identification: "SSH-2.0-JSCH_0.2.17",
        ..Options::default()
    };
    let connection = Connection::logged_in_as(server, &options);
    let mut sftp = connection.sftp();
    assert_eq!(sftp.realpath(""), b"/");
    (connection, sftp)
}

#[test]
fn put_overwrites_resumes_and_appends_and_get_resumes() {
    let server = TestServer::start();
    let data = bytes_of(3 * MIB + 5, 1);
    let (_connection, mut sftp) = jsch(&server);
    // OVERWRITE of a longer file.
    fs::write(server.at_home("f"), bytes_of(4 * MIB, 2)).unwrap();
    let file = sftp.opened("/f", flag::WRITE | flag::CREAT | flag::TRUNC);
    sftp.write_ahead(&file, 0, &data, SIXTEEN);
    assert_eq!(sftp.close(&file), code::OK);
    assert_eq!(fs::read(server.at_home("f")).unwrap(), data);

    // RESUME and APPEND are the same for the server: from the size that it returns.
    for cut in [0, 1, SIXTEEN.piece, 2 * MIB + 3, data.len()] {
        fs::write(server.at_home("f"), &data[..cut]).unwrap();
        let size = sftp.stat("/f").attrs().size.unwrap();
        let file = sftp.opened("/f", flag::WRITE | flag::CREAT);
        sftp.write_ahead(&file, size, &data[size as usize..], SIXTEEN);
        assert_eq!(sftp.close(&file), code::OK);
        assert_eq!(fs::read(server.at_home("f")).unwrap(), data, "from {cut}");

        sftp.stat("/f").attrs();
        let file = sftp.opened("/f", flag::READ);
        let rest = sftp.read_ahead(&file, cut as u64, SIXTEEN);
        assert!(rest == data[cut..], "from {cut}");
        assert_eq!(sftp.close(&file), code::OK);
    }
}

#[test]
fn renames_replace_links_lead_and_attributes_are_changed_one_by_one() {
    let server = TestServer::start();
    let (_connection, mut sftp) = jsch(&server);
    sftp.put("/new", b"new");
    sftp.put("/old", b"old");
    // Every rename is posix-rename.
    let reply = sftp.extended("posix-rename@openssh.com", |body| {
        body.string("/new").string("/old")
    });
    assert_eq!(reply.code(), code::OK);
    assert_eq!(fs::read(server.at_home("old")).unwrap(), b"new");
    let reply = sftp.extended("hardlink@openssh.com", |body| {
        body.string("/old").string("/hard")
    });
    assert_eq!(reply.code(), code::OK);
    let symlink = sftp.body(wire::SYMLINK).string("/old").string("/link");
    assert_eq!(sftp.ask(&symlink).code(), code::OK);
    assert_eq!(
        fs::read_link(server.at_home("link")).unwrap().to_str(),
        Some("/old")
    );
    let target = sftp.with_string(wire::READLINK, "/link").names();
    assert_eq!(target[0].name, b"/old");

    // chmod, chown and setMtime: STAT, then SETSTAT of that alone.
    let found = sftp.stat("/old").attrs();
    let (accessed, _) = found.times.unwrap();
    for change in [
        Attrs {
            permissions: Some(0o100_600),
            ..Attrs::default()
        },
        Attrs {
            owner: found.owner,
            ..Attrs::default()
        },
        Attrs {
            times: Some((accessed, 1_000_000_000)),
            ..Attrs::default()
        },
    ] {
        assert_eq!(sftp.setstat("/old", &change), code::OK);
    }
    let changed = sftp.stat("/old").attrs();
    assert_eq!((changed.mode(), changed.mtime()), (0o600, 1_000_000_000));

    // `ls`, which shows the long names; `cd`; `df`.
    assert_eq!(sftp.mkdir("/folder"), code::OK);
    let listed = sftp.list("/");
    assert!(
        listed
            .iter()
            .all(|entry| entry.longname.ends_with(&entry.name))
    );
    assert_eq!(sftp.realpath("/folder/../folder"), b"/folder");
    assert!(sftp.stat("/folder").attrs().is_dir());
    let space = sftp
        .extended("statvfs@openssh.com", |body| body.string("/"))
        .extended();
    let mut fields = Fields(&space);
    assert!([(); 11].map(|()| fields.u64())[2] > 0 && fields.0.is_empty());
    for name in ["/hard", "/link", "/old"] {
        assert_eq!(sftp.remove(name), code::OK);
    }
    assert_eq!(sftp.with_string(wire::RMDIR, "/folder").code(), code::OK);
}
