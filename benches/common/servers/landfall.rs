//! Landfall with its defaults, one account, and the same home.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::mpsc;

use anyhow::{Context, Result, bail};

use super::{PATIENCE, Peer, Server, Supervised};
use crate::common::fixture::Fixture;

/// All other keys have their defaults. One account may use half of the connections, so this leaves room for
/// the idle sessions.
const CONFIG: &str = r#"
server.listen = ["127.0.0.1:0"]
server.data = "data"
server.keys = "keys"
server.max_connections = 4000
"#;

/// Landfall with its configuration and account in a folder, so that it can be restarted.
pub(crate) struct Installed {
    peer: Peer,
    program: PathBuf,
    folder: PathBuf,
}

impl Installed {
    /// The account for all logins.
    pub(crate) const USER: &str = "bench";

    /// Sets it up.
    pub(crate) fn new(
        peer: Peer,
        program: &Path,
        fixture: &Fixture,
        folder: PathBuf,
    ) -> Result<Self> {
        let installed = Self {
            peer,
            program: program.to_path_buf(),
            folder,
        };
        let besides = match peer {
            Peer::Before => fixture.programs.builds.before_with.join("\n"),
            _ => String::new(),
        };
        fs::write(installed.config(), format!("{CONFIG}{besides}\n"))?;
        let (home, key) = (fixture.home(), fixture.client_key().with_extension("pub"));
        let mut add = Command::new(program);
        add.args(["user", "add", Self::USER, "--password-stdin", "--home"]);
        add.arg(home).arg("--key").arg(key);
        // Nobody uses the password: the clients have the key.
        installed.carry_out(add, b"not used in any login\n")?;
        Ok(installed)
    }

    /// Starts it.
    pub(crate) fn start(&self, fixture: &Fixture) -> Result<Server> {
        let mut command = Command::new(&self.program);
        command.arg("serve").arg("--config").arg(self.config());
        let mut supervised = Supervised::start(&command, &self.folder, Stdio::piped())?;
        let stdout = supervised.child.stdout.take().context("no stdout")?;

        // It prints its port on stdout, which stays open, so a thread reads it.
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
                let host_key = self.folder.join("keys/ssh_host_ed25519_key");
                let user = Self::USER.to_owned();
                Server::started(self.peer, port, user, supervised, fixture, &host_key)
            }
            Ok(Err(_)) => Err(supervised.failed("a port that is not a number")),
            Err(_) => Err(supervised.failed("it does not print its address")),
        }
    }

    /// Runs an operator's command.
    pub(crate) fn command(&self, arguments: &[&str]) -> Result<()> {
        let mut command = Command::new(&self.program);
        command.args(arguments);
        self.carry_out(command, b"")
    }

    /// The folder of its database.
    pub(crate) fn data(&self) -> PathBuf {
        self.folder.join("data")
    }

    fn config(&self) -> PathBuf {
        self.folder.join("config.toml")
    }

    fn carry_out(&self, mut command: Command, input: &[u8]) -> Result<()> {
        let mut child = command
            .arg("--config")
            .arg(self.config())
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()?;
        let mut stdin = child.stdin.take().context("no stdin")?;
        stdin.write_all(input)?;
        drop(stdin);
        let output = child.wait_with_output()?;
        if !output.status.success() {
            let arguments: Vec<_> = command.get_args().take(2).collect();
            bail!(
                "landfall {}: {}",
                arguments.join(" ".as_ref()).display(),
                String::from_utf8_lossy(&output.stderr).trim()
            );
        }
        Ok(())
    }
}
