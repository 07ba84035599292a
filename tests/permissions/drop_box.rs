//! upload-only: uploads cannot be seen, read or changed, but each session can finish its own.

use super::*;
use crate::common::programs::{curl, lftp, rclone};
use crate::common::wire::{code, flag};
use crate::common::{HOST, STEP, have, run, run_ok};

const WRITE_NEW: u32 = flag::WRITE | flag::CREAT | flag::TRUNC;

fn drop_box() -> (TestServer, Connection) {
    let (server, connection) = permitted(&["upload-only"]);
    lay_out(
        server.home(),
        &["theirs=secret", "dir/", "dir/theirs=secret", "link@theirs"],
    );
    (server, connection)
}

#[test]
fn a_session_can_look_at_what_it_made_and_at_nothing_else() {
    let (server, connection) = drop_box();
    let mut sftp = connection.sftp();
    for path in ["mine", "dir/mine"] {
        let handle = sftp.opened(path, WRITE_NEW);
        assert_eq!(sftp.write(&handle, 0, b"12345"), code::OK);
        assert_eq!(sftp.with_string(wire::FSTAT, &handle).attrs().size, Some(5));
        assert_eq!(sftp.fsetstat(&handle, &times(1000)), code::OK);
        assert_eq!(sftp.close(&handle), code::OK);
        assert_eq!(sftp.stat(path).attrs().size, Some(5));
        assert_eq!(sftp.lstat(path).attrs().mtime(), 1000);
        assert_eq!(sftp.setstat(path, &times(2000)), code::OK);
        // Opening for reading is refused.
        let refused = sftp.open(path, flag::READ, &Attrs::default());
        assert_eq!(refused.code(), code::PERMISSION_DENIED);
        let refused = sftp.open(path, flag::READ | flag::WRITE, &Attrs::default());
        assert_eq!(refused.code(), code::PERMISSION_DENIED);
        // Removing is refused, too.
        assert_eq!(sftp.remove(path), code::PERMISSION_DENIED);
    }
    assert_eq!(sftp.mkdir("made"), code::OK);
    assert_eq!(sftp.setstat("made", &times(3000)), code::OK);
    for path in ["theirs", "dir/theirs", "link"] {
        assert_eq!(sftp.stat(path).code(), code::PERMISSION_DENIED);
        assert_eq!(sftp.lstat(path).code(), code::PERMISSION_DENIED);
        assert_eq!(sftp.setstat(path, &times(1)), code::PERMISSION_DENIED);
    }
    assert_eq!(sftp.stat("missing").code(), code::NO_SUCH_FILE);
    assert_eq!(sftp.setstat("dir", &times(1)), code::PERMISSION_DENIED);

    // Another session has created none of these.
    let other = Connection::logged_in(&server);
    let mut sftp = other.sftp();
    assert_eq!(sftp.stat("mine").code(), code::PERMISSION_DENIED);
    assert_eq!(sftp.setstat("made", &times(1)), code::PERMISSION_DENIED);
    assert_eq!(sftp.stat("made").attrs().mtime(), 3000);
    let refused = sftp.open("mine", WRITE_NEW, &Attrs::default());
    assert!(
        refused.message().ends_with("may not overwrite files"),
        "{refused:?}"
    );
    assert_eq!(fs::read(server.at_home("mine")).unwrap(), b"12345");
}

#[test]
fn a_session_goes_on_with_its_own_upload_and_gives_it_its_name() {
    let (server, connection) = drop_box();
    let mut sftp = connection.sftp();
    sftp.put("part", b"first");
    let handle = sftp.opened("part", flag::WRITE | flag::CREAT);
    assert_eq!(sftp.write(&handle, 5, b" second"), code::OK);
    assert_eq!(sftp.close(&handle), code::OK);
    let handle = sftp.opened("part", flag::WRITE | flag::APPEND);
    assert_eq!(sftp.write(&handle, 0, b" third"), code::OK);
    assert_eq!(sftp.close(&handle), code::OK);
    assert_eq!(
        with_two(&mut sftp, "rename", "part", "whole").code(),
        code::OK
    );
    assert_eq!(
        fs::read(server.at_home("whole")).unwrap(),
        b"first second third"
    );
    // An existing file keeps its name, and other sessions' files stay where they are.
    for request in ["rename", "posix-rename@openssh.com"] {
        assert_ne!(
            with_two(&mut sftp, request, "whole", "theirs").code(),
            code::OK
        );
        let refused = with_two(&mut sftp, request, "theirs", "taken");
        assert_eq!(refused.code(), code::PERMISSION_DENIED);
    }
    // Until now it belongs to this session, which may upload it again.
    sftp.put("whole", b"again");
    assert_eq!(fs::read(server.at_home("whole")).unwrap(), b"again");
    assert_eq!(fs::read(server.at_home("theirs")).unwrap(), b"secret");
}

