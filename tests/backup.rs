//! `landfall backup` and `landfall restore`.

use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt, lchown, symlink};
use std::path::Path;

use crate::common::missing::skip;
use crate::common::operator::Operator;
use crate::common::server::make_key;
use crate::common::{STEP, TestServer, USER, against_openssh, run_ok};

/// Returns what `landfall audit` shows of a kind of event, as JSON lines.
fn events(server: &TestServer, kind: &str) -> Vec<String> {
    let shown = server.admin(&["audit", "--json", "--event", kind], "");
    shown.accepted().lines().map(str::to_owned).collect()
}

fn upload(server: &TestServer, name: &str, content: &[u8]) {
    fs::write(server.local("up"), content).unwrap();
    run_ok(
        &mut server.sftp_batch(&[], format!("put up {name}\n")),
        STEP,
    );
}

/// Deletes the server's state, except the homes, which are backed up separately.
fn lose_all_but_the_homes(server: &TestServer) {
    for lost in ["keys", "data", "config.toml", "ca.pub", "revoked"] {
        fs::rename(server.path(lost), server.path(&format!("lost-{lost}"))).unwrap();
    }
    fs::create_dir(server.path("data")).unwrap();
    fs::set_permissions(server.path("data"), fs::Permissions::from_mode(0o700)).unwrap();
    fs::rename(server.path("lost-data/homes"), server.path("data/homes")).unwrap();
}

fn start_with_login_files() -> TestServer {
    let trusted = [
        ("login.user_ca_keys", "\"ca.pub\""),
        ("login.revoked_keys", "\"revoked\""),
    ];
    let mut server = TestServer::start_without_accounts(&[]);
    server.stop();
    make_key(&server.path("ca"), &["-t", "ed25519"]);
    fs::copy(server.path("ca.pub"), server.path("revoked")).unwrap();
    let mut config = fs::read_to_string(server.path("config.toml")).unwrap();
    for (key, value) in trusted {
        config.push_str(&format!("{key} = {value}\n"));
    }
    fs::write(server.path("config.toml"), config).unwrap();
    let key = server.public_key();
    server.add_user(USER, "a password that is long", &[&key]);
    server.serve();
    server
}

#[test]
fn a_lost_disk_is_restored_in_one_step_with_the_whole_audit_log() {
    if against_openssh() {
        return;
    }
    let mut server = start_with_login_files();
    upload(&server, "first", &[7; 5000]);
    let told = server.admin(&["backup", "copy"], "").accepted();
    assert!(told.contains("copy"), "{told}");
    let mode = |name: &str| fs::metadata(server.path(name)).unwrap().mode() & 0o777;
    assert_eq!(mode("copy"), 0o700);
    for file in [
        "data/landfall.db",
        "config.toml",
        "keys",
        "login/revoked_keys",
    ] {
        assert_eq!(mode(&format!("copy/{file}")) & 0o077, 0, "{file}");
    }
    // It does not overwrite an older backup.
    let refused = server.admin(&["backup", "copy"], "").refused();
    assert!(refused.contains("File exists"), "{refused}");
    let before = events(&server, "upload");
    assert_eq!(before.len(), 1);

    // Nothing is replaced while the server runs.
    let refused = server.admin(&["restore", "copy"], "").refused();
    assert!(refused.contains("stop it"), "{refused}");
    server.stop();
    lose_all_but_the_homes(&server);
    let told = server.admin(&["restore", "copy"], "").accepted();
    assert!(told.contains("counts the files"), "{told}");
    server.serve();
    for file in [
        "keys/ssh_host_ed25519_key",
        "config.toml",
        "ca.pub",
        "revoked",
    ] {
        let content = |file: String| fs::read(server.path(&file)).unwrap();
        assert_eq!(content(file.to_owned()), content(format!("lost-{file}")));
    }
    // The same account and key; the file exists, and is counted.
    run_ok(&mut server.sftp_batch(&[], "get first back\n"), STEP);
    assert_eq!(fs::read(server.local("back")).unwrap(), [7; 5000]);
    let shown = server.admin(&["quota", "show", USER, "--json"], "");
    assert!(shown.accepted().contains("5000"));
    assert_eq!(events(&server, "upload"), before);
}

