//! OpenSSH's `scp -O`.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;
use std::process::Command;
use std::time::{Duration, UNIX_EPOCH};

use crate::common::files::{assert_same, random_tree, tree_of};
use crate::common::{
    HOST, KIB, MIB, Output, Running, STEP, TRANSFER, TestServer, against_openssh, have,
    random_file, run, run_ok,
};

fn command(server: &TestServer, args: &[impl AsRef<OsStr>]) -> Command {
    let mut command = server.scp();
    // Without -T the client compares the names that it gets with those it asked for, with the shell's
    // quotes or without.
    command.args(["-O", "-T"]).args(args);
    command
}

#[track_caller]
fn scp(server: &TestServer, args: &[impl AsRef<OsStr>]) -> Output {
    run(&mut command(server, args), TRANSFER)
}

fn there(path: &str) -> String {
    format!("{HOST}:{path}")
}

/// A path on the server with each byte quoted for a shell.
fn quoted(path: &[u8]) -> OsString {
    let mut arg = format!("{HOST}:'").into_bytes();
    for byte in path {
        match byte {
            b'\'' => arg.extend(br"'\''"),
            byte => arg.push(*byte),
        }
    }
    arg.push(b'\'');
    OsString::from_vec(arg)
}

/// Returns the names in a folder as bytes, sorted.
fn names(folder: &Path) -> Vec<Vec<u8>> {
    let entries = fs::read_dir(folder).unwrap();
    let mut names: Vec<_> = entries
        .map(|entry| entry.unwrap().file_name().into_vec())
        .collect();
    names.sort();
    names
}

#[test]
fn a_blank_at_the_end_of_a_name_goes_both_ways() {
    let server = TestServer::start_for_commands();
    fs::write(server.local("here"), "blank").unwrap();
    scp(&server, &["here", &there("\\ tr\\ ")]).ok();
    assert_eq!(fs::read(server.at_home(" tr ")).unwrap(), b"blank");
    scp(&server, &[&there("\\ tr\\ "), "back"]).ok();
    assert_eq!(fs::read(server.local("back")).unwrap(), b"blank");
}

#[test]
fn files_of_every_size_go_both_ways_byte_for_byte() {
    let server = TestServer::start_for_commands();
    let sizes = [
        0,
        1,
        32_767,
        32_768,
        256 * KIB,
        256 * KIB + 1,
        MIB + 1,
        9 * MIB + 3,
    ];
    for size in sizes {
        let (here, back) = (server.local(&size.to_string()), server.local("back"));
        random_file(&here, size as u64, size as u64);
        scp(&server, &[&size.to_string(), &there("")]).ok();
        assert_same(&here, &server.at_home(&size.to_string()));
        scp(&server, &[&there(&size.to_string()), "back"]).ok();
        assert_same(&here, &back);
        // Over an existing file that is longer or shorter.
        scp(&server, &[&size.to_string(), &there("same")]).ok();
        assert_same(&here, &server.at_home("same"));
    }
    for size in sizes.into_iter().rev() {
        scp(&server, &[&size.to_string(), &there("same")]).ok();
        assert_same(&server.local(&size.to_string()), &server.at_home("same"));
    }
}

