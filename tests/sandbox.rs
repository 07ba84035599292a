//! What limits a compromised server: the kernel's sandbox, modes that no file gets, and the rule that
//! the server's own files are not opened through links.

use std::fs::{self, File};
use std::io::ErrorKind;
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt, symlink};
use std::os::unix::net::{SocketAddr, UnixListener, UnixStream};
use std::path::Path;
use std::process::Command;

use landfall::config::Config;
use landfall::sandbox::{Holds, Sandbox};
use rustix::fs::{CWD, FileType, Mode};

use crate::common::connection::Connection;
use crate::common::operator::Operator;
use crate::common::wire::{self, Attrs, code, flag};
use crate::common::{HOST, MIB, PASSWORD, STEP, TestServer, run, run_ok, skip, wait_until};
use crate::disks::faulty::FaultyDisk;

const HOLDS: &str = "Landlock is active";
/// Homes elsewhere are only those that exist at the start, as by default.
const NO_HOMES: &[(&str, &str)] = &[("sandbox.homes", "[]")];

fn kind<T>(outcome: std::io::Result<T>) -> Option<ErrorKind> {
    outcome.err().map(|error| error.kind())
}

/// Landlock applies to threads: one is restricted here by the function that the server calls.
#[test]
fn a_sandboxed_process_touches_data_keys_and_config_and_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    for name in [
        "o/data/homes/a",
        "o/data/homes/b",
        "o/keys",
        "o/else",
        "home",
    ] {
        fs::create_dir_all(at(name)).unwrap();
    }
    for name in ["o/data/homes/a/f", "o/keys/k", "o/else/f", "home/f", "f"] {
        fs::write(at(name), name).unwrap();
    }
    let free = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let port = free.local_addr().unwrap().port();
    drop(free);
    fs::create_dir(at("config")).unwrap();
    let text = format!(
        "server.listen = [\"127.0.0.1:{port}\"]\nserver.data = \"../o/data\"\nserver.keys = \"../o/keys\"\n"
    );
    fs::write(at("config/config.toml"), text).unwrap();
    let config = Config::load(&at("config/config.toml")).unwrap();
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let somewhere = listener.local_addr().unwrap();
    let abstract_name =
        SocketAddr::from_abstract_name(crate::common::random_name("sandbox")).unwrap();
    let _abstract = UnixListener::bind_addr(&abstract_name).unwrap();
    assert!(UnixStream::connect_addr(&abstract_name).is_ok());
    let passwd = Path::new("/etc/passwd");
    assert!(fs::read(passwd).is_ok() && TcpStream::connect(somewhere).is_ok());

    let base = folder.path().to_owned();
    let fenced = std::thread::spawn(move || {
        let at = |name: &str| base.join(name);
        let sandbox = Sandbox::new(&config, [at("home")]);
        let held = sandbox.raise().unwrap();
        if held == Holds::Nothing {
            return held;
        }
        // The server needs these.
        for name in [
            "o/data/homes/a/f",
            "o/keys/k",
            "config/config.toml",
            "home/f",
        ] {
            assert_eq!(fs::read(at(name)).err().map(|e| e.kind()), None, "{name}");
        }
        fs::write(at("o/data/homes/a/new"), "new").unwrap();
        fs::rename(at("o/data/homes/a/new"), at("o/data/homes/b/new")).unwrap();
        fs::hard_link(at("o/data/homes/b/new"), at("o/data/homes/a/again")).unwrap();
        symlink("new", at("home/link")).unwrap();
        fs::create_dir(at("home/sub")).unwrap();
        fs::remove_dir(at("home/sub")).unwrap();
        File::options()
            .write(true)
            .open(at("home/f"))
            .unwrap()
            .set_len(1)
            .unwrap();
        // An editor changes the configuration by a new file with the same name.
        assert!(fs::read_dir(at("config")).is_ok());
        assert!(File::open("/dev/urandom").is_ok());
        assert!(TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok());

        let denied = Some(ErrorKind::PermissionDenied);
        // The server does not need these.
        assert_eq!(kind(fs::read("/etc/passwd")), denied);
        assert_eq!(kind(fs::read(at("f"))), denied);
        assert_eq!(kind(fs::read(at("o/else/f"))), denied);
        assert_eq!(kind(fs::read_dir("/")), denied);
        assert_eq!(
            kind(fs::read(format!("/proc/{}/environ", std::process::id()))),
            denied
        );
        assert_eq!(kind(fs::write(at("o/keys/k"), "mine")), denied);
        assert_eq!(kind(fs::write(at("config/config.toml"), "mine")), denied);
        assert_eq!(kind(fs::write(at("o/else/g"), "mine")), denied);
        assert_eq!(kind(fs::remove_file(at("f"))), denied);
        // Through a link that a client has created in a home.
        symlink("/etc/passwd", at("home/passwd")).unwrap();
        assert_eq!(kind(fs::read(at("home/passwd"))), denied);
        // No home may contain devices, FIFOs that are created by the server, or programs it runs.
        for (kind, device) in [(FileType::Fifo, 0), (FileType::CharacterDevice, 0x103)] {
            let made = rustix::fs::mknodat(CWD, at("home/node"), kind, Mode::RUSR, device);
            let errno = made.unwrap_err();
            assert!([rustix::io::Errno::ACCESS, rustix::io::Errno::PERM].contains(&errno));
        }
        assert_eq!(kind(Command::new("/bin/true").spawn()), denied);
        if held == Holds::All {
            assert_eq!(kind(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))), denied);
            assert_eq!(kind(TcpStream::connect(somewhere)), denied);
            assert_eq!(kind(UnixStream::connect_addr(&abstract_name)), denied);
        }
        held
    });
    match fenced.join() {
        Ok(Holds::Nothing) => skip("this kernel has no Landlock"),
        Ok(_) => {}
        Err(panic) => std::panic::resume_unwind(panic),
    }
    // Other threads are not restricted.
    assert!(fs::read(passwd).is_ok());
}

