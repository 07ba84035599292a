//! Public keys that open an account.

use anyhow::Context;
use ssh_key::{HashAlg, PublicKey};

/// A public key as a line of OpenSSH's authorized_keys, without options.
#[derive(Debug, Clone)]
pub struct AuthorizedKey {
    key: PublicKey,
}

impl AuthorizedKey {
    /// Reads one line.
    pub fn parse(line: &str) -> anyhow::Result<Self> {
        let key = PublicKey::from_openssh(line.trim()).context("not a public key")?;
        Ok(Self { key })
    }

    /// SHA256:...
    pub fn fingerprint(&self) -> String {
        self.key.fingerprint(HashAlg::Sha256).to_string()
    }

    /// The line.
    pub fn line(&self) -> anyhow::Result<String> {
        Ok(self.key.to_openssh()?)
    }
}

/// The fingerprint of a key from its wire encoding.
pub(super) fn fingerprint(blob: &[u8]) -> Option<String> {
    let key = PublicKey::from_bytes(blob).ok()?;
    Some(key.fingerprint(HashAlg::Sha256).to_string())
}
