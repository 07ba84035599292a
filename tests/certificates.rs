//! OpenSSH user certificates: which are accepted.

use std::cell::Cell;
use std::fs;
use std::process::Command;
use std::time::{Duration, UNIX_EPOCH};

use crate::common::connection::{Connection, Options};
use crate::common::held::Held;
use crate::common::server::make_key;
use crate::common::{HOST, Output, PASSWORD, STEP, TestServer, USER, run, run_ok, wait_until};

/// Time for the server to notice a change without a notification, on a busy machine.
const NOTICED: Duration = Duration::from_secs(5);

/// A server that trusts the authority `ca`, and revokes the keys in `revoked`.
struct Scene {
    server: TestServer,
    /// Sessions that the server has closed.
    ended: Cell<usize>,
}

impl Scene {
    fn new() -> Self {
        let mut server = TestServer::start();
        server.stop();
        make_key(&server.local("ca"), &["-t", "ed25519"]);
        make_key(&server.local("user"), &["-t", "ed25519"]);
        fs::copy(server.local("ca.pub"), server.path("ca.pub")).unwrap();
        fs::write(server.path("revoked"), "# none yet\n").unwrap();
        let config = fs::read_to_string(server.path("config.toml")).unwrap();
        let files = "login.user_ca_keys = \"ca.pub\"\nlogin.revoked_keys = \"revoked\"\n";
        fs::write(server.path("config.toml"), config + files).unwrap();
        server.serve();
        Self {
            server,
            ended: Cell::new(0),
        }
    }

    /// Signs the user's key: `user-cert.pub`.
    fn sign(&self, by: &str, options: &[&str]) {
        let mut keygen = Command::new("ssh-keygen");
        keygen.arg("-q").arg("-s").arg(self.server.local(by));
        keygen.args(options).arg(self.server.local("user.pub"));
        run_ok(&mut keygen, STEP);
    }

    /// One of OpenSSH's clients, with only the key and its certificate.
    fn client(&self, program: &str, key: &str) -> Command {
        let config = fs::read_to_string(self.server.ssh_config()).unwrap();
        let (own, other) = (self.server.key(), self.server.local(key));
        let own = format!("IdentityFile {}", own.display());
        let config = config.replace(&own, &format!("IdentityFile {}", other.display()));
        assert!(config.contains(other.to_str().unwrap()));
        let file = self.server.local("certificate_config");
        fs::write(&file, config).unwrap();
        let mut client = Command::new(program);
        client
            .arg("-F")
            .arg(file)
            .current_dir(self.server.path("client"));
        client
    }

    /// Logs in with the certificate.
    fn sftp(&self) -> Output {
        fs::write(self.server.local("batch"), "pwd\n").unwrap();
        let mut sftp = self.client("sftp", "user");
        run(sftp.args(["-b", "batch", HOST]), STEP)
    }

    fn refused(&self, reason: &str) {
        let refused = self.sftp().failed();
        assert!(
            refused.err().contains("Permission denied"),
            "{}",
            refused.describe()
        );
        let log = self.server.log();
        let line = log
            .lines()
            .rfind(|line| line.contains("login refused") && line.contains("certificate"));
        assert!(
            line.is_some_and(|line| line.contains(reason)),
            "{reason}: {log}"
        );
    }

    /// Waits until the server closes one more session, with this reason.
    #[track_caller]
    fn ends(&self, held: Held, words: &str) {
        let nth = self.ended.get() + 1;
        self.ended.set(nth);
        wait_until(&format!("session {nth} is ended"), STEP, || {
            self.server.log().matches("closing a session").count() == nth
        });
        let output = held.ended();
        assert!(!output.status.success());
        assert!(output.err().contains(words), "{}", output.describe());
    }

    fn revoke(&self, list: impl AsRef<[u8]>) {
        fs::write(self.server.path("revoked"), list).unwrap();
    }
}

const ALICE: [&str; 4] = ["-I", "a test", "-n", USER];