/// Returns whether the sandbox restricts the worker threads of a running server.
fn is_fenced(server: &TestServer) -> bool {
    let holds = server.log().contains(HOLDS);
    if !holds {
        skip("this kernel has no Landlock");
    }
    holds
}

/// Makes the server read a file that its configuration names.
fn read_by(server: &TestServer, file: &Path) -> crate::common::Output {
    let config = server.path("config.toml");
    let before = fs::read_to_string(&config).unwrap();
    let line = format!("login.revoked_keys = {:?}\n", file.to_str().unwrap());
    fs::write(&config, format!("{before}{line}")).unwrap();
    let said = server.admin(&["reload"], "");
    fs::write(&config, before).unwrap();
    said
}

#[test]
fn a_running_server_cannot_read_what_it_was_not_started_with() {
    let elsewhere = tempfile::tempdir().unwrap();
    let file = elsewhere.path().join("revoked");
    let server = TestServer::start_with(NO_HOMES);
    if !is_fenced(&server) {
        return;
    }
    fs::copy(server.public_key(), &file).unwrap();
    let said = read_by(&server, &file).failed().err();
    assert!(said.contains("Permission denied"), "{said}");
    // In its own folders it can.
    let inside = server.path("revoked");
    make_key_to_revoke(&inside);
    read_by(&server, &inside).ok();
    Connection::logged_in(&server).sftp().assert_alive();

    let without = TestServer::start_with(&[("sandbox.landlock", "false")]);
    assert!(!without.log().contains(HOLDS));
    fs::copy(&inside, &file).unwrap();
    read_by(&without, &file).ok();
}

fn make_key_to_revoke(file: &Path) {
    let key = file.with_extension("key");
    crate::common::server::make_key(&key, &["-t", "ed25519"]);
    fs::rename(key.with_extension("key.pub"), file).unwrap();
}

