//! config.toml: read raw, every fault found with its place, and only then a checked [`Config`].

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

/// A config in which every value is valid and every path is absolute.
#[derive(Debug, Clone)]
pub struct Config {
    /// Where and how to listen.
    pub server: Server,
    /// Who may come in, and at what cost.
    pub login: Login,
    /// Limits of an SFTP session.
    pub sftp: Sftp,
    /// What goes to the log.
    pub log: Log,
}

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
}

/// `[login]`
#[derive(Debug, Clone)]
pub struct Login {
    /// Time from the connection to the login.
    pub grace_time: Duration,
    /// Failed attempts on one connection.
    pub max_attempts: usize,
    /// argon2id: memory in KiB.
    pub argon2_memory: u32,
    /// argon2id: passes over the memory.
    pub argon2_passes: u32,
    /// argon2id: lanes.
    pub argon2_lanes: u32,
    /// Passwords that are hashed at the same time; the others wait.
    pub parallel_hashes: usize,
}

/// `[sftp]`
#[derive(Debug, Clone)]
pub struct Sftp {
    /// Files and directories that one SFTP session may hold open.
    pub max_handles: usize,
    /// Channels (SFTP sessions and commands) that one connection may hold open.
    pub max_channels: usize,
    /// Permission bits that new files and directories do not get.
    pub umask: u32,
}

/// `[log]`
#[derive(Debug, Clone)]
pub struct Log {
    /// Least severe level that is logged.
    pub level: tracing::Level,
}