#[test]
fn a_certificate_of_a_trusted_authority_lets_its_principals_in() {
    let scene = Scene::new();
    scene.sign("ca", &ALICE);
    scene.sftp().ok();
    scene.sign("ca", &["-I", "several", "-n", "bob,alice"]);
    scene.sftp().ok();
    scene.sign("ca", &["-I", "another", "-n", "bob"]);
    scene.refused("principals");
    scene.sign("ca", &["-I", "nobody"]);
    scene.refused("principals");
    // OpenSSH does not even offer a host certificate.
    scene.sign("ca", &["-I", "a host", "-h", "-n", USER]);
    scene.sftp().failed();
    let connection = Connection::open(&scene.server, &Options::default());
    let (key, shown) = (
        scene.server.local("user"),
        scene.server.local("user-cert.pub"),
    );
    assert!(
        !connection
            .certificate(USER, &key, &shown)
            .unwrap()
            .success()
    );
    assert!(scene.server.log().contains("it is a host certificate"));
    scene.sign("ca", &ALICE);
    assert!(
        connection
            .certificate(USER, &key, &shown)
            .unwrap()
            .success()
    );
    make_key(&scene.server.local("other"), &["-t", "ed25519"]);
    scene.sign("other", &ALICE);
    scene.refused("authority is not trusted");
    // The key alone is refused; plain keys and passwords work.
    fs::remove_file(scene.server.local("user-cert.pub")).unwrap();
    scene.sftp().failed();
    let connection = Connection::logged_in(&scene.server);
    connection.sftp().assert_alive();
    assert!(!scene.server.log().contains(PASSWORD));
}

#[test]
fn each_kind_of_key_can_be_certified_and_certify() {
    let scene = Scene::new();
    let kinds: [&[&str]; 3] = [
        &["-t", "ecdsa", "-b", "256"],
        &["-t", "rsa", "-b", "3072"],
        &["-t", "ecdsa", "-b", "521"],
    ];
    for (number, kind) in kinds.iter().enumerate() {
        let ca = format!("ca{number}");
        make_key(&scene.server.local(&ca), kind);
        fs::copy(
            scene.server.local(&format!("{ca}.pub")),
            scene.server.path("ca.pub"),
        )
        .unwrap();
        for file in ["user", "user.pub"] {
            fs::remove_file(scene.server.local(file)).unwrap();
        }
        make_key(&scene.server.local("user"), kind);
        scene.sign(&ca, &ALICE);
        scene.sftp().ok();
    }
    // SHA-1 signatures are refused; ssh-keygen may not create one.
    let mut keygen = Command::new("ssh-keygen");
    keygen
        .arg("-q")
        .arg("-s")
        .arg(scene.server.local("ca1"))
        .args(["-t", "ssh-rsa"])
        .args(ALICE);
    keygen.arg(scene.server.local("user.pub"));
    fs::copy(scene.server.local("ca1.pub"), scene.server.path("ca.pub")).unwrap();
    if run(&mut keygen, STEP).status.success() {
        scene.sftp().failed();
    }
}

#[test]
fn a_key_that_is_too_small_is_refused_wherever_it_stands() {
    let scene = Scene::new();
    let server = &scene.server;
    let small = ["-t", "rsa", "-b", "1024"];
    for file in ["user", "user.pub"] {
        fs::remove_file(server.local(file)).unwrap();
    }
    make_key(&server.local("user"), &small);
    scene.sign("ca", &ALICE);
    scene.refused("a type or size that is not accepted");
    // As a key of an account.
    let public = server.local("user.pub");
    let add = ["user", "key", "add", USER, public.to_str().unwrap()];
    let refused = server.admin(&add, "").failed();
    assert!(
        refused.err().contains("1024 bits"),
        "{}",
        refused.describe()
    );
    // As an authority.
    fs::copy(&public, server.path("ca.pub")).unwrap();
    let refused = server.admin(&["reload"], "").failed();
    assert!(
        refused.err().contains("1024 bits"),
        "{}",
        refused.describe()
    );
    // A key that is large enough.
    fs::copy(server.local("ca.pub"), server.path("ca.pub")).unwrap();
    for file in ["user", "user.pub"] {
        fs::remove_file(server.local(file)).unwrap();
    }
    make_key(&server.local("user"), &["-t", "rsa", "-b", "2048"]);
    scene.sign("ca", &ALICE);
    scene.sftp().ok();
}

#[test]
fn a_certificate_is_valid_for_its_time() {
    let scene = Scene::new();
    for (validity, good) in [
        ("-5m:+5m", true),
        ("always:forever", true),
        ("-2h:-1h", false),
        ("+1h:+2h", false),
        ("20200101:20200102", false),
    ] {
        scene.sign("ca", &[&ALICE[..], &["-V", validity]].concat());
        let output = scene.sftp();
        assert_eq!(
            output.status.success(),
            good,
            "{validity}: {}",
            output.describe()
        );
    }
}

