//! A safe overwrite gives the session ownership of the new file, never of the old one.

use super::*;
use crate::common::wire::{code, flag};

#[test]
fn an_overwrite_that_fails_gives_no_right_to_the_old_file() {
    let server = TestServer::start_with(&[("uploads.safe_overwrite", "true")]);
    permit(&server, &["upload,overwrite"]);
    let limit = [
        "user",
        "set",
        USER,
        "--quota",
        "100KiB",
        "--max-files",
        "10",
    ];
    server.admin(&limit, "").ok();
    lay_out(server.home(), &["theirs=secret", "dir/"]);
    let mut sftp = Connection::logged_in(&server).sftp();
    let refuse = |sftp: &mut RawSftp| {
        for request in ["rename", "posix-rename@openssh.com"] {
            for to in ["taken", "dir/taken"] {
                let refused = with_two(sftp, request, "theirs", to);
                assert_eq!(refused.code(), code::PERMISSION_DENIED, "{refused:?}");
            }
        }
        let hash = sftp.extended("check-file-name", |body| {
            body.string("theirs").string("md5").u64(0).u64(0).u32(0)
        });
        assert_eq!(hash.code(), code::PERMISSION_DENIED, "{hash:?}");
    };
    refuse(&mut sftp);
    let file = sftp.opened("theirs", flag::WRITE | flag::CREAT | flag::TRUNC);
    assert_eq!(sftp.write(&file, 0, b"12345"), code::OK);
    assert_ne!(sftp.write(&file, 200 << 10, b"too much"), code::OK);
    let before = snapshot(server.home());
    refuse(&mut sftp);
    assert_eq!(snapshot(server.home()), before);
    // The session may stat its upload and set its times.
    assert_eq!(sftp.stat("theirs").attrs().size, Some(5));
    assert_eq!(sftp.setstat("theirs", &times(7)), code::OK);
    assert_ne!(sftp.close(&file), code::OK);
    assert_eq!(fs::read(server.at_home("theirs")).unwrap(), b"secret");
    refuse(&mut sftp);
    // If the overwrite succeeds, the new file belongs to the session.
    let file = sftp.opened("theirs", flag::WRITE | flag::CREAT | flag::TRUNC);
    assert_eq!(sftp.write(&file, 0, b"new"), code::OK);
    let renamed = with_two(&mut sftp, "rename", "theirs", "mine");
    assert_eq!(renamed.code(), code::OK, "{renamed:?}");
    assert_eq!(sftp.close(&file), code::OK);
    assert_eq!(fs::read(server.at_home("mine")).unwrap(), b"new");
}
