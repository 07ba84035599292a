//! OpenSSH's sshd as Debian sets it up (sftp-server as a program of its own), but with keys and a
//! config that are made for the run, and without PAM.

use std::fmt::Write as _;
use std::fs;
use std::io::Read;
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use super::{PATIENCE, Peer, Server, Supervised};
use crate::client;
use crate::fixture::Fixture;

/// Tries to find a free port: sshd cannot choose one itself, and another may take it first.
const TRIES: usize = 5;

pub(super) fn start(fixture: &Fixture, folder: &Path) -> Result<Server> {
    let user = whoami()?;
    if user == "root" {
        // sshd started by root insists on it; Debian's service makes it at each start.
        fs::create_dir_all("/run/sshd").context("cannot make sshd's folder /run/sshd")?;
    }
    let host_key = fixture.make_key(folder.join("host_key"))?;
    fs::copy(
        fixture.client_key().with_extension("pub"),
        folder.join("authorized_keys"),
    )?;

    let mut tries = 0;
    loop {
        tries += 1;
        let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?
            .local_addr()?
            .port();
        let config = folder.join("sshd_config");
        fs::write(&config, config_text(fixture, folder, port)?)?;
        let mut command = Command::new(&fixture.programs.sshd);
        command.arg("-D").arg("-e").arg("-f").arg(&config);
        let mut supervised = Supervised::start(&command, folder, Stdio::null())?;
        match wait_until_it_answers(port, &mut supervised) {
            Ok(()) => {
                // The connection that asked for an answer has a process of its own to the end.
                std::thread::sleep(Duration::from_millis(100));
                let server =
                    Server::started(Peer::Openssh, port, user, supervised, fixture, &host_key)?;
                check_accounting(fixture, &server)?;
                return Ok(server);
            }
            Err(error) if tries == TRIES => return Err(supervised.failed(&error.to_string())),
            Err(_) => drop(supervised.failed("")),
        }
    }
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

fn wait_until_it_answers(port: u16, supervised: &mut Supervised) -> Result<()> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Ok(mut stream) = TcpStream::connect((Ipv4Addr::LOCALHOST, port)) {
            stream.set_read_timeout(Some(PATIENCE))?;
            let mut banner = [0; 4];
            stream
                .read_exact(&mut banner)
                .context("sshd says nothing")?;
            return if &banner == b"SSH-" {
                Ok(())
            } else {
                bail!("port {port} is not sshd's")
            };
        }
        if supervised.child.try_wait()?.is_some() {
            bail!("sshd ended at once");
        }
        if Instant::now() > deadline {
            bail!("sshd does not listen");
        }
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// The user that this runs as, and so the one that sshd can log in.
fn whoami() -> Result<String> {
    let output = Command::new("id")
        .arg("-un")
        .stdin(Stdio::null())
        .output()?;
    Ok(String::from_utf8(output.stdout)
        .context("a user name that is not text")?
        .trim()
        .to_owned())
}