#[test]
fn an_excluded_home_is_reported_and_is_included_after_a_restart() {
    let elsewhere = tempfile::tempdir().unwrap();
    let home = elsewhere.path().canonicalize().unwrap().join("zoe");
    let mut server = TestServer::start_with(NO_HOMES);
    if !is_fenced(&server) {
        return;
    }
    let key = server.public_key();
    let add = ["user", "add", "zoe", "--password-stdin", "--home"];
    let add = [&add[..], &[home.to_str().unwrap()]].concat();
    let add = [&add[..], &["--key", key.to_str().unwrap()]].concat();
    let said = server.admin(&add, &format!("{PASSWORD}\n")).ok().out();
    assert!(said.contains("before the server is restarted"), "{said}");
    assert!(said.contains("sandbox.homes"), "{said}");
    let list = |server: &TestServer| {
        let mut sftp = server.sftp_batch(&["-o", "User=zoe"], "put id_ed25519.pub\nls\n");
        run(&mut sftp, STEP)
    };
    list(&server).failed();
    // The log has the reason: "permission denied" alone would send the operator to the modes of folders.
    wait_until("the log has the reason", STEP, || {
        let log = server.log();
        let lines = log.lines();
        let mut of_home = lines.filter(|line| line.contains("cannot open a home"));
        of_home.any(|line| line.contains("sandbox excludes this folder"))
    });
    // Others are not affected.
    Connection::logged_in(&server).sftp().assert_alive();
    server.stop();
    server.serve();
    list(&server).ok();
    assert!(home.join("id_ed25519.pub").exists());
}

#[test]
fn homes_can_be_added_where_the_config_lets_them() {
    let elsewhere = tempfile::tempdir().unwrap();
    let folder = format!("[{:?}]", elsewhere.path().to_str().unwrap());
    let server = TestServer::start_with(&[("sandbox.homes", &folder)]);
    let home = elsewhere.path().join("zoe");
    let key = server.public_key();
    let add = ["user", "add", "zoe", "--password-stdin", "--home"];
    let add = [&add[..], &[home.to_str().unwrap()]].concat();
    let add = [&add[..], &["--key", key.to_str().unwrap()]].concat();
    let said = server.admin(&add, &format!("{PASSWORD}\n")).ok().out();
    assert!(!said.contains("sandbox"), "{said}");
    run_ok(&mut server.sftp_batch(&["-o", "User=zoe"], "ls\n"), STEP);
}

#[test]
fn a_server_starts_though_the_disk_of_a_home_hangs() {
    let Some(disk) = FaultyDisk::mount() else {
        return;
    };
    let mut server = TestServer::start_with(NO_HOMES);
    let home = disk.home();
    let add = ["user", "add", "zoe", "--no-password", "--home"];
    let add = [&add[..], &[home.to_str().unwrap()]].concat();
    server.admin(&add, "").ok();
    if !is_fenced(&server) {
        return;
    }
    server.stop();
    let hanging = disk.hangs();
    server.serve();
    Connection::logged_in(&server).sftp().put("f", b"there");
    let log = server.log();
    drop(hanging);
    assert!(log.contains("does not answer"), "{log}");
}

// ---- modes

/// Expects a file without setuid and setgid, with which a program would run as another user.
#[track_caller]
fn assert_no_power(path: &Path) {
    let mode = fs::symlink_metadata(path).unwrap().mode();
    assert_eq!(mode & 0o6000, 0, "{}: {mode:o}", path.display());
}