#[test]
fn critical_options_are_honoured_or_the_certificate_is_refused() {
    let scene = Scene::new();
    let with = |option: &str| scene.sign("ca", &[&ALICE[..], &["-O", option]].concat());
    with("source-address=127.0.0.0/8,10.0.0.0/8");
    scene.sftp().ok();
    with("source-address=10.0.0.0/8,::1");
    scene.refused("not valid for the client's address");
    with("force-command=rm -r /");
    scene.refused("a command that this server does not have");
    with("critical:unknown@example.org=x");
    scene.refused("an unknown critical option");
    with("verify-required");
    scene.refused("requires user verification");
    with("no-pty");
    scene.sftp().ok();

    with("force-command=internal-sftp");
    scene.sftp().ok();
    // Any request starts SFTP.
    let ssh = |line: &str| {
        let mut ssh = scene.client("ssh", "user");
        run(ssh.args([HOST, line]), STEP)
    };
    assert!(!ssh("help").out().contains("quota"));
    with("permit-pty");
    assert!(ssh("help").ok().out().contains("quota"));
}

#[test]
fn what_is_revoked_is_not_let_in() {
    let scene = Scene::new();
    scene.sign("ca", &[&ALICE[..], &["-z", "7"]].concat());
    scene.sftp().ok();
    let read = |name: &str| fs::read(scene.server.local(name)).unwrap();
    let krl = |of: &[&str], specification: &str| {
        let file = scene.server.local("krl");
        fs::write(scene.server.local("specification"), specification).unwrap();
        let mut keygen = Command::new("ssh-keygen");
        keygen.args(["-q", "-k", "-f"]).arg(&file);
        keygen
            .args(of)
            .arg("specification")
            .current_dir(scene.server.path("client"));
        run_ok(&mut keygen, STEP);
        read("krl")
    };
    let user = String::from_utf8(read("user.pub")).unwrap();
    let with_ca = ["-s", "ca.pub"];
    let fingerprint = {
        let mut keygen = Command::new("ssh-keygen");
        keygen
            .args(["-l", "-f"])
            .arg(scene.server.local("user.pub"));
        let said = run_ok(&mut keygen, STEP).out();
        said.split(' ').nth(1).unwrap().to_owned()
    };
    for (what, list) in [
        ("a list of keys", read("user.pub")),
        ("a list of authorities", read("ca.pub")),
        ("a fingerprint", fingerprint.into_bytes()),
        ("the key", krl(&[], &user)),
        ("its SHA-1", krl(&[], &format!("sha1: {user}"))),
        ("its SHA-256", krl(&[], &format!("sha256: {user}"))),
        ("a serial", krl(&with_ca, "serial: 7\n")),
        ("a range", krl(&with_ca, "serial: 5-9\n")),
        (
            "many serials",
            krl(
                &with_ca,
                "serial: 1\nserial: 3\nserial: 7\nserial: 8\nserial: 11\n",
            ),
        ),
        ("a key id", krl(&with_ca, "id: a test\n")),
    ] {
        scene.revoke(&list);
        let refused = scene.sftp();
        assert!(!refused.status.success(), "{what}: {}", refused.describe());
        scene.refused("revoked");
    }
    for (what, list) in [
        ("nothing", Vec::new()),
        ("another key", fs::read(scene.server.public_key()).unwrap()),
        (
            "other serials",
            krl(&with_ca, "serial: 1-6\nserial: 8-100\n"),
        ),
        ("another id", krl(&with_ca, "id: another test\n")),
        (
            "serials of another authority",
            krl(&["-s", "id_ed25519.pub"], "serial: 7\n"),
        ),
    ] {
        scene.revoke(&list);
        let output = scene.sftp();
        assert!(output.status.success(), "{what}: {}", output.describe());
    }
}

#[test]
fn plain_keys_are_revoked_too_and_a_list_that_cannot_be_read_lets_nobody_in() {
    let scene = Scene::new();
    let by_key = || run(&mut scene.server.sftp_batch(&[], "pwd\n"), STEP);
    by_key().ok();
    scene.revoke(fs::read(scene.server.public_key()).unwrap());
    by_key().failed();
    assert!(scene.server.log().contains("the key is revoked"));
    scene.revoke("nonsense\n");
    by_key().failed();
    assert!(scene.server.log().contains("login.revoked_keys"));
    fs::remove_file(scene.server.path("revoked")).unwrap();
    by_key().failed();
    let refused = scene.server.admin(&["check"], "").failed();
    assert!(
        refused.err().contains("revoked_keys"),
        "{}",
        refused.describe()
    );
    scene.revoke("");
    by_key().ok();
}

