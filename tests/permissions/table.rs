//! Each verb under each set of permissions: done, or refused in words and without a trace.

use super::*;
use crate::common::raw::{Channel, Event, Outgoing};
use crate::common::wire::{code, flag};

/// What it asks, and sets of permissions each of which is enough.
type Row = (
    &'static str,
    fn(&mut RawSftp) -> Reply,
    &'static [&'static str],
);

const SINGLE: [&str; 9] = [
    "list",
    "download",
    "upload",
    "overwrite",
    "delete",
    "rename",
    "mkdir",
    "links",
    "attributes",
];

/// The sets to try: each preset with what it stands for, and pairs that matter to a verb.
const SETS: [(&str, &str); 8] = [
    (
        "full",
        "list,download,upload,overwrite,delete,rename,mkdir,links,attributes",
    ),
    ("read-only", "list,download"),
    ("upload-only", "upload,mkdir"),
    (
        "no-delete",
        "list,download,upload,overwrite,rename,mkdir,links,attributes",
    ),
    ("nothing", ""),
    ("upload,overwrite", "upload,overwrite"),
    ("download,upload", "download,upload"),
    ("rename,overwrite,delete", "rename,overwrite,delete"),
];

const LAYOUT: [&str; 6] = [
    "old=content",
    "other=else",
    "dir/",
    "dir/inside=x",
    "empty/",
    "link@old",
];

const LOOK: &[&str] = &["list", "download"];
const ALWAYS: &[&str] = &[""];

fn open(sftp: &mut RawSftp, path: &str, flags: u32) -> Reply {
    sftp.open(path, flags, &Attrs::default())
}

fn setstat(sftp: &mut RawSftp, path: &str, attrs: &Attrs) -> Reply {
    let body = sftp.body(wire::SETSTAT).string(path).attrs(attrs);
    sftp.ask(&body)
}

fn mkdir(sftp: &mut RawSftp) -> Reply {
    let body = sftp
        .body(wire::MKDIR)
        .string("new")
        .attrs(&Attrs::default());
    sftp.ask(&body)
}

