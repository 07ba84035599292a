//! The servers that are compared, each started with what it needs on a port of its own.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use clap::ValueEnum;
use rustix::process::{Pid, Signal, kill_process};

use crate::args::Arguments;
use crate::fixture::Fixture;
use crate::processes::{Memory, Tree};

mod landfall;
mod openssh;

/// How long a server may take to accept connections, or to let go of what has ended.
const PATIENCE: Duration = Duration::from_secs(15);

/// A server that can be measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Peer {
    /// OpenSSH's sshd with sftp-server: what the others are held against.
    Openssh,
    /// Another build of Landfall, or the same with other settings.
    Before,
    /// Landfall.
    Landfall,
}

impl Peer {
    /// All of them; the first that takes part is what the others are held against.
    pub(crate) const ALL: [Self; 3] = [Self::Openssh, Self::Before, Self::Landfall];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Openssh => "OpenSSH",
            Self::Before => "Before",
            Self::Landfall => "Landfall",
        }
    }

    /// Starts the server; it ends when the value is dropped.
    pub(crate) fn start(self, fixture: &Fixture) -> Result<Server> {
        let folder = fixture.server_folder(self.name())?;
        match self {
            Self::Openssh => openssh::start(fixture, &folder),
            Self::Before | Self::Landfall => landfall::start(self, fixture, &folder),
        }
        .with_context(|| format!("cannot start {}", self.name()))
    }
}

/// The programs of this machine that a run needs.
#[derive(Debug, Clone)]
pub(crate) struct Programs {
    pub(crate) ssh: PathBuf,
    pub(crate) sftp: PathBuf,
    pub(crate) scp: PathBuf,
    pub(crate) ssh_keygen: PathBuf,
    pub(crate) sshd: PathBuf,
    /// `None`: sshd's internal one.
    pub(crate) sftp_server: Option<PathBuf>,
    pub(crate) landfall: PathBuf,
    /// Another build of Landfall.
    pub(crate) before: Option<PathBuf>,
    /// What its config has besides.
    pub(crate) before_with: Vec<String>,
}

impl Programs {
    /// Finds them, or says all that is missing.
    pub(crate) fn find(arguments: &Arguments) -> Result<Self> {
        let mut missing = Vec::new();
        let mut find = |name: &str| {
            let path = std::env::var_os("PATH").unwrap_or_default();
            // Debian keeps sshd where a user's PATH does not look.
            let folders = std::env::split_paths(&path)
                .chain(["/usr/sbin", "/usr/local/sbin"].map(PathBuf::from));
            folders
                .map(|folder| folder.join(name))
                .find(|file| file.is_file())
                .unwrap_or_else(|| {
                    missing.push(name.to_owned());
                    PathBuf::new()
                })
        };
        let programs = Self {
            ssh: find("ssh"),
            sftp: find("sftp"),
            scp: find("scp"),
            ssh_keygen: find("ssh-keygen"),
            sshd: find("sshd"),
            sftp_server: [
                "/usr/lib/openssh/sftp-server",
                "/usr/libexec/openssh/sftp-server",
                "/usr/lib/ssh/sftp-server",
            ]
            .map(PathBuf::from)
            .into_iter()
            .find(|file| file.is_file()),
            landfall: arguments.landfall.clone(),
            before: arguments.before.clone(),
            before_with: arguments.before_with.clone(),
        };
        for landfall in [&programs.landfall].into_iter().chain(&programs.before) {
            if !landfall.is_file() {
                missing.push(landfall.display().to_string());
            }
        }
        if missing.is_empty() {
            return Ok(programs);
        }
        bail!(
            "missing: {} (on Debian: apt-get install openssh-client openssh-server)",
            missing.join(", ")
        )
    }

    /// OpenSSH's version, as `ssh -V` says it.
    pub(crate) fn version(&self) -> String {
        let output = Command::new(&self.ssh)
            .arg("-V")
            .stdin(Stdio::null())
            .output();
        output.map_or_else(
            |error| error.to_string(),
            |output| String::from_utf8_lossy(&output.stderr).trim().to_owned(),
        )
    }
}

/// A running server, beneath a supervisor that owns all its processes.
pub(crate) struct Server {
    pub(crate) peer: Peer,
    pub(crate) port: u16,
    pub(crate) user: String,
    supervisor: Child,
    log: PathBuf,
    /// Processes that it has when nobody is connected.
    at_rest: usize,
}

impl Server {
    /// Is called when the server accepts connections and has none.
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
        let mut known = fs::OpenOptions::new()
            .append(true)
            .open(fixture.known_hosts())?;
        writeln!(known, "[127.0.0.1]:{port} {}", public.trim())?;
        let Supervised { child, log } = supervised;
        let at_rest = Tree::below(child.id())?.running().len();
        Ok(Self {
            peer,
            port,
            user,
            supervisor: child,
            log,
            at_rest,
        })
    }

    /// CPU time of all its processes since it started, those that have ended included. Waits until
    /// the sessions have ended, so that what ending them costs is in.
    pub(crate) fn cpu(&self) -> Result<Duration> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let tree = Tree::below(self.supervisor.id())?;
            if tree.running().len() <= self.at_rest {
                // A server of one process shows no sign of it: give it the moment.
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

    /// Memory of all its processes.
    pub(crate) fn memory(&self) -> Result<Memory> {
        Tree::below(self.supervisor.id())?.memory()
    }

    /// The end of its log, for the story of a failure.
    pub(crate) fn last_words(&self) -> String {
        tail(&self.log)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        stop(&mut self.supervisor);
    }
}

/// A program that was started beneath a supervisor.
struct Supervised {
    child: Child,
    log: PathBuf,
}

impl Supervised {
    /// Starts it, with its log (stderr) in the folder.
    fn start(command: &Command, folder: &Path, stdout: Stdio) -> Result<Self> {
        let log = folder.join("log");
        let mut supervisor = Command::new(std::env::current_exe()?);
        supervisor
            .arg("supervise")
            .arg("--")
            .arg(command.get_program())
            .args(command.get_args());
        let child = supervisor
            .stdin(Stdio::null())
            .stdout(stdout)
            .stderr(fs::File::create(&log)?)
            .spawn()?;
        Ok(Self { child, log })
    }

    /// It did not come up: ends it and says why.
    fn failed(mut self, what: &str) -> anyhow::Error {
        stop(&mut self.child);
        anyhow::anyhow!("{what}\n{}", tail(&self.log))
    }
}

/// Lets a supervisor end all that it owns, and waits for it.
fn stop(supervisor: &mut Child) {
    if let Ok(None) = supervisor.try_wait()
        && let Some(pid) = i32::try_from(supervisor.id()).ok().and_then(Pid::from_raw)
    {
        let _ = kill_process(pid, Signal::TERM);
    }
    let _ = supervisor.wait();
}

fn tail(log: &Path) -> String {
    let text = fs::read_to_string(log).unwrap_or_default();
    let lines: Vec<&str> = text.lines().collect();
    lines
        .get(lines.len().saturating_sub(20)..)
        .unwrap_or_default()
        .join("\n")
}
