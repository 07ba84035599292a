//! Directories with permissions of their own: which paths they cover, and links and renames across
//! their borders.

use super::*;
use crate::common::wire::{code, flag};
use crate::common::{HOST, STEP, run, run_ok};

const RULES: [&str; 4] = [
    "full",
    "/in=upload-only",
    "/in/open=full",
    "/public=read-only",
];
const LAYOUT: [&str; 12] = [
    "in/",
    "in/theirs=secret",
    "in/open/",
    "in/open/file=free",
    "in2/",
    "in2/file=free",
    "public/",
    "public/file=shown",
    "public/deep/",
    "free/",
    "free/file=free",
    "file=free",
];

fn scene() -> (TestServer, Connection) {
    let (server, connection) = permitted(&RULES);
    lay_out(server.home(), &LAYOUT);
    (server, connection)
}

fn can_read(sftp: &mut RawSftp, path: &str) -> bool {
    match sftp.open(path, flag::READ, &Attrs::default()) {
        Reply::Handle { handle, .. } => {
            assert_eq!(sftp.close(&handle), code::OK);
            true
        }
        refused => {
            assert_eq!(refused.code(), code::PERMISSION_DENIED, "{path}");
            false
        }
    }
}

fn can_write(sftp: &mut RawSftp, path: &str) -> bool {
    match sftp.open(path, flag::WRITE | flag::CREAT, &Attrs::default()) {
        Reply::Handle { handle, .. } => {
            assert_eq!(sftp.close(&handle), code::OK);
            true
        }
        refused => {
            assert_eq!(refused.code(), code::PERMISSION_DENIED, "{path}");
            false
        }
    }
}

#[test]
fn the_innermost_directory_decides_and_names_are_not_prefixes() {
    let (_server, connection) = scene();
    let mut sftp = connection.sftp();
    for (path, read, write) in [
        ("file", true, true),
        ("in/theirs", false, false),
        ("/in/./theirs", false, false),
        ("in/../in/theirs", false, false),
        ("in/new", false, true),
        ("in/open/file", true, true),
        ("in2/file", true, true),
        ("public/file", true, false),
        ("public/new", false, false),
        ("public/deep/../file", true, false),
        ("free/../public/file", true, false),
    ] {
        if path != "in/new" && path != "public/new" {
            assert_eq!(can_read(&mut sftp, path), read, "{path}");
        }
        assert_eq!(can_write(&mut sftp, path), write, "{path}");
    }
    assert_eq!(
        sftp.with_string(wire::OPENDIR, "in").code(),
        code::PERMISSION_DENIED
    );
    sftp.list("in/open");
    let names = sftp.list("/").into_iter().map(|name| name.name);
    assert!(names.into_iter().any(|name| name == b"in"));
    // Names are case-sensitive, as on the disk.
    assert_eq!(sftp.mkdir("IN"), code::OK);
    sftp.list("IN");
}

#[test]
fn a_slash_at_the_end_changes_nothing_of_what_is_allowed() {
    let (server, connection) = scene();
    let mut sftp = connection.sftp();
    symlink("/in", server.at_home("free/to-in")).unwrap();
    for path in ["in/", "/in//", "in/.", "free/to-in/", "free/../in/"] {
        let listed = sftp.with_string(wire::OPENDIR, path);
        assert_eq!(listed.code(), code::PERMISSION_DENIED, "{path}");
        assert_eq!(
            sftp.setstat(path, &times(1)),
            code::PERMISSION_DENIED,
            "{path}"
        );
    }
    for path in ["in/", "in/.", "in/open/"] {
        assert_eq!(
            sftp.rename(path, "elsewhere"),
            code::PERMISSION_DENIED,
            "{path}"
        );
        assert_eq!(
            sftp.with_string(wire::RMDIR, path).code(),
            code::PERMISSION_DENIED
        );
    }
    assert_eq!(sftp.mkdir("public/new/"), code::PERMISSION_DENIED);
    // A name with a trailing slash that is not a directory is neither created nor found.
    let made = sftp.open("in/new/", flag::WRITE | flag::CREAT, &Attrs::default());
    assert_eq!(made.code(), code::FAILURE);
    assert_eq!(sftp.rename("free/file", "free/new/"), code::NO_SUCH_FILE);
    assert_eq!(sftp.remove("free/file/"), code::NO_SUCH_FILE);
    assert_eq!(sftp.mkdir("free/made/"), code::OK);
    assert_eq!(sftp.rename("free/made/", "free/moved/"), code::OK);
    assert_eq!(
        sftp.with_string(wire::RMDIR, "free/moved/").code(),
        code::OK
    );
    assert!(!server.at_home("in/new").exists());
    // The rule itself may end with a slash.
    permit(&server, &["full", "/in2/=read-only"]);
    let mut sftp = Connection::logged_in(&server).sftp();
    assert!(!can_write(&mut sftp, "in2/file"));
    assert!(can_write(&mut sftp, "in/theirs"));
}

