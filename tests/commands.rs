//! The commands over plain `ssh`: help, quota, df, echo and the hash commands, compared with coreutils; and
//! that nothing reaches a shell.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;
use std::process::Command;
use std::time::Instant;

use crate::common::command::run_with_input;
use crate::common::server::make_key;
use crate::common::{
    HOST, MIB, Output, STEP, TRANSFER, TestServer, USER, bytes_of, have, random_name, run, run_ok,
};

const SUMS: [&str; 6] = [
    "md5sum",
    "sha1sum",
    "sha224sum",
    "sha256sum",
    "sha384sum",
    "sha512sum",
];

/// Quotes an argument for a shell.
fn quoted(word: &[u8]) -> Vec<u8> {
    let inner: Vec<_> = word.split(|byte| *byte == b'\'').collect();
    [b"'", &inner.join(&b"'\\''"[..])[..], b"'"].concat()
}

fn remote(server: &TestServer, line: &[u8], input: &[u8]) -> Output {
    let mut ssh = server.ssh();
    ssh.arg(HOST).arg(OsStr::from_bytes(line));
    run_with_input(&mut ssh, input, STEP)
}

fn ask(server: &TestServer, line: &str) -> Output {
    remote(server, line.as_bytes(), b"")
}

/// Runs the same command locally, in the folder of the home.
fn local(home: &Path, line: &[u8], input: &[u8]) -> Output {
    let mut shell = Command::new("sh");
    shell.arg("-c").arg(OsStr::from_bytes(line));
    shell.env("LC_ALL", "C").current_dir(home);
    run_with_input(&mut shell, input, STEP)
}

#[track_caller]
fn assert_like_coreutils(server: &TestServer, line: &[u8], input: &[u8]) {
    let (there, here) = (
        remote(server, line, input),
        local(server.home(), line, input),
    );
    let shown = |output: &Output| (output.out(), output.err(), output.status.code());
    assert_eq!(shown(&there), shown(&here), "{}", line.escape_ascii());
    assert_eq!(there.stdout, here.stdout);
}

const NAMES: [&[u8]; 9] = [
    b"plain",
    b"two words",
    b"back\\slash",
    b"new\nline",
    b"it's",
    b"-dash",
    b"$(touch made);`touch made`",
    b"caf\xe9 \xff",
    b"*?[x]",
];

#[test]
fn sums_are_those_of_coreutils_byte_for_byte() {
    let server = TestServer::start();
    for (number, name) in NAMES.iter().enumerate() {
        let path = server.home().join(OsStr::from_bytes(name));
        fs::write(path, bytes_of(number * 100_000, number as u64)).unwrap();
    }
    let all: Vec<_> = NAMES.iter().map(|name| quoted(name)).collect();
    for command in SUMS {
        let line = [command.as_bytes(), b" -- ", &all.join(&b" "[..])].concat();
        assert_like_coreutils(&server, &line, b"");
    }
    assert!(!server.at_home("made").exists());
    // Patterns, which a shell expands.
    assert_like_coreutils(&server, b"md5sum -- p* ?wo* *[x]*", b"");
    // The way rclone quotes.
    assert_like_coreutils(
        &server,
        b"md5sum two\\ words back\\\\slash new'\n'line",
        b"",
    );
    assert_like_coreutils(&server, b"sha256sum ./two\\ words ./././plain", b"");
}

#[test]
fn a_quoted_blank_at_the_end_of_a_line_belongs_to_the_name() {
    let server = TestServer::start();
    for name in [" tr ", "tab\t", "two  ", "nbsp\u{a0}"] {
        fs::write(server.at_home(name), name).unwrap();
        let quoted: String = name
            .chars()
            .flat_map(|c| ["\\".to_owned(), c.to_string()])
            .collect();
        assert_like_coreutils(&server, format!("md5sum {quoted}").as_bytes(), b"");
        assert_like_coreutils(&server, format!("  md5sum {quoted} \t \n").as_bytes(), b"");
    }
}

