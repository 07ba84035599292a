//! The rules of an account: its permissions, and from where, until when and how users may log in.

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

/// The rules of an account; by default none.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Rules {
    /// The permissions of its directories.
    pub permissions: Permissions,
    /// Networks from which clients may log in; empty allows any.
    pub networks: Vec<Network>,
    /// Expiry, in seconds since 1970-01-01 00:00 UTC.
    pub expires_at: Option<i64>,
    /// Nobody may log in.
    pub disabled: bool,
    /// Maximum number of concurrent sessions.
    pub max_sessions: Option<u32>,
    /// The required credentials.
    pub login_policy: LoginPolicy,
    /// Bandwidth limits over all its sessions.
    pub bandwidth: Bandwidth,
}

/// Why the rules refuse a login.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum RuleRefusal {
    /// The operator has disabled the account.
    #[error("the account is disabled")]
    Disabled,
    /// The account has expired.
    #[error("the account has expired")]
    Expired,
    /// The client address is in none of its networks.
    #[error("the address is in none of the account's networks")]
    OtherNetwork,
}

impl Rules {
    /// Returns why the rules refuse a client at this address at this time, in seconds since 1970-01-01
    /// 00:00 UTC, if they do.
    pub fn login_refusal(&self, address: IpAddr, now: i64) -> Option<RuleRefusal> {
        let networks = &self.networks;
        if self.disabled {
            Some(RuleRefusal::Disabled)
        } else if self.has_expired(now) {
            Some(RuleRefusal::Expired)
        } else if !networks.is_empty() && !networks.iter().any(|from| from.contains(address)) {
            Some(RuleRefusal::OtherNetwork)
        } else {
            None
        }
    }

    /// Returns whether the account has expired.
    pub fn has_expired(&self, now: i64) -> bool {
        self.expires_at.is_some_and(|time| time <= now)
    }
}

/// The credentials that a login requires.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum LoginPolicy {
    /// A password or a key.
    #[default]
    Any,
    /// A key; the password is not accepted.
    KeyOnly,
    /// A key and then the password (RFC 4252, section 5.1: partial success).
    KeyAndPassword,
}

/// Bytes per second; `None` is no limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Bandwidth {
    /// From the client to the server.
    pub up: Option<u64>,
    /// From the server to the client.
    pub down: Option<u64>,
}

/// The names of the policies: those of the SSH methods.
const POLICIES: [(&str, LoginPolicy); 3] = [
    ("any", LoginPolicy::Any),
    ("publickey", LoginPolicy::KeyOnly),
    ("publickey+password", LoginPolicy::KeyAndPassword),
];

/// Text that is not a login policy.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a login policy is \"any\" (a password or a key), \"publickey\" or \"publickey+password\"")]
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
