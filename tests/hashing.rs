//! One account hashes as much as it can: the cost for the server and for others.

use std::fs;
use std::time::{Duration, Instant};

use crate::common::busy::{CHANNELS, hash_without_end};
use crate::common::connection::{Connection, Options};
use crate::common::metrics::{self, ON};
use crate::common::raw::Outgoing;
use crate::common::wire::code;
use crate::common::{MIB, PASSWORD, STEP, TestServer, bytes_of, wait_until};

const GREEDY: &str = "eve";
const CONNECTIONS: usize = 30;
/// Before threads were shared among accounts, each hash held one.
const THREADS: u64 = 150;

#[test]
fn hashes_that_wait_hold_no_thread_and_end_with_their_connections() {
    let server = TestServer::start_with(&[ON]);
    server.add_user(GREEDY, PASSWORD, &[&server.public_key()]);
    let hashing = hash_without_end(&server, GREEDY, CONNECTIONS);
    wait_until("all hashes wait for their turns", STEP, || {
        metrics::value(&server, "landfall_blocking_tasks") >= (CONNECTIONS * CHANNELS / 2) as f64
    });
    let threads = server.threads();
    assert!(threads < THREADS, "{threads} threads");

    // The account itself is served as well, and others do not wait for its hashes.
    let own = Connection::logged_in_to(&server, GREEDY, &Options::default());
    let mut own = own.sftp();
    own.put("/own", b"own");
    assert_eq!(own.mkdir("/directory"), code::OK);
    fs::write(server.at_home("file"), bytes_of(8 * MIB, 1)).unwrap();
    let other = Connection::logged_in(&server);
    let began = Instant::now();
    let mut channel = other.channel();
    channel.send(Outgoing::Exec("sha256sum file".to_owned()));
    channel.until_closed();
    let took = began.elapsed();
    // It does not wait for the hashes of the other account.
    assert!(took < Duration::from_secs(10), "{took:?}");

    drop(hashing);
    wait_until("nothing is hashed any more", STEP, || {
        metrics::value(&server, "landfall_blocking_tasks") == 0.0
            && metrics::value(&server, "landfall_sessions") == 2.0
    });
}
