//! `landfall backup`, and a server that is set up from what it wrote.

use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};

use crate::common::{STEP, TestServer, USER, against_openssh, run_ok};

#[test]
fn a_copy_of_a_running_server_makes_the_same_server() {
    if against_openssh() {
        return;
    }
    let mut server = TestServer::start();
    fs::write(server.local("up"), [7; 5000]).unwrap();
    run_ok(&mut server.sftp_batch(&[], "put up\n"), STEP);
    let told = server.admin(&["backup", "copy"], "").accepted();
    assert!(told.contains("copy"), "{told}");
    let modes = |name: &str| fs::metadata(server.path(name)).unwrap().mode() & 0o777;
    assert_eq!(modes("copy"), 0o700);
    for file in ["copy/landfall.db", "copy/config.toml", "copy/keys"] {
        assert_eq!(modes(file) & 0o077, 0, "{file}");
    }
    // It does not write over an older one.
    let refused = server.admin(&["backup", "copy"], "").refused();
    assert!(refused.contains("File exists"), "{refused}");

    // The disk is lost, but for the homes, which are copied in another way.
    server.stop();
    for lost in ["keys", "data", "config.toml"] {
        fs::rename(server.path(lost), server.path(&format!("lost-{lost}"))).unwrap();
    }
    fs::create_dir(server.path("data")).unwrap();
    fs::set_permissions(server.path("data"), fs::Permissions::from_mode(0o700)).unwrap();
    fs::rename(server.path("lost-data/homes"), server.path("data/homes")).unwrap();
    fs::rename(
        server.path("copy/landfall.db"),
        server.path("data/landfall.db"),
    )
    .unwrap();
    fs::rename(server.path("copy/keys"), server.path("keys")).unwrap();
    fs::rename(server.path("copy/config.toml"), server.path("config.toml")).unwrap();
    server.admin(&["quota", "recount"], "").accepted();
    server.serve();
    let key = |folder: &str| fs::read(server.path(folder).join("ssh_host_ed25519_key")).unwrap();
    assert_eq!(key("keys"), key("lost-keys"));
    // The same account and key; the file is there.
    run_ok(&mut server.sftp_batch(&[], "get up back\n"), STEP);
    assert_eq!(fs::read(server.local("back")).unwrap(), [7; 5000]);
    let shown = server
        .admin(&["quota", "show", USER, "--json"], "")
        .accepted();
    assert!(shown.contains("5000"), "{shown}");
}

#[test]
fn there_must_be_something_to_copy() {
    let operator = crate::common::operator::Operator::new();
    let refused = operator.run(&["backup", "copy"]).refused();
    assert!(refused.contains("there is no database in"), "{refused}");
    assert!(!operator.path("copy").exists());
}
