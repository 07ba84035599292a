//! WinSCP's sequences, packet by packet, as its sources send them: no WinSCP can be run here.
//! With TESTS_AGAINST=openssh the same tests run against OpenSSH's server.

use std::fs;
use std::os::unix::fs::{MetadataExt as _, symlink};

use crate::common::ahead::Ahead;
use crate::common::connection::{Connection, Options};
use crate::common::raw::{InFlight, RawSftp};
use crate::common::wire::{self, Attrs, Fields, Reply, code, flag};
use crate::common::{MIB, STEP, TestServer, against_openssh, bytes_of, wait_until};

const CHUNK: usize = 32 * 1024 - 13;
const WRITES: Ahead = Ahead {
    requests: 64,
    piece: CHUNK,
};
const READS: Ahead = Ahead {
    requests: 32,
    piece: 32 * 1024,
};

/// A session that says it is WinSCP's.
fn winscp(server: &TestServer) -> (Connection, RawSftp) {
    let options = Options {
        identification: "SSH-2.0-WinSCP_release_6.5.1",
        ..Options::default()
    };
    let connection = Connection::logged_in_as(server, &options);
    let sftp = connection.sftp();
    (connection, sftp)
}

/// The end of an upload: CLOSE, then SETSTAT of the times, without a wait in between.
fn close_and_touch(sftp: &mut RawSftp, handle: &[u8], path: &str) {
    let mut in_flight = InFlight::default();
    let close = sftp.body(wire::CLOSE).string(handle);
    in_flight.send(sftp, &close);
    let times = Attrs {
        times: Some((1_000_000_000, 1_000_000_000)),
        ..Attrs::default()
    };
    let setstat = sftp.body(wire::SETSTAT).string(path).attrs(&times);
    in_flight.send(sftp, &setstat);
    assert_eq!(in_flight.reply(sftp).code(), code::OK);
    assert_eq!(in_flight.reply(sftp).code(), code::OK);
}

#[test]
fn a_small_upload_is_exclusive_first_and_truncates_after_the_question() {
    let server = TestServer::start();
    let (_connection, mut sftp) = winscp(&server);
    let data = bytes_of(60_000, 1);
    let announced = Attrs {
        size: Some(60_000),
        ..Attrs::default()
    };
    for round in 0..2 {
        let exclusive = flag::WRITE | flag::CREAT | flag::EXCL;
        let handle = match sftp.open("/small", exclusive, &announced) {
            Reply::Handle { handle, .. } if round == 0 => handle,
            Reply::Status { code: 4, .. } if round == 1 => {
                sftp.lstat("/small").attrs();
                let again = flag::WRITE | flag::CREAT | flag::TRUNC;
                sftp.open("/small", again, &announced).handle()
            }
            other => panic!("round {round}: {other:?}"),
        };
        sftp.write_ahead(&handle, 0, &data, WRITES);
        close_and_touch(&mut sftp, &handle, "/small");
        assert_eq!(fs::read(server.at_home("small")).unwrap(), data);
        assert_eq!(sftp.stat("/small").attrs().mtime(), 1_000_000_000);
    }
}

#[test]
fn a_big_upload_goes_through_a_filepart_and_resumes_after_a_cut_at_any_byte() {
    let server = TestServer::start();
    let data = bytes_of(3 * MIB + 17, 2);
    fs::write(server.at_home("big.bin"), b"the old version").unwrap();
    for cut in [1, CHUNK, CHUNK + 1, 2 * MIB + 5] {
        {
            let (_connection, mut sftp) = winscp(&server);
            sftp.lstat("/big.bin").attrs();
            assert_eq!(sftp.lstat("/big.bin.filepart").code(), code::NO_SUCH_FILE);
            let new = flag::WRITE | flag::CREAT | flag::TRUNC;
            let announced = Attrs {
                size: Some(data.len() as u64),
                ..Attrs::default()
            };
            let handle = sftp.open("/big.bin.filepart", new, &announced).handle();
            sftp.write_ahead(&handle, 0, &data[..cut], WRITES);
            // The connection is lost here; the announced size has not made the file longer.
        }
        assert_eq!(
            fs::metadata(server.at_home("big.bin.filepart"))
                .unwrap()
                .len(),
            cut as u64
        );

        let (_connection, mut sftp) = winscp(&server);
        let size = sftp.lstat("/big.bin.filepart").attrs().size.unwrap();
        let handle = sftp.opened("/big.bin.filepart", flag::WRITE | flag::CREAT);
        sftp.write_ahead(&handle, size, &data[size as usize..], WRITES);
        assert_eq!(sftp.close(&handle), code::OK);
        assert_eq!(sftp.remove("/big.bin"), code::OK);
        assert_eq!(sftp.rename("/big.bin.filepart", "/big.bin"), code::OK);
        let times = Attrs {
            times: Some((7, 7)),
            ..Attrs::default()
        };
        assert_eq!(sftp.setstat("/big.bin", &times), code::OK);
        assert_eq!(fs::read(server.at_home("big.bin")).unwrap(), data);
        assert!(!server.at_home("big.bin.filepart").exists());
    }
}