#[test]
fn links_lead_to_what_holds_at_their_end() {
    let (server, connection) = scene();
    let mut sftp = connection.sftp();
    let link = |target: &str, name: &str| symlink(target, server.at_home(name)).unwrap();
    link("/in", "free/to-in");
    link("in/theirs", "to-theirs");
    link("../../public", "free/to-public");
    link("free/to-in", "to-to-in");
    link("/free", "in/to-free");
    for path in [
        "free/to-in/theirs",
        "to-theirs",
        "to-to-in/theirs",
        "/to-to-in/../in/theirs",
    ] {
        assert!(!can_read(&mut sftp, path), "{path}");
        assert!(!can_write(&mut sftp, path), "{path}");
        assert_eq!(sftp.stat(path).code(), code::PERMISSION_DENIED, "{path}");
        assert_eq!(
            sftp.copy_file(path, "/copy", false).code(),
            code::PERMISSION_DENIED,
            "{path}"
        );
    }
    assert_eq!(
        sftp.with_string(wire::OPENDIR, "to-to-in").code(),
        code::PERMISSION_DENIED
    );
    assert_eq!(sftp.remove("to-to-in/theirs"), code::PERMISSION_DENIED);
    assert_eq!(
        sftp.setstat("to-theirs", &times(1)),
        code::PERMISSION_DENIED
    );
    assert!(can_read(&mut sftp, "free/to-public/file"));
    assert!(!can_write(&mut sftp, "free/to-public/file"));
    assert_eq!(sftp.mkdir("free/to-public/new"), code::PERMISSION_DENIED);
    // In the other direction, a link gives more permissions.
    assert!(can_read(&mut sftp, "in/to-free/file"));
    assert!(can_write(&mut sftp, "in/to-free/new"));
    // A link itself has the permissions of its own directory.
    assert_eq!(sftp.remove("to-theirs"), code::OK);
    assert_eq!(sftp.remove("in/to-free"), code::PERMISSION_DENIED);
    assert_eq!(fs::read(server.at_home("in/theirs")).unwrap(), b"secret");
}

#[test]
fn what_would_gain_a_right_stays_where_it_is() {
    let (server, connection) = scene();
    let mut sftp = connection.sftp();
    let both = ["rename", "posix-rename@openssh.com"];
    sftp.put("in/mine", b"own");
    for (from, to) in [
        // To a place with permission to read, change or remove it; or into a place that must not change.
        ("in/theirs", "free/theirs"),
        ("in/mine", "free/mine"),
        ("public/file", "free/shown"),
        ("public/deep", "free/deep"),
        ("free/file", "public/new"),
        ("free/file", "in/new"),
        ("free", "in/free"),
        // A directory with rules, or a parent of one.
        ("in", "elsewhere"),
        ("in/open", "free/open"),
        ("public", "free/public"),
        ("free", "public"),
    ] {
        for request in both {
            let before = snapshot(server.home());
            let reply = with_two(&mut sftp, request, from, to);
            assert_eq!(
                reply.code(),
                code::PERMISSION_DENIED,
                "{request} {from} {to}: {reply:?}"
            );
            assert_eq!(snapshot(server.home()), before);
        }
    }
    for (from, to) in [
        ("in/theirs", "free/linked"),
        ("public/file", "free/linked"),
        ("free/file", "public/linked"),
        ("free/file", "in/linked"),
        ("in/theirs", "in/linked"),
    ] {
        let reply = with_two(&mut sftp, "hardlink@openssh.com", from, to);
        assert_eq!(
            reply.code(),
            code::PERMISSION_DENIED,
            "{from} {to}: {reply:?}"
        );
        assert!(!server.at_home(to).exists());
    }
    for directory in ["in", "public", "in/open"] {
        let refused = sftp.with_string(wire::RMDIR, directory);
        assert_eq!(refused.code(), code::PERMISSION_DENIED, "{directory}");
    }
    // With the same permissions on both sides, a rename is allowed.
    assert_eq!(
        with_two(&mut sftp, "rename", "free/file", "in2/moved").code(),
        code::OK
    );
    assert_eq!(
        with_two(&mut sftp, "rename", "in2/moved", "in/open/moved").code(),
        code::OK
    );
    let linked = with_two(
        &mut sftp,
        "hardlink@openssh.com",
        "in/open/moved",
        "free/linked",
    );
    assert_eq!(linked.code(), code::OK);
    assert_eq!(
        with_two(&mut sftp, "rename", "in/mine", "in/renamed").code(),
        code::OK
    );
}