#[test]
fn names_are_bytes_and_come_through_a_shell_that_is_none() {
    let server = TestServer::start_for_commands();
    let names_there: [&[u8]; 9] = [
        b"a b",
        b" leading and trailing ",
        b"it's",
        b"\"quoted\" $HOME `id` \\ & ; | * ? [x] ~",
        "\u{fc}n\u{ef}c\u{f6}d\u{e9} \u{1f980}".as_bytes(),
        b"\xff\xfe\x80",
        b"-dash",
        b"#hash",
        b"C0644 1 x",
    ];
    fs::create_dir(server.local("names")).unwrap();
    for name in names_there {
        let name = OsStr::from_bytes(name);
        fs::write(server.local("names").join(name), name.as_bytes()).unwrap();
    }
    let mut expected: Vec<_> = names_there.iter().map(|name| name.to_vec()).collect();
    expected.sort();
    scp(&server, &["-r", "names", &there("up")]).ok();
    assert_eq!(names(&server.at_home("up")), expected);
    scp(&server, &["-r", &there("up"), "back"]).ok();
    assert_eq!(names(&server.local("back")), expected);

    for name in names_there {
        let path = [b"up/", name].concat();
        scp(&server, &[quoted(&path), "one".into()]).ok();
        assert_eq!(fs::read(server.local("one")).unwrap(), name);
        let here = server.local("names").join(OsStr::from_bytes(name));
        scp(
            &server,
            &[here.into_os_string(), quoted(&[&path, &b"!"[..]].concat())],
        )
        .ok();
        let stored = server
            .at_home("up")
            .join(OsString::from_vec([name, b"!"].concat()));
        assert_eq!(fs::read(stored).unwrap(), name);
    }
    // A path that starts with a dash.
    fs::write(server.at_home("-r"), "r").unwrap();
    scp(&server, &[&there("-r"), "one"]).ok();
    assert_eq!(fs::read(server.local("one")).unwrap(), b"r");

    // A line feed would end the line: both sides encode it as vis(3) does.
    fs::create_dir(server.at_home("lines")).unwrap();
    fs::write(server.at_home("lines/a\nb"), "ab").unwrap();
    scp(&server, &["-r", &there("lines"), "lines"]).ok();
    assert_eq!(names(&server.local("lines")), [br"a\^Jb".to_vec()]);
    scp(&server, &[quoted(b"lines/a\nb"), "one".into()]).ok();
    assert_eq!(fs::read(server.local("one")).unwrap(), b"ab");
    fs::write(server.local("c\nd"), "cd").unwrap();
    scp(&server, &["c\nd", &there("lines")]).ok();
    assert_eq!(fs::read(server.at_home(r"lines/c\^Jd")).unwrap(), b"cd");
}

#[test]
fn trees_go_both_ways_with_deep_and_empty_directories() {
    let server = TestServer::start_for_commands();
    let tree = server.local("tree");
    random_tree(&tree, 1);
    let deep = tree.join("deep/".repeat(60));
    fs::create_dir_all(deep.join("empty")).unwrap();
    fs::write(deep.join("file"), "deep").unwrap();
    scp(&server, &["-r", "tree", &there("new")]).ok();
    assert_eq!(tree_of(&server.at_home("new")), tree_of(&tree));
    // Into an existing directory.
    scp(&server, &["-r", "tree", &there("new")]).ok();
    assert_eq!(tree_of(&server.at_home("new/tree")), tree_of(&tree));
    scp(&server, &["-r", "tree", &there("new")]).ok();
    fs::remove_dir_all(server.at_home("new/tree")).unwrap();
    scp(&server, &["-r", &there("new"), "back"]).ok();
    assert_eq!(tree_of(&server.local("back")), tree_of(&tree));
    scp(
        &server,
        &["-r", &there("new/"), &there("'./new/with space'"), "back"],
    )
    .ok();
    assert_eq!(tree_of(&server.local("back/new")), tree_of(&tree));
}

#[test]
fn times_and_modes_are_kept_if_asked_for() {
    let server = TestServer::start_for_commands();
    let tree = server.local("tree");
    fs::create_dir_all(tree.join("d/closed")).unwrap();
    for (name, mode, seconds) in [
        ("f", 0o604, 1_234_567_890),
        ("d/script", 0o751, 1_000_000_000),
        ("d/locked", 0o444, 1),
        ("d/closed", 0o555, 1_111_111_111),
        ("d", 0o711, 1_222_222_222),
        ("", 0o775, 1_333_333_333),
    ] {
        let path = tree.join(name);
        if !path.exists() {
            fs::write(&path, name).unwrap();
        }
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        let then = UNIX_EPOCH + Duration::from_secs(seconds);
        fs::File::open(&path).unwrap().set_modified(then).unwrap();
    }
    scp(&server, &["-rp", "tree", &there("kept")]).ok();
    scp(&server, &["-rp", &there("kept"), "back"]).ok();
    scp(&server, &["-r", "tree", &there("new")]).ok();
    let shown = |root: &Path, name: &str| {
        let found = fs::metadata(root.join(name)).unwrap();
        (found.mode() & 0o7777, found.mtime())
    };
    for name in ["", "f", "d", "d/script", "d/locked", "d/closed"] {
        let original = shown(&tree, name);
        assert_eq!(shown(&server.at_home("kept"), name), original, "up: {name}");
        assert_eq!(shown(&server.local("back"), name), original, "down: {name}");
        let new = shown(&server.at_home("new"), name);
        assert_eq!(new.0, original.0 & !0o022, "{name}");
        assert!(new.1 > 1_400_000_000, "{name}");
    }
}

