//! Bans of source addresses, and addresses that must not be banned.

use std::fs;
use std::io::Read as _;
use std::net::Ipv4Addr;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::common::connection::{Connection, Options};
use crate::common::flood::{HTTP, connect_from, knock, sftp_from, source};
use crate::common::server::{make_key, with_password};
use crate::common::{
    HOST, PASSWORD, STEP, TestServer, USER, against_openssh, run, run_ok, wait_until,
};

const TURNED_AWAY: &str = "Not allowed at this time\r\n";

/// Sends HTTP until that bans the address; returns how often.
#[track_caller]
fn scan_until_banned(server: &TestServer, from: Ipv4Addr) -> usize {
    for times in 0..100 {
        if knock(server, from, HTTP) == TURNED_AWAY {
            return times;
        }
        // The outcome of a connection is recorded after its end.
        std::thread::sleep(Duration::from_millis(50));
    }
    panic!("never banned: {}", server.log());
}

/// Returns whether the server starts SSH.
fn is_let_in(server: &TestServer, from: Ipv4Addr) -> bool {
    let mut stream = connect_from(from, server.address()).unwrap();
    stream.set_read_timeout(Some(STEP)).unwrap();
    let mut first = [0; 4];
    stream.read_exact(&mut first).is_ok() && first == *b"SSH-"
}

fn bans(server: &TestServer) -> Vec<Value> {
    let listed = server.admin(&["ban", "list", "--json"], "").accepted();
    serde_json::from_str(&listed).unwrap()
}

/// Fails to log in, with a wrong key.
fn fail_from(server: &TestServer, from: Ipv4Addr) {
    let key = server.local("wrong");
    if !key.exists() {
        make_key(&key, &["-t", "ed25519"]);
    }
    let options = Options {
        from: Some(from),
        ..Options::default()
    };
    if let Ok(connection) = Connection::try_open(server, &options) {
        let _ = connection.key(USER, &key, None);
    }
}

fn events(server: &TestServer, kind: &str) -> Vec<Value> {
    let trail = fs::read_to_string(server.path("data/audit.jsonl")).unwrap();
    let events = trail
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap());
    events.filter(|event| event["event"] == kind).collect()
}

#[test]
fn a_scanner_is_banned_its_neighbour_is_not_and_the_operator_sees_and_lifts_it() {
    if against_openssh() {
        return;
    }
    let server = TestServer::start_with(&[("metrics.listen", "\"0\"")]);
    let (scanner, neighbour) = (source(1), source(2));
    assert_eq!(
        server.admin(&["ban", "list"], "").accepted(),
        "No address is banned\n"
    );
    assert_eq!(scan_until_banned(&server, scanner), 2);
    for _ in 0..20 {
        assert_eq!(knock(&server, scanner, b""), TURNED_AWAY);
    }
    run(&mut sftp_from(&server, scanner), STEP).failed();
    run_ok(&mut sftp_from(&server, neighbour), STEP);

    let listed = bans(&server);
    assert_eq!(listed.len(), 1);
    let ban = &listed[0];
    assert_eq!(ban["source"], scanner.to_string());
    assert_eq!(ban["faults"], json!({"scan": 2}));
    assert_eq!(ban["refused"], 22);
    assert!((1..=20).contains(&ban["seconds_left"].as_u64().unwrap()));
    let table = server.admin(&["ban", "list"], "").accepted();
    assert!(
        table.contains(&format!("{scanner}  ")) && table.contains("2 scan"),
        "{table}"
    );
    let metrics = crate::common::metrics::page(&server);
    assert!(
        metrics.contains("\nlandfall_banned_sources 1\n"),
        "{metrics}"
    );
    let counted = "\nlandfall_refused_connections_total{reason=\"banned\"} 22\n";
    assert!(metrics.contains(counted), "{metrics}");
    // The log and the audit log contain the ban once, and the log that clients are refused.
    let refused_ones = "connections refused: source address banned";
    assert_eq!(server.log().matches(refused_ones).count(), 1);
    assert_eq!(
        server
            .log()
            .matches("address banned; see: landfall ban list source=")
            .count(),
        1,
        "{}",
        server.log()
    );
    let noted = events(&server, "ban");
    assert_eq!(noted.len(), 1);
    assert_eq!(
        (&noted[0]["source"], &noted[0]["reason"]),
        (&json!(scanner.to_string()), &json!("scan"))
    );

    let nobody = server.admin(&["ban", "lift", "192.0.2.1"], "").accepted();
    assert_eq!(nobody, "No such address is banned\n");
    server.admin(&["ban", "lift"], "").failed();
    let lifted = server
        .admin(&["ban", "lift", &scanner.to_string()], "")
        .accepted();
    assert_eq!(lifted, format!("Lifted the ban of {scanner}\n"));
    run_ok(&mut sftp_from(&server, scanner), STEP);
    let noted = events(&server, "lift");
    assert_eq!(noted[0]["source"], scanner.to_string());
    assert_eq!(
        noted[0]["operator"]["uid"],
        rustix::process::getuid().as_raw()
    );
    assert!(crate::common::metrics::page(&server).contains("\nlandfall_banned_sources 0\n"));

    // All bans, and those of a network.
    for number in [11, 12] {
        scan_until_banned(&server, source(number));
    }
    let network = server.admin(&["ban", "lift", "127.0.0.0/8"], "").accepted();
    assert_eq!(network.lines().count(), 2, "{network}");
    scan_until_banned(&server, source(13));
    server.admin(&["ban", "lift", "--all"], "").accepted();
    assert_eq!(bans(&server).len(), 0);
    let shown = server
        .admin(&["audit", "--event", "ban", "lift"], "")
        .accepted();
    assert!(
        shown.contains("[by ") && shown.contains("for 1") && shown.contains("  scan"),
        "{shown}"
    );
}