#[test]
fn id_tells_the_numbers_that_files_are_listed_with() {
    let server = TestServer::start();
    let mut sftp = crate::common::connection::Connection::logged_in(&server).sftp();
    let (uid, gid) = sftp.stat("/").attrs().owner.unwrap();
    for (line, said) in [
        ("id -u", format!("{uid}\n")),
        ("id -g", format!("{gid}\n")),
        ("id -G", format!("{gid}\n")),
        (
            "id",
            format!("uid={uid}({USER}) gid={gid}({USER}) groups={gid}({USER})\n"),
        ),
    ] {
        let told = ask(&server, line).ok();
        assert_eq!((told.out(), told.err()), (said, String::new()), "{line}");
    }
    assert!(ask(&server, "id -n").failed().err().contains("usage"));
}

#[test]
fn ssh_copy_id_is_answered_with_how_keys_are_added() {
    if !have(&["ssh-copy-id"]) {
        return;
    }
    let server = TestServer::start();
    make_key(&server.local("new"), &["-t", "ed25519"]);
    fs::create_dir(server.local(".ssh")).unwrap();
    let copy = |options: &[&str]| {
        let mut command = Command::new("ssh-copy-id");
        // It uses no ssh-agent, and keeps its own files in the folder.
        command
            .env("HOME", server.path("client"))
            .env_remove("SSH_AUTH_SOCK");
        command.current_dir(server.path("client"));
        command.args(options).args(["-f", "-i", "new.pub", "-F"]);
        run(command.arg(server.ssh_config()).arg(HOST), TRANSFER)
    };
    let advice = "landfall user key add NAME FILE";
    let told = copy(&[]).failed();
    assert!(told.err().contains(advice), "{}", told.describe());
    assert!(!server.at_home(".ssh").exists());
    // Through sftp it is an ordinary file, without effect.
    fs::create_dir(server.at_home(".ssh")).unwrap();
    let put = run_ok(
        &mut server.sftp_batch(&[], "put new.pub .ssh/authorized_keys"),
        TRANSFER,
    );
    assert_eq!(put.err().matches(advice).count(), 1, "{}", put.describe());
    assert!(server.at_home(".ssh/authorized_keys").exists());
    let put = run_ok(
        &mut server.sftp_batch(&[], "put new.pub authorized_keys"),
        TRANSFER,
    );
    assert!(!put.err().contains(advice), "{}", put.describe());
    // A plain command runs, and the older form of the line is recognized, too.
    let read = ask(&server, "md5sum .ssh/authorized_keys").ok();
    assert!(!read.err().contains(advice));
    let older = ask(
        &server,
        "umask 077; test -d .ssh || mkdir .ssh ; cat >> .ssh/authorized_keys",
    );
    assert!(older.failed().err().contains(advice));
}

#[test]
fn sums_take_the_options_of_coreutils() {
    let server = TestServer::start();
    fs::write(server.at_home("a"), "abc").unwrap();
    fs::write(server.at_home("b\nb"), "").unwrap();
    for line in [
        "md5sum -b a 'b\nb'",
        "md5sum --binary -t a",
        "sha1sum --tag a 'b\nb'",
        "sha256sum -z a 'b\nb'",
        "sha512sum --zero --tag a",
        "md5sum",
        "md5sum -",
        "sha1sum a - a",
    ] {
        assert_like_coreutils(&server, line.as_bytes(), b"what comes on stdin");
    }
    let refused = ask(&server, "md5sum --frobnicate a").failed();
    assert!(
        refused.err().starts_with("md5sum: ") && refused.err().contains("--tag"),
        "{}",
        refused.describe()
    );
}

#[test]
fn what_cannot_be_summed_is_told_and_the_rest_goes_on() {
    let server = TestServer::start();
    fs::write(server.at_home("a"), "abc").unwrap();
    fs::create_dir(server.at_home("dir")).unwrap();
    std::os::unix::fs::symlink("a", server.at_home("link")).unwrap();
    assert_like_coreutils(&server, b"md5sum missing a dir link a/x", b"");
    // A name that leads out of the home does not work.
    let outside = server.path(&random_name("outside"));
    fs::write(&outside, "secret").unwrap();
    for path in [
        format!("../{}", outside.file_name().unwrap().to_str().unwrap()),
        outside.to_str().unwrap().to_owned(),
        "/etc/passwd".to_owned(),
    ] {
        let refused = ask(&server, &format!("md5sum {path}")).failed();
        assert_eq!(refused.out(), "", "{path}");
        assert!(
            refused.err().contains("No such file or directory"),
            "{path}"
        );
    }
    // A FIFO blocks nobody.
    run_ok(Command::new("mkfifo").arg(server.at_home("fifo")), STEP);
    let began = Instant::now();
    let refused = ask(&server, "md5sum fifo").failed();
    assert!(refused.err().starts_with("md5sum: fifo: "));
    // A reader of the FIFO would wait for ever.
    assert!(began.elapsed() < STEP);
}

