//! The rules of an account: what it may do, where and until when somebody may log in to it, and how.

mod network;
mod permissions;

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

pub use self::network::{Network, NotANetwork};
pub use self::permissions::{
    Denied, Granted, NotPermissions, Permission, PermissionRule, Permissions,
    StoredPermissionsError,
};

/// The rules of an account; by default there are none.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Rules {
    /// What it may do, and where.
    pub permissions: Permissions,
    /// Where its clients must be; anywhere if there are none.
    pub networks: Vec<Network>,
    /// From this time on, in seconds since 1970-01-01 00:00 UTC, nobody logs in.
    pub expires_at: Option<i64>,
    /// Nobody logs in.
    pub disabled: bool,
    /// How many sessions it may have at the same time.
    pub max_sessions: Option<u32>,
    /// What a login takes.
    pub login_policy: LoginPolicy,
    /// How fast it may transfer, over all its sessions.
    pub bandwidth: Bandwidth,
}

/// Why nobody gets in, or not from there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum KeptOut {
    /// By the operator.
    #[error("the account is disabled")]
    Disabled,
    /// Its date has come.
    #[error("the account has expired")]
    Expired,
    /// The client is in none of its networks.
    #[error("the address is in none of the account's networks")]
    Elsewhere,
}

impl Rules {
    /// Does anything keep a client at this address out, at this time in seconds since 1970-01-01 00:00
    /// UTC?
    pub fn keep_out(&self, address: IpAddr, now: i64) -> Option<KeptOut> {
        let networks = &self.networks;
        if self.disabled {
            Some(KeptOut::Disabled)
        } else if self.has_expired(now) {
            Some(KeptOut::Expired)
        } else if !networks.is_empty() && !networks.iter().any(|from| from.contains(address)) {
            Some(KeptOut::Elsewhere)
        } else {
            None
        }
    }

    /// Has its date come?
    pub fn has_expired(&self, now: i64) -> bool {
        self.expires_at.is_some_and(|time| time <= now)
    }
}

/// What a login takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum LoginPolicy {
    /// A password or a key.
    #[default]
    Any,
    /// A key; the password counts for nothing.
    KeyOnly,
    /// A key, and then the password (RFC 4252, section 5.1: partial success).
    KeyAndPassword,
}

/// In bytes a second; `None` is without limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Bandwidth {
    /// From the client to the server.
    pub up: Option<u64>,
    /// From the server to the client.
    pub down: Option<u64>,
}

/// The policies by their names, which are those of the methods in SSH.
const POLICIES: [(&str, LoginPolicy); 3] = [
    ("any", LoginPolicy::Any),
    ("publickey", LoginPolicy::KeyOnly),
    ("publickey+password", LoginPolicy::KeyAndPassword),
];

/// Text that is no login policy.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a login takes \"any\" (a password or a key), \"publickey\" or \"publickey+password\"")]
pub struct NotALoginPolicy;

impl FromStr for LoginPolicy {
    type Err = NotALoginPolicy;

    fn from_str(text: &str) -> Result<Self, NotALoginPolicy> {
        let found = POLICIES.iter().find(|(name, _)| *name == text);
        found.map(|(_, policy)| *policy).ok_or(NotALoginPolicy)
    }
}

impl fmt::Display for LoginPolicy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let found = POLICIES.iter().find(|(_, policy)| policy == self);
        f.write_str(found.map_or("", |(name, _)| name))
    }
}
