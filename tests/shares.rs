//! Sharing of the server's connections among accounts.

use std::time::{Duration, Instant};

use crate::common::connection::{Connection, Options};
use crate::common::flood::{connect_from, source};
use crate::common::server::with_password;
use crate::common::{HOST, PASSWORD, STEP, TestServer, USER, run, wait_until};

const ALL: usize = 40;
/// Half of what unauthenticated clients leave, which is half of all.
const ALONE: usize = ALL / 2 / 2;
/// Half of what the first account leaves.
const BESIDE: usize = (ALL / 2 - ALONE) / 2;
const OTHER: &str = "bob";

fn server() -> TestServer {
    let most = ALL.to_string();
    let server = TestServer::start_with(&[("server.max_connections", &most)]);
    server.add_user(OTHER, PASSWORD, &[&server.public_key()]);
    server
}

fn log_in(server: &TestServer, user: &str, from: usize) -> Connection {
    let from = Some(source(from));
    let options = Options {
        from,
        ..Options::default()
    };
    Connection::logged_in_to(server, user, &options)
}

/// Logs in `times` more times; `open` keeps the connections that the server admits.
fn flood(server: &TestServer, user: &str, from: usize, times: usize, open: &mut Vec<Connection>) {
    open.extend((0..times).map(|_| log_in(server, user, from)));
    let sessions = || {
        let listed = server.admin(&["session", "list"], "").accepted();
        let of_user = |line: &&str| line.split_whitespace().nth(1) == Some(user);
        listed.lines().filter(of_user).count()
    };
    wait_until("the server has closed the others", STEP, || {
        open.retain(|connection| !connection.is_closed());
        open.len() == sessions()
    });
}

#[test]
fn one_account_cannot_take_the_connections_of_all() {
    let server = server();
    let began = Instant::now();
    drop(log_in(&server, OTHER, 141));
    let idle = began.elapsed();

    let (mut hers, mut his) = (Vec::new(), Vec::new());
    flood(&server, USER, 142, ALL, &mut hers);
    assert_eq!(hers.len(), ALONE);
    // The client shows the reason.
    let output = run(&mut server.sftp_batch(&[], "pwd\n"), STEP);
    let words = format!("This account has used up its share of the server's connections ({ALONE})");
    assert!(output.err().contains(&words), "{}", output.describe());
    assert!(!output.status.success());
    assert!(server.log().contains(&format!("reason=\"{words}")));

    // With all connections of unauthenticated clients used from there, too.
    let silent: Vec<_> = (0..ALL)
        .map(|_| connect_from(source(142), server.address()).unwrap())
        .collect();
    let began = Instant::now();
    his.push(log_in(&server, OTHER, 141));
    let beside = began.elapsed();
    his[0].sftp().assert_alive();
    println!("a login of another account: {idle:?} before, {beside:?} beside");
    assert!(beside < idle * 10 + Duration::from_secs(2), "{beside:?}");
    flood(&server, OTHER, 141, 2 * BESIDE, &mut his);
    assert_eq!(his.len(), BESIDE);

    // Each of them can use connections that were closed.
    hers.truncate(1);
    drop((his, silent));
    wait_until("the sessions are gone", STEP, || {
        let listed = server.admin(&["session", "list"], "").accepted();
        listed.lines().count() == 2
    });
    flood(&server, USER, 142, ALL, &mut hers);
    assert_eq!(hers.len(), ALONE);
    // A refusal is not a failed login.
    assert_eq!(
        server.admin(&["ban", "list"], "").accepted(),
        "No address is banned\n"
    );
    for failed in ["failed", "banned"] {
        assert!(!server.log().contains(failed), "{}", server.log());
    }
}

#[test]
fn a_login_by_password_beyond_the_share_says_so_too() {
    let server = server();
    let mut hers = Vec::new();
    flood(&server, USER, 143, ALONE, &mut hers);
    assert_eq!(hers.len(), ALONE);
    let output = run(with_password(&server, PASSWORD, "sftp").arg(HOST), STEP);
    assert!(
        output
            .err()
            .contains("its share of the server's connections"),
        "{}",
        output.describe()
    );
}