#[test]
fn what_can_be_copied_and_removed_can_be_moved() {
    let (server, connection) = permitted(&["full", "/archive=no-delete", "/in=nothing"]);
    lay_out(
        server.home(),
        &["archive/", "file=content", "dir/", "dir/inside=x"],
    );
    let mut sftp = connection.sftp();
    assert_eq!(
        with_two(&mut sftp, "rename", "file", "archive/file").code(),
        code::OK
    );
    assert_eq!(
        with_two(&mut sftp, "rename", "dir", "archive/dir").code(),
        code::OK
    );
    // It cannot be moved back: removing it there is not allowed.
    for (from, to) in [("archive/file", "file"), ("archive/dir", "dir")] {
        let refused = with_two(&mut sftp, "rename", from, to);
        assert_eq!(refused.code(), code::PERMISSION_DENIED, "{refused:?}");
    }
    assert_eq!(
        with_two(&mut sftp, "rename", "archive/file", "archive/again").code(),
        code::OK
    );
}

#[test]
fn a_path_that_ends_in_dots_is_never_renamed_or_removed() {
    let (server, connection) = permitted(&["full", "/in=nothing"]);
    lay_out(server.home(), &["dir/", "dir/deep/", "in/"]);
    let mut sftp = connection.sftp();
    let before = snapshot(server.home());
    for path in ["dir/deep/..", "in/..", "/", ".", "dir/.."] {
        assert_ne!(
            sftp.with_string(wire::RMDIR, path).code(),
            code::OK,
            "{path}"
        );
        assert_ne!(sftp.remove(path), code::OK, "{path}");
        assert_ne!(
            with_two(&mut sftp, "rename", path, "new").code(),
            code::OK,
            "{path}"
        );
        assert_ne!(sftp.mkdir(path), code::OK, "{path}");
        assert!(sftp.lstat(path).attrs().is_dir());
    }
    assert_eq!(snapshot(server.home()), before);
}

#[test]
fn sftp_scp_and_commands_meet_the_same_rules() {
    let (server, _connection) = scene();
    fs::write(server.local("file"), "sent").unwrap();
    run_ok(
        &mut server.sftp_batch(
            &[],
            "put file in/put\nget public/file got\nls /public\nput file free/\n",
        ),
        STEP,
    );
    for line in [
        "get in/theirs",
        "put file public/file",
        "put file in/theirs",
        "rm public/file",
        "ls in",
        "mkdir public/new",
    ] {
        run(&mut server.sftp_batch(&[], line), STEP).failed();
    }
    for protocol in ["-O", "-s"] {
        let copy = |from: &str, to: &str| {
            let mut scp = server.scp();
            scp.args([protocol, from, to]);
            run(&mut scp, STEP)
        };
        copy("file", &format!("{HOST}:in/copied{protocol}")).ok();
        copy("file", &format!("{HOST}:public/copied")).failed();
        copy(&format!("{HOST}:in/theirs"), "got-theirs").failed();
        copy(&format!("{HOST}:public/file"), "got-public").ok();
        assert_eq!(
            fs::read(server.at_home(&format!("in/copied{protocol}"))).unwrap(),
            b"sent"
        );
    }
    let ssh = |line: &str| {
        let mut ssh = server.ssh();
        ssh.args([HOST, line]);
        run(&mut ssh, STEP)
    };
    ssh("sha256sum public/file").ok();
    let refused = ssh("sha256sum in/theirs").failed();
    assert!(
        refused.err().contains("may not download"),
        "{}",
        refused.describe()
    );
    assert_eq!(ssh("echo in/*").ok().out(), "in/*\n");
    ssh("df in").ok();
    assert!(!server.local("got-theirs").exists());
}
