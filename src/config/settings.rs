//! The checked configuration: every value is valid, every path absolute.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use super::fault::{Faults, Spot};
use super::find::{DEFAULT_FILE, INSTALLED_FILE};
use crate::accounts::{
    AccountOptions, DeclaredUser, GuestOptions, LoginOptions, RefusedUsers, UserName,
};
use crate::admission;
use crate::observe::audit::{LogRotation, Policy, Trail};
use crate::observe::log::LogFormat;
use crate::rules::{Bandwidth, Network};

/// A config in which every value is valid and every path is absolute.
#[derive(Debug, Clone, Default)]
pub struct Config {
    /// The file that it was read from; `None` if there was none and every setting has its default.
    pub file: Option<PathBuf>,
    /// The current folder is what decided: its config.toml is used, or, where there is no config at all, the
    /// defaults with the folders beside it.
    pub is_found_here: bool,
    /// Where and how to listen.
    pub server: ServerSettings,
    /// Which connections are taken, and which sources are kept out.
    pub admission: admission::AdmissionSettings,
    /// Who may come in, and at what cost.
    pub login: LoginOptions,
    /// Algorithms, and how long keys are used.
    pub ssh: SshSettings,
    /// What the server may touch.
    pub sandbox: SandboxSettings,
    /// The guest, who needs no password.
    pub guest: GuestOptions,
    /// Limits of an SFTP session.
    pub sftp: SftpSettings,
    /// How files are overwritten and closed.
    pub uploads: UploadSettings,
    /// What goes to the log.
    pub log: LogSettings,
    /// The trail of who did what.
    pub audit: AuditSettings,
    /// Numbers for Prometheus.
    pub metrics: MetricsSettings,
    /// How fast files may move, all together.
    pub bandwidth: Bandwidth,
    /// The users that stand in it.
    pub users: Vec<DeclaredUser>,
    /// Where they stand.
    pub(super) user_spots: HashMap<UserName, Spot>,
    /// Every key with its value as it stands in the file, or its default.
    pub(super) values: HashMap<(&'static str, &'static str), String>,
}

impl Config {
    /// Returns all that accounts need of it.
    pub fn accounts(&self) -> AccountOptions<'_> {
        AccountOptions {
            data: &self.server.data,
            keys: &self.server.keys,
            login: &self.login,
            guest: &self.guest,
            users: &self.users,
        }
    }

    /// Returns the place of a declared user in the file.
    pub fn spot_of(&self, user: &UserName) -> Option<&Spot> {
        self.user_spots.get(user)
    }

    /// Gives refused users their places in the file; any other error stays as it is.
    pub fn with_places(&self, failure: anyhow::Error) -> anyhow::Error {
        match failure.downcast::<RefusedUsers>() {
            Ok(RefusedUsers(refused)) => {
                let placed = refused
                    .into_iter()
                    .map(|(name, reason)| (self.user_spots.get(&name), reason));
                Faults::of(placed).into()
            }
            Err(failure) => failure,
        }
    }

    /// The audit trail, wherever the state is.
    pub fn trail(&self) -> Trail {
        Trail::new(&self.server.data, self.audit.rotation)
    }

    /// The config file as an absolute path; without one, that there is none.
    pub fn shown_file(&self) -> String {
        match &self.file {
            Some(file) => {
                let absolute = std::path::absolute(file);
                absolute.as_ref().unwrap_or(file).display().to_string()
            }
            None => format!("none (neither {DEFAULT_FILE} here nor {INSTALLED_FILE})"),
        }
    }
}

/// `[server]`
#[derive(Debug, Clone, Default)]
pub struct ServerSettings {
    /// Addresses to listen on; port 0 lets the system choose.
    pub listen: Vec<SocketAddr>,
    /// All state: the database and the homes.
    pub data: PathBuf,
    /// The host keys.
    pub keys: PathBuf,
    /// Threads that serve connections; 0 in the file means one for each core.
    pub shards: usize,
    /// Connections at once, logged in or not.
    pub max_connections: usize,
    /// Bytes of memory beyond which connections are accepted slowly; without it, what the system lets the
    /// process have.
    pub max_memory: Option<u64>,
    /// Where balancers are, who say by the PROXY protocol for whom they connect.
    pub proxies: Arc<[Network]>,
    /// Time that transfers have to come to their end once the server is to stop.
    pub stop_grace: Duration,
}

