//! A path with a trailing slash names a directory, in every operation.

use super::*;
use crate::common::{HOST, Output, TRANSFER, run, run_ok};

/// Creates a directory, a file, and links to each.
fn lay_out(server: &TestServer) {
    fs::create_dir(server.at_home("d")).unwrap();
    fs::write(server.at_home("d/in"), "in").unwrap();
    fs::write(server.at_home("f"), "f").unwrap();
    symlink("d", server.at_home("to_d")).unwrap();
    symlink("f", server.at_home("to_f")).unwrap();
}

#[track_caller]
fn assert_untouched(server: &TestServer) {
    let names = fs::read_dir(server.home()).unwrap();
    let names = names.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<_> = names.filter(|name| !name.starts_with('.')).collect();
    names.sort();
    assert_eq!(names, ["d", "f", "to_d", "to_f"]);
    assert_eq!(fs::read(server.at_home("f")).unwrap(), b"f");
    assert!(
        fs::symlink_metadata(server.at_home("to_d"))
            .unwrap()
            .is_symlink()
    );
}

#[test]
fn a_file_is_not_found_by_a_path_with_a_slash() {
    let (server, _connection, mut sftp) = scene();
    lay_out(&server);
    for path in ["f/", "/f//", "to_f/", "f/.", "d/in/", "missing/"] {
        let missing = code::NO_SUCH_FILE;
        assert_eq!(sftp.stat(path).code(), missing, "{path}");
        assert_eq!(sftp.lstat(path).code(), missing, "{path}");
        assert_eq!(sftp.setstat(path, &times(1)), missing, "{path}");
        assert_eq!(sftp.setstat(path, &size(0)), missing, "{path}");
        let opened = sftp.open(path, flag::READ, &Attrs::default());
        assert_eq!(opened.code(), missing, "{path}");
        let listed = sftp.with_string(wire::OPENDIR, path);
        assert_eq!(listed.code(), missing, "{path}");
        let space = sftp.extended("statvfs@openssh.com", |body| body.string(path));
        assert_eq!(space.code(), missing, "{path}");
        let changed = sftp.extended("lsetstat@openssh.com", |body| {
            body.string(path).attrs(&times(1))
        });
        assert_eq!(changed.code(), missing, "{path}");
    }
    for path in ["f/", "to_f/", "missing/"] {
        let missing = code::NO_SUCH_FILE;
        assert_eq!(sftp.remove(path), missing, "{path}");
        assert_eq!(sftp.with_string(wire::RMDIR, path).code(), missing);
        assert_eq!(sftp.rename(path, "new"), missing, "{path}");
        let linked = sftp.extended("hardlink@openssh.com", |body| {
            body.string(path).string("new")
        });
        assert_eq!(linked.code(), missing, "{path}");
    }
    assert_untouched(&server);
}

#[test]
fn nothing_but_a_directory_is_made_by_a_path_with_a_slash() {
    let (server, _connection, mut sftp) = scene();
    lay_out(&server);
    let open = flag::WRITE | flag::CREAT;
    for path in ["missing/", "f/", "d/", "to_d/"] {
        for how in [
            open,
            open | flag::TRUNC,
            open | flag::EXCL,
            open | flag::APPEND,
        ] {
            let opened = sftp.open(path, how, &Attrs::default());
            assert_eq!(opened.code(), code::FAILURE, "{path} {how:x}");
        }
    }
    assert_eq!(sftp.rename("f", "missing/"), code::NO_SUCH_FILE);
    for (name, first) in [
        ("posix-rename@openssh.com", "f"),
        ("hardlink@openssh.com", "f"),
    ] {
        let reply = sftp.extended(name, |body| body.string(first).string("missing/"));
        assert_eq!(reply.code(), code::NO_SUCH_FILE, "{name}");
    }
    let linked = sftp.body(wire::SYMLINK).string("f").string("missing/");
    assert_eq!(sftp.ask(&linked).code(), code::NO_SUCH_FILE);
    assert_untouched(&server);
    // MKDIR accepts it for a new directory, and RENAME for a directory's new name.
    assert_eq!(sftp.mkdir("new/"), code::OK);
    assert_eq!(sftp.mkdir("new/"), code::FAILURE);
    assert_eq!(sftp.mkdir("f/"), code::FAILURE);
    assert_eq!(sftp.rename("new/", "newer/"), code::OK);
    assert_eq!(sftp.with_string(wire::RMDIR, "newer/").code(), code::OK);
    assert_untouched(&server);
}

