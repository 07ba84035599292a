//! The servers to measure; each is started on a port of its own.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use clap::ValueEnum;
use rustix::process::{Pid, Signal, kill_process};

use crate::common::client::{AES, Cipher};
use crate::common::fixture::Fixture;
use crate::common::processes::{Memory, Tree};

pub(crate) use landfall::Installed;
pub(crate) use programs::{Builds, Programs};

mod free_port;
mod landfall;
mod openssh;
mod proftpd;
mod programs;
mod rclone;
mod sftpgo;

/// The maximum time for a server to accept connections, or to release ended ones.
const PATIENCE: Duration = Duration::from_secs(15);

/// A server that can be measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Peer {
    /// OpenSSH's sshd with sftp-server: the reference.
    Openssh,
    /// Another build of Landfall, or the same build with other settings.
    Before,
    /// Landfall.
    Landfall,
    /// `rclone serve sftp`.
    Rclone,
    /// ProFTPD with mod_sftp.
    Proftpd,
    /// SFTPGo.
    Sftpgo,
}

/// What a workload may need of a server besides SFTP.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ability {
    /// The cipher chacha20-poly1305.
    ChaCha,
    /// scp's older protocol.
    Scp,
    /// The command sha256sum.
    Sha256sum,
}

impl Peer {
    /// All servers; the first that takes part is the reference.
    pub(crate) const ALL: [Self; 6] = [
        Self::Openssh,
        Self::Before,
        Self::Landfall,
        Self::Rclone,
        Self::Proftpd,
        Self::Sftpgo,
    ];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Openssh => "OpenSSH",
            Self::Before => "Before",
            Self::Landfall => "Landfall",
            Self::Rclone => "rclone",
            Self::Proftpd => "ProFTPD",
            Self::Sftpgo => "SFTPGo",
        }
    }

    /// Returns whether it takes part only on request.
    pub(crate) fn is_further(self) -> bool {
        match self {
            Self::Openssh | Self::Before | Self::Landfall => false,
            Self::Rclone | Self::Proftpd | Self::Sftpgo => true,
        }
    }

    /// The abilities that it lacks; such workloads are skipped.
    fn lacks(self) -> &'static [Ability] {
        match self {
            Self::Openssh | Self::Before | Self::Landfall | Self::Sftpgo => &[],
            // 1.60: md5sum and sha1sum only.
            Self::Rclone => &[Ability::Scp, Ability::Sha256sum],
            // 1.3.8: no such cipher, and no command but scp.
            Self::Proftpd => &[Ability::ChaCha, Ability::Sha256sum],
        }
    }

    /// Returns whether it can run a workload that needs this.
    pub(crate) fn can(self, need: Option<Ability>) -> bool {
        need.is_none_or(|ability| !self.lacks().contains(&ability))
    }

    /// The cipher to use where the others have the wanted one.
    pub(crate) fn cipher(self, wanted: Cipher) -> Cipher {
        match self {
            // Debian's 1.60 supports no longer key; the shorter one is less work.
            Self::Rclone if wanted == AES => "aes128-gcm@openssh.com",
            _ => wanted,
        }
    }

    /// Starts the server; it ends when the value is dropped.
    pub(crate) fn start(self, fixture: &Fixture) -> Result<Server> {
        let folder = fixture.server_folder(self.name())?;
        let program = fixture.programs.server(self);
        let program = program.with_context(|| format!("{} is not installed", self.name()))?;
        match self {
            Self::Openssh => openssh::start(program, fixture, &folder),
            Self::Before | Self::Landfall => {
                Installed::new(self, program, fixture, folder).and_then(|it| it.start(fixture))
            }
            Self::Rclone => rclone::start(program, fixture, &folder),
            Self::Proftpd => proftpd::start(program, fixture, &folder),
            Self::Sftpgo => sftpgo::start(program, fixture, &folder),
        }
        .with_context(|| format!("cannot start {}", self.name()))
    }
}

/// A running server below a supervisor that owns all its processes.
pub(crate) struct Server {
    pub(crate) peer: Peer,
    pub(crate) port: u16,
    pub(crate) user: String,
    /// Its public part.
    host_key: String,
    supervisor: Child,
    log: PathBuf,
    /// The number of its processes while nobody is connected.
    at_rest: usize,
}

