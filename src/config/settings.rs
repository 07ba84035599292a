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
use crate::observe::audit::{AuditLog, LogRotation, Policy};
use crate::observe::log::LogFormat;
use crate::rules::{Bandwidth, Network};

/// A configuration in which every value is valid and every path absolute.
#[derive(Debug, Clone, Default)]
pub struct Config {
    /// The file it was read from; `None` for defaults only.
    pub file: Option<PathBuf>,
    /// The current directory was decisive: its config.toml is used, or, without any configuration, the
    /// defaults with its folders.
    pub is_found_here: bool,
    /// Addresses, folders and limits of the server.
    pub server: ServerSettings,
    /// Limits on connections before a login, and bans.
    pub admission: admission::AdmissionSettings,
    /// Password hashing and login limits.
    pub login: LoginOptions,
    /// Algorithms, and key exchanges.
    pub ssh: SshSettings,
    /// Restrictions of the process.
    pub sandbox: SandboxSettings,
    /// The guest account.
    pub guest: GuestOptions,
    /// Limits of SFTP sessions.
    pub sftp: SftpSettings,
    /// Overwriting and closing of files.
    pub uploads: UploadSettings,
    /// The log.
    pub log: LogSettings,
    /// The audit log.
    pub audit: AuditSettings,
    /// Metrics for Prometheus.
    pub metrics: MetricsSettings,
    /// Bandwidth limits of the whole server.
    pub bandwidth: Bandwidth,
    /// Declared users.
    pub users: Vec<DeclaredUser>,
    /// Their positions.
    pub(super) user_spots: HashMap<UserName, Spot>,
    /// The text of every key's value, or its default.
    pub(super) values: HashMap<(&'static str, &'static str), String>,
}

impl Config {
    /// Returns the part that accounts need.
    pub fn accounts(&self) -> AccountOptions<'_> {
        AccountOptions {
            data: &self.server.data,
            keys: &self.server.keys,
            login: &self.login,
            guest: &self.guest,
            users: &self.users,
        }
    }

    /// Returns the position of a declared user.
    pub fn spot_of(&self, user: &UserName) -> Option<&Spot> {
        self.user_spots.get(user)
    }

    /// Adds positions to errors about declared users; leaves other errors unchanged.
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

    /// Returns the location of the audit log.
    pub fn audit_log(&self) -> AuditLog {
        AuditLog::new(&self.server.data, self.audit.rotation)
    }

    /// Returns the absolute path of the file, or a note that there is none.
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

/// The section `[server]`.
#[derive(Debug, Clone, Default)]
pub struct ServerSettings {
    /// Addresses to listen on; the system chooses for port 0.
    pub listen: Vec<SocketAddr>,
    /// The folder of all state: the database and the homes.
    pub data: PathBuf,
    /// The folder of the host keys.
    pub keys: PathBuf,
    /// Worker threads; 0 in the file means one per processor.
    pub shards: usize,
    /// Maximum number of connections.
    pub max_connections: usize,
    /// Memory in bytes above which connections are accepted slowly; by default slightly below the limit of
    /// the system.
    pub max_memory: Option<u64>,
    /// Networks of balancers, which send the client address by the PROXY protocol.
    pub proxies: Arc<[Network]>,
    /// Time for transfers to finish when the server stops.
    pub stop_grace: Duration,
}

/// Sets of algorithms; each includes those before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub enum Algorithms {
    #[default]
    /// Nothing that ssh-audit criticizes, except that curve25519 is not post-quantum.
    Modern,
    /// Also algorithms for hosts in FIPS mode and libraries without curve25519; no SHA-1 and no CBC.
    Compatible,
    /// Also SHA-1, CBC and ssh-rsa.
    Legacy,
}

impl Algorithms {
    /// All, least permissive first.
    pub const ALL: [Self; 3] = [Self::Modern, Self::Compatible, Self::Legacy];

    /// Returns its value in the configuration.
    pub fn name(self) -> &'static str {
        match self {
            Self::Modern => "modern",
            Self::Compatible => "compatible",
            Self::Legacy => "legacy",
        }
    }
}

/// A warning for `legacy = true`.
pub const LEGACY_IS_DEPRECATED: &str =
    "ssh.legacy is deprecated: write algorithms = \"legacy\" instead of legacy = true";

/// The section `[ssh]`.
#[derive(Debug, Clone, Default)]
pub struct SshSettings {
    /// The offered algorithms.
    pub algorithms: Algorithms,
    /// The former name of [`Algorithms::Legacy`].
    pub legacy: bool,
    /// Refuse key exchanges that a quantum computer could break later.
    pub post_quantum_only: bool,
    /// Bytes in one direction after which keys are exchanged again.
    pub rekey_bytes: usize,
    /// Time after which keys are exchanged again.
    pub rekey_time: Duration,
    /// Silence of a peer after which it is sent a keepalive.
    pub keepalive: Duration,
    /// Busy-poll for clients that send each request right after a reply.
    pub busy_poll: bool,
}

/// The section `[sandbox]`.
#[derive(Debug, Clone, Default)]
pub struct SandboxSettings {
    /// Restrict file access with Landlock.
    pub landlock: bool,
    /// Refuse unneeded system calls with seccomp.
    pub seccomp: bool,
    /// Folders outside of data in which homes may be added while the server runs.
    pub homes: Vec<PathBuf>,
}

/// The section `[sftp]`.
#[derive(Debug, Clone, Default)]
pub struct SftpSettings {
    /// Files and directories that one session may hold open.
    pub max_handles: usize,
    /// Channels that one connection may hold open.
    pub max_channels: usize,
    /// Requests per second of all sessions of an account.
    pub requests_per_second: Option<u64>,
    /// umask of new files and directories.
    pub umask: u32,
}

/// The section `[uploads]`.
#[derive(Debug, Clone, Default)]
pub struct UploadSettings {
    /// Keep an existing file until its replacement is complete. Accounts can override it.
    pub safe_overwrite: bool,
    /// Sync a file when it is closed.
    pub fsync_on_close: bool,
    /// Age at which leftover temporary files of safe overwrites are removed.
    pub sweep_after: Duration,
}

/// The section `[log]`.
#[derive(Debug, Clone)]
pub struct LogSettings {
    /// Least severe level that is logged.
    pub level: tracing::Level,
    /// Format and destination.
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

/// The section `[audit]`.
#[derive(Debug, Clone, Default)]
pub struct AuditSettings {
    /// Whether there is an audit log.
    pub enabled: bool,
    /// When a new file is started.
    pub rotation: LogRotation,
    /// Further options.
    pub policy: Policy,
}

/// The section `[metrics]`.
#[derive(Debug, Clone, Default)]
pub struct MetricsSettings {
    /// Address to serve them on, if any.
    pub listen: Option<SocketAddr>,
    /// Whether to report the usage of each account.
    pub accounts: bool,
}