#[test]
fn failed_logins_ban_their_source_and_never_the_name_that_they_tried() {
    if against_openssh() {
        return;
    }
    let server = TestServer::start();
    let attacker = source(21);
    let try_password = || {
        let mut ssh = with_password(&server, "wrong", "ssh");
        run(
            ssh.args(["-o", &format!("BindAddress={attacker}"), HOST]),
            STEP,
        )
        .failed()
    };
    // Three failures are enough in quick succession.
    let tries = (1..50).find(|_| {
        try_password();
        !bans(&server).is_empty()
    });
    let tries = tries.expect("never banned");
    assert!((3..20).contains(&tries), "{tries}");
    try_password();
    let refused = bans(&server)[0]["refused"].as_u64();
    assert!(refused >= Some(1), "{refused:?}");
    assert!(bans(&server)[0]["faults"]["failed_login"].as_u64().unwrap() >= 3);
    // Alice can log in from everywhere else, by password too.
    run_ok(&mut sftp_from(&server, source(22)), STEP);
    let elsewhere = Connection::open(
        &server,
        &Options {
            from: Some(source(23)),
            ..Options::default()
        },
    );
    assert!(elsewhere.password(USER, PASSWORD).unwrap().success());
}

#[test]
fn one_connection_with_many_guesses_answers_for_all_of_them() {
    if against_openssh() {
        return;
    }
    let server = TestServer::start();
    let options = |number| Options {
        from: Some(source(number)),
        ..Options::default()
    };
    let guess = |number, times| {
        let connection = Connection::open(&server, &options(number));
        for _ in 0..times {
            assert!(!connection.password(USER, "wrong").unwrap().success());
        }
    };
    // A person who mistypes three times, twice.
    guess(31, 3);
    guess(31, 3);
    guess(32, 10);
    wait_until("the guesser is banned", STEP, || bans(&server).len() == 1);
    assert_eq!(bans(&server)[0]["source"], source(32).to_string());
    assert_eq!(bans(&server)[0]["faults"]["failed_login"], 4);
    run_ok(&mut sftp_from(&server, source(31)), STEP);
}

#[test]
fn an_office_is_not_shut_out_for_its_bad_script_after_a_restart_neither() {
    if against_openssh() {
        return;
    }
    let mut server = TestServer::start();
    let office = source(41);
    run_ok(&mut sftp_from(&server, office), STEP);
    for _ in 0..5 {
        (0..10).for_each(|_| fail_from(&server, office));
        run_ok(&mut sftp_from(&server, office), STEP);
    }
    for _ in 0..10 {
        assert!(knock(&server, office, HTTP).starts_with("SSH-2.0-"));
    }
    assert_eq!(bans(&server).len(), 0);
    // Monday morning: the script was faster than the first colleague.
    server.stop();
    server.serve();
    (0..30).for_each(|_| fail_from(&server, office));
    run_ok(&mut sftp_from(&server, office), STEP);
    // An unreadable file protects no address, and does not stop the server.
    server.stop();
    fs::write(server.path("data/known-sources"), b"x\n1.2.3.4 y\n\xff\n").unwrap();
    server.serve();
    scan_until_banned(&server, office);
}

