//! The programs that a run needs.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Result, bail};

use super::Peer;

/// `benches/peers` builds programs into this folder.
const PEERS: &str = concat!(env!("CARGO_TARGET_TMPDIR"), "/../peers");

/// The builds of Landfall that take part.
#[derive(Debug, Clone)]
pub(crate) struct Builds {
    pub(crate) landfall: PathBuf,
    /// The other build.
    pub(crate) before: Option<PathBuf>,
    /// Additional lines of its configuration.
    pub(crate) before_with: Vec<String>,
}

/// The paths of the programs.
#[derive(Debug, Clone)]
pub(crate) struct Programs {
    pub(crate) ssh: PathBuf,
    pub(crate) sftp: PathBuf,
    pub(crate) scp: PathBuf,
    pub(crate) ssh_keygen: PathBuf,
    pub(crate) sshd: PathBuf,
    /// `None`: sshd's internal one.
    pub(crate) sftp_server: Option<PathBuf>,
    pub(crate) builds: Builds,
    /// Further servers, if they are installed.
    rclone: Option<PathBuf>,
    proftpd: Option<PathBuf>,
    sftpgo: Option<PathBuf>,
}

impl Programs {
    /// Finds the programs, or lists all missing ones that every run needs.
    pub(crate) fn find(builds: &Builds) -> Result<Self> {
        let mut missing = Vec::new();
        let mut need = |name: &str| {
            find(name).unwrap_or_else(|| {
                missing.push(name.to_owned());
                PathBuf::new()
            })
        };
        let programs = Self {
            ssh: need("ssh"),
            sftp: need("sftp"),
            scp: need("scp"),
            ssh_keygen: need("ssh-keygen"),
            sshd: need("sshd"),
            sftp_server: [
                "/usr/lib/openssh/sftp-server",
                "/usr/libexec/openssh/sftp-server",
                "/usr/lib/ssh/sftp-server",
            ]
            .map(PathBuf::from)
            .into_iter()
            .find(|file| file.is_file()),
            builds: builds.clone(),
            rclone: find("rclone"),
            proftpd: find("proftpd"),
            sftpgo: find("sftpgo"),
        };
        for landfall in [&builds.landfall].into_iter().chain(&builds.before) {
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

    /// The program of a server, if it is installed.
    pub(crate) fn server(&self, peer: Peer) -> Option<&Path> {
        match peer {
            Peer::Openssh => Some(&self.sshd),
            Peer::Before => Some(self.builds.before.as_ref().unwrap_or(&self.builds.landfall)),
            Peer::Landfall => Some(&self.builds.landfall),
            Peer::Rclone => self.rclone.as_deref(),
            Peer::Proftpd => self.proftpd.as_deref(),
            Peer::Sftpgo => self.sftpgo.as_deref(),
        }
    }

    /// A server's version, from the first line of its own output.
    pub(crate) fn version(&self, peer: Peer) -> String {
        let (program, argument) = match peer {
            // Debian's sshd has no option for it; the client comes from the same source.
            Peer::Openssh => (Some(self.ssh.as_path()), "-V"),
            Peer::Before | Peer::Landfall | Peer::Sftpgo => (self.server(peer), "--version"),
            Peer::Rclone => (self.server(peer), "version"),
            Peer::Proftpd => (self.server(peer), "-v"),
        };
        let Some(program) = program else {
            return "not here".to_owned();
        };
        let output = Command::new(program)
            .arg(argument)
            .stdin(Stdio::null())
            .output();
        match output {
            Ok(output) => {
                let said = [output.stdout, output.stderr].concat();
                let said = String::from_utf8_lossy(&said);
                let line = said.lines().next().unwrap_or_default();
                // SFTPGo also lists its build options.
                let (version, _) = line.split_once(" +").unwrap_or((line, ""));
                version.trim().to_owned()
            }
            Err(error) => error.to_string(),
        }
    }
}

fn find(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    // Debian installs daemons outside a user's PATH.
    let folders = [PEERS]
        .map(PathBuf::from)
        .into_iter()
        .chain(std::env::split_paths(&path))
        .chain(["/usr/sbin", "/usr/local/sbin"].map(PathBuf::from));
    folders
        .map(|folder| folder.join(name))
        .find(|file| file.is_file())
}
