//! Clients with an account that send as many requests as they can: the cost for the server and for others.

use std::fs;
use std::thread;
use std::time::{Duration, Instant};

use crate::common::connection::{Connection, Options};
use crate::common::raw::{Ended, InFlight, Outgoing, RawSftp};
use crate::common::wire::{self, Reply, code, flag};
use crate::common::{
    HOST, KIB, MIB, PASSWORD, STEP, TestServer, USER, bytes_of, run_ok, wait_until,
};

const SESSIONS: usize = 100;
/// Memory that one of them may hold in the server.
const EACH_KIB: u64 = 4 * 1024;
const NAMES: usize = 3000;
/// All attackers together may have 5000 open in a process with 20,000 descriptors.
const DIRECTORIES: usize = 140;

/// The requests of a hostile client, again and again.
#[derive(Clone, Copy, Debug)]
enum Flood {
    /// The largest READs.
    Reads,
    /// READs of a single byte.
    Bytes,
    /// READDIRs of a large directory, with many directories open.
    Lists,
    /// Small requests with small replies.
    Stats,
}

const ALL: [Flood; 4] = [Flood::Reads, Flood::Bytes, Flood::Lists, Flood::Stats];

/// Another account, of a well-meaning user.
const HONEST: &str = "bob";
/// The account of the attackers who open as many directories as they can.
const GREEDY: &str = "eve";

/// The same in all homes.
fn server() -> TestServer {
    // More than the attackers' share of them.
    let server = TestServer::start_with(&[("server.max_connections", "600")]);
    for user in [HONEST, GREEDY] {
        server.add_user(user, PASSWORD, &[&server.public_key()]);
    }
    for user in [USER, HONEST, GREEDY] {
        let home = server.path("data/homes").join(user);
        fs::write(home.join("file"), bytes_of(MIB, 1)).unwrap();
        fs::create_dir(home.join("names")).unwrap();
        for number in 0..NAMES {
            fs::write(home.join(format!("names/{number:0>40}")), "").unwrap();
        }
    }
    server
}

/// A session that is ready to flood, and its data.
fn attacker(server: &TestServer, flood: Flood) -> (RawSftp, Vec<u8>) {
    let user = match flood {
        Flood::Lists => GREEDY,
        Flood::Reads | Flood::Bytes | Flood::Stats => USER,
    };
    let mut sftp = RawSftp::over_ssh(server.ssh().args(["-o", "LogLevel=QUIET", "-l", user]));
    sftp.init();
    let mut block = Vec::new();
    match flood {
        Flood::Reads | Flood::Bytes => {
            let length = match flood {
                Flood::Bytes => 1,
                _ => 255 * KIB as u32,
            };
            let handle = sftp.opened("file", flag::READ);
            for _ in 0..1000 {
                let read = sftp.body(wire::READ).string(&handle);
                block.extend(read.u64(0).u32(length).packet());
            }
        }
        Flood::Lists => {
            let mut handles = Vec::new();
            while handles.len() < DIRECTORIES {
                let Reply::Handle { handle, .. } = sftp.with_string(wire::OPENDIR, "names") else {
                    panic!("{} directories are open", handles.len());
                };
                sftp.with_string(wire::READDIR, &handle);
                handles.push(handle);
            }
            for handle in handles.iter().cycle().take(1000) {
                block.extend(sftp.body(wire::READDIR).string(handle).packet());
            }
        }
        Flood::Stats => {
            for _ in 0..1000 {
                block.extend(sftp.body(wire::STAT).string("names").packet());
            }
        }
    }
    (sftp, block)
}

/// Sends until the server reads nothing more.
fn send_all_it_can(sftp: &mut RawSftp, block: &[u8]) {
    let mut sent = 0;
    while sftp.try_send_bytes(block, Duration::from_secs(3)) {
        sent += block.len();
        assert!(sent < 32 * MIB, "nothing holds it");
    }
}