#[test]
fn a_link_with_a_slash_is_what_it_leads_to() {
    let (server, _connection, mut sftp) = scene();
    lay_out(&server);
    let is_directory = |reply: Reply| reply.attrs().permissions.unwrap() & 0o170_000 == 0o040_000;
    assert!(!is_directory(sftp.lstat("to_d")));
    assert!(is_directory(sftp.lstat("to_d/")));
    assert!(is_directory(sftp.lstat("to_d/.")));
    let changed = sftp.extended("lsetstat@openssh.com", |body| {
        body.string("to_d/").attrs(&times(1_000_000_000))
    });
    assert_eq!(changed.code(), code::OK);
    let changed = fs::metadata(server.at_home("d")).unwrap();
    assert_eq!(changed.mtime(), 1_000_000_000);
    // The link then has no name of its own.
    assert_eq!(sftp.remove("to_d/"), code::NO_SUCH_FILE);
    assert_eq!(
        sftp.with_string(wire::RMDIR, "to_d/").code(),
        code::NO_SUCH_FILE
    );
    assert_eq!(sftp.rename("to_d/", "new"), code::NO_SUCH_FILE);
    assert_eq!(
        sftp.with_string(wire::READLINK, "to_d/").code(),
        code::BAD_MESSAGE
    );
    assert_eq!(sftp.remove("d/"), code::FAILURE);
    assert_untouched(&server);
}

#[test]
fn a_slash_is_no_way_out_of_the_home() {
    if against_openssh() {
        return;
    }
    let (server, _connection, mut sftp) = scene();
    let outside = server.path("outside");
    fs::create_dir(&outside).unwrap();
    symlink(&outside, server.at_home("out")).unwrap();
    assert_eq!(sftp.lstat("out/").code(), code::NO_SUCH_FILE);
    for kind in [wire::READLINK, wire::REMOVE, wire::RMDIR, wire::OPENDIR] {
        assert_eq!(sftp.with_string(kind, "out/").code(), code::NO_SUCH_FILE);
    }
    assert_eq!(sftp.rename("out/", "in"), code::NO_SUCH_FILE);
    let linked = sftp.extended("hardlink@openssh.com", |body| {
        body.string("out/").string("in")
    });
    assert_eq!(linked.code(), code::NO_SUCH_FILE);
    assert!(outside.exists());
}

#[test]
fn copies_and_hashes_take_no_file_by_a_path_with_a_slash() {
    if against_openssh() {
        return;
    }
    let (server, _connection, mut sftp) = scene();
    lay_out(&server);
    assert_eq!(sftp.copy_file("f", "missing/", false).code(), code::FAILURE);
    assert_eq!(
        sftp.copy_file("f/", "new", false).code(),
        code::NO_SUCH_FILE
    );
    let hashed = sftp.extended("check-file-name", |body| {
        body.string("f/").string("md5").u64(0).u64(0).u32(0)
    });
    assert_eq!(hashed.code(), code::NO_SUCH_FILE);
    for (line, status) in [
        ("md5sum f/", 1),
        ("md5sum d/in", 0),
        ("df f/", 1),
        ("df d/", 0),
    ] {
        let told = run(server.ssh().args([HOST, line]), TRANSFER);
        assert_eq!(told.status.code(), Some(status), "{}", told.describe());
    }
    assert_untouched(&server);
}

#[test]
fn openssh_loses_no_file_in_a_folder_that_is_not_there() {
    let server = TestServer::start();
    fs::write(server.local("a"), "a").unwrap();
    let put = || {
        run(
            server.scp().args(["-s", "a", &format!("{HOST}:incoming/")]),
            TRANSFER,
        )
    };
    put().failed();
    for lines in ["put a incoming/", "put a there\nrename there incoming/"] {
        run(&mut server.sftp_batch(&[], lines), TRANSFER).failed();
        assert!(!server.at_home("incoming").exists(), "{lines}");
    }
    // With the directory, all of these work.
    fs::create_dir(server.at_home("incoming")).unwrap();
    put().ok();
    assert_eq!(fs::read(server.at_home("incoming/a")).unwrap(), b"a");
    symlink("incoming", server.at_home("link")).unwrap();
    let listed = run_ok(&mut server.sftp_batch(&[], "ls -1 link/"), TRANSFER);
    assert!(listed.out().contains("link/a"), "{}", listed.out());
}

#[test]
fn the_older_scp_loses_no_file_in_a_folder_that_is_not_there() {
    let server = TestServer::start_for_commands();
    fs::write(server.local("a"), "a").unwrap();
    fs::create_dir(server.local("tree")).unwrap();
    fs::write(server.local("tree/x"), "x").unwrap();
    let scp = |from: &str, to: &str| -> Output {
        let to = format!("{HOST}:{to}");
        run(server.scp().args(["-O", "-r", from, &to]), TRANSFER)
    };
    let told = scp("a", "incoming/").failed();
    assert!(told.err().contains("Is a directory"), "{}", told.err());
    assert!(!server.at_home("incoming").exists());
    fs::create_dir(server.at_home("incoming")).unwrap();
    scp("a", "incoming/").ok();
    assert_eq!(fs::read(server.at_home("incoming/a")).unwrap(), b"a");
    scp("tree", "incoming/").ok();
    assert_eq!(fs::read(server.at_home("incoming/tree/x")).unwrap(), b"x");
    // A new directory for a tree.
    scp("tree", "new/").ok();
    assert_eq!(fs::read(server.at_home("new/x")).unwrap(), b"x");
}