#[test]
fn stdin_of_any_length_is_summed() {
    let server = TestServer::start();
    for length in [0, 1, 32_768, 10 * MIB + 3] {
        let input = bytes_of(length, 5);
        assert_like_coreutils(&server, b"sha256sum", &input);
    }
    let crc = remote(&server, b"crc32", b"123456789").ok();
    assert_eq!(crc.out(), "cbf43926  -\n");
    fs::write(server.at_home("check"), "123456789").unwrap();
    assert_eq!(ask(&server, "crc32 check").ok().out(), "cbf43926  check\n");
}

#[test]
fn lists_are_checked_as_by_coreutils() {
    let server = TestServer::start();
    for name in ["a", "b", "two words", "new\nline"] {
        fs::write(server.at_home(name), name).unwrap();
    }
    fs::create_dir(server.at_home("dir")).unwrap();
    for command in SUMS {
        let list = local(
            server.home(),
            format!("{command} a b 'two words' 'new\nline'; {command} --tag a").as_bytes(),
            b"",
        );
        fs::write(server.at_home(&format!("{command}.good")), &list.stdout).unwrap();
        let empty = local(server.home(), format!("{command} -").as_bytes(), b"").out();
        let empty = empty.split(' ').next().unwrap();
        let bad = format!("# a comment\nno line\n{empty}  a\n{empty} *dir\n{empty}  missing\n");
        let bad = [bad.as_bytes(), &list.stdout].concat();
        fs::write(server.at_home(&format!("{command}.bad")), bad).unwrap();
        for line in [
            format!("{command} -c {command}.good"),
            format!("{command} --check {command}.good {command}.bad"),
            format!("{command} -c --quiet {command}.bad"),
            format!("{command} -c --status {command}.bad"),
            format!("{command} -c --status {command}.good"),
            format!("{command} -c --ignore-missing {command}.bad"),
            format!("{command} -c -w --strict {command}.bad"),
            format!("{command} -c no-such-list a"),
        ] {
            assert_like_coreutils(&server, line.as_bytes(), b"");
        }
        let by_stdin = format!("{command} -c");
        assert_like_coreutils(&server, by_stdin.as_bytes(), &list.stdout);
        assert_like_coreutils(&server, by_stdin.as_bytes(), b"nothing of use");
        let missing = format!("{empty}  missing\n");
        let by_stdin = format!("{command} -c --ignore-missing");
        assert_like_coreutils(&server, by_stdin.as_bytes(), missing.as_bytes());
    }
    let long = "x".repeat(17 << 20);
    let refused = remote(&server, b"md5sum -c", long.as_bytes()).failed();
    assert!(refused.err().contains("too long"), "{}", refused.describe());
}

#[test]
fn what_rclone_asks_is_answered_as_by_a_posix_shell() {
    let server = TestServer::start();
    let shell = ask(&server, "echo ${ShellId}%ComSpec%").ok();
    assert_eq!(
        (shell.out(), shell.err()),
        ("%ComSpec%\n".into(), "".into())
    );
    let empty = ask(&server, "md5sum").ok();
    assert_eq!(empty.out(), "d41d8cd98f00b204e9800998ecf8427e  -\n");
    let empty = ask(&server, "sha1sum").ok();
    assert_eq!(empty.out(), "da39a3ee5e6b4b0d3255bfef95601890afd80709  -\n");
    assert_eq!(ask(&server, "echo").ok().out(), "\n");
    assert_eq!(ask(&server, "echo 'a  b'   c").ok().out(), "a  b c\n");
}