#[test]
fn nothing_that_was_there_before_a_restore_is_lost() {
    if against_openssh() {
        return;
    }
    let mut server = start_with_login_files();
    upload(&server, "first", b"1");
    server.admin(&["backup", "copy"], "").accepted();
    upload(&server, "second", b"2");
    let config = fs::read(server.path("config.toml")).unwrap();
    server.stop();
    let changed = [config.as_slice(), b"# changed\n"].concat();
    fs::write(server.path("config.toml"), &changed).unwrap();

    // On the same machine: the log already contains everything in the backup.
    let logged = events(&server, "upload");
    assert_eq!(logged.len(), 2);
    let told = server.admin(&["restore", "copy"], "").accepted();
    assert_eq!(events(&server, "upload"), logged);
    assert_eq!(fs::read(server.path("config.toml")).unwrap(), config);
    let kept = |start: &str| {
        let line = told.lines().find(|line| line.contains(start));
        let line = line.unwrap_or_else(|| panic!("{start} is not in {told}"));
        line.rsplit(' ').next().unwrap().to_owned()
    };
    assert_eq!(fs::read(kept("config.toml.before")).unwrap(), changed);
    assert!(Path::new(&kept("landfall.db.before")).exists());

    // On a new machine, where another server has written a log meanwhile, rotated and current.
    lose_all_but_the_homes(&server);
    fs::copy(server.path("lost-config.toml"), server.path("config.toml")).unwrap();
    for file in ["ca.pub", "revoked"] {
        fs::copy(server.path(&format!("lost-{file}")), server.path(file)).unwrap();
    }
    server.serve();
    server.stop();
    let starts = events(&server, "start").len();
    assert_eq!(starts, 1);
    server.admin(&["restore", "copy"], "").accepted();
    assert_eq!(events(&server, "upload"), logged[..1]);
    // Events of the backup come first.
    let all = server.admin(&["audit", "--json"], "").accepted();
    let times = all.lines().map(|line| {
        let event: serde_json::Value = serde_json::from_str(line).unwrap();
        event["time"].as_str().unwrap().to_owned()
    });
    assert!(times.is_sorted(), "{all}");
    assert!(events(&server, "start").len() > starts);
    server.serve();
    run_ok(&mut server.sftp_batch(&[], "ls\n"), STEP);
}

#[test]
fn root_restores_for_the_user_who_owns_the_data_and_follows_no_link_of_theirs() {
    if against_openssh() {
        return;
    }
    if !rustix::process::geteuid().is_root() {
        return skip("only root can restore for another user");
    }
    let nobody = 65534;
    let mut server = start_with_login_files();
    server.admin(&["backup", "copy"], "").accepted();
    server.stop();
    lose_all_but_the_homes(&server);
    lchown(server.path("data"), Some(nobody), Some(nobody)).unwrap();
    fs::create_dir(server.path("keys")).unwrap();
    lchown(server.path("keys"), Some(nobody), Some(nobody)).unwrap();
    // The parent folders must be accessible for that user.
    let folder = server.path("data");
    for above in folder.ancestors().skip(1) {
        let mode = fs::metadata(above).unwrap().mode();
        if mode & 0o001 == 0 {
            fs::set_permissions(above, PermissionsExt::from_mode(mode | 0o001)).unwrap();
        }
    }
    fs::write(server.path("victim"), "untouched").unwrap();
    for planted in ["landfall.db", "landfall.db.restoring", "audit.jsonl"] {
        symlink("../victim", server.path("data").join(planted)).unwrap();
    }
    server.admin(&["restore", "copy"], "").accepted();
    assert_eq!(
        fs::read_to_string(server.path("victim")).unwrap(),
        "untouched"
    );
    for restored in ["data/landfall.db", "keys/ssh_host_ed25519_key"] {
        let found = fs::symlink_metadata(server.path(restored)).unwrap();
        assert!(found.is_file(), "{restored}");
        assert_eq!(found.uid(), nobody, "{restored}");
        assert_eq!(found.mode() & 0o077, 0, "{restored}");
    }
    // Root's files stay root's, and the server's group can read them.
    let config = fs::metadata(server.path("config.toml")).unwrap();
    assert_eq!((config.uid(), config.gid()), (0, nobody));
}

#[test]
fn what_is_no_complete_backup_is_not_restored() {
    let operator = Operator::new();
    let refused = operator.run(&["backup", "copy"]).refused();
    assert!(
        refused.contains("no configuration and no data"),
        "{refused}"
    );
    assert!(!operator.path("copy").exists());

    fs::create_dir(operator.path("copy")).unwrap();
    let refused = operator.run(&["restore", "copy"]).refused();
    assert!(refused.contains("not a complete backup"), "{refused}");
    fs::write(operator.path("copy/backup.json"), "{}").unwrap();
    let refused = operator.run(&["restore", "copy"]).refused();
    assert!(refused.contains("cannot understand"), "{refused}");
    assert!(!operator.path("data").exists());
}