/// Which algorithms are offered; each setting includes those before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub enum Algorithms {
    #[default]
    /// Nothing that ssh-audit finds fault with, but that curve25519 is not post-quantum.
    Modern,
    /// Also what hosts in FIPS mode and libraries without curve25519 need; no SHA-1 and no CBC.
    Compatible,
    /// Also SHA-1, CBC and ssh-rsa.
    Legacy,
}

impl Algorithms {
    /// All, the least permissive first.
    pub const ALL: [Self; 3] = [Self::Modern, Self::Compatible, Self::Legacy];

    /// Its value in the config.
    pub fn name(self) -> &'static str {
        match self {
            Self::Modern => "modern",
            Self::Compatible => "compatible",
            Self::Legacy => "legacy",
        }
    }
}

/// For an operator whose config still has `legacy = true`.
pub const LEGACY_IS_DEPRECATED: &str =
    "ssh.legacy is deprecated: write algorithms = \"legacy\" instead of legacy = true";

/// `[ssh]`
#[derive(Debug, Clone, Default)]
pub struct SshSettings {
    /// What is offered.
    pub algorithms: Algorithms,
    /// The former name of [`Algorithms::Legacy`].
    pub legacy: bool,
    /// Are key exchanges refused that a quantum computer could open later?
    pub post_quantum_only: bool,
    /// Bytes in one direction after which keys are exchanged again.
    pub rekey_bytes: usize,
    /// Time after which they are.
    pub rekey_time: Duration,
    /// Time without a word from a peer after which it is asked for one.
    pub keepalive: Duration,
    /// Are clients waited for awake that send each request right after a reply?
    pub busy_poll: bool,
}

/// `[sandbox]`
#[derive(Debug, Clone, Default)]
pub struct SandboxSettings {
    /// Does the kernel let the server touch its own files and homes alone?
    pub landlock: bool,
    /// Does the kernel refuse system calls that a file server does not need?
    pub seccomp: bool,
    /// Folders in which homes may be added while it runs, beside data.
    pub homes: Vec<PathBuf>,
}

/// `[sftp]`
#[derive(Debug, Clone, Default)]
pub struct SftpSettings {
    /// Files and directories that one SFTP session may hold open.
    pub max_handles: usize,
    /// Channels (SFTP sessions and commands) that one connection may hold open.
    pub max_channels: usize,
    /// Requests in a second, of all sessions of an account together.
    pub requests_per_second: Option<u64>,
    /// Permission bits that new files and directories do not get.
    pub umask: u32,
}

/// `[uploads]`
#[derive(Debug, Clone, Default)]
pub struct UploadSettings {
    /// Does an old file stay until the new one is there as a whole? An account can differ.
    pub safe_overwrite: bool,
    /// Is what was written durable when a file is closed?
    pub fsync_on_close: bool,
    /// Age at which what a crash left of safe overwrites is removed.
    pub sweep_after: Duration,
}

/// `[log]`
#[derive(Debug, Clone)]
pub struct LogSettings {
    /// Least severe level that is logged.
    pub level: tracing::Level,
    /// How, and where to.
    pub format: LogFormat,
}

impl Default for LogSettings {
    fn default() -> Self {
        Self {
            level: tracing::Level::INFO,
            format: LogFormat::default(),
        }
    }
}

/// `[audit]`
#[derive(Debug, Clone, Default)]
pub struct AuditSettings {
    /// Is there one?
    pub enabled: bool,
    /// When it goes on in a new file.
    pub rotation: LogRotation,
    /// What else it does.
    pub policy: Policy,
}

/// `[metrics]`
#[derive(Debug, Clone, Default)]
pub struct MetricsSettings {
    /// Where they are told, if anywhere.
    pub listen: Option<SocketAddr>,
    /// Is what each account uses told too?
    pub accounts: bool,
}
