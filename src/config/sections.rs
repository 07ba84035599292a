//! The sections of config.toml, as they are once they are checked.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use crate::observe::audit::{Policy, Rotation};
use crate::observe::log::Format;
use crate::rules::Network;

/// `[server]`
#[derive(Debug, Clone)]
pub struct Server {
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
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Algorithms {
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
#[derive(Debug, Clone)]
pub struct Ssh {
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

/// `[fences]`
#[derive(Debug, Clone)]
pub struct Fences {
    /// Does the kernel let the server touch its own files and homes alone?
    pub landlock: bool,
    /// Does the kernel refuse system calls that a file server does not need?
    pub seccomp: bool,
    /// Folders in which homes may be added while it runs, beside data.
    pub homes: Vec<PathBuf>,
}

/// `[sftp]`
#[derive(Debug, Clone)]
pub struct Sftp {
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
#[derive(Debug, Clone)]
pub struct Uploads {
    /// Does an old file stay until the new one is there as a whole? An account can differ.
    pub safe_overwrite: bool,
    /// Is what was written durable when a file is closed?
    pub fsync_on_close: bool,
    /// Age at which what a crash left of safe overwrites is removed.
    pub sweep_after: Duration,
}

/// `[log]`
#[derive(Debug, Clone)]
pub struct Log {
    /// Least severe level that is logged.
    pub level: tracing::Level,
    /// How, and where to.
    pub format: Format,
}

/// `[audit]`
#[derive(Debug, Clone)]
pub struct Audit {
    /// Is there one?
    pub enabled: bool,
    /// When it goes on in a new file.
    pub rotation: Rotation,
    /// What else it does.
    pub policy: Policy,
}

/// `[metrics]`
#[derive(Debug, Clone)]
pub struct Metrics {
    /// Where they are told, if anywhere.
    pub listen: Option<SocketAddr>,
    /// Is what each account uses told too?
    pub accounts: bool,
}