#[test]
fn one_of_several_that_is_missing_is_told_and_the_others_arrive() {
    let server = TestServer::start_for_commands();
    for name in ["a", "b", "c d"] {
        fs::write(server.at_home(name), name).unwrap();
    }
    fs::create_dir(server.at_home("d")).unwrap();
    fs::create_dir(server.local("to")).unwrap();
    // In one command: OpenSSH's client passes on what the user quotes.
    let said = scp(&server, &[&there("a missing d b 'c d'"), "to"]).failed();
    assert_eq!(
        said.err(),
        "scp: missing: No such file or directory\nscp: d: not a regular file\n"
    );
    assert_eq!(
        names(&server.local("to")),
        [b"a".to_vec(), b"b".to_vec(), b"c d".to_vec()]
    );

    // Uploads: two that cannot be stored, and one that can.
    for name in ["a", "d", "e"] {
        fs::write(server.local(name), "new").unwrap();
    }
    fs::create_dir_all(server.at_home("to/a")).unwrap();
    let said = scp(&server, &["a", "d", "e", &there("to")]).failed();
    assert_eq!(said.err(), "scp: to/a: Is a directory\n");
    assert_eq!(fs::read(server.at_home("to/e")).unwrap(), b"new");
}

#[test]
fn several_files_need_a_directory() {
    let server = TestServer::start_for_commands();
    fs::write(server.at_home("file"), "old").unwrap();
    for name in ["a", "b"] {
        fs::write(server.local(name), name).unwrap();
    }
    let said = scp(&server, &["a", "b", &there("file")]).failed();
    assert!(
        said.err().contains("scp: file: Not a directory"),
        "{}",
        said.describe()
    );
    let said = scp(&server, &["a", "b", &there("missing")]).failed();
    assert!(
        said.err()
            .contains("scp: missing: No such file or directory"),
        "{}",
        said.describe()
    );
    let said = scp(&server, &["a", &there("missing/a")]).failed();
    assert!(
        said.err()
            .contains("scp: missing/a: No such file or directory"),
        "{}",
        said.describe()
    );
    assert_eq!(fs::read(server.at_home("file")).unwrap(), b"old");
    assert_eq!(names(server.home()), [b"file".to_vec()]);
}

#[test]
fn patterns_are_expanded_over_the_home() {
    let server = TestServer::start_for_commands();
    for folder in ["d1", "d2", "e"] {
        fs::create_dir(server.at_home(folder)).unwrap();
        for name in ["a", "b.txt", ".hidden.txt", "c.txt"] {
            fs::write(server.at_home(folder).join(name), folder).unwrap();
        }
    }
    for name in ["x*y", "xzy", "n[1]", "n1"] {
        fs::write(server.at_home(name), name).unwrap();
    }
    let fetch = |pattern: &str| {
        let to = server.local(&crate::common::random_name("to"));
        fs::create_dir(&to).unwrap();
        let arg = there(pattern);
        let said = scp(&server, &[OsStr::new(&arg), to.as_os_str()]);
        let texts = |name: Vec<u8>| String::from_utf8(name).unwrap();
        (said, names(&to).into_iter().map(texts).collect::<Vec<_>>())
    };
    for (pattern, expected) in [
        ("e/*", &["a", "b.txt", "c.txt"][..]),
        ("e/*.txt", &["b.txt", "c.txt"]),
        ("e/.*.txt", &[".hidden.txt"]),
        ("e/?", &["a"]),
        ("e/[a-b]*", &["a", "b.txt"]),
        ("d?/b.txt", &["b.txt"]),
        ("*/[!ab].txt", &["c.txt"]),
        (r"x\*y", &["x*y"]),
        ("'x*y'", &["x*y"]),
        ("x*y", &["x*y", "xzy"]),
        ("n[1]", &["n1"]),
        ("n'[1]'", &["n[1]"]),
        ("e/a x*y", &["a", "x*y", "xzy"]),
    ] {
        let (said, found) = fetch(pattern);
        said.ok();
        assert_eq!(found, expected, "{pattern}");
    }
    let (said, found) = fetch("*.none e/a");
    assert_eq!(
        said.failed().err(),
        "scp: *.none: No such file or directory\n"
    );
    assert_eq!(found, ["a"]);

    // The target must be a directory, too.
    fs::write(server.local("up"), "up").unwrap();
    scp(&server, &["up", &there("e*")]).ok();
    assert_eq!(fs::read(server.at_home("e/up")).unwrap(), b"up");
    let said = scp(&server, &["up", &there("d*")]).failed();
    assert!(
        said.err().contains("scp: ambiguous target"),
        "{}",
        said.describe()
    );
}