/// With safe overwrites, a small upload over an old file that is cut is gone on with by the next one.
#[test]
fn a_small_upload_that_is_cut_keeps_the_old_file_and_is_resumed_in_its_filepart() {
    if against_openssh() {
        return;
    }
    let server = TestServer::start_with(&[("uploads.safe_overwrite", "true")]);
    let data = bytes_of(150_000, 3);
    let announced = Attrs {
        size: Some(data.len() as u64),
        ..Attrs::default()
    };
    fs::write(server.at_home("f"), b"the old version").unwrap();
    {
        let (_connection, mut sftp) = winscp(&server);
        let exclusive = flag::WRITE | flag::CREAT | flag::EXCL;
        assert_eq!(sftp.open("/f", exclusive, &announced).code(), code::FAILURE);
        sftp.lstat("/f").attrs();
        let again = flag::WRITE | flag::CREAT | flag::TRUNC;
        let handle = sftp.open("/f", again, &announced).handle();
        sftp.write_ahead(&handle, 0, &data[..100_000], WRITES);
        // The connection is lost here.
    }
    wait_until("the server has noticed", STEP, || {
        server.at_home("f.filepart").exists()
    });
    assert_eq!(fs::read(server.at_home("f")).unwrap(), b"the old version");

    let (_connection, mut sftp) = winscp(&server);
    sftp.lstat("/f").attrs();
    let size = sftp.lstat("/f.filepart").attrs().size.unwrap();
    assert_eq!(size, 100_000);
    let handle = sftp.opened("/f.filepart", flag::WRITE | flag::CREAT);
    sftp.write_ahead(&handle, size, &data[size as usize..], WRITES);
    assert_eq!(sftp.close(&handle), code::OK);
    assert_eq!(sftp.remove("/f"), code::OK);
    assert_eq!(sftp.rename("/f.filepart", "/f"), code::OK);
    assert_eq!(fs::read(server.at_home("f")).unwrap(), data);
    assert_eq!(fs::read_dir(server.home()).unwrap().count(), 1);
}

#[test]
fn a_download_resumes_from_any_byte() {
    let server = TestServer::start();
    let data = bytes_of(2 * MIB + 3, 3);
    fs::write(server.at_home("d"), &data).unwrap();
    let (_connection, mut sftp) = winscp(&server);
    for have in [0, 1, 32_768, MIB, data.len() - 1, data.len()] {
        let handle = sftp.opened("/d", flag::READ);
        let got = [&data[..have], &sftp.read_ahead(&handle, have as u64, READS)].concat();
        assert_eq!(sftp.close(&handle), code::OK);
        assert!(got == data, "resumed from {have}");
    }
}

#[test]
fn duplicate_by_copy_data_fills_an_exclusive_file_and_sets_mode_and_time_while_it_is_open() {
    let server = TestServer::start();
    let data = bytes_of(MIB + 1, 4);
    fs::write(server.at_home("a"), &data).unwrap();
    let (_connection, mut sftp) = winscp(&server);
    let source = sftp.opened("/a", flag::READ);
    let target = sftp.opened("/b", flag::WRITE | flag::CREAT | flag::EXCL);
    let reply = sftp.extended("copy-data", |body| {
        body.string(&source).u64(0).u64(0).string(&target).u64(0)
    });
    assert_eq!(reply.code(), code::OK);
    let attrs = Attrs {
        permissions: Some(0o640),
        times: Some((5, 5)),
        ..Attrs::default()
    };
    assert_eq!(sftp.setstat("/b", &attrs), code::OK);
    assert_eq!(sftp.close(&target), code::OK);
    assert_eq!(sftp.close(&source), code::OK);
    let copied = sftp.stat("/b").attrs();
    assert_eq!((copied.mode(), copied.mtime()), (0o640, 5));
    assert_eq!(fs::read(server.at_home("b")).unwrap(), data);
    // A second duplicate to the same name is refused, and the first stays.
    let refused = sftp.open(
        "/b",
        flag::WRITE | flag::CREAT | flag::EXCL,
        &Attrs::default(),
    );
    assert_eq!(refused.code(), code::FAILURE);
    assert_eq!(fs::read(server.at_home("b")).unwrap(), data);
}