const TABLE: &[Row] = &[
    (
        "list",
        |sftp| sftp.with_string(wire::OPENDIR, "dir"),
        &["list"],
    ),
    ("stat", |sftp| sftp.stat("old"), LOOK),
    ("stat a link", |sftp| sftp.stat("link"), LOOK),
    ("lstat", |sftp| sftp.lstat("old"), LOOK),
    ("lstat a link", |sftp| sftp.lstat("link"), LOOK),
    ("stat a directory", |sftp| sftp.stat("dir"), ALWAYS),
    ("stat the home", |sftp| sftp.stat("."), ALWAYS),
    (
        "where a path leads",
        |sftp| sftp.with_string(wire::REALPATH, "dir/.."),
        ALWAYS,
    ),
    (
        "read a link",
        |sftp| sftp.with_string(wire::READLINK, "link"),
        &["list"],
    ),
    ("read", |sftp| open(sftp, "old", flag::READ), &["download"]),
    (
        "write",
        |sftp| open(sftp, "old", flag::WRITE),
        &["upload,overwrite"],
    ),
    (
        "append",
        |sftp| open(sftp, "old", flag::APPEND),
        &["upload,overwrite"],
    ),
    (
        "truncate",
        |sftp| open(sftp, "old", flag::WRITE | flag::CREAT | flag::TRUNC),
        &["upload,overwrite"],
    ),
    (
        "write through a link",
        |sftp| open(sftp, "link", flag::WRITE | flag::CREAT),
        &["upload,overwrite"],
    ),
    (
        "make",
        |sftp| open(sftp, "new", flag::WRITE | flag::CREAT),
        &["upload"],
    ),
    (
        "make exclusively",
        |sftp| open(sftp, "dir/new", flag::WRITE | flag::CREAT | flag::EXCL),
        &["upload"],
    ),
    (
        "make to read and write",
        |sftp| open(sftp, "new", flag::READ | flag::WRITE | flag::CREAT),
        &["download,upload"],
    ),
    (
        "cut",
        |sftp| setstat(sftp, "old", &size(3)),
        &["upload,overwrite"],
    ),
    (
        "set times",
        |sftp| setstat(sftp, "old", &times(1)),
        &["attributes"],
    ),
    (
        "set times of a directory",
        |sftp| setstat(sftp, "dir", &times(1)),
        &["attributes"],
    ),
    (
        "set a mode",
        |sftp| {
            let mode = Attrs {
                permissions: Some(0o600),
                ..Attrs::default()
            };
            setstat(sftp, "link", &mode)
        },
        &["attributes"],
    ),
    (
        "set times of a link",
        |sftp| {
            sftp.extended("lsetstat@openssh.com", |body| {
                body.string("link").attrs(&times(1))
            })
        },
        &["attributes"],
    ),
    (
        "remove",
        |sftp| sftp.with_string(wire::REMOVE, "old"),
        &["delete"],
    ),
    (
        "remove a link",
        |sftp| sftp.with_string(wire::REMOVE, "link"),
        &["delete"],
    ),
    (
        "rmdir",
        |sftp| sftp.with_string(wire::RMDIR, "empty"),
        &["delete"],
    ),
    ("mkdir", mkdir, &["mkdir"]),
    (
        "rename",
        |sftp| with_two(sftp, "rename", "old", "new"),
        &["rename"],
    ),
    (
        "rename a directory",
        |sftp| with_two(sftp, "rename", "dir", "new"),
        &["rename"],
    ),
    (
        "posix-rename",
        |sftp| with_two(sftp, "posix-rename@openssh.com", "old", "new"),
        &["rename"],
    ),
    (
        "replace by posix-rename",
        |sftp| with_two(sftp, "posix-rename@openssh.com", "old", "other"),
        &["rename,overwrite"],
    ),
    (
        "symlink",
        |sftp| with_two(sftp, "symlink", "old", "new"),
        &["links"],
    ),
    (
        "hardlink",
        |sftp| with_two(sftp, "hardlink@openssh.com", "old", "new"),
        &["links"],
    ),
    (
        "copy-file",
        |sftp| sftp.copy_file("old", "new", false),
        &["download,upload"],
    ),
    (
        "copy-file over another",
        |sftp| sftp.copy_file("old", "other", true),
        &["download,upload,overwrite"],
    ),
    (
        "check-file",
        |sftp| {
            sftp.extended("check-file-name", |body| {
                body.string("old").string("sha256").u64(0).u64(0).u32(0)
            })
        },
        &["download"],
    ),
    (
        "statvfs of a file",
        |sftp| sftp.extended("statvfs@openssh.com", |body| body.string("old")),
        LOOK,
    ),
    (
        "statvfs",
        |sftp| sftp.extended("statvfs@openssh.com", |body| body.string("/")),
        ALWAYS,
    ),
    (
        "space-available",
        |sftp| sftp.extended("space-available", |body| body.string("dir")),
        ALWAYS,
    ),
];

/// The same for commands: exit status 0, or another one.
const COMMANDS: [(&str, &[&str]); 9] = [
    ("md5sum old", &["download"]),
    ("sha256sum -- link", &["download"]),
    ("quota", ALWAYS),
    ("df", ALWAYS),
    ("help", ALWAYS),
    ("scp -f old", &["download"]),
    ("scp -t new", &["upload"]),
    ("scp -t old", &["upload,overwrite"]),
    ("scp -rt .", &["mkdir"]),
];

fn is_enough(granted: &str, enough: &[&str]) -> bool {
    let granted: Vec<&str> = granted.split(',').collect();
    let has = |set: &str| set.is_empty() || set.split(',').all(|one| granted.contains(&one));
    enough.iter().any(|set| has(set))
}

