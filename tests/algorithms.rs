//! The algorithms of each setting of `ssh.algorithms`, key re-exchange, and host key rotation.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use crate::common::command::Output;
use crate::common::connection::{Connection, Options};
use crate::common::files::assert_same;
use crate::common::operator::Operator;
use crate::common::server::make_key;
use crate::common::{
    HOST, MIB, STEP, TRANSFER, TestServer, random_file, run, run_ok, skip, wait_until,
};
use serde_json::Value;

/// In the Python clients' environment.
const SSH_AUDIT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/target/clients/bin/ssh-audit");
const NO_POST_QUANTUM: &str = "does not provide protection against post-quantum attacks";

/// Returns the findings of ssh-audit: "fail" or "warn", the algorithm, and the text. `None`: it is not
/// installed, which was reported.
fn audited(server: &TestServer) -> Option<Vec<(String, String, String)>> {
    if !Path::new(SSH_AUDIT).exists() {
        skip("ssh-audit is not installed (tests/setup does it)");
        return None;
    }
    let mut audit = Command::new(SSH_AUDIT);
    // A client that has logged in is not banned for later connections from its address.
    drop(Connection::logged_in(server));
    // Other tests cover connection rates.
    let port = server.port().to_string();
    audit.args(["--json", "--skip-rate-test", "--port", &port, "127.0.0.1"]);
    let said = run(&mut audit, STEP);
    let report: Value = serde_json::from_slice(&said.stdout).expect("ssh-audit's JSON");
    assert_eq!(report["compression"], serde_json::json!(["none"]));
    assert_eq!(report["cves"], serde_json::json!([]));
    let mut found = Vec::new();
    let mut seen = 0;
    for kind in ["kex", "key", "enc", "mac"] {
        for algorithm in report[kind].as_array().unwrap() {
            seen += 1;
            let name = algorithm["algorithm"].as_str().unwrap();
            for severity in ["fail", "warn"] {
                let notes = algorithm["notes"][severity].as_array();
                for note in notes.into_iter().flatten() {
                    let note = note.as_str().unwrap();
                    found.push((severity.to_owned(), name.to_owned(), note.to_owned()));
                }
            }
        }
    }
    assert!(seen > 8, "{report:#}");
    // 0: nothing; 2: warnings; 3: failures.
    let code = said.status.code().unwrap();
    assert_eq!(
        code != 0,
        !found.is_empty(),
        "{found:?}: {}",
        said.describe()
    );
    Some(found)
}

/// A server that also has an RSA host key, loaded without a restart.
fn with_rsa(settings: &[(&str, &str)]) -> TestServer {
    let server = TestServer::start_with(settings);
    let key = server.path("keys/ssh_host_rsa_key");
    make_key(&key, &["-t", "rsa", "-b", "3072"]);
    server.admin(&["reload"], "").ok();
    know(&server, "rsa");
    server
}

/// Adds another host key to the clients' known hosts.
fn know(server: &TestServer, kind: &str) {
    let key = server.path(&format!("keys/ssh_host_{kind}_key.pub"));
    let mut known = fs::read_to_string(server.known_hosts()).unwrap();
    let key = fs::read_to_string(key).unwrap();
    known.push_str(&format!("[127.0.0.1]:{} {key}", server.port()));
    fs::write(server.known_hosts(), known).unwrap();
}

/// Runs `landfall quota` over a client that offers only these algorithms.
fn ssh(server: &TestServer, options: &[&str]) -> Output {
    let mut ssh = server.ssh();
    ssh.args(["-o", "LogLevel=INFO"]);
    for option in options {
        ssh.args(["-o", option]);
    }
    run(ssh.args([HOST, "quota"]), STEP)
}

