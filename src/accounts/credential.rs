//! Credentials of clients, and the rights that they give.

use std::sync::Arc;

use super::security_key::{Required, SecurityKeyFlags};

/// A client's credential, other than a password.
#[derive(Debug, Clone)]
pub enum Credential {
    /// A key in wire format (RFC 4253, section 6.6).
    Key(Vec<u8>),
    /// A certificate for a key.
    Certificate(Certificate),
}

/// A certificate with a verified signature.
#[derive(Debug, Clone)]
pub struct Certificate {
    /// The authority's public key in wire format.
    pub authority: Vec<u8>,
    /// The certified public key in wire format.
    pub key: Vec<u8>,
    /// Its serial number; 0 if it has none.
    pub serial: u64,
    /// The key id that the authority chose.
    pub key_id: String,
    /// It is a user certificate, not a host certificate.
    pub is_for_users: bool,
    /// The account names it is valid for.
    pub principals: Vec<String>,
    /// Start of validity: seconds since 1970-01-01 00:00 UTC.
    pub valid_after: u64,
    /// End of validity.
    pub valid_before: u64,
    /// Options that a server must understand to accept it.
    pub critical_options: Vec<(String, String)>,
    /// A security key need not be touched: the extension no-touch-required.
    pub no_touch_required: bool,
    /// It is signed by RSA with SHA-1.
    pub is_signed_with_sha1: bool,
}

/// The rights of a key or certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Allowed {
    /// Expiry: seconds since 1970-01-01 00:00 UTC.
    pub(super) until: Option<i64>,
    /// SFTP only.
    pub(super) only_sftp: bool,
    /// What a security key must prove.
    pub(super) required: Required,
}

/// An accepted credential with its rights.
#[derive(Debug, Clone)]
pub(super) struct AcceptedCredential {
    pub(super) credential: Arc<Credential>,
    /// The flags of the signature, if it is a security key.
    pub(super) flags: Option<SecurityKeyFlags>,
    pub(super) allowed: Allowed,
}
