//! Public keys that open an account: lines of OpenSSH's authorized_keys (sshd(8)).

use std::time::{Duration, SystemTime};

use anyhow::{Context, bail, ensure};
use ssh_key::authorized_keys::Entry;
use ssh_key::public::KeyData;
use ssh_key::{Algorithm, HashAlg, PublicKey};

/// The shortest RSA key that is accepted, in bits.
const RSA_MIN_BITS: usize = 2048;

/// Options that are honoured without doing anything: they forbid what this server never does.
const ALWAYS_MET: &[&str] = &[
    "restrict",
    "no-pty",
    "no-port-forwarding",
    "no-agent-forwarding",
    "no-X11-forwarding",
    "no-user-rc",
];

/// A public key that opens an account.
#[derive(Debug, Clone)]
pub struct AuthorizedKey {
    key: PublicKey,
}

impl AuthorizedKey {
    /// Reads all keys of a file; empty lines and lines that begin with '#' are passed over.
    pub fn parse_all(text: &str) -> anyhow::Result<Vec<Self>> {
        let mut keys = Vec::new();
        for (number, line) in text.lines().enumerate() {
            let line = line.trim();
            if !line.is_empty() && !line.starts_with('#') {
                keys.push(Self::parse(line).with_context(|| format!("line {}", number + 1))?);
            }
        }
        ensure!(!keys.is_empty(), "there is no public key in it");
        Ok(keys)
    }

    /// Reads one line.
    pub fn parse(line: &str) -> anyhow::Result<Self> {
        if line.contains("PRIVATE KEY") {
            bail!("this is a private key: give the public one, in the file that ends in .pub");
        }
        if line.contains("-cert-v01@openssh.com ") {
            bail!("certificates are not keys: give the public key itself");
        }
        let entry: Entry = line.trim().parse().context(
            "not a public key as `ssh-keygen` writes it (\"ssh-ed25519 AAAA... comment\")",
        )?;
        for option in entry.config_opts().iter() {
            ensure!(
                ALWAYS_MET
                    .iter()
                    .any(|met| option.eq_ignore_ascii_case(met)),
                "the option {option:?} is not supported here, and is not ignored: remove it"
            );
        }
        let key = entry.public_key().clone();
        match key.algorithm() {
            Algorithm::Ed25519
            | Algorithm::Ecdsa { .. }
            | Algorithm::SkEd25519
            | Algorithm::SkEcdsaSha2NistP256 => {}
            Algorithm::Rsa { .. } => {
                let bits = rsa_bits(&key);
                ensure!(
                    bits >= RSA_MIN_BITS,
                    "this RSA key has {bits} bits, and {RSA_MIN_BITS} are the least: make a new one"
                );
            }
            other => bail!("keys of the kind {other} are not accepted: use ssh-ed25519"),
        }
        Ok(Self { key })
    }

    /// `SHA256:` and the hash, as `ssh-keygen -l` shows it.
    pub fn fingerprint(&self) -> String {
        self.key.fingerprint(HashAlg::Sha256).to_string()
    }

    /// Its kind, such as `ssh-ed25519`.
    pub fn kind(&self) -> String {
        self.key.algorithm().to_string()
    }

    /// What its owner calls it.
    pub fn comment(&self) -> &str {
        self.key.comment()
    }

    /// The line, without options.
    pub(super) fn line(&self) -> anyhow::Result<String> {
        Ok(self.key.to_openssh()?)
    }
}

/// The fingerprint of a key in its wire encoding; `None` if it is none.
pub(super) fn fingerprint(blob: &[u8]) -> Option<String> {
    let key = PublicKey::from_bytes(blob).ok()?;
    Some(key.fingerprint(HashAlg::Sha256).to_string())
}

/// Seconds since 1970.
pub(super) fn now() -> i64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    i64::try_from(since.unwrap_or(Duration::ZERO).as_secs()).unwrap_or(i64::MAX)
}

fn rsa_bits(key: &PublicKey) -> usize {
    let KeyData::Rsa(rsa) = key.key_data() else {
        return 0;
    };
    let modulus = rsa.n.as_positive_bytes().unwrap_or_default();
    let leading = modulus
        .first()
        .map_or(0, |byte| byte.leading_zeros() as usize);
    modulus.len() * 8 - leading
}

#[cfg(test)]
mod tests {
    use super::*;

    const ED25519: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAILM+rvN+ot98qgEN796jTiQfZfG1KaT0PtFDJ/XFSqti anna@home";
    const SK: &str = "sk-ssh-ed25519@openssh.com AAAAGnNrLXNzaC1lZDI1NTE5QG9wZW5zc2guY29tAAAAICFo/k5LU8863u66YC9eUO2170QduohPURkQnbLa/dczAAAABHNzaDo= token";

    #[test]
    fn keys_and_comments_are_read() {
        let keys = AuthorizedKey::parse_all(&format!("# mine\n\n{ED25519}\n{SK}\n")).unwrap();
        assert_eq!(keys.len(), 2);
        assert_eq!(keys[0].comment(), "anna@home");
        assert_eq!(
            keys[0].fingerprint(),
            "SHA256:UCUiLr7Pjs9wFFJMDByLgc3NrtdU344OgUM45wZPcIQ"
        );
        assert_eq!(keys[1].kind(), "sk-ssh-ed25519@openssh.com");
    }

    #[test]
    fn options_are_honoured_or_refused_by_name() {
        assert!(AuthorizedKey::parse(&format!("restrict,no-pty {ED25519}")).is_ok());
        for option in ["command=\"ls\"", "from=\"10.0.0.0/8\"", "cert-authority"] {
            let refused = AuthorizedKey::parse(&format!("{option} {ED25519}")).unwrap_err();
            let name = option.split('=').next().unwrap();
            assert!(refused.to_string().contains(name), "{refused}");
        }
    }

    #[test]
    fn what_is_no_good_key_is_refused_in_plain_words() {
        for (text, words) in [
            ("", "no public key"),
            ("hello", "not a public key"),
            ("-----BEGIN OPENSSH PRIVATE KEY-----", "private key"),
            ("ssh-ed25519-cert-v01@openssh.com AAAA x", "certificates"),
        ] {
            let refused = format!("{:#}", AuthorizedKey::parse_all(text).unwrap_err());
            assert!(refused.contains(words), "{text}: {refused}");
        }
    }
}