#[test]
fn duplicate_by_copy_file_keeps_mode_and_time_and_replaces_nothing() {
    // OpenSSH's server has no copy-file.
    if against_openssh() {
        return;
    }
    let server = TestServer::start();
    let data = bytes_of(MIB + 1, 5);
    let (_connection, mut sftp) = winscp(&server);
    sftp.put("/a", &data);
    let attrs = Attrs {
        permissions: Some(0o640),
        times: Some((5, 6)),
        ..Attrs::default()
    };
    assert_eq!(sftp.setstat("/a", &attrs), code::OK);
    let mut duplicate = || {
        let reply = sftp.copy_file("/a", "/b", false);
        reply.code()
    };
    assert_eq!(duplicate(), code::OK);
    assert_eq!(duplicate(), code::FAILURE);
    let copied = sftp.stat("/b").attrs();
    assert_eq!((copied.mode(), copied.mtime()), (0o640, 6));
    assert_eq!(fs::read(server.at_home("b")).unwrap(), data);
}

#[test]
fn a_listing_looks_up_each_link_and_what_it_leads_to() {
    let server = TestServer::start();
    fs::create_dir_all(server.at_home("d/folder")).unwrap();
    fs::write(server.at_home("d/file"), "12345").unwrap();
    for (target, link) in [
        ("file", "to-file"),
        ("folder", "to-folder"),
        ("gone", "lost"),
    ] {
        symlink(target, server.at_home("d").join(link)).unwrap();
    }
    let (_connection, mut sftp) = winscp(&server);
    let listed = sftp.list("/d");
    assert!(listed.iter().any(|entry| entry.name == b".."));
    let links = listed.iter().filter(|entry| entry.longname[0] == b'l');
    let mut seen = 0;
    for entry in links {
        let path = [b"/d/", &entry.name[..]].concat();
        let target = sftp.with_string(wire::READLINK, &path).names();
        let found = sftp.stat(&path);
        match &target[0].name[..] {
            b"file" => assert_eq!(found.attrs().size, Some(5)),
            b"folder" => assert!(found.attrs().is_dir()),
            _ => assert_eq!(found.code(), code::NO_SUCH_FILE),
        }
        seen += 1;
    }
    assert_eq!(seen, 3);
}

#[test]
fn properties_take_permissions_with_the_owner_that_is_there() {
    let server = TestServer::start();
    fs::write(server.at_home("f"), "").unwrap();
    let (_connection, mut sftp) = winscp(&server);
    let owner = sftp.lstat("/f").attrs().owner;
    let wanted = Attrs {
        owner,
        permissions: Some(0o604),
        ..Attrs::default()
    };
    assert_eq!(sftp.setstat("/f", &wanted), code::OK);
    let found = sftp.lstat("/f").attrs();
    assert_eq!((found.mode(), found.owner), (0o604, owner));
    if against_openssh() {
        return; // It runs as root here, who may give files away.
    }
    let given_away = Attrs {
        owner: Some((4_000_000, 4_000_000)),
        ..Attrs::default()
    };
    assert_eq!(sftp.setstat("/f", &given_away), code::PERMISSION_DENIED);
    assert_eq!(sftp.lstat("/f").attrs().owner, owner);
}

#[test]
fn a_rename_and_a_hard_link_replace_nothing() {
    let server = TestServer::start();
    let (_connection, mut sftp) = winscp(&server);
    sftp.put("/a", b"a");
    sftp.put("/b", b"b");
    assert_eq!(sftp.rename("/a", "/b"), code::FAILURE);
    let mut link = |existing: &str, new: &str| {
        let reply = sftp.extended("hardlink@openssh.com", |body| {
            body.string(existing).string(new)
        });
        reply.code()
    };
    assert_eq!(link("/a", "/b"), code::FAILURE);
    assert_eq!(link("/a", "/second"), code::OK);
    assert_eq!(sftp.rename("/a", "/moved"), code::OK);
    assert_eq!(fs::read(server.at_home("b")).unwrap(), b"b");
    let inode = |name: &str| fs::metadata(server.at_home(name)).unwrap().ino();
    assert_eq!(inode("moved"), inode("second"));
}