#[test]
fn a_file_that_gets_the_inode_of_an_own_one_is_not_own() {
    let (server, connection) = drop_box();
    let mut sftp = connection.sftp();
    sftp.put("mine", b"12345");
    let inode = fs::metadata(server.at_home("mine")).unwrap().ino();
    fs::remove_file(server.at_home("mine")).unwrap();
    let mut reused = false;
    for number in 0..200 {
        let path = server.at_home(&format!("theirs-{number}"));
        fs::write(&path, "secret").unwrap();
        if fs::metadata(&path).unwrap().ino() != inode {
            continue;
        }
        reused = true;
        let path = format!("theirs-{number}");
        assert_eq!(sftp.stat(&path).code(), code::PERMISSION_DENIED);
        let refused = sftp.open(&path, flag::WRITE, &Attrs::default());
        assert_eq!(refused.code(), code::PERMISSION_DENIED);
    }
    if !reused {
        eprintln!("this file system uses no inode twice: nothing was tried");
    }
}

#[test]
fn sftp_puts_files_and_trees_and_can_neither_list_nor_get() {
    let (server, _connection) = drop_box();
    fs::create_dir_all(server.local("tree/deep")).unwrap();
    fs::write(server.local("tree/one"), "1").unwrap();
    fs::write(server.local("tree/deep/two"), "22").unwrap();
    let batch = "put tree/one new\\nput -p tree/one kept\\nput -pR tree\\ncd dir\\nput tree/one\\n";
    run_ok(
        &mut server.sftp_batch(&[], batch.replace("\\n", "\n")),
        STEP,
    );
    for (path, content) in [
        ("new", "1"),
        ("kept", "1"),
        ("tree/deep/two", "22"),
        ("dir/one", "1"),
    ] {
        assert_eq!(
            fs::read_to_string(server.at_home(path)).unwrap(),
            content,
            "{path}"
        );
    }
    for line in ["ls", "ls dir", "ls theirs"] {
        // The transfer succeeds nevertheless.
        let refused = run(&mut server.sftp_batch(&[], line), STEP);
        assert!(
            refused.err().contains("Permission denied") || refused.err().contains("Can't ls"),
            "{}",
            refused.describe()
        );
        assert_eq!(refused.out().lines().count(), 1, "{}", refused.describe());
    }
    for line in [
        "get theirs",
        "get new",
        "rm theirs",
        "rename theirs a",
        "put tree/one theirs",
    ] {
        let refused = run(&mut server.sftp_batch(&[], line), STEP).failed();
        assert!(!refused.out().contains("secret"), "{}", refused.describe());
    }
    let told = run(&mut server.sftp_batch(&[], "put tree/one theirs"), STEP).failed();
    assert!(
        told.err().contains("this account may not overwrite files"),
        "{}",
        told.describe()
    );
    assert_eq!(fs::read(server.at_home("theirs")).unwrap(), b"secret");
}

#[test]
fn scp_of_both_protocols_puts_and_cannot_get() {
    let (server, _connection) = drop_box();
    fs::create_dir_all(server.local("tree/deep")).unwrap();
    fs::write(server.local("tree/deep/two"), "22").unwrap();
    for protocol in ["-O", "-s"] {
        let to = |from: &str, to: &str, options: &[&str]| {
            let mut scp = server.scp();
            scp.arg(protocol).args(options);
            scp.args([from, &format!("{HOST}:{to}")]);
            run(&mut scp, STEP)
        };
        to("tree/deep/two", &format!("file{protocol}"), &["-p"]).ok();
        to("tree", &format!("tree{protocol}"), &["-rp"]).ok();
        to("tree/deep/two", "dir/", &[]).ok();
        fs::remove_file(server.at_home("dir/two")).unwrap();
        let refused = to("tree/deep/two", "theirs", &[]).failed();
        assert!(
            refused.err().contains("may not overwrite") || protocol == "-s",
            "{}",
            refused.describe()
        );
        let copied = server.at_home(&format!("tree{protocol}/deep/two"));
        assert_eq!(fs::read(copied).unwrap(), b"22");
        let mut scp = server.scp();
        scp.args([protocol, &format!("{HOST}:theirs"), "got"]);
        run(&mut scp, STEP).failed();
        assert!(fs::read(server.local("got")).map_or(true, |got| got.is_empty()));
        let mut scp = server.scp();
        scp.args([protocol, "-r", &format!("{HOST}:dir"), "got-dir"]);
        run(&mut scp, STEP).failed();
        assert!(!server.local("got-dir/theirs").exists());
    }
    assert_eq!(fs::read(server.at_home("theirs")).unwrap(), b"secret");
}

