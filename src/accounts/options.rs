//! The part of the configuration that concerns accounts and logins.

use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::{AccountSettings, AuthorizedKey, PasswordHash, UserName};
use crate::rules::Permissions;

/// The configuration of accounts.
#[derive(Debug, Clone, Copy)]
pub struct AccountOptions<'a> {
    /// The data folder.
    pub data: &'a Path,
    /// The folder of the host keys, which no home may contain.
    pub keys: &'a Path,
    /// How logins are checked.
    pub login: &'a LoginOptions,
    /// The guest.
    pub guest: &'a GuestOptions,
    /// The declared users.
    pub users: &'a [DeclaredUser],
}

/// The section `[login]`.
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
    /// Passwords that are hashed at the same time; others wait.
    pub parallel_hashes: usize,
    /// The file with public keys of trusted certificate authorities.
    pub user_ca_keys: Option<PathBuf>,
    /// The file with revoked keys and certificates.
    pub revoked_keys: Option<PathBuf>,
}

/// The section `[guest]`.
#[derive(Debug, Clone, Default)]
pub struct GuestOptions {
    /// Whether there is a guest.
    pub enabled: bool,
    /// The account's name.
    pub name: String,
    /// Its home; by default a folder under data/homes.
    pub home: Option<PathBuf>,
    /// Its permissions.
    pub permissions: Permissions,
    /// Its quota: bytes and files.
    pub quota: (Option<u64>, Option<u64>),
    /// Maximum number of concurrent sessions.
    pub max_sessions: Option<u32>,
}

/// A user that the configuration declares.
#[derive(Debug, Clone)]
pub struct DeclaredUser {
    /// The name.
    pub name: UserName,
    /// The home; by default a folder under data/homes.
    pub home: Option<PathBuf>,
    /// The settings.
    pub settings: AccountSettings,
    /// The password hash, if there is one.
    pub password: Option<PasswordHash>,
    /// The keys.
    pub keys: Vec<AuthorizedKey>,
}

impl DeclaredUser {
    /// Makes a user with default settings.
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

    /// Returns the name and the configured home.
    pub fn named_home(&self) -> (&UserName, Option<&Path>) {
        (&self.name, self.home.as_deref())
    }
}

/// Declared users whose settings are impossible, each with the reason.
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