#[test]
fn setuid_and_setgid_are_given_to_nothing_in_no_way() {
    let server = TestServer::start();
    let mut sftp = Connection::logged_in(&server).sftp();
    let all = Attrs {
        permissions: Some(0o7777),
        ..Attrs::default()
    };
    let opened = sftp
        .open("opened", flag::WRITE | flag::CREAT, &all)
        .handle();
    assert_no_power(&server.at_home("opened"));
    sftp.fsetstat(&opened, &all);
    assert_no_power(&server.at_home("opened"));
    sftp.close(&opened);
    sftp.setstat("opened", &all);
    assert_no_power(&server.at_home("opened"));
    assert_eq!(
        fs::metadata(server.at_home("opened")).unwrap().mode() & 0o777,
        0o777
    );
    let mkdir = sftp.body(wire::MKDIR).string("made").attrs(&all);
    assert_eq!(sftp.ask(&mkdir).code(), code::OK);
    assert_no_power(&server.at_home("made"));
    sftp.setstat("made", &all);
    assert_no_power(&server.at_home("made"));

    // Such bits that the operator has set are not copied.
    let own = server.at_home("own");
    fs::write(&own, "#!/bin/sh\n").unwrap();
    fs::set_permissions(&own, PermissionsExt::from_mode(0o6755)).unwrap();
    sftp.copy_file("/own", "/copied", false);
    assert_no_power(&server.at_home("copied"));

    for (line, name) in [("C7777 0 by-scp\n", "by-scp"), ("D7777 0 d\nE\n", "d")] {
        let mut scp = server.ssh();
        scp.args([HOST, "scp -r -p -t ."]);
        let input = if line.starts_with('C') {
            format!("{line}\0")
        } else {
            line.to_owned()
        };
        crate::common::command::run_with_input(&mut scp, input.as_bytes(), STEP).ok();
        assert_no_power(&server.at_home(name));
    }
}

// ---- links among the server's own files

#[test]
fn a_server_does_not_serve_through_links_in_its_data() {
    let outside = tempfile::tempdir().unwrap();
    let target = outside.path().join("target");
    for name in ["landfall.serving", "landfall.db", "landfall.db.opening"] {
        let operator =
            Operator::with_config("server.listen = [\"127.0.0.1:0\"]\nsandbox.landlock = false\n");
        fs::write(&target, "theirs").unwrap();
        fs::create_dir(operator.path("data")).unwrap();
        fs::set_permissions(operator.path("data"), PermissionsExt::from_mode(0o700)).unwrap();
        symlink(&target, operator.path("data").join(name)).unwrap();
        let said = operator.run(&["serve"]).failed().err();
        assert!(said.contains(name), "{said}");
        assert_eq!(fs::read_to_string(&target).unwrap(), "theirs", "{name}");
    }
}

#[test]
fn a_trail_and_a_socket_that_are_links_lead_nowhere() {
    let outside = tempfile::tempdir().unwrap();
    let (trail, socket) = (outside.path().join("trail"), outside.path().join("socket"));
    let mut server = TestServer::start_with(&[("sandbox.landlock", "false")]);
    server.stop();
    fs::write(&trail, "").unwrap();
    fs::write(&socket, "theirs").unwrap();
    for (target, name) in [(&trail, "audit.jsonl"), (&socket, "control.sock")] {
        let own = server.path("data").join(name);
        let _ = fs::remove_file(&own);
        symlink(target, own).unwrap();
    }
    server.serve();
    Connection::logged_in(&server).sftp().put("f", &[7; MIB]);
    // The socket has replaced the link; the audit log reports that it cannot be written.
    server.admin(&["session", "list"], "").ok();
    assert_eq!(fs::read_to_string(&socket).unwrap(), "theirs");
    wait_until("the log says that the trail is lost", STEP, || {
        server.log().contains("audit")
    });
    assert_eq!(fs::read_to_string(&trail).unwrap(), "");
}

#[test]
fn a_home_that_has_become_a_link_is_not_emptied_with_its_account() {
    let outside = tempfile::tempdir().unwrap();
    let precious = outside.path().join("precious");
    fs::write(&precious, "theirs").unwrap();
    let server = TestServer::start();
    server.add_user("zoe", PASSWORD, &[&server.public_key()]);
    let home = server.path("data/homes/zoe");
    fs::remove_dir(&home).unwrap();
    symlink(outside.path(), &home).unwrap();
    let remove = ["user", "rm", "zoe", "--delete-home", "--yes"];
    let said = server.admin(&remove, "").failed().err();
    assert!(said.contains("its path contains a link"), "{said}");
    assert!(precious.exists());
    if is_fenced(&server) {
        // Nobody reads it either.
        let mut get = server.sftp_batch(&["-o", "User=zoe"], "get precious\n");
        let said = run(&mut get, STEP).failed().err();
        assert!(said.contains("Permission denied"), "{said}");
    }
}