#[test]
fn curl_puts_and_cannot_list_or_get() {
    if !have(&["curl"]) {
        return;
    }
    let (server, _connection) = drop_box();
    fs::write(server.local("file"), "content").unwrap();
    run_ok(&mut curl(&server, "/dir/new", &["-T", "file"]), STEP);
    assert_eq!(fs::read(server.at_home("dir/new")).unwrap(), b"content");
    run(&mut curl(&server, "/theirs", &["-T", "file"]), STEP).failed();
    run(&mut curl(&server, "/theirs", &["-o", "got"]), STEP).failed();
    run(&mut curl(&server, "/", &[]), STEP).failed();
    assert_eq!(fs::read(server.at_home("theirs")).unwrap(), b"secret");
}

#[test]
fn safe_overwrites_do_not_go_round_it() {
    let server = TestServer::start_with(&[("uploads.safe_overwrite", "true")]);
    permit(&server, &["upload-only"]);
    lay_out(server.home(), &["theirs=secret"]);
    let connection = Connection::logged_in(&server);
    let mut sftp = connection.sftp();
    let refused = sftp.open("theirs", WRITE_NEW, &Attrs::default());
    assert_eq!(refused.code(), code::PERMISSION_DENIED);
    sftp.put("mine", b"one");
    sftp.put("mine", b"three");
    sftp.put("mine", b"2");
    assert_eq!(sftp.stat("mine").attrs().size, Some(1));
    // Also while it is being replaced.
    let handle = sftp.opened("mine", WRITE_NEW);
    assert_eq!(sftp.write(&handle, 0, b"four"), code::OK);
    assert_eq!(sftp.stat("mine").attrs().size, Some(4));
    assert_eq!(sftp.setstat("mine", &times(1000)), code::OK);
    assert_eq!(sftp.close(&handle), code::OK);
    assert_eq!(fs::read(server.at_home("mine")).unwrap(), b"four");
    let mut names: Vec<_> = snapshot(server.home()).into_keys().collect();
    names.sort();
    assert_eq!(names, ["mine", "theirs"]);
}

#[test]
fn rclone_and_lftp_put_files_and_are_told_where_something_is() {
    if !have(&["rclone", "lftp"]) {
        return;
    }
    let (server, _connection) = drop_box();
    fs::create_dir(server.local("tree")).unwrap();
    for file in ["f", "tree/g"] {
        fs::write(server.local(file), b"content").unwrap();
    }
    // With the checks of size and hash that the client makes by default.
    run_ok(
        &mut rclone(&server, &["copyto", "f", "there:by rclone"]),
        STEP,
    );
    run_ok(&mut rclone(&server, &["copy", "tree", "there:tree"]), STEP);
    run_ok(&mut lftp(&server, "put f -o by-lftp"), STEP);
    for path in ["by rclone", "tree/g", "by-lftp"] {
        assert_eq!(
            fs::read(server.at_home(path)).unwrap(),
            b"content",
            "{path}"
        );
    }
    for refused in [
        rclone(&server, &["--retries", "1", "copyto", "f", "there:theirs"]),
        rclone(&server, &["--retries", "1", "lsf", "there:"]),
        lftp(&server, "get theirs"),
        lftp(&server, "put f -o theirs"),
        lftp(&server, "cls"),
    ]
    .iter_mut()
    {
        run(refused, STEP).failed();
    }
    assert_eq!(fs::read(server.at_home("theirs")).unwrap(), b"secret");
}
