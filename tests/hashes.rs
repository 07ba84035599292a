//! Hashes through SFTP: check-file as WinSCP and paramiko request it; remembered hashes; and that no other
//! session suffers.

use std::fs::{self, File, FileTimes};
use std::os::unix::fs::FileExt as _;
use std::process::Command;
use std::thread::sleep;
use std::time::{Duration, Instant};

use crate::common::connection::{Connection, Options};
use crate::common::programs::rclone;
use crate::common::raw::RawSftp;
use crate::common::wire::{Body, Fields, Reply, code, flag};
use crate::common::{
    HOST, MIB, STEP, TRANSFER, TestServer, bytes_of, have, run_ok, sha256_of, wait_until,
};

const WINSCP: &str = "SSH-2.0-WinSCP_release_6.5.1";

/// The program of coreutils (or Perl) for each algorithm, and the length of its hash in bytes.
const ALGORITHMS: [(&str, usize); 6] = [
    ("sha1", 20),
    ("sha224", 28),
    ("sha256", 32),
    ("sha384", 48),
    ("sha512", 64),
    ("md5", 16),
];

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Returns the hash by coreutils.
fn expected(algorithm: &str, content: &[u8]) -> String {
    let mut sum = Command::new(format!("{algorithm}sum"));
    let output = crate::common::command::run_with_input(&mut sum, content, STEP).ok();
    output.out().split(' ').next().unwrap().to_owned()
}

struct Check<'a> {
    offset: u64,
    length: u64,
    block: u32,
    algorithms: &'a str,
}

impl Check<'_> {
    fn fields(&self, body: Body) -> Body {
        body.string(self.algorithms)
            .u64(self.offset)
            .u64(self.length)
            .u32(self.block)
    }
}

const WHOLE: Check<'_> = Check {
    offset: 0,
    length: 0,
    block: 0,
    algorithms: "sha256",
};

/// Returns the algorithm and hashes of a reply to check-file-name.
fn told(reply: Reply) -> (String, Vec<u8>) {
    let reply = reply.extended();
    let mut fields = Fields(&reply);
    let algorithm = fields.text();
    (algorithm, fields.0.to_vec())
}

fn check_name(sftp: &mut RawSftp, path: &str, check: &Check<'_>) -> Reply {
    sftp.extended("check-file-name", |body| check.fields(body.string(path)))
}

#[test]
fn winscp_asks_for_all_hashes_in_one_go() {
    let server = TestServer::start();
    let content = bytes_of(3 * MIB + 11, 1);
    fs::write(server.at_home("f"), &content).unwrap();
    let options = Options {
        identification: WINSCP,
        ..Options::default()
    };
    let connection = Connection::logged_in_as(&server, &options);
    let mut sftp = connection.sftp();
    let mut ids = Vec::new();
    for (algorithm, _) in ALGORITHMS.iter().chain([&("crc32", 4)]) {
        let check = Check {
            algorithms: algorithm,
            ..WHOLE
        };
        let body = sftp
            .body(crate::common::wire::EXTENDED)
            .string("check-file-name")
            .string("/f");
        let body = check.fields(body);
        ids.push(body.0[1..5].to_vec());
        sftp.send(&body);
    }
    for ((algorithm, length), id) in ALGORITHMS.iter().zip(ids) {
        let reply = sftp.reply();
        assert_eq!(reply.id().to_be_bytes()[..], id);
        let (name, hash) = told(reply);
        assert_eq!((name.as_str(), hash.len()), (*algorithm, *length));
        assert_eq!(hex(&hash), expected(algorithm, &content));
    }
    let (name, hash) = told(sftp.reply());
    assert_eq!((name.as_str(), hash.len()), ("crc32", 4));
    let by_exec = run_ok(server.ssh().args([HOST, "crc32", "f"]), STEP).out();
    assert!(by_exec.starts_with(&hex(&hash)));
}

#[test]
fn parts_and_blocks_are_hashed_as_the_draft_says() {
    let server = TestServer::start();
    let content = bytes_of(100_000, 2);
    fs::write(server.at_home("f"), &content).unwrap();
    let connection = Connection::logged_in(&server);
    let mut sftp = connection.sftp();
    for (offset, length) in [
        (0, 0),
        (0, 1),
        (99_999, 0),
        (1000, 70_000),
        (100_000, 0),
        (50_000, 1 << 40),
    ] {
        let check = Check {
            offset,
            length,
            ..WHOLE
        };
        let (_, hash) = told(check_name(&mut sftp, "f", &check));
        let from = offset as usize;
        let to = match length {
            0 => content.len(),
            length => content.len().min(from.saturating_add(length as usize)),
        };
        assert_eq!(hex(&hash), expected("sha256", &content[from..to]));
    }
    // Blocks; the last one ends with the range.
    let check = Check {
        offset: 10,
        length: 99_000,
        block: 4096,
        algorithms: "md5",
    };
    let (_, hashes) = told(check_name(&mut sftp, "f", &check));
    let blocks: Vec<_> = content[10..99_010].chunks(4096).collect();
    assert_eq!(hashes.len(), 16 * blocks.len());
    for (hash, block) in hashes.chunks(16).zip(blocks) {
        assert_eq!(hex(hash), expected("md5", block));
    }
    // The first known algorithm.
    let check = Check {
        algorithms: "whirlpool,sha512-256,sha384,md5",
        ..WHOLE
    };
    let (name, hash) = told(check_name(&mut sftp, "f", &check));
    assert_eq!((name.as_str(), hash.len()), ("sha384", 48));
}