#[test]
fn ssh_audit_finds_no_fail_and_of_warnings_only_that_curve25519_is_no_post_quantum() {
    let server = with_rsa(&[]);
    let Some(found) = audited(&server) else {
        return;
    };
    // ssh-audit warns about every key exchange that is not post-quantum; without these two, no client from
    // before 2024 could connect.
    let of_curve25519 = |name: &str| ("warn".into(), name.into(), NO_POST_QUANTUM.into());
    assert_eq!(
        found,
        ["curve25519-sha256", "curve25519-sha256@libssh.org"].map(of_curve25519)
    );
}

#[test]
fn ssh_audit_finds_nothing_at_all_where_only_post_quantum_clients_are_let_in() {
    let server = with_rsa(&[("ssh.post_quantum_only", "true")]);
    let Some(found) = audited(&server) else {
        return;
    };
    assert_eq!(found, []);
    ssh(&server, &["KexAlgorithms=curve25519-sha256"]).failed();
    // russh has mlkem768x25519-sha256; the OpenSSH of these tests may be older.
    Connection::logged_in(&server).sftp().assert_alive();
}

/// Options of OpenSSH's client, and the algorithm that the log then reports.
type Needs = (&'static [&'static str], &'static str);

/// Offered by `compatible` and `legacy` only.
const COMPATIBLE: &[Needs] = &[
    (&["KexAlgorithms=ecdh-sha2-nistp256"], "ecdh-sha2-nistp256"),
    (&["KexAlgorithms=ecdh-sha2-nistp384"], "ecdh-sha2-nistp384"),
    (&["KexAlgorithms=ecdh-sha2-nistp521"], "ecdh-sha2-nistp521"),
    (
        &["KexAlgorithms=diffie-hellman-group14-sha256"],
        "diffie-hellman-group14-sha256",
    ),
    (
        &["KexAlgorithms=diffie-hellman-group16-sha512"],
        "diffie-hellman-group16-sha512",
    ),
    (
        &["KexAlgorithms=diffie-hellman-group18-sha512"],
        "diffie-hellman-group18-sha512",
    ),
    (
        &["Ciphers=aes128-ctr", "MACs=hmac-sha2-256"],
        "hmac-sha2-256",
    ),
    (
        &["Ciphers=aes256-ctr", "MACs=hmac-sha2-512"],
        "hmac-sha2-512",
    ),
];

/// Offered by `legacy` only.
const LEGACY: &[Needs] = &[
    (
        &["KexAlgorithms=diffie-hellman-group14-sha1"],
        "diffie-hellman-group14-sha1",
    ),
    (
        &["KexAlgorithms=diffie-hellman-group-exchange-sha256"],
        "diffie-hellman-group-exchange-sha256",
    ),
    (&["Ciphers=aes128-cbc"], "aes128-cbc"),
    (&["Ciphers=aes256-cbc", "MACs=hmac-sha1"], "hmac-sha1"),
    (
        &["Ciphers=aes128-ctr", "MACs=hmac-sha1-etm@openssh.com"],
        "hmac-sha1-etm@openssh.com",
    ),
    (&["HostKeyAlgorithms=ssh-rsa"], "ssh-rsa as the host key"),
    (
        &["PubkeyAcceptedAlgorithms=ssh-rsa", "IdentityFile=rsa"],
        "ssh-rsa as the key of the login",
    ),
];

/// Every client of the last ten years supports some of these.
const USUAL: &[&[&str]] = &[
    &["KexAlgorithms=curve25519-sha256"],
    &["KexAlgorithms=curve25519-sha256@libssh.org"],
    &["Ciphers=aes256-gcm@openssh.com"],
    &["Ciphers=aes128-gcm@openssh.com"],
    &["Ciphers=chacha20-poly1305@openssh.com"],
    &["Ciphers=aes128-ctr", "MACs=hmac-sha2-256-etm@openssh.com"],
    &["Ciphers=aes256-ctr", "MACs=hmac-sha2-512-etm@openssh.com"],
    &["HostKeyAlgorithms=ssh-ed25519"],
    &["HostKeyAlgorithms=rsa-sha2-512"],
    &["HostKeyAlgorithms=rsa-sha2-256"],
    &["PubkeyAcceptedAlgorithms=rsa-sha2-256", "IdentityFile=rsa"],
    &["Compression=yes"],
];

