//! The credential that a client logs in with.

use russh::keys::ssh_key::certificate::Certificate;
use russh::keys::{HashAlg, PublicKey};

use crate::observe::outcome::LoginMethod;

/// The credential that a client logs in with, for the logs.
#[derive(Debug, Clone)]
pub(super) struct Means {
    pub(super) method: LoginMethod,
    /// The fingerprint of the key.
    pub(super) key: Option<String>,
}

pub(super) const PASSWORD: Means = Means {
    method: LoginMethod::Password,
    key: None,
};
pub(super) const KEYBOARD_INTERACTIVE: Means = Means {
    method: LoginMethod::KeyboardInteractive,
    key: None,
};
/// A guest's login.
pub(super) const NONE: Means = Means {
    method: LoginMethod::None,
    key: None,
};

impl Means {
    pub(super) fn of(key: &PublicKey, certificate: Option<&Certificate>) -> Self {
        Self {
            method: match certificate {
                None => LoginMethod::PublicKey,
                Some(_) => LoginMethod::Certificate,
            },
            key: Some(key.fingerprint(HashAlg::Sha256).to_string()),
        }
    }
}