#[test]
fn a_fifo_is_refused_without_waiting_for_it() {
    if !have(&["mkfifo"]) {
        return;
    }
    let server = TestServer::start_for_commands();
    run_ok(Command::new("mkfifo").arg(server.at_home("fifo")), STEP);
    fs::write(server.at_home("a"), "a").unwrap();
    let said = scp(&server, &[&there("fifo a"), "."]).failed();
    assert_eq!(said.err(), "scp: fifo: not a regular file\n");
    assert_eq!(fs::read(server.local("a")).unwrap(), b"a");
    if !against_openssh() {
        // OpenSSH's scp waits for a reader here.
        let said = scp(&server, &["a", &there("fifo")]).failed();
        assert!(
            said.err().contains("scp: fifo: Not a regular file"),
            "{}",
            said.describe()
        );
    }
}

#[test]
fn where_nothing_can_be_written_that_is_told() {
    if !have(&["mount", "umount"]) || against_openssh() {
        return;
    }
    let server = TestServer::start();
    let folder = server.at_home("fixed");
    fs::create_dir(&folder).unwrap();
    let mut mount = Command::new("mount");
    mount.args(["-t", "tmpfs", "-o", "ro", "none"]).arg(&folder);
    let said = run(&mut mount, STEP);
    if !said.status.success() {
        return crate::common::skip(&format!("a tmpfs cannot be mounted: {}", said.err().trim()));
    }
    for name in ["a", "b"] {
        fs::write(server.local(name), name).unwrap();
    }
    fs::create_dir(server.local("tree")).unwrap();
    let files = scp(&server, &["a", "b", &there("fixed")]);
    let tree = scp(&server, &["-r", "tree", "a", &there("fixed")]);
    run_ok(Command::new("umount").arg("-l").arg(&folder), STEP);
    let why = "Read-only file system\n";
    assert_eq!(
        files.failed().err(),
        format!("scp: fixed/a: {why}scp: fixed/b: {why}")
    );
    assert_eq!(
        tree.failed().err(),
        format!("scp: fixed/tree: {why}scp: fixed/a: {why}")
    );
}

#[test]
fn four_at_once_do_not_meet() {
    let server = TestServer::start_for_commands();
    random_file(&server.at_home("big"), 8 * MIB as u64 + 1, 9);
    let mut running = Vec::new();
    for number in 0..4 {
        let name = format!("up{number}");
        random_file(&server.local(&name), 8 * MIB as u64 + number, number);
        running.push(Running::start(&mut command(&server, &[&name, &there("")])));
        let back = format!("down{number}");
        running.push(Running::start(&mut command(
            &server,
            &[&there("big"), &back],
        )));
    }
    for one in running {
        one.wait(TRANSFER).ok();
    }
    for number in 0..4 {
        let name = format!("up{number}");
        assert_same(&server.local(&name), &server.at_home(&name));
        assert_same(
            &server.at_home("big"),
            &server.local(&format!("down{number}")),
        );
    }
}

#[test]
fn the_home_itself_can_be_fetched() {
    // OpenSSH's server calls it ".", which OpenSSH's client refuses.
    if against_openssh() {
        return;
    }
    let server = TestServer::start();
    random_tree(server.home(), 3);
    for path in ["", ".", "/", "~", "sub/.."] {
        scp(&server, &["-r", &there(path), "back"]).ok();
        assert_eq!(
            tree_of(&server.local("back")),
            tree_of(server.home()),
            "{path}"
        );
        fs::remove_dir_all(server.local("back")).unwrap();
    }
    fs::create_dir(server.local("back")).unwrap();
    scp(&server, &["-r", &there("."), &there("/sub/."), "back"]).ok();
    assert_eq!(
        names(&server.local("back")),
        [b"alice".to_vec(), b"sub".to_vec()]
    );
    // Absolute paths and paths with a tilde are in the home, too.
    scp(&server, &[&there("~/sub/file-1.bin"), "one"]).ok();
    scp(&server, &["one", &there("/sub/deeper/one")]).ok();
    assert_same(
        &server.at_home("sub/file-1.bin"),
        &server.at_home("sub/deeper/one"),
    );
}