#[test]
fn df_tells_the_space_within_the_quota() {
    let server = TestServer::start();
    let set = ["user", "set", USER, "--quota", "10MiB"];
    server.admin(&set, "").ok();
    run_ok(&mut server.sftp_batch(&[], "mkdir d\n"), STEP);
    fs::create_dir_all(server.local("x")).unwrap();
    fs::write(server.local("f"), bytes_of(MIB, 1)).unwrap();
    run_ok(&mut server.sftp_batch(&[], "put f d/f\n"), STEP);
    for line in ["df", "df -k", "df -P d", "df -Pk /d/f"] {
        let told = ask(&server, line).ok().out();
        let second: Vec<_> = told.lines().nth(1).unwrap().split_whitespace().collect();
        assert_eq!(second[1..], ["10240", "1024", "9216", "10%", "/"], "{told}");
        assert_eq!(told.lines().count(), 2);
    }
    let told = ask(&server, "df -h").ok().out();
    assert!(
        told.contains("10.0 MiB") && told.contains("9.0 MiB"),
        "{told}"
    );
    let refused = ask(&server, "df missing").failed();
    assert_eq!(refused.err(), "df: missing: No such file or directory\n");
    assert!(ask(&server, "df --all").failed().err().contains("usage"));
}

#[test]
fn everything_else_is_refused_in_one_line_that_says_what_there_is() {
    let server = TestServer::start();
    for line in [
        "ls",
        "/bin/sh",
        "sh -c ls",
        "quotas",
        "/usr/bin/md5sum a",
        "\u{1b}[31mx\u{7}",
        "rsync --server",
    ] {
        let refused = ask(&server, line).failed();
        assert_eq!(refused.status.code(), Some(127), "{line}");
        assert_eq!(
            (refused.out(), refused.err().lines().count()),
            ("".into(), 1)
        );
        for word in ["help", "quota", "df", "sha256sum", "no shell"] {
            assert!(refused.err().contains(word), "{}", refused.describe());
        }
        assert!(!refused.err().contains(['\u{1b}', '\u{7}']));
    }
    let file = server.at_home("made");
    let path = file.display();
    for line in [
        format!("md5sum x; touch {path}"),
        format!("quota && touch {path}"),
        format!("echo $(touch {path})"),
        format!("echo `touch {path}`"),
        format!("echo x > {path}"),
        "echo 'not closed".to_owned(),
    ] {
        let refused = ask(&server, &line).failed();
        assert_eq!(
            (refused.out(), refused.err().lines().count()),
            ("".into(), 1)
        );
        assert!(!file.exists(), "{line}");
    }
}

#[test]
fn somebody_without_a_command_is_greeted() {
    let server = TestServer::start();
    server
        .admin(&["user", "set", USER, "--quota", "1GiB"], "")
        .ok();
    let greeted = run_ok(server.ssh().args(["-T", HOST]), STEP);
    let text = greeted.out();
    for word in [USER, "1.0 GiB", "quota", "md5sum", "sftp", "scp", "WinSCP"] {
        assert!(text.contains(word), "{word} in {text}");
    }
    assert!(!text.contains('\r'));
    let helped = ask(&server, "help").ok().out();
    assert!(text.contains(&helped), "{text}");
    // In a terminal lines end with a carriage return, for commands too.
    for args in [&["-tt", HOST][..], &["-tt", HOST, "help"]] {
        let text = run_ok(server.ssh().args(args), STEP).out();
        assert!(text.contains("quota"), "{text}");
        assert_eq!(text.replace("\r\n", "").matches(['\r', '\n']).count(), 0);
    }
    let refused = run(server.ssh().args(["-tt", HOST, "ls"]), STEP).failed();
    assert!(refused.out().contains("no shell") || refused.err().contains("no shell"));
}

/// The arguments of a command arrive unchanged; the log names its user.
#[test]
fn many_commands_at_once_are_all_answered() {
    let server = TestServer::start();
    let content = bytes_of(3 * MIB, 9);
    fs::write(server.at_home("f"), &content).unwrap();
    let expected = local(server.home(), b"sha256sum f", b"").out();
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                for _ in 0..3 {
                    assert_eq!(ask(&server, "sha256sum f").ok().out(), expected);
                }
            });
        }
    });
}
