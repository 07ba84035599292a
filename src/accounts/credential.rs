//! What clients show to log in, and what that lets them do.

use std::sync::Arc;

use super::security_key::{Required, SecurityKeyFlags};

/// What a client shows to log in, but for a password.
#[derive(Debug, Clone)]
pub enum Credential {
    /// A key, as on the wire (RFC 4253, section 6.6).
    Key(Vec<u8>),
    /// A certificate for a key.
    Certificate(Certificate),
}

/// A certificate whose signature is that of its authority.
#[derive(Debug, Clone)]
pub struct Certificate {
    /// The public key of who has signed it, as on the wire.
    pub authority: Vec<u8>,
    /// The public key that it is about, as on the wire.
    pub key: Vec<u8>,
    /// Its number; 0 if it has none.
    pub serial: u64,
    /// What its authority calls it.
    pub key_id: String,
    /// It is for users, not for hosts.
    pub is_for_users: bool,
    /// The accounts that it is for.
    pub principals: Vec<String>,
    /// From when on it is valid: seconds since 1970-01-01 00:00 UTC.
    pub valid_after: u64,
    /// From when on it is not valid any more.
    pub valid_before: u64,
    /// What must be understood by who accepts it.
    pub critical_options: Vec<(String, String)>,
    /// A security key need not be touched: its extension no-touch-required.
    pub no_touch_required: bool,
    /// It is signed by RSA with SHA-1.
    pub is_signed_with_sha1: bool,
}

/// What a key or certificate lets its owner do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Allowed {
    /// Until then: seconds since 1970-01-01 00:00 UTC.
    pub(super) until: Option<i64>,
    /// Nothing but SFTP.
    pub(super) only_sftp: bool,
    /// This, if it is a security key.
    pub(super) required: Required,
}

/// What lets somebody in, and to do what.
#[derive(Debug, Clone)]
pub(super) struct AcceptedCredential {
    pub(super) credential: Arc<Credential>,
    /// Those of its signature, if it is a security key.
    pub(super) flags: Option<SecurityKeyFlags>,
    pub(super) allowed: Allowed,
}
