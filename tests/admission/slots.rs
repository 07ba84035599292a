//! Limits of connections without a login, floods of such connections, and shortages of descriptors and
//! memory.

use std::fs;
use std::net::Ipv4Addr;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Resource, Rlimit};

use crate::common::connection::{Connection, Options};
use crate::common::flood::{Flood, beside, connect_from, knock, sftp_from, source};
use crate::common::metrics;
use crate::common::wire::{code, flag};
use crate::common::{HOST, STEP, TestServer, against_openssh, run_ok, wait_until};

const TURNED_AWAY: &str = "Exceeded MaxStartups\r\n";

fn waiting(server: &TestServer) -> usize {
    metrics::value(server, "landfall_waiting_connections") as usize
}

#[test]
fn a_source_has_so_many_places_and_takes_none_of_the_others() {
    if against_openssh() {
        return;
    }
    let server =
        TestServer::start_with(&[("admission.per_source", "4"), ("metrics.listen", "\"0\"")]);
    let from = source(101);
    let connect = || connect_from(from, server.address()).unwrap();
    let mut held: Vec<_> = (0..4).map(|_| connect()).collect();
    wait_until("they are there", STEP, || waiting(&server) == 4);
    assert_eq!(knock(&server, from, b""), TURNED_AWAY);
    run_ok(&mut sftp_from(&server, source(102)), STEP);
    // A logged-in client takes no slot.
    held.pop();
    wait_until("there is a place", STEP, || waiting(&server) == 3);
    let options = Options {
        from: Some(from),
        ..Options::default()
    };
    let _connection = Connection::logged_in_as(&server, &options);
    assert_eq!(waiting(&server), 3);
    // And its address is known: it may have more.
    held.extend((0..10).map(|_| connect()));
    wait_until("they are there", STEP, || waiting(&server) == 13);
}

#[test]
fn strangers_are_turned_away_at_random_and_then_all_but_who_is_known_is_not() {
    if against_openssh() {
        return;
    }
    let settings = [
        ("admission.max_startups", "\"10:50:30\""),
        ("metrics.listen", "\"0\""),
    ];
    let server = TestServer::start_with(&settings);
    let known = source(111);
    run_ok(&mut sftp_from(&server, known), STEP);
    // The last slots are hard to get: 150 attempts on average, give or take 50.
    let streams: Vec<_> = (0..600)
        .map(|number| connect_from(source(200 + number), server.address()).unwrap())
        .collect();
    wait_until("all places are taken", STEP, || waiting(&server) == 30);
    let counted = "\nlandfall_refused_connections_total{reason=\"startups\"} 570\n";
    wait_until("the others are turned away", STEP, || {
        metrics::page(&server).contains(counted)
    });
    assert_eq!(knock(&server, source(112), b""), TURNED_AWAY);
    for _ in 0..5 {
        run_ok(&mut sftp_from(&server, known), STEP);
    }
    drop(streams);
    wait_until("the places are free", STEP, || waiting(&server) == 0);
    run_ok(&mut sftp_from(&server, source(112)), STEP);
    // Refusals are one line in the log.
    assert_eq!(
        server
            .log()
            .matches("connections refused: too many")
            .count(),
        1
    );
    assert!(server.log().lines().count() < 100, "{}", server.log());
}

#[test]
fn strangers_leave_half_of_a_small_server_to_those_who_are_known() {
    if against_openssh() {
        return;
    }
    let server =
        TestServer::start_with(&[("server.max_connections", "6"), ("metrics.listen", "\"0\"")]);
    let known = source(121);
    run_ok(&mut sftp_from(&server, known), STEP);
    let _streams: Vec<_> = (0..50)
        .map(|number| connect_from(source(400 + number), server.address()).unwrap())
        .collect();
    wait_until("their places are taken", STEP, || waiting(&server) == 3);
    let options = Options {
        from: Some(known),
        ..Options::default()
    };
    let sessions: Vec<_> = (0..3)
        .map(|_| Connection::logged_in_as(&server, &options))
        .collect();
    sessions
        .iter()
        .for_each(|session| session.sftp().assert_alive());
}

/// No well-meaning client is refused beside it, and everything is as before when it is over.
#[track_caller]
fn survives(
    flood: Flood,
    connections: usize,
    sources: usize,
    legitimate: Ipv4Addr,
    is_known: bool,
) {
    if against_openssh() {
        return;
    }
    let server = TestServer::start_with(&[("metrics.listen", "\"0\"")]);
    let mut session = Connection::logged_in(&server).sftp();
    if is_known {
        run_ok(&mut sftp_from(&server, legitimate), STEP);
    }
    let outcome = beside(&server, flood, (connections, sources), (legitimate, 10));
    assert_eq!(outcome.failures, 0, "{outcome:?}");
    session.assert_alive();
    wait_until("the flood is over", STEP, || waiting(&server) == 0);
    let lines = server.log().lines().count();
    assert!(lines < 2000, "{lines} lines in the log");
}

