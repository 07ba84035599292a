//! Links and renames do not bypass directories with permissions of their own, whether these exist yet
//! or not; and no answer reveals the target of a link to an account that may not read it.

use super::*;
use crate::common::wire::code;

const MOVES: [&str; 2] = ["rename", "posix-rename@openssh.com"];

#[test]
fn no_link_and_no_rename_takes_the_place_of_a_directory_that_is_to_come() {
    let (server, connection) = permitted(&["full", "/a/b=no-delete"]);
    let layout = [
        "other/",
        "other/b/",
        "other/b/theirs=secret",
        "empty/",
        "file=own",
    ];
    lay_out(server.home(), &layout);
    let mut sftp = connection.sftp();
    let link = |sftp: &mut RawSftp, target: &str, name: &str| {
        let before = snapshot(server.home());
        let reply = with_two(sftp, "symlink", target, name);
        assert_eq!(reply.code(), code::PERMISSION_DENIED, "{name}: {reply:?}");
        assert_eq!(snapshot(server.home()), before);
    };
    // Neither directory exists.
    link(&mut sftp, "other", "a");
    link(&mut sftp, "/other", "other/../a");
    let reply = with_two(&mut sftp, "hardlink@openssh.com", "file", "a");
    assert_eq!(reply.code(), code::PERMISSION_DENIED, "{reply:?}");
    for request in MOVES {
        for from in ["other", "empty", "file"] {
            let reply = with_two(&mut sftp, request, from, "a");
            assert_eq!(reply.code(), code::PERMISSION_DENIED, "{from}: {reply:?}");
        }
    }
    // The outer one exists.
    assert_eq!(sftp.mkdir("a"), code::OK);
    link(&mut sftp, "../other/b", "a/b");
    for request in MOVES {
        for (from, to) in [("other/b", "a/b"), ("file", "a/b"), ("a", "elsewhere")] {
            let reply = with_two(&mut sftp, request, from, to);
            assert_eq!(reply.code(), code::PERMISSION_DENIED, "{from}: {reply:?}");
        }
    }
    // Everything beside it is allowed.
    assert_eq!(
        with_two(&mut sftp, "symlink", "/other", "a/c").code(),
        code::OK
    );
    assert_eq!(
        with_two(&mut sftp, "rename", "empty", "a/d").code(),
        code::OK
    );
    // Both exist, and the rule applies.
    assert_eq!(sftp.mkdir("a/b"), code::OK);
    sftp.put("a/b/new", b"content");
    assert_eq!(sftp.remove("a/b/new"), code::PERMISSION_DENIED);
    let theirs = server.at_home("other/b/theirs");
    assert_eq!(fs::read(theirs).unwrap(), b"secret");
}

#[test]
fn the_operator_is_warned_of_a_link_that_is_there_already() {
    let server = TestServer::start();
    lay_out(server.home(), &["other/", "a@other", "plain/", "plain/x/"]);
    let set = |rule: &str| {
        let set = ["user", "set", USER, "--permissions", rule];
        server.admin(&set, "").ok().err()
    };
    assert_eq!(set("/plain/x=nothing"), "");
    let warned = set("/a/b=nothing");
    assert!(
        warned.contains("/a in the home of alice is a link"),
        "{warned}"
    );
    assert_eq!(warned.lines().count(), 1, "{warned}");
    // An empty set of permissions makes no difference.
    let set = ["user", "set", USER, "--max-sessions", "3"];
    assert_eq!(server.admin(&set, "").ok().err(), "");
}

const LINKS: [&str; 12] = [
    "in/",
    "in/hidden/",
    "in/l@hidden",
    "dir/",
    "dir/deep/",
    "dir/file=x",
    "to-dir@dir",
    "to-file@/dir/file",
    "to-l@in/l",
    "up@dir/deep/../..",
    "dangling@nowhere/at/all",
    "loop@loop",
];

#[test]
fn realpath_tells_no_target_that_may_not_be_read() {
    let (server, connection) = permitted(&["upload-only"]);
    lay_out(server.home(), &LINKS);
    let mut sftp = connection.sftp();
    for (asked, told) in [
        ("to-dir", "/to-dir"),
        ("/to-dir/deep", "/to-dir/deep"),
        ("to-dir/deep/..", "/to-dir"),
        ("to-file", "/to-file"),
        ("up", "/up"),
        ("dangling", "/dangling"),
        ("loop", "/loop"),
        // Without links, nothing changes.
        ("dir/deep/../file", "/dir/file"),
        ("dir/new", "/dir/new"),
        (".", "/"),
    ] {
        assert_eq!(sftp.realpath(asked), told.as_bytes(), "{asked}");
        let expanded = sftp.extended("expand-path@openssh.com", |body| {
            body.string(format!("~/{asked}"))
        });
        assert_eq!(expanded.names()[0].name, told.as_bytes(), "{asked}");
    }
    let refused = sftp.with_string(wire::READLINK, "to-dir");
    assert_eq!(refused.code(), code::PERMISSION_DENIED);
    let missing = sftp.with_string(wire::REALPATH, "missing/new");
    assert_eq!(missing.code(), code::NO_SUCH_FILE);
}

#[test]
fn realpath_follows_the_links_that_may_be_read_and_no_others() {
    const ASKED: [&str; 13] = [
        "to-dir",
        "to-dir/deep/..",
        "to-dir/new",
        "to-file",
        "up/dir/./file",
        "dangling",
        "in/hidden",
        "/",
        "..",
        "loop",
        "missing/new",
        "to-file/new",
        "loop/new",
    ];
    fn told(sftp: &mut RawSftp) -> Vec<Result<Vec<u8>, u32>> {
        let asked = ASKED.iter();
        let replies = asked.map(|path| sftp.with_string(wire::REALPATH, path));
        let told = replies.map(|reply| match reply {
            Reply::Status { code, .. } => Err(code),
            names => Ok(names.names()[0].name.clone()),
        });
        told.collect()
    }
    let (server, connection) = permitted(&["full"]);
    lay_out(server.home(), &LINKS);
    // The kernel follows them in this way.
    let everywhere = told(&mut connection.sftp());
    assert_eq!(everywhere[0], Ok(b"/dir".to_vec()));
    permit(&server, &["full", "/in=upload-only"]);
    let mut sftp = Connection::logged_in(&server).sftp();
    assert_eq!(told(&mut sftp), everywhere);
    // The second link is in a directory that may not be listed.
    for path in ["/to-l", "/in/l", "/in/l/new"] {
        assert_eq!(sftp.realpath(path), path.as_bytes());
    }
}