/// A server whose account also has an RSA key.
fn for_old_clients(settings: &[(&str, &str)]) -> TestServer {
    let server = with_rsa(settings);
    let key = server.local("rsa");
    make_key(&key, &["-t", "rsa", "-b", "2048"]);
    let public = server.local("rsa.pub");
    let add = [
        "user",
        "key",
        "add",
        server.user(),
        public.to_str().unwrap(),
    ];
    server.admin(&add, "").ok();
    // So that no other key logs in.
    fs::remove_file(server.key()).unwrap();
    let config = fs::read_to_string(server.ssh_config()).unwrap();
    let ed25519 = server.key().display().to_string();
    let rsa = key.display().to_string();
    fs::write(server.ssh_config(), config.replace(&ed25519, &rsa)).unwrap();
    server
}

/// Current clients can log in, and the log reports nothing about them.
#[track_caller]
fn assert_usual_are_let_in(server: &TestServer) {
    for options in USUAL {
        ssh(server, options).ok();
    }
    assert!(!server.log().contains("an old client"), "{}", server.log());
}

/// Each of these can log in, and the log reports the required setting.
#[track_caller]
fn assert_are_let_in(server: &TestServer, needs: &[Needs], setting: &str) {
    for (options, what) in needs {
        let before = server.log().len();
        ssh(server, options).ok();
        let log = server.log().split_off(before);
        let line = log.lines().find(|line| line.contains("an old client"));
        let line = line.unwrap_or_else(|| panic!("{what}: {log}"));
        for part in [
            what,
            "user=\"alice\"",
            &format!("setting=\"{setting}\"")[..],
        ] {
            assert!(line.contains(part), "{part}: {line}");
        }
    }
}

/// An address with logins is not banned for refused ones.
#[track_caller]
fn assert_are_refused(server: &TestServer, needs: &[Needs]) {
    for (options, what) in needs {
        let said = ssh(server, options).failed().err();
        let is_refused = said.contains("no matching") || said.contains("Permission denied");
        assert!(is_refused, "{what}: {said}");
    }
}

#[test]
fn modern_refuses_old_algorithms_and_no_usual_ones() {
    let server = for_old_clients(&[]);
    assert_usual_are_let_in(&server);
    assert_are_refused(&server, COMPATIBLE);
    assert_are_refused(&server, LEGACY);
    assert!(!server.log().contains("an old client"), "{}", server.log());
}

#[test]
fn compatible_lets_in_clients_in_fips_mode_without_sha_1_and_cbc() {
    let server = for_old_clients(&[("ssh.algorithms", "\"compatible\"")]);
    assert_usual_are_let_in(&server);
    assert_are_let_in(&server, COMPATIBLE, "compatible");
    assert_are_refused(&server, LEGACY);
    let offered = offered(&server, "SSH-2.0-OpenSSH_9.2");
    assert!(offered.contains("ecdh-sha2-nistp256"), "{offered}");
    for weak in ["sha1", "-cbc", "ssh-rsa", "group-exchange"] {
        assert!(!offered.contains(weak), "{weak}: {offered}");
    }
}

#[test]
fn with_legacy_old_clients_are_let_in_and_each_login_is_told_in_the_log() {
    let server = for_old_clients(&[("ssh.algorithms", "\"legacy\"")]);
    assert!(server.log().contains("ssh.algorithms is \"legacy\""));
    assert!(!server.log().contains("deprecated"), "{}", server.log());
    assert_usual_are_let_in(&server);
    assert_are_let_in(&server, COMPATIBLE, "compatible");
    assert_are_let_in(&server, LEGACY, "legacy");
}

