//! ProFTPD with mod_sftp, configured as in Debian's proftpd.conf and sftp.conf, for one virtual user with a
//! key.

use std::fmt::Write as _;
use std::fs;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, bail};

use super::{Peer, Server, free_port, id};
use crate::common::fixture::Fixture;

const USER: &str = "bench";

pub(super) fn start(program: &Path, fixture: &Fixture, folder: &Path) -> Result<Server> {
    let host_key = fixture.make_key(folder.join("host_key"))?;
    add_user(fixture, folder)?;
    let config = folder.join("proftpd.conf");
    let (port, supervised) = free_port::start(folder, |port| {
        fs::write(&config, config_text(folder, port)?)?;
        let mut command = Command::new(program);
        command.arg("--nodaemon").arg("--config").arg(&config);
        Ok(command)
    })?;
    let user = USER.to_owned();
    Server::started(Peer::Proftpd, port, user, supervised, fixture, &host_key)
}

/// Adds a user with the rights of the current user, the same home, and no password.
fn add_user(fixture: &Fixture, folder: &Path) -> Result<()> {
    let (uid, gid) = (id("-u")?, id("-g")?);
    let home = fixture.home();
    // It refuses a file that others can read.
    let mut users = fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(folder.join("users"))?;
    writeln!(users, "{USER}:*:{uid}:{gid}::{}:/bin/sh", home.display())?;

    // It needs the format of RFC 4716.
    let output = Command::new(&fixture.programs.ssh_keygen)
        .arg("-e")
        .arg("-f")
        .arg(fixture.client_key().with_extension("pub"))
        .output()
        .context("cannot run ssh-keygen")?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        bail!("ssh-keygen: {}", said.trim());
    }
    Ok(fs::write(folder.join("authorized_keys"), output.stdout)?)
}

fn config_text(folder: &Path, port: u16) -> Result<String> {
    let file = |name: &str| folder.join(name).display().to_string();
    let user = id("-un")?;
    let mut text = String::new();
    for (key, value) in [
        // Debian loads about thirty more, which an SFTP session does not use.
        ("LoadModule", "mod_sftp.c".to_owned()),
        ("ServerName", "compare".to_owned()),
        ("ServerType", "standalone".to_owned()),
        ("DefaultAddress", "127.0.0.1".to_owned()),
        ("SocketBindTight", "on".to_owned()),
        ("Port", port.to_string()),
        ("UseIPv6", "off".to_owned()),
        ("User", user.clone()),
        ("Group", id("-gn")?),
        // The user may be root, as with OpenSSH.
        (
            "RootLogin",
            if user == "root" { "on" } else { "off" }.to_owned(),
        ),
        ("AuthOrder", "mod_auth_file.c".to_owned()),
        ("AuthUserFile", file("users")),
        ("RequireValidShell", "off".to_owned()),
        ("AllowOverwrite", "on".to_owned()),
        // Debian's 30 would refuse the idle sessions.
        ("MaxInstances", "none".to_owned()),
        // Both logs as in Debian, but not the machine's own wtmp.
        ("SystemLog", file("proftpd.log")),
        ("TransferLog", file("xferlog")),
        ("WtmpLog", "off".to_owned()),
        ("PidFile", file("pid")),
        ("ScoreboardFile", file("scoreboard")),
        ("DelayTable", file("delay")),
        ("SFTPEngine", "on".to_owned()),
        ("SFTPHostKey", file("host_key")),
        ("SFTPAuthMethods", "publickey".to_owned()),
        (
            "SFTPAuthorizedUserKeys",
            format!("file:{}", file("authorized_keys")),
        ),
        // No client asks for compression; this makes sure.
        ("SFTPCompression", "off".to_owned()),
    ] {
        writeln!(text, "{key} {value}").context("cannot write the config")?;
    }
    Ok(text)
}