#[test]
fn check_file_by_handle_is_what_paramiko_expects() {
    let server = TestServer::start();
    let content = bytes_of(70_000, 3);
    fs::write(server.at_home("f"), &content).unwrap();
    let connection = Connection::logged_in(&server);
    let mut sftp = connection.sftp();
    let file = sftp.opened("f", flag::READ);
    let reply = sftp.extended("check-file", |body| WHOLE.fields(body.string(&file)));
    let reply = reply.extended();
    let mut fields = Fields(&reply);
    assert_eq!(
        (fields.text(), fields.text()),
        ("check-file".into(), "sha256".into())
    );
    assert_eq!(hex(fields.0), expected("sha256", &content));
    let reply = sftp.extended("check-file-handle", |body| WHOLE.fields(body.string(&file)));
    assert_eq!(told(reply).1, fields.0);
    // A file that is not open for reading is not read.
    let blind = sftp.opened("f", flag::WRITE);
    let reply = sftp.extended("check-file", |body| WHOLE.fields(body.string(&blind)));
    assert_eq!(reply.code(), code::FAILURE, "{reply:?}");
}

#[test]
fn nonsense_is_refused() {
    let server = TestServer::start();
    let sparse = File::create(server.at_home("big")).unwrap();
    sparse.set_len(1 << 40).unwrap();
    fs::write(server.at_home("f"), "abc").unwrap();
    fs::create_dir(server.at_home("d")).unwrap();
    let connection = Connection::logged_in(&server);
    let mut sftp = connection.sftp();
    let began = Instant::now();
    for (path, check, expected) in [
        ("missing", WHOLE, code::NO_SUCH_FILE),
        ("d", WHOLE, code::FAILURE),
        (
            "f",
            Check {
                algorithms: "",
                ..WHOLE
            },
            code::OP_UNSUPPORTED,
        ),
        (
            "f",
            Check {
                algorithms: "md4,,x",
                ..WHOLE
            },
            code::OP_UNSUPPORTED,
        ),
        (
            "f",
            Check {
                block: 255,
                ..WHOLE
            },
            code::BAD_MESSAGE,
        ),
        ("f", Check { offset: 4, ..WHOLE }, code::BAD_MESSAGE),
        (
            "f",
            Check {
                offset: u64::MAX,
                ..WHOLE
            },
            code::BAD_MESSAGE,
        ),
        (
            "big",
            Check {
                block: 256,
                ..WHOLE
            },
            code::FAILURE,
        ),
    ] {
        let reply = check_name(&mut sftp, path, &check);
        assert_eq!(reply.code(), expected, "{path} {reply:?}");
    }
    let reply = sftp.extended("check-file", |body| WHOLE.fields(body.string("no handle")));
    assert_eq!(reply.code(), code::FAILURE);
    assert!(began.elapsed() < STEP, "the big file was not read for it");
}

/// Returns the server's CPU time so far.
fn server_cpu(server: &TestServer) -> Duration {
    let stat = fs::read_to_string(format!("/proc/{}/stat", server.process_id())).unwrap();
    let fields: Vec<_> = stat.rsplit(')').next().unwrap().split(' ').collect();
    let ticks: u64 = [12, 13]
        .map(|at: usize| fields[at].parse::<u64>().unwrap())
        .iter()
        .sum();
    Duration::from_millis(ticks * 1000 / rustix::param::clock_ticks_per_second())
}

#[test]
fn hashing_stops_when_the_client_leaves() {
    let server = TestServer::start();
    File::create(server.at_home("big"))
        .unwrap()
        .set_len(1 << 42)
        .unwrap();
    let mut by_exec = server.ssh();
    by_exec.args([HOST, "sha256sum", "big"]);
    let by_exec = crate::common::Running::start(&mut by_exec);
    let connection = Connection::logged_in(&server);
    let mut sftp = connection.sftp();
    let body = sftp
        .body(crate::common::wire::EXTENDED)
        .string("check-file-name")
        .string("big");
    sftp.send(&WHOLE.fields(body));
    let before = server_cpu(&server);
    wait_until("both hash", STEP, || {
        server_cpu(&server) > before + Duration::from_millis(500)
    });
    drop(sftp);
    drop(connection);
    by_exec.kill();
    wait_until("the server is idle", STEP, || {
        let before = server_cpu(&server);
        sleep(Duration::from_millis(300));
        server_cpu(&server) - before < Duration::from_millis(30)
    });
}