#[test]
fn the_former_key_of_legacy_keeps_working_with_a_warning() {
    let server = for_old_clients(&[("ssh.legacy", "true")]);
    let advice = "write algorithms = \"legacy\" instead of legacy = true";
    assert!(server.log().contains(advice), "{}", server.log());
    assert!(server.admin(&["check"], "").ok().out().contains(advice));
    assert_are_let_in(&server, &LEGACY[..1], "legacy");
    for (config, complaint) in [
        (
            "legacy = true\nalgorithms = \"compatible\"",
            "legacy = true contradicts",
        ),
        (
            "post_quantum_only = true\nlegacy = true",
            "post_quantum_only needs algorithms = \"modern\", not \"legacy\"",
        ),
        (
            "post_quantum_only = true\nalgorithms = \"compatible\"",
            "not \"compatible\"",
        ),
        (
            "algorithms = \"old\"",
            "must be \"modern\", \"compatible\" or \"legacy\"",
        ),
    ] {
        let operator = Operator::with_config(format!("[ssh]\n{config}\n"));
        let refused = operator.run(&["check"]).refused();
        assert!(refused.contains(complaint), "{refused}");
    }
}

/// Returns the MACs that are offered to a client with this identification.
fn offered(server: &TestServer, identification: &str) -> String {
    let mut tcp = TcpStream::connect(server.address()).unwrap();
    tcp.set_read_timeout(Some(STEP)).unwrap();
    write!(tcp, "{identification}\r\n").unwrap();
    let mut seen = Vec::new();
    while !String::from_utf8_lossy(&seen).contains("none,") && !ends_with_none(&seen) {
        let mut piece = [0; 4096];
        let length = tcp.read(&mut piece).unwrap();
        assert!(length > 0, "it hung up");
        seen.extend_from_slice(&piece[..length]);
    }
    String::from_utf8_lossy(&seen).into_owned()
}

/// Compression comes after the MACs.
fn ends_with_none(seen: &[u8]) -> bool {
    seen.windows(4).any(|window| window == b"none")
}

#[test]
fn only_an_old_libssh2_is_offered_macs_that_do_not_cover_the_encryption() {
    let server = TestServer::start();
    for (identification, is_old) in [
        ("SSH-2.0-libssh2_1.10.0", true),
        ("SSH-2.0-libssh2_1.11.0", false),
        ("SSH-2.0-OpenSSH_6.0", false),
    ] {
        let offered = offered(&server, identification);
        assert!(offered.contains("hmac-sha2-256-etm@openssh.com"));
        let has = offered.contains("hmac-sha2-256,") || offered.contains("hmac-sha2-512,");
        assert_eq!(has, is_old, "{identification}");
        assert!(!offered.contains("sha1"), "{identification}");
    }
}

#[test]
fn the_server_renews_keys_after_its_bytes_and_a_transfer_does_not_suffer() {
    let server = TestServer::start_with(&[("ssh.rekey_bytes", "\"1MiB\"")]);
    let local = server.local("source");
    random_file(&local, 64 * MIB as u64, 7);
    for (line, copy) in [
        ("put source there", server.at_home("there")),
        ("get there back", server.local("back")),
    ] {
        let done = run_ok(&mut server.sftp_batch(&["-v"], line), TRANSFER);
        assert_same(&local, &copy);
        let exchanges = done.err().matches("SSH2_MSG_NEWKEYS received").count();
        assert!(exchanges > 20, "{line}: only {exchanges} exchanges of keys");
    }
}

#[test]
fn the_server_renews_keys_after_its_time_on_a_connection_that_does_nothing() {
    let server = TestServer::start_with(&[("ssh.rekey_time", "\"1s\"")]);
    let connection = Connection::logged_in_as(&server, &Options::default());
    let mut sftp = connection.sftp();
    wait_until("keys were exchanged three times", STEP, || {
        connection.key_exchanges() >= 3
    });
    sftp.assert_alive();
}