#[test]
fn deleting_a_folder_takes_its_links_and_leaves_what_they_lead_to() {
    let server = TestServer::start();
    fs::create_dir_all(server.at_home("d/inner")).unwrap();
    fs::create_dir(server.at_home("kept")).unwrap();
    fs::write(server.at_home("kept/file"), "kept").unwrap();
    fs::write(server.at_home("d/inner/file"), "").unwrap();
    symlink("../kept", server.at_home("d/to-folder")).unwrap();
    symlink("../kept/file", server.at_home("d/to-file")).unwrap();
    let (_connection, mut sftp) = winscp(&server);
    delete(&mut sftp, "/d");
    assert!(!server.at_home("d").exists());
    assert_eq!(fs::read(server.at_home("kept/file")).unwrap(), b"kept");
}

/// A folder and all in it: whatever is no folder itself by REMOVE, even if it leads to one.
fn delete(sftp: &mut RawSftp, folder: &str) {
    for entry in sftp.list(folder) {
        let name = String::from_utf8(entry.name.clone()).unwrap();
        let path = format!("{folder}/{name}");
        match &name[..] {
            "." | ".." => {}
            _ if entry.attrs.is_dir() => delete(sftp, &path),
            _ => assert_eq!(sftp.remove(&path), code::OK),
        }
    }
    assert_eq!(sftp.with_string(wire::RMDIR, folder).code(), code::OK);
}

#[test]
fn its_links_come_in_the_order_of_the_draft_and_those_of_others_reversed() {
    // OpenSSH does not look at who the client is.
    if against_openssh() {
        return;
    }
    let server = TestServer::start();
    let (_connection, mut sftp) = winscp(&server);
    let body = sftp.body(wire::SYMLINK).string("/link-w").string("target");
    assert_eq!(sftp.ask(&body).code(), code::OK);
    let phpseclib = Options {
        identification: "SSH-2.0-phpseclib_3.0 (openssl, gmp)",
        ..Options::default()
    };
    let php = Connection::logged_in_as(&server, &phpseclib);
    let mut sftp = php.sftp();
    let body = sftp.body(wire::SYMLINK).string("/link-p").string("target");
    assert_eq!(sftp.ask(&body).code(), code::OK);
    let other = Connection::logged_in(&server);
    let mut sftp = other.sftp();
    let body = sftp.body(wire::SYMLINK).string("target").string("/link-o");
    assert_eq!(sftp.ask(&body).code(), code::OK);
    for link in ["link-w", "link-p", "link-o"] {
        assert_eq!(
            fs::read_link(server.at_home(link)).unwrap().to_str(),
            Some("target")
        );
        let names = sftp.with_string(wire::READLINK, format!("/{link}")).names();
        assert_eq!(names[0].name, b"target");
    }
}

#[test]
fn the_space_dialog_has_figures_that_agree() {
    // OpenSSH counts what is kept for root.
    if against_openssh() {
        return;
    }
    let server = TestServer::start();
    let (_connection, mut sftp) = winscp(&server);
    let reply = sftp
        .extended("statvfs@openssh.com", |body| body.string("/"))
        .extended();
    let mut fields = Fields(&reply);
    let values: Vec<u64> = (0..11).map(|_| fields.u64()).collect();
    let [bsize, frsize, blocks, bfree, bavail, files, ..] = values[..] else {
        panic!()
    };
    assert_eq!(bsize, frsize);
    assert_eq!(bfree, bavail);
    assert!(blocks >= bfree && blocks > 0 && files > 0, "{values:?}");

    // What it prefers to statvfs; the only one that shows what the account may have.
    let limit = ["user", "set", server.user(), "--quota", "1MiB"];
    server.admin(&limit, "").ok();
    let (_connection, mut sftp) = winscp(&server);
    sftp.put("/f", &[1; 1000]);
    let reply = sftp.extended("space-available", |body| body.string("/"));
    let reply = reply.extended();
    let mut fields = Fields(&reply);
    let [total, free, own_total, own_free] = [(); 4].map(|()| fields.u64());
    assert!(fields.u32() > 0 && fields.0.is_empty());
    assert!(
        total >= free && free > 1 << 20,
        "of the disk: {total} {free}"
    );
    assert_eq!((own_total, own_free), (1 << 20, (1 << 20) - 1000));
}
