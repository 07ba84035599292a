//! copy-file (draft-ietf-secsh-filexfer-extensions-00, section 6): WinSCP's Duplicate.

use std::fs::{self, File, FileTimes};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread::sleep;
use std::time::{Duration, UNIX_EPOCH};

use crate::common::connection::Connection;
use crate::common::raw::RawSftp;
use crate::common::wire::code;
use crate::common::{
    MIB, STEP, TestServer, USER, bytes_of, have, random_name, run, run_ok, skip, wait_until,
};

fn copy(sftp: &mut RawSftp, from: &str, to: &str, overwrite: bool) -> u32 {
    sftp.copy_file(from, to, overwrite).code()
}

#[test]
fn a_copy_has_the_bytes_the_permissions_and_the_times() {
    let server = TestServer::start();
    let connection = Connection::logged_in(&server);
    let mut sftp = connection.sftp();
    for (number, length) in [0, 1, 20 * MIB + 7].into_iter().enumerate() {
        let (from, to) = (format!("from{number}"), format!("to{number}"));
        let path = server.at_home(&from);
        fs::write(&path, bytes_of(length, 1)).unwrap();
        let mode = [0o640, 0o755, 0o4751][number];
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        let times = FileTimes::new()
            .set_modified(UNIX_EPOCH + Duration::from_secs(1_000_000_001))
            .set_accessed(UNIX_EPOCH + Duration::from_secs(1_000_000_002));
        File::options()
            .write(true)
            .open(&path)
            .unwrap()
            .set_times(times)
            .unwrap();
        assert_eq!(copy(&mut sftp, &from, &to, false), code::OK);
        let copied = fs::metadata(server.at_home(&to)).unwrap();
        assert_eq!(fs::read(server.at_home(&to)).unwrap(), bytes_of(length, 1));
        // The setuid bit is not copied.
        assert_eq!(copied.mode() & 0o7777, mode & 0o777);
        assert_eq!(copied.mtime(), 1_000_000_001);
    }
}

#[test]
fn what_is_there_is_replaced_only_if_asked() {
    let server = TestServer::start();
    fs::write(server.at_home("a"), "new").unwrap();
    fs::write(server.at_home("b"), "old and longer").unwrap();
    let connection = Connection::logged_in(&server);
    let mut sftp = connection.sftp();
    let refused = sftp.copy_file("a", "b", false);
    assert_eq!(refused.code(), code::FAILURE);
    assert!(refused.message().contains("exists"), "{refused:?}");
    assert_eq!(fs::read(server.at_home("b")).unwrap(), b"old and longer");
    assert_eq!(copy(&mut sftp, "a", "b", true), code::OK);
    assert_eq!(fs::read(server.at_home("b")).unwrap(), b"new");
    assert_eq!(copy(&mut sftp, "a", "c", true), code::OK);
    assert_eq!(fs::read(server.at_home("c")).unwrap(), b"new");
}

#[test]
fn what_cannot_be_copied_is_refused_and_leaves_nothing() {
    let server = TestServer::start();
    fs::write(server.at_home("a"), "bytes").unwrap();
    fs::hard_link(server.at_home("a"), server.at_home("same")).unwrap();
    fs::create_dir(server.at_home("d")).unwrap();
    symlink("/etc/passwd", server.at_home("out")).unwrap();
    let connection = Connection::logged_in(&server);
    let mut sftp = connection.sftp();
    for (from, to, overwrite, expected) in [
        ("missing", "x", false, code::NO_SUCH_FILE),
        ("out", "x", false, code::NO_SUCH_FILE),
        ("a", "missing/x", false, code::NO_SUCH_FILE),
        ("d", "x", false, code::FAILURE),
        ("a", "d", true, code::FAILURE),
        ("a", "a", false, code::FAILURE),
        ("a", "a", true, code::BAD_MESSAGE),
        ("a", "same", true, code::BAD_MESSAGE),
    ] {
        assert_eq!(
            copy(&mut sftp, from, to, overwrite),
            expected,
            "{from} {to}"
        );
        assert!(!server.at_home("x").exists());
        assert_eq!(fs::read(server.at_home("a")).unwrap(), b"bytes");
    }
}

#[test]
fn a_copy_stops_when_the_client_leaves_and_its_torso_is_removed() {
    let server = TestServer::start();
    // A long copy, which is cut short.
    File::create(server.at_home("big"))
        .unwrap()
        .set_len(64 << 30)
        .unwrap();
    let connection = Connection::logged_in(&server);
    let mut sftp = connection.sftp();
    let body = sftp.body(crate::common::wire::EXTENDED).string("copy-file");
    sftp.send(&body.string("big").string("copy").raw(&[0]));
    let copy = server.at_home("copy");
    wait_until("it copies", STEP, || {
        fs::metadata(&copy).is_ok_and(|found| found.len() > 0)
    });
    drop(sftp);
    drop(connection);
    wait_until("the torso is gone", STEP, || {
        sleep(Duration::from_millis(50));
        !copy.exists()
    });
}

/// A file system with reflinks; unmounted after the test.
struct Sharing(PathBuf);

impl Sharing {
    /// `None` if this machine cannot mount it, which was reported.
    fn mount() -> Option<Self> {
        if !have(&["mkfs.xfs", "mount", "umount"]) {
            return None;
        }
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(random_name("xfs"));
        fs::create_dir_all(folder.join("disk")).unwrap();
        let image = folder.join("image");
        File::create(&image).unwrap().set_len(512 << 20).unwrap();
        run_ok(Command::new("mkfs.xfs").arg("-q").arg(&image), STEP);
        let mut mount = Command::new("mount");
        mount
            .args(["-o", "loop"])
            .arg(&image)
            .arg(folder.join("disk"));
        let said = run(&mut mount, STEP);
        let disk = Self(folder);
        if !said.status.success() {
            skip(&format!("xfs cannot be mounted: {}", said.err().trim()));
            return None;
        }
        fs::create_dir(disk.home()).unwrap();
        Some(disk)
    }

    fn home(&self) -> PathBuf {
        self.0.join("disk/home")
    }

    /// Returns the used space, once it is stable.
    fn used(&self) -> u64 {
        run_ok(Command::new("sync").arg("-f").arg(self.home()), STEP);
        let found = rustix::fs::statvfs(self.home()).unwrap();
        (found.f_blocks - found.f_bfree) * found.f_frsize
    }
}

impl Drop for Sharing {
    fn drop(&mut self) {
        run(
            Command::new("umount").arg("-l").arg(self.0.join("disk")),
            STEP,
        );
        let _ = fs::remove_dir_all(&self.0);
    }
}

#[test]
fn where_files_can_share_their_bytes_a_copy_takes_no_space() {
    let Some(disk) = Sharing::mount() else { return };
    let server = TestServer::start();
    let home = disk.home();
    let set = ["user", "set", USER, "--home", home.to_str().unwrap()];
    server.admin(&set, "").ok();
    let content = bytes_of(50 * MIB, 1);
    fs::write(home.join("a"), &content).unwrap();
    let before = disk.used();
    // copy-data by sftp's own command, and copy-file.
    run_ok(&mut server.sftp_batch(&[], "cp a b\n"), STEP);
    let connection = Connection::logged_in(&server);
    assert_eq!(copy(&mut connection.sftp(), "a", "c", false), code::OK);
    for name in ["b", "c"] {
        assert_eq!(fs::read(home.join(name)).unwrap(), content);
    }
    let more = disk.used() - before;
    assert!(more < MIB as u64, "{more} bytes more");
}