impl Server {
    /// Called when the server accepts connections and has none.
    fn started(
        peer: Peer,
        port: u16,
        user: String,
        supervised: Supervised,
        fixture: &Fixture,
        host_key: &Path,
    ) -> Result<Self> {
        let public = host_key.with_extension("pub");
        let public = fs::read_to_string(&public)
            .with_context(|| format!("cannot read the host key {}", public.display()))?;
        let Supervised { child, log } = supervised;
        let at_rest = Tree::below(child.id())?.running().len();
        let server = Self {
            peer,
            port,
            user,
            host_key: public.trim().to_owned(),
            supervisor: child,
            log,
            at_rest,
        };
        server.make_known(fixture, port)?;
        Ok(server)
    }

    /// Adds the server's host key to known_hosts for a port: its own, or a proxy's.
    pub(crate) fn make_known(&self, fixture: &Fixture, port: u16) -> Result<()> {
        let mut known = fs::OpenOptions::new()
            .append(true)
            .open(fixture.known_hosts())?;
        Ok(writeln!(known, "[127.0.0.1]:{port} {}", self.host_key)?)
    }

    /// CPU time of all its processes since the start, ended ones included. Waits until the sessions have
    /// ended, so that closing them is counted.
    pub(crate) fn cpu(&self) -> Result<Duration> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let tree = Tree::below(self.supervisor.id())?;
            if tree.running().len() <= self.at_rest {
                // A server with a single process does not show it: wait a moment.
                std::thread::sleep(Duration::from_millis(20));
                return Ok(Tree::below(self.supervisor.id())?.cpu());
            }
            if Instant::now() > deadline {
                bail!(
                    "{}: processes of ended sessions still run",
                    self.peer.name()
                );
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// The same while sessions are open.
    pub(crate) fn cpu_so_far(&self) -> Result<Duration> {
        Ok(Tree::below(self.supervisor.id())?.cpu())
    }

    /// Memory of all its processes.
    pub(crate) fn memory(&self) -> Result<Memory> {
        Tree::below(self.supervisor.id())?.memory()
    }

    /// The end of its log, for error messages.
    pub(crate) fn last_words(&self) -> String {
        tail(&self.log)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        stop(&mut self.supervisor);
    }
}

/// A program below a supervisor.
struct Supervised {
    child: Child,
    log: PathBuf,
}

impl Supervised {
    /// Starts it; its log (stderr) is in the folder.
    fn start(command: &Command, folder: &Path, stdout: Stdio) -> Result<Self> {
        let log = log_in(folder);
        let mut supervisor = Command::new(std::env::current_exe()?);
        supervisor
            .arg("supervise")
            .arg("--")
            .arg(command.get_program())
            .args(command.get_args());
        let child = supervisor
            .stdin(Stdio::null())
            .stdout(stdout)
            .stderr(appended(&log)?)
            .spawn()?;
        Ok(Self { child, log })
    }

    /// Ends a program that did not start, and returns the reason.
    fn failed(mut self, what: &str) -> anyhow::Error {
        stop(&mut self.child);
        anyhow::anyhow!("{what}\n{}", tail(&self.log))
    }
}

/// Makes a supervisor end all its processes, and waits for it.
fn stop(supervisor: &mut Child) {
    if let Ok(None) = supervisor.try_wait()
        && let Some(pid) = i32::try_from(supervisor.id()).ok().and_then(Pid::from_raw)
    {
        let _ = kill_process(pid, Signal::TERM);
    }
    let _ = supervisor.wait();
}

/// The path of a server's log.
fn log_in(folder: &Path) -> PathBuf {
    folder.join("log")
}

/// Several processes may write to it.
fn appended(log: &Path) -> Result<fs::File> {
    Ok(fs::File::options().create(true).append(true).open(log)?)
}

fn tail(log: &Path) -> String {
    let text = fs::read_to_string(log).unwrap_or_default();
    let lines: Vec<&str> = text.lines().collect();
    lines
        .get(lines.len().saturating_sub(20)..)
        .unwrap_or_default()
        .join("\n")
}

/// The output of `id` for the current user.
fn id(what: &str) -> Result<String> {
    let output = Command::new("id").arg(what).stdin(Stdio::null()).output()?;
    let text = String::from_utf8(output.stdout).context("a name that is not text")?;
    Ok(text.trim().to_owned())
}
