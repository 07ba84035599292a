//! OpenSSH's sshd as Debian configures it (with the program sftp-server), but with keys and a configuration
//! for the run, and without PAM.

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
    // sshd can log in only the user that runs it.
    let user = id("-un")?;
    if user == "root" {
        // sshd needs it when root starts it; Debian's service creates it at each start.
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
        // The folder's parents may belong to anybody.
        ("StrictModes", "no".to_owned()),
        ("UsePAM", "no".to_owned()),
        ("PasswordAuthentication", "no".to_owned()),
        ("KbdInteractiveAuthentication", "no".to_owned()),
        ("PermitRootLogin", "prohibit-password".to_owned()),
        // The user's shell starts sftp-server, and bash runs ~/.bashrc for sshd's children unless SHLVL
        // says that it is not the first shell: the cost of that file is not sshd's.
        ("SetEnv", "SHLVL=1".to_owned()),
        // By default it refuses some of many concurrent logins.
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

/// Checks that a load of known size below sshd is counted, including the part that loses its parent;
/// otherwise no figure of this run would mean anything.
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
    // A login and a shell also cost something, and ticks are coarse.
    let expected = Duration::from_millis(2 * BURN);
    if seen + Duration::from_millis(40) < expected || seen > expected + Duration::from_millis(300) {
        bail!("CPU accounting is off: {expected:?} were used beneath sshd, {seen:?} were seen");
    }
    Ok(())
}