#[test]
fn five_thousand_that_say_nothing_turn_nobody_away() {
    survives(Flood::Silent, 5000, 1, source(131), false);
    survives(Flood::Silent, 5000, 500, source(132), true);
}

#[test]
fn five_thousand_that_stop_in_the_key_exchange_turn_nobody_away() {
    survives(Flood::Stuck, 5000, 1, source(133), false);
    survives(Flood::Stuck, 5000, 500, source(134), true);
}

#[test]
fn those_that_fail_to_log_in_turn_nobody_away() {
    survives(Flood::Failing, 1000, 20, source(135), false);
}

#[test]
fn without_descriptors_the_server_waits_and_who_is_logged_in_goes_on() {
    if against_openssh() {
        return;
    }
    let settings = [
        ("admission.per_source", "1000"),
        ("admission.max_startups", "\"1000:100:1000\""),
        ("server.max_connections", "5000"),
    ];
    let server = TestServer::start_with(&settings);
    let mut session = Connection::logged_in(&server).sftp();
    let pid = Pid::from_raw(i32::try_from(server.process_id()).unwrap());
    let most = 200;
    let maximum = rustix::process::getrlimit(Resource::Nofile).maximum;
    let limit = |current| {
        let limit = Rlimit { current, maximum };
        let old = rustix::process::prlimit(pid, Resource::Nofile, limit);
        old.unwrap().current
    };
    let old = limit(Some(most));
    let strangers: Vec<_> = (0..300)
        .map(|_| connect_from(source(141), server.address()).unwrap())
        .collect();
    wait_until("the log tells it", STEP, || {
        server.log().contains("out of file descriptors")
    });
    wait_until("connections have most of the descriptors", STEP, || {
        server.open_files() as u64 > most / 2
    });
    // Time in which a fault would let in the others.
    std::thread::sleep(Duration::from_secs(1));
    let open = server.open_files() as u64;
    assert!(open <= most * 3 / 4 + 5, "{open} descriptors");
    // Many files can still be opened.
    let handles: Vec<_> = (0..30)
        .map(|number| session.opened(format!("/file-{number}"), flag::WRITE | flag::CREAT))
        .collect();
    for handle in &handles {
        session.close(handle);
    }
    assert_eq!(fs::read_dir(server.home()).unwrap().count(), 30);
    let mentions = server.log().matches("out of file descriptors").count();
    assert_eq!(mentions, 1, "{}", server.log());
    let held = session.opened("/held", flag::WRITE | flag::CREAT);
    // Waiting clients are served when there are descriptors.
    drop(strangers);
    run_ok(&mut server.sftp_batch(&[], "pwd\n"), STEP);

    // None is left: accept(2) fails, and nothing ends.
    limit(Some(10));
    let waiting = connect_from(source(142), server.address()).unwrap();
    std::thread::sleep(Duration::from_secs(1));
    assert_eq!(session.write(&held, 0, b"goes on"), code::OK);
    limit(old);
    drop(waiting);
    run_ok(server.ssh().args([HOST, "help"]), STEP);
    let lines = server.log().lines().count();
    assert!(lines < 400, "{lines} lines in the log: {}", server.log());
}

#[test]
fn with_little_memory_newcomers_come_in_slowly_and_who_is_logged_in_goes_on() {
    if against_openssh() {
        return;
    }
    // It uses more than that from the start.
    let server = TestServer::start_with(&[("server.max_memory", "\"1MiB\"")]);
    let began = Instant::now();
    let mut session = Connection::logged_in(&server).sftp();
    let streams: Vec<_> = (0..4)
        .map(|_| connect_from(source(151), server.address()).unwrap())
        .collect();
    // These are before it in the kernel's queue.
    run_ok(&mut server.sftp_batch(&[], "pwd\n"), 2 * STEP);
    assert!(began.elapsed() > Duration::from_secs(5), "six connections");
    drop(streams);
    // Sixty requests would take a minute.
    let began = Instant::now();
    let handle = session.opened("/file", flag::WRITE | flag::CREAT);
    for offset in 0..60 {
        assert_eq!(session.write(&handle, offset, b"x"), code::OK);
    }
    assert!(began.elapsed() < Duration::from_secs(10));
    let mentions = server.log().matches("memory is low").count();
    assert_eq!(mentions, 1, "{}", server.log());
}