/// Logs in with a client that learns host keys, which takes a moment.
fn learn(server: &TestServer) {
    let options = ["-o", "UpdateHostKeys=yes"];
    run_ok(
        &mut server.sftp_batch(&options, "pwd\n!sleep 0.5\npwd\n"),
        STEP,
    );
}

fn knows(server: &TestServer, kind: &str) -> bool {
    let key = fs::read_to_string(server.path(&format!("keys/ssh_host_{kind}_key.pub"))).unwrap();
    let blob = key.split_whitespace().nth(1).unwrap().to_owned();
    fs::read_to_string(server.known_hosts())
        .unwrap()
        .contains(&blob)
}

#[test]
fn a_client_learns_the_other_host_keys_with_proofs_of_every_kind() {
    let server = TestServer::start();
    for (kind, args) in [
        ("rsa", ["-t", "rsa", "-b", "3072"]),
        ("ecdsa", ["-t", "ecdsa", "-b", "256"]),
    ] {
        make_key(&server.path(&format!("keys/ssh_host_{kind}_key")), &args);
    }
    learn(&server);
    assert!(
        !knows(&server, "rsa"),
        "they were taken up without being told to"
    );
    server.admin(&["reload"], "").ok();
    learn(&server);
    assert!(knows(&server, "ed25519") && knows(&server, "rsa") && knows(&server, "ecdsa"));
    // A learned key is sufficient for a connection; RSA signs the proofs as well.
    for algorithm in ["rsa-sha2-256", "rsa-sha2-512", "ecdsa-sha2-nistp256"] {
        ssh(&server, &[&format!("HostKeyAlgorithms={algorithm}")]).ok();
    }
    let known = fs::read_to_string(server.known_hosts()).unwrap();
    let rsa: String = known
        .lines()
        .filter(|line| line.contains("ssh-rsa"))
        .collect();
    fs::write(server.known_hosts(), format!("{rsa}\n")).unwrap();
    assert!(!knows(&server, "ed25519"));
    learn(&server);
    assert!(knows(&server, "ed25519") && knows(&server, "ecdsa"));
}

#[test]
fn a_host_key_is_replaced_without_a_warning_to_clients_that_came_in_between() {
    let server = TestServer::start();
    let keys = |name: &str| server.path(&format!("keys/ssh_host_{name}"));
    // As in docs/operations.md.
    make_key(&keys("ed25519_next_key"), &["-t", "ed25519"]);
    server.admin(&["reload"], "").ok();
    learn(&server);
    assert!(knows(&server, "ed25519") && knows(&server, "ed25519_next"));
    let old = fs::read_to_string(keys("ed25519_key.pub")).unwrap();
    for end in ["", ".pub"] {
        let next = keys(&format!("ed25519_next_key{end}"));
        fs::rename(next, keys(&format!("ed25519_key{end}"))).unwrap();
    }
    server.admin(&["reload"], "").ok();
    learn(&server);
    assert!(knows(&server, "ed25519"));
    let known = fs::read_to_string(server.known_hosts()).unwrap();
    let old = old.split_whitespace().nth(1).unwrap();
    assert!(
        !known.contains(old),
        "the client forgets the old key:\n{known}"
    );
    // Without the connection in between, the client would have warned.
    fs::write(
        server.known_hosts(),
        format!("[127.0.0.1]:{} ssh-ed25519 {old}\n", server.port()),
    )
    .unwrap();
    let said = ssh(&server, &["ConnectTimeout=5"]).failed().err();
    assert!(
        said.contains("HAS CHANGED") || said.contains("verification failed"),
        "{said}"
    );
}

#[test]
fn a_server_that_renews_keys_at_once_does_so_only_after_the_login() {
    // A client that never logs in costs one key exchange, however long it stays.
    let server = TestServer::start_with(&[("ssh.rekey_time", "\"1s\"")]);
    let connection = Connection::open(&server, &Options::default());
    std::thread::sleep(Duration::from_millis(2500));
    assert_eq!(connection.key_exchanges(), 1);
}
