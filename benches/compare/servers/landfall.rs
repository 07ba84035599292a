//! Landfall with its defaults, one account, and the same home.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::mpsc;

use anyhow::{Context, Result, bail};

use super::{PATIENCE, Peer, Server, Supervised};
use crate::fixture::Fixture;

const USER: &str = "bench";

/// Every other key has its default.
const CONFIG: &str =
    "server.listen = [\"127.0.0.1:0\"]\nserver.data = \"data\"\nserver.keys = \"keys\"\n";

pub(super) fn start(
    peer: Peer,
    program: &Path,
    fixture: &Fixture,
    folder: &Path,
) -> Result<Server> {
    let config = folder.join("config.toml");
    let besides = match peer {
        Peer::Before => fixture.programs.before_with.join("\n"),
        _ => String::new(),
    };
    fs::write(&config, format!("{CONFIG}{besides}\n"))?;
    add_user(program, fixture, &config)?;

    let mut command = Command::new(program);
    command.arg("serve").arg("--config").arg(&config);
    let mut supervised = Supervised::start(&command, folder, Stdio::piped())?;
    let stdout = supervised.child.stdout.take().context("no stdout")?;

    // It says where it listens on its stdout, which stays open: so read on the side.
    let (found, port) = mpsc::channel();
    std::thread::spawn(move || {
        for line in BufReader::new(stdout).lines().map_while(Result::ok) {
            if let Some(port) = line.strip_prefix("Listening on 127.0.0.1:") {
                let _ = found.send(port.trim().parse::<u16>());
            }
        }
    });
    match port.recv_timeout(PATIENCE) {
        Ok(Ok(port)) => {
            let host_key = folder.join("keys/ssh_host_ed25519_key");
            Server::started(peer, port, USER.to_owned(), supervised, fixture, &host_key)
        }
        Ok(Err(_)) => Err(supervised.failed("a port that is no number")),
        Err(_) => Err(supervised.failed("it does not say where it listens")),
    }
}

fn add_user(program: &Path, fixture: &Fixture, config: &Path) -> Result<()> {
    let mut child = Command::new(program)
        .args(["user", "add", USER, "--password-stdin", "--config"])
        .arg(config)
        .arg("--home")
        .arg(fixture.home())
        .arg("--key")
        .arg(fixture.client_key().with_extension("pub"))
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()?;
    // Nobody logs in with it: the clients have the key.
    child
        .stdin
        .take()
        .context("no stdin")?
        .write_all(b"not used in any login\n")?;
    let output = child.wait_with_output()?;
    if !output.status.success() {
        bail!(
            "landfall user add: {}",
            String::from_utf8_lossy(&output.stderr).trim()
        );
    }
    Ok(())
}