fn sets() -> impl Iterator<Item = (&'static str, &'static str)> {
    SINGLE.iter().map(|one| (*one, *one)).chain(SETS)
}

#[test]
fn each_verb_is_done_with_what_it_needs_and_else_refused_without_a_trace() {
    let server = TestServer::start();
    for (set, granted) in sets() {
        permit(&server, &[set]);
        for (verb, ask, enough) in TABLE {
            lay_out(server.home(), &LAYOUT);
            let before = snapshot(server.home());
            // A new session each time: it may see what it has made.
            let connection = Connection::logged_in(&server);
            let mut sftp = connection.sftp();
            let reply = ask(&mut sftp);
            let what = format!("{verb} with {set}: {reply:?}");
            if is_enough(granted, enough) {
                let refused = matches!(reply, Reply::Status { code, .. } if code != code::OK);
                assert!(!refused, "{what}");
                continue;
            }
            assert_eq!(reply.code(), code::PERMISSION_DENIED, "{what}");
            let words = reply.message();
            assert!(
                words.is_empty() || words.starts_with("Not allowed here: this account may not "),
                "{what}"
            );
            assert_eq!(snapshot(server.home()), before, "{what}");
        }
    }
}

/// Runs a command and says what `scp -t` sends for a file, or a directory.
fn exit_status(connection: &Connection, line: &str) -> u32 {
    let mut channel: Channel = connection.channel();
    channel.send(Outgoing::Exec(line.to_owned()));
    assert!(channel.accepted(), "{line}");
    let upload: &[u8] = match line {
        "scp -f old" => b"\0\0\0\0",
        "scp -rt ." => b"D0755 0 new\nE\n",
        line if line.starts_with("scp -t") => b"C0644 3 name\nnew\0",
        _ => b"",
    };
    channel.send(Outgoing::Data(upload.to_vec()));
    channel.send(Outgoing::Eof);
    let mut status = None;
    for event in channel.until_closed() {
        if let Event::ExitStatus(exit) = event {
            status = Some(exit);
        }
    }
    status.unwrap()
}

#[test]
fn commands_and_scp_do_not_go_round_it() {
    let server = TestServer::start();
    for (set, granted) in sets() {
        permit(&server, &[set]);
        for (line, enough) in COMMANDS {
            lay_out(server.home(), &LAYOUT);
            let before = snapshot(server.home());
            let status = exit_status(&Connection::logged_in(&server), line);
            let allowed = is_enough(granted, enough);
            assert_eq!(status == 0, allowed, "{line} with {set}: {status}");
            if !allowed {
                assert_eq!(snapshot(server.home()), before, "{line} with {set}");
            }
        }
    }
}

#[test]
fn the_words_say_which_permission_is_missing() {
    let (server, connection) = permitted(&["mkdir"]);
    lay_out(server.home(), &LAYOUT);
    let mut sftp = connection.sftp();
    for (verb, words) in [
        ("list", "may not list files"),
        ("read", "may not download"),
        ("make", "may not upload"),
        ("remove", "may not delete"),
        ("rename", "may not rename"),
        ("symlink", "may not use links"),
        ("check-file", "may not download"),
    ] {
        let row = TABLE.iter().find(|(name, ..)| *name == verb).unwrap();
        let reply = row.1(&mut sftp);
        assert!(reply.message().ends_with(words), "{verb}: {reply:?}");
    }
    permit(&server, &["upload"]);
    let connection = Connection::logged_in(&server);
    let mut sftp = connection.sftp();
    for (verb, words) in [
        ("truncate", "may not overwrite files"),
        ("mkdir", "may not create directories"),
    ] {
        let row = TABLE.iter().find(|(name, ..)| *name == verb).unwrap();
        let reply = row.1(&mut sftp);
        assert!(reply.message().ends_with(words), "{verb}: {reply:?}");
    }
}
