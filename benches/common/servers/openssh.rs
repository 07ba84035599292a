//! OpenSSH's sshd as Debian sets it up (sftp-server as a program of its own), but with keys and a
//! config that are made for the run, and without PAM.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail};

use super::{Peer, Server, free_port, id};
use crate::common::client;
use crate::common::fixture::Fixture;

pub(super) fn start(program: &Path, fixture: &Fixture, folder: &Path) -> Result<Server> {
    // The user that this runs as is the one that sshd can log in.
    let user = id("-un")?;
    if user == "root" {
        // sshd started by root insists on it; Debian's service makes it at each start.
        fs::create_dir_all("/run/sshd").context("cannot make sshd's folder /run/sshd")?;
    }
    let host_key = fixture.make_key(folder.join("host_key"))?;
    fs::copy(
        fixture.client_key().with_extension("pub"),
        folder.join("authorized_keys"),
    )?;

    let config = folder.join("sshd_config");
    let (port, supervised) = free_port::start(folder, |port| {
        fs::write(&config, config_text(fixture, folder, port)?)?;
        let mut command = Command::new(program);
        command.arg("-D").arg("-e").arg("-f").arg(&config);
        Ok(command)
    })?;
    let server = Server::started(Peer::Openssh, port, user, supervised, fixture, &host_key)?;
    check_accounting(fixture, &server)?;
    Ok(server)
}

fn config_text(fixture: &Fixture, folder: &Path, port: u16) -> Result<String> {
    let home = fixture.home();
    let subsystem = match &fixture.programs.sftp_server {
        Some(program) => program.display().to_string(),
        None => "internal-sftp".to_owned(),
    };
    let mut text = String::new();
    for (key, value) in [
        ("ListenAddress", "127.0.0.1".to_owned()),
        ("Port", port.to_string()),
        ("HostKey", folder.join("host_key").display().to_string()),
        (
            "AuthorizedKeysFile",
            folder.join("authorized_keys").display().to_string(),
        ),
        ("PidFile", "none".to_owned()),
        // The folder's parents may be anybody's.
        ("StrictModes", "no".to_owned()),
        ("UsePAM", "no".to_owned()),
        ("PasswordAuthentication", "no".to_owned()),
        ("KbdInteractiveAuthentication", "no".to_owned()),
        ("PermitRootLogin", "prohibit-password".to_owned()),
        // sftp-server is started by the user's shell, and bash runs ~/.bashrc for sshd's children
        // unless it is told that it is not the first: what stands in there is not sshd's cost.
        ("SetEnv", "SHLVL=1".to_owned()),
        // By default it refuses some of many clients that log in at once.
        ("MaxStartups", "10000".to_owned()),
        (
            "Subsystem",
            format!("sftp {subsystem} -d {}", home.display()),
        ),
    ] {
        writeln!(text, "{key} {value}").context("cannot write the config")?;
    }
    Ok(text)
}

/// A load of known size beneath sshd must show up in the accounting, the part that loses its parent
/// included; else no figure of this run would mean anything.
fn check_accounting(fixture: &Fixture, server: &Server) -> Result<()> {
    const BURN: u64 = 200;
    let itself = std::env::current_exe()?;
    let burn = format!("'{}' burn {BURN}", itself.display());
    let before = server.cpu()?;
    client::run_command(
        fixture,
        server,
        &format!("({burn} </dev/null >/dev/null 2>&1 &); {burn}"),
    )?;
    let seen = server.cpu()? - before;
    // A login and a shell cost something too, and ticks are coarse.
    let expected = Duration::from_millis(2 * BURN);
    if seen + Duration::from_millis(40) < expected || seen > expected + Duration::from_millis(300) {
        bail!("CPU accounting is off: {expected:?} were used beneath sshd, {seen:?} were seen");
    }
    Ok(())
}
