//! What the configuration says of accounts and logins.

use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::{AccountSettings, AuthorizedKey, PasswordHash, UserName};
use crate::rules::Permissions;

/// All that accounts read of a configuration.
#[derive(Debug, Clone, Copy)]
pub struct AccountOptions<'a> {
    /// The data folder.
    pub data: &'a Path,
    /// The folder of the host keys, which no home may hold.
    pub keys: &'a Path,
    /// How logins are checked.
    pub login: &'a LoginOptions,
    /// The guest.
    pub guest: &'a GuestOptions,
    /// The users that the configuration declares.
    pub users: &'a [DeclaredUser],
}

/// `[login]`
#[derive(Debug, Clone, Default)]
pub struct LoginOptions {
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
    /// Public keys of those whose certificates are trusted.
    pub user_ca_keys: Option<PathBuf>,
    /// Keys and certificates that are not let in.
    pub revoked_keys: Option<PathBuf>,
}

/// `[guest]`
#[derive(Debug, Clone, Default)]
pub struct GuestOptions {
    /// Is there one?
    pub enabled: bool,
    /// The account's name.
    pub name: String,
    /// Its home; its own folder under data/homes if not given.
    pub home: Option<PathBuf>,
    /// What it may do.
    pub permissions: Permissions,
    /// How much it may use: bytes, and files.
    pub quota: (Option<u64>, Option<u64>),
    /// Sessions at the same time.
    pub max_sessions: Option<u32>,
}

/// A user that the configuration declares.
#[derive(Debug, Clone)]
pub struct DeclaredUser {
    /// The name.
    pub name: UserName,
    /// The home; its own folder under data/homes if not given.
    pub home: Option<PathBuf>,
    /// What is set for it.
    pub settings: AccountSettings,
    /// The hash of its password, if it has one.
    pub password: Option<PasswordHash>,
    /// The keys that may log in to it.
    pub keys: Vec<AuthorizedKey>,
}

impl DeclaredUser {
    /// Returns a user of whom nothing is said.
    pub fn new(name: UserName) -> Self {
        Self {
            name,
            home: None,
            settings: AccountSettings {
                declared: true,
                ..AccountSettings::default()
            },
            password: None,
            keys: Vec::new(),
        }
    }

    /// Returns the name, and the home that is wished for.
    pub fn named_home(&self) -> (&UserName, Option<&Path>) {
        (&self.name, self.home.as_deref())
    }
}

/// Declared users that cannot be so, each with the reason.
#[derive(Debug)]
pub struct RefusedUsers(pub Vec<(UserName, String)>);

impl fmt::Display for RefusedUsers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, (name, reason)) in self.0.iter().enumerate() {
            if number > 0 {
                writeln!(f)?;
            }
            write!(f, "{name}: {reason}")?;
        }
        Ok(())
    }
}

impl std::error::Error for RefusedUsers {}