#[test]
fn a_guest_protects_no_source() {
    if against_openssh() {
        return;
    }
    let server = TestServer::start_with(&[("guest.enabled", "true")]);
    let from = source(51);
    let options = Options {
        from: Some(from),
        ..Options::default()
    };
    let guest = Connection::open(&server, &options);
    assert!(guest.none("guest").unwrap().success());
    scan_until_banned(&server, from);
    // Open sessions stay.
    guest.sftp().assert_alive();
}

#[test]
fn bans_run_down_and_the_next_is_longer() {
    if against_openssh() {
        return;
    }
    let settings = [
        ("admission.min_ban", "\"1s\""),
        ("admission.scan", "\"1s\""),
        ("admission.no_login", "\"0s\""),
    ];
    let server = TestServer::start_with(&settings);
    let from = source(61);
    let mut lengths = Vec::new();
    for _ in 0..3 {
        let began = Instant::now();
        scan_until_banned(&server, from);
        wait_until("the ban is over", STEP, || is_let_in(&server, from));
        lengths.push(began.elapsed().as_secs_f64());
    }
    assert!((0.9..1.9).contains(&lengths[0]), "{lengths:?}");
    assert!((1.9..3.9).contains(&lengths[1]), "{lengths:?}");
    assert!((3.9..7.9).contains(&lengths[2]), "{lengths:?}");
}

#[test]
fn exempt_networks_and_penalties_follow_a_reload() {
    if against_openssh() {
        return;
    }
    let exempt = ("admission.exempt", "[\"127.0.0.0/8\"]");
    let server = TestServer::start_with(&[exempt]);
    let from = source(71);
    for _ in 0..10 {
        assert!(knock(&server, from, HTTP).starts_with("SSH-2.0-"));
    }
    let config = fs::read_to_string(server.path("config.toml")).unwrap();
    let reload = |config: &str| {
        fs::write(server.path("config.toml"), config).unwrap();
        server.admin(&["reload"], "").accepted()
    };
    let told = reload(&config.replace("[\"127.0.0.0/8\"]", "[]"));
    assert!(told.contains("changed: admission.exempt"), "{told}");
    scan_until_banned(&server, from);
    reload(&config);
    run_ok(&mut sftp_from(&server, from), STEP);
    // That login protects it; another address is not protected, and disabled penalties need no protection.
    reload(&format!(
        "{}admission.penalties = false\n",
        config.replace("[\"127.0.0.0/8\"]", "[]")
    ));
    for _ in 0..10 {
        assert!(knock(&server, source(72), HTTP).starts_with("SSH-2.0-"));
    }
}

#[test]
fn more_sources_than_the_table_has_room_for_are_let_in_again_the_shortest_first() {
    if against_openssh() {
        return;
    }
    let server = TestServer::start_with(&[("admission.max_sources", "3")]);
    for number in 81..85 {
        scan_until_banned(&server, source(number));
    }
    wait_until("three are banned", STEP, || bans(&server).len() == 3);
    run_ok(&mut sftp_from(&server, source(81)), STEP);
}

#[test]
fn a_balancer_is_never_banned_but_those_for_whom_it_connects_are() {
    if against_openssh() {
        return;
    }
    let server = TestServer::start_with(&[("server.proxies", r#"["127.0.0.0/8"]"#)]);
    let header = |client: [u8; 4]| {
        let mut header = b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c".to_vec();
        header.extend(client);
        header.extend([127, 0, 0, 1, 0x30, 0x39, 0, 22]);
        header
    };
    let local = b"\r\n\r\n\0\r\nQUIT\n\x20\0\0\0".to_vec();
    let say = |header: &[u8]| knock(&server, source(91), &[header, HTTP].concat());
    for _ in 0..20 {
        assert!(say(&local).starts_with("SSH-2.0-"));
        // And without any header.
        assert_eq!(knock(&server, source(91), HTTP), "");
    }
    let tries = (0..50).find(|_| say(&header([192, 0, 2, 7])) == TURNED_AWAY);
    assert!(tries.is_some());
    assert!(say(&header([192, 0, 2, 8])).starts_with("SSH-2.0-"));
    assert!(say(&local).starts_with("SSH-2.0-"));
    let sources: Vec<_> = bans(&server)
        .into_iter()
        .map(|ban| ban["source"].clone())
        .collect();
    assert_eq!(sources, ["192.0.2.7"]);
}
