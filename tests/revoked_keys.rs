//! The costs of a large list of revoked keys.

use std::fs;
use std::process::Command;
use std::time::{Duration, Instant};

use crate::common::connection::{Connection, Options};
use crate::common::server::make_key;
use crate::common::wire::string;
use crate::common::{MIB, STEP, TestServer, USER, run_ok};

/// A list of revoked keys (PROTOCOL.krl) of about 32 MiB: SHA-256 hashes of keys.
fn large_list() -> Vec<u8> {
    let mut hashes = Vec::with_capacity(32 * MIB);
    for number in 0_u64..32 * MIB as u64 / 36 {
        let mut hash = [7; 32];
        hash[..8].copy_from_slice(&number.to_be_bytes());
        string(&mut hashes, &hash);
    }
    let mut list = b"SSHKRL\n\0\0\0\0\x01".to_vec();
    // Its number, its date and its flags; a reserved field; its comment.
    list.extend([0; 3 * 8 + 2 * 4]);
    list.push(5);
    string(&mut list, &hashes);
    list
}

#[test]
fn a_large_list_is_not_read_for_each_certificate_that_is_offered() {
    const OFFERS: u32 = 20;
    let mut server = TestServer::start();
    server.stop();
    for key in ["ca", "other", "user"] {
        make_key(&server.local(key), &["-t", "ed25519"]);
    }
    fs::copy(server.local("ca.pub"), server.path("ca.pub")).unwrap();
    fs::write(server.path("revoked"), "").unwrap();
    let config = fs::read_to_string(server.path("config.toml")).unwrap();
    let files = "login.user_ca_keys = \"ca.pub\"\nlogin.revoked_keys = \"revoked\"\n";
    fs::write(server.path("config.toml"), config + files).unwrap();
    server.serve();
    // An untrusted authority has signed it: any unauthenticated client can make such a certificate.
    let mut keygen = Command::new("ssh-keygen");
    keygen.args(["-q", "-s"]).arg(server.local("other"));
    keygen.args(["-I", "a test", "-n", USER]);
    run_ok(keygen.arg(server.local("user.pub")), STEP);
    // An address with a successful login is not banned.
    Connection::logged_in(&server);
    let offer = || {
        let connection = Connection::open(&server, &Options::default());
        let (key, certificate) = (server.local("user"), server.local("user-cert.pub"));
        let result = connection.certificate(USER, &key, &certificate).unwrap();
        assert!(!result.success());
    };
    let time = |times: u32| {
        let began = Instant::now();
        (0..times).for_each(|_| offer());
        began.elapsed()
    };
    let usual = time(OFFERS);
    fs::write(server.path("revoked"), large_list()).unwrap();
    // The change is only recognized once its time is past.
    std::thread::sleep(Duration::from_secs(3));
    let first = time(1);
    let more = time(OFFERS);
    println!("{OFFERS} offers: {usual:?}; after the list was read in {first:?}: {more:?}");
    assert!(
        more < usual * 3 + first * (OFFERS / 4),
        "{usual:?}, {first:?}, {more:?}"
    );
}