#[test]
fn a_hundred_sessions_that_never_read_hold_less_than_four_mebibytes_each() {
    let server = server();
    let honest = |server: &TestServer| {
        let mut sftp = RawSftp::over_ssh(server.ssh().args(["-l", HONEST]));
        sftp.init();
        let handle = sftp.opened("file", flag::READ);
        let read = sftp.body(wire::READ).string(&handle).u64(0).u32(1000);
        sftp.send(&read);
        assert_eq!(sftp.reply_within(STEP).data().len(), 1000);
    };
    honest(&server);
    let before = server.memory_kib("VmRSS");
    let mut sessions: Vec<RawSftp> = thread::scope(|scope| {
        let starting: Vec<_> = (0..8)
            .map(|thread| {
                let server = &server;
                scope.spawn(move || {
                    let mut started = Vec::new();
                    for number in (thread..SESSIONS).step_by(8) {
                        started.push(attacker(server, ALL[number % ALL.len()]));
                    }
                    // All of these at the same time, until their windows are full.
                    thread::scope(|scope| {
                        for (sftp, block) in &mut started {
                            scope.spawn(|| send_all_it_can(sftp, block));
                        }
                    });
                    started
                })
            })
            .collect();
        let started = starting.into_iter().flat_map(|one| one.join().unwrap());
        started.map(|(sftp, _)| sftp).collect()
    });
    assert_eq!(sessions.len(), SESSIONS);
    honest(&server);
    let grown = server.memory_kib("VmRSS").saturating_sub(before);
    let each = grown / SESSIONS as u64;
    println!("{SESSIONS} hostile sessions: {each} KiB each");
    assert!(
        each < EACH_KIB,
        "{each} KiB for each of {SESSIONS} sessions"
    );
    // None of them was disconnected: a client that reads on continues.
    for sftp in &mut sessions {
        assert!(!matches!(sftp.try_packet(STEP), Err(Ended::Closed)));
    }
}

#[test]
fn one_account_cannot_take_the_descriptors_of_all() {
    const MOST: usize = 400;
    let mut server = TestServer::start();
    server.add_user(HONEST, PASSWORD, &[&server.public_key()]);
    server.stop();
    server.serve_with_descriptors(MOST);
    let fill = |sftp: &mut RawSftp| {
        let mut handles = Vec::new();
        loop {
            match sftp.with_string(wire::OPENDIR, "/") {
                Reply::Handle { handle, .. } => handles.push(handle),
                Reply::Status { message, .. } => return (handles, message),
                other => panic!("{other:?}"),
            }
        }
    };
    let (greedy, other) = (
        Connection::logged_in(&server),
        Connection::logged_in(&server),
    );
    let (mut first, mut second) = (greedy.sftp(), other.sftp());
    let (taken, message) = fill(&mut first);
    assert_eq!(
        taken.len(),
        MOST / 4,
        "a half of the half that is for files"
    );
    assert_eq!(
        message,
        "Too many open files and directories in the sessions of this account (limit 100)"
    );
    let (more, _) = fill(&mut second);
    assert_eq!(more.len(), 0, "another session of the same account");
    // Others have as much as before, including new sessions and accounts.
    let honest = Connection::logged_in_to(&server, HONEST, &Options::default());
    let (of_honest, _) = fill(&mut honest.sftp());
    assert_eq!(of_honest.len(), MOST / 8);
    run_ok(server.ssh().args([HOST, "df"]), STEP);
    // A closed handle can be opened again, by any session.
    assert_eq!(first.close(&taken[0]), code::OK);
    let again = second.opened("file", flag::WRITE | flag::CREAT);
    assert_eq!(second.close(&again), code::OK);
    // One at a time works, and none waits for earlier ones, which may be closed later.
    for _ in 0..100 {
        assert_eq!(second.get("/file"), b"");
    }
    drop((first, greedy));
    wait_until("a session that has ended holds nothing", STEP, || {
        !fill(&mut second).0.is_empty()
    });
}

/// Requests per second of all sessions of an account.
#[test]
fn requests_keep_to_their_rate_and_others_do_not_wait_for_it() {
    const RATE: u32 = 50;
    let server = TestServer::start_with(&[("sftp.requests_per_second", &RATE.to_string())]);
    server.add_user(HONEST, PASSWORD, &[&server.public_key()]);
    let ask = |sftp: &mut RawSftp, times: u32| {
        let mut in_flight = InFlight::default();
        for _ in 0..times {
            let body = sftp.body(wire::STAT).string("/");
            in_flight.send(sftp, &body);
        }
        for _ in 0..times {
            assert!(matches!(in_flight.reply(sftp), Reply::Attrs { .. }));
        }
    };
    let mut sessions = [(); 2].map(|()| Connection::logged_in(&server).sftp());
    let began = Instant::now();
    thread::scope(|scope| {
        for sftp in &mut sessions {
            scope.spawn(|| ask(sftp, 2 * RATE));
        }
        thread::sleep(Duration::from_millis(500));
        let honest = Connection::logged_in_to(&server, HONEST, &Options::default());
        let mut honest = honest.sftp();
        let asked = Instant::now();
        ask(&mut honest, 5);
        // Its limit is its own: it does not wait for the other account.
        assert!(asked.elapsed() < Duration::from_secs(2));
    });
    let took = began.elapsed();
    let least = Duration::from_secs(3);
    assert!((least..3 * least).contains(&took), "{took:?}");
    // Without a limit they are not delayed, in open sessions too.
    let config = server.path("config.toml");
    let text = fs::read_to_string(&config).unwrap();
    let limit = format!("requests_per_second = {RATE}");
    assert!(text.contains(&limit));
    fs::write(&config, text.replace(&limit, "requests_per_second = 0")).unwrap();
    server.admin(&["reload"], "").ok();
    let began = Instant::now();
    ask(&mut sessions[0], 10 * RATE);
    // At the limit it would take ten seconds.
    assert!(began.elapsed() < Duration::from_secs(5));
}