#[test]
fn the_rules_of_the_account_hold_for_certificates() {
    let scene = Scene::new();
    scene.sign("ca", &ALICE);
    for (closed, open) in [
        (["--disabled"].as_slice(), ["--enabled"].as_slice()),
        (&["--network", "10.0.0.0/8"], &["--network", "none"]),
        (&["--expires", "2001-01-01"], &["--expires", "never"]),
        // A certificate is a key: the password must follow.
        (
            &["--login", "publickey+password"],
            &["--login", "publickey"],
        ),
    ] {
        let set = |options: &[&str]| {
            scene
                .server
                .admin(&[&["user", "set", USER], options].concat(), "")
                .ok();
        };
        set(closed);
        scene.sftp().failed();
        set(open);
        scene.sftp().ok();
    }
}

#[test]
fn a_session_ends_when_its_certificate_expires() {
    let scene = Scene::new();
    scene.sign("ca", &[&ALICE[..], &["-V", "-5m:+6s"]].concat());
    let held = Held::over(scene.client("sftp", "user"));
    let mut by_key = Held::open(&scene.server);
    scene.ends(held, "has expired");
    by_key.assert_alive();
}

#[test]
fn a_session_ends_when_its_certificate_is_not_trusted_any_more() {
    let scene = Scene::new();
    scene.sign("ca", &ALICE);
    let log_in = || Held::over(scene.client("sftp", "user"));
    let mut by_key = Held::open(&scene.server);
    let authorities = scene.server.path("ca.pub");
    let trusted = fs::read(&authorities).unwrap();

    // A new file replaces the old one, as it should be done.
    let held = log_in();
    let new = scene.server.path("new");
    fs::write(&new, fs::read(scene.server.local("user.pub")).unwrap()).unwrap();
    fs::rename(&new, &authorities).unwrap();
    scene.ends(held, "is no longer trusted");
    fs::write(&authorities, &trusted).unwrap();

    // An unreadable file closes no session; once it can be read, it applies.
    let mut held = log_in();
    fs::write(&authorities, "nonsense\n").unwrap();
    wait_until("the log says so", NOTICED, || {
        let log = scene.server.log();
        log.contains("cannot check whether the keys of open sessions are still trusted")
    });
    held.assert_alive();
    fs::write(&authorities, &trusted).unwrap();
    held.assert_alive();

    // So does another file in a changed configuration.
    let config = scene.server.path("config.toml");
    let text = fs::read_to_string(&config).unwrap();
    fs::write(&config, text.replace("\"ca.pub\"", "\"\"")).unwrap();
    scene.server.admin(&["reload"], "").ok();
    scene.ends(held, "is no longer trusted");
    by_key.assert_alive();

    // And a configuration without such a file.
    fs::write(&config, &text).unwrap();
    scene.server.admin(&["reload"], "").ok();
    let held = log_in();
    let none = text
        .replace("\"ca.pub\"", "\"\"")
        .replace("\"revoked\"", "\"\"");
    fs::write(&config, none).unwrap();
    scene.server.admin(&["reload"], "").ok();
    scene.ends(held, "is no longer trusted");
    by_key.assert_alive();
}

#[test]
fn a_session_ends_when_its_key_is_revoked() {
    let scene = Scene::new();
    scene.sign("ca", &ALICE);
    let by_certificate = Held::over(scene.client("sftp", "user"));
    let by_key = Held::open(&scene.server);
    let by_password = Connection::open(&scene.server, &Options::default());
    assert!(by_password.password(USER, PASSWORD).unwrap().success());
    scene.revoke(fs::read(scene.server.local("user.pub")).unwrap());
    scene.ends(by_certificate, "has been revoked");
    scene.revoke(fs::read(scene.server.public_key()).unwrap());
    scene.ends(by_key, "has been revoked");
    by_password.sftp().assert_alive();
}

#[test]
fn a_session_ends_when_its_key_expires() {
    let scene = Scene::new();
    let soon = UNIX_EPOCH.elapsed().unwrap().as_secs() + 6;
    let soon = landfall::values::time::rfc3339(i64::try_from(soon).unwrap());
    let digits: String = soon.chars().filter(char::is_ascii_digit).collect();
    let key = fs::read_to_string(scene.server.local("user.pub")).unwrap();
    let limited = scene.server.local("limited.pub");
    fs::write(&limited, format!("expiry-time=\"{digits}Z\" {key}")).unwrap();
    let add = ["user", "key", "add", USER, limited.to_str().unwrap()];
    scene.server.admin(&add, "").ok();
    let mut held = Held::over(scene.client("sftp", "user"));
    // A change of another setting keeps the key's expiry.
    let set = ["user", "set", USER, "--quota", "1GiB"];
    scene.server.admin(&set, "").ok();
    held.assert_alive();
    scene.ends(held, "has expired");
    Held::open(&scene.server).assert_alive();
}
