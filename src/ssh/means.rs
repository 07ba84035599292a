//! By what somebody logs in.

use russh::keys::ssh_key::certificate::Certificate;
use russh::keys::{HashAlg, PublicKey};

/// By what somebody logs in.
#[derive(Debug, Clone)]
pub(super) struct Means {
    pub(super) method: &'static str,
    /// The fingerprint of the key.
    pub(super) key: Option<String>,
}

pub(super) const PASSWORD: Means = Means {
    method: "password",
    key: None,
};
pub(super) const KEYBOARD_INTERACTIVE: Means = Means {
    method: "keyboard-interactive",
    key: None,
};
/// As a guest.
pub(super) const NONE: Means = Means {
    method: "none",
    key: None,
};

impl Means {
    pub(super) fn of(key: &PublicKey, certificate: Option<&Certificate>) -> Self {
        Self {
            method: match certificate {
                None => "publickey",
                Some(_) => "certificate",
            },
            key: Some(key.fingerprint(HashAlg::Sha256).to_string()),
        }
    }
}