#[test]
fn others_are_served_while_many_hash() {
    let server = TestServer::start();
    File::create(server.at_home("big"))
        .unwrap()
        .set_len(1 << 42)
        .unwrap();
    fs::write(server.at_home("small"), bytes_of(100_000, 4)).unwrap();
    let hashing: Vec<_> = (0..8)
        .map(|_| {
            let mut ssh = server.ssh();
            crate::common::Running::start(ssh.args([HOST, "sha512sum", "big"]))
        })
        .collect();
    let before = server_cpu(&server);
    wait_until("they hash", STEP, || {
        server_cpu(&server) > before + Duration::from_secs(1)
    });
    let connection = Connection::logged_in(&server);
    let mut sftp = connection.sftp();
    let began = Instant::now();
    for _ in 0..100 {
        sftp.with_string(crate::common::wire::STAT, "small");
    }
    let stats = began.elapsed();
    let began = Instant::now();
    let (_, hash) = told(check_name(&mut sftp, "small", &WHOLE));
    let small = began.elapsed();
    assert_eq!(hex(&hash), sha256_of(&server.at_home("small")));
    // Not behind eight files of 4 TiB, nor a minute of them.
    assert!(stats < STEP && small < STEP / 2, "{stats:?} {small:?}");
    drop(hashing);
}

#[test]
fn a_changed_file_is_never_answered_from_memory() {
    let server = TestServer::start();
    let path = server.at_home("f");
    let connection = Connection::logged_in(&server);
    let mut sftp = connection.sftp();
    let time =
        FileTimes::new().set_modified(std::time::UNIX_EPOCH + Duration::from_secs(1_000_000));
    let file = File::options()
        .create(true)
        .truncate(false)
        .write(true)
        .open(&path)
        .unwrap();
    let mut check = |round: u64, pause: Duration| {
        // The same size and modification time, with other bytes.
        let content = bytes_of(10_000, round);
        file.write_all_at(&content, 0).unwrap();
        file.set_times(time).unwrap();
        sleep(pause);
        for _ in 0..2 {
            let (_, hash) = told(check_name(&mut sftp, "f", &WHOLE));
            assert_eq!(hex(&hash), sha256_of(&path), "round {round}");
        }
    };
    for round in 0..200 {
        check(round, Duration::ZERO);
    }
    // Long enough ago to be remembered; then it changes again.
    check(1000, Duration::from_secs(4));
    check(1001, Duration::ZERO);
}

/// Returns the bytes that the server has read from files, sockets and everything else.
fn bytes_read(server: &TestServer) -> u64 {
    let io = fs::read_to_string(format!("/proc/{}/io", server.process_id())).unwrap();
    let line = io.lines().find_map(|line| line.strip_prefix("rchar: "));
    line.unwrap().parse().unwrap()
}

#[test]
fn a_second_check_of_files_that_did_not_change_reads_none_of_them() {
    if !have(&["rclone"]) {
        return;
    }
    let server = TestServer::start();
    const FILES: u64 = 200;
    const SIZE: usize = 500_000;
    for number in 0..FILES {
        for path in [server.at_home("tree"), server.local("tree")] {
            fs::create_dir_all(&path).unwrap();
            fs::write(path.join(format!("f{number}")), bytes_of(SIZE, number)).unwrap();
        }
    }
    let check = || {
        let before = bytes_read(&server);
        let mut rclone = rclone(&server, &["check", "-v", "tree", "there:tree"]);
        let said = run_ok(&mut rclone, TRANSFER).err();
        assert!(said.contains("200 matching files"), "{said}");
        assert!(!said.contains("could not be checked"), "{said}");
        bytes_read(&server) - before
    };
    sleep(Duration::from_secs(4));
    let first = check();
    assert!(first >= FILES * SIZE as u64, "{first}");
    let second = check();
    assert!(second < FILES * 20_000, "{second} bytes read by the server");
    // One has changed: it is read, and found.
    fs::write(server.at_home("tree/f7"), bytes_of(SIZE, 999)).unwrap();
    let before = bytes_read(&server);
    let mut rclone = rclone(&server, &["check", "tree", "there:tree"]);
    let said = crate::common::run(&mut rclone, TRANSFER).failed().err();
    assert!(said.contains("1 differences found"), "{said}");
    let read = bytes_read(&server) - before;
    assert!(
        read > SIZE as u64 && read < FILES * 20_000 + 2 * SIZE as u64,
        "{read}"
    );
}