/// Commands, the files they name, and files of scp count as requests.
#[test]
fn commands_and_scp_keep_to_the_rate_of_requests() {
    const RATE: u32 = 20;
    let server = TestServer::start_with(&[("sftp.requests_per_second", &RATE.to_string())]);
    let at_least = |what: &str, requests: u32, act: &mut dyn FnMut()| {
        let began = Instant::now();
        act();
        let (took, least) = (began.elapsed(), Duration::from_secs(1) * requests / RATE);
        println!("{what}: {took:?}, and {least:?} at the least");
        // The amount of a tenth of a second may have been saved up.
        assert!(
            took > least - Duration::from_millis(200),
            "{what}: {took:?}"
        );
    };
    let connection = Connection::logged_in(&server);
    let run = |command: String| {
        let mut channel = connection.channel();
        channel.send(Outgoing::Exec(command));
        channel.until_closed();
    };
    at_least("40 commands", 40, &mut || {
        (0..40).for_each(|_| run("echo".to_owned()));
    });
    let many = |command: &str| format!("{command}{}", " nothing".repeat(60));
    at_least("60 names", 60, &mut || run(many("md5sum")));
    at_least("60 lists", 60, &mut || run(many("md5sum -c")));
    let hash = "d41d8cd98f00b204e9800998ecf8427e";
    let list = format!("{hash}  nothing\n").repeat(60);
    fs::write(server.at_home("list"), list).unwrap();
    at_least("a list of 60", 60, &mut || run("md5sum -c list".to_owned()));

    let tree = server.local("tree");
    fs::create_dir(&tree).unwrap();
    for number in 0..40 {
        fs::write(tree.join(number.to_string()), "x").unwrap();
    }
    let scp = |args: &[&str]| run_ok(server.scp().args(["-O", "-r", "-q"]).args(args), STEP);
    let (there, new) = (format!("{HOST}:new"), format!("{HOST}:"));
    at_least("40 files there", 40, &mut || drop(scp(&["tree", &there])));
    at_least("40 files back", 40, &mut || drop(scp(&[&there, "back"])));
    at_least("40 files with times", 80, &mut || {
        drop(scp(&["-p", "tree", &new]))
    });
    assert_eq!(fs::read_dir(server.local("back")).unwrap().count(), 40);
}

/// Requests on a channel that already has its service leave nothing behind.
#[test]
fn requests_on_a_channel_that_is_in_use_are_refused_and_forgotten() {
    const OF_EACH: usize = 40_000;
    const MOST_KIB: u64 = 1536;
    let server = TestServer::start();
    let mut sftp = Connection::logged_in(&server).sftp();
    sftp.send_requests(2000);
    sftp.assert_alive();
    let before = server.memory_kib("VmRSS");
    sftp.send_requests(OF_EACH);
    sftp.assert_alive();
    let grown = server.memory_kib("VmRSS").saturating_sub(before);
    println!("{OF_EACH} requests of each kind: grown by {grown} KiB");
    assert!(grown < MOST_KIB, "grown by {grown} KiB");
    sftp.put("/file", b"still here");
    assert_eq!(sftp.get("/file"), b"still here");
}

/// A password hash takes 19 MiB, and unauthenticated clients can request any number.
#[test]
fn guessing_passwords_takes_the_memory_of_the_hashes_at_work_and_no_more() {
    const AT_WORK: u64 = 2;
    let server = TestServer::start_with(&[
        ("login.argon2_memory", "\"19MiB\""),
        ("login.parallel_hashes", &AT_WORK.to_string()),
    ]);
    let before = server.memory_kib("VmHWM");
    thread::scope(|scope| {
        for _ in 0..6 {
            scope.spawn(|| {
                for _ in 0..8 {
                    let connection = Connection::open(&server, &Options::default());
                    assert!(connection.password(USER, PASSWORD).unwrap().success());
                }
            });
        }
    });
    let grown = server.memory_kib("VmHWM").saturating_sub(before);
    println!("48 logins by password: grown by {grown} KiB");
    assert!(grown < (AT_WORK * 19 + 16) * 1024, "grown by {grown} KiB");
}
