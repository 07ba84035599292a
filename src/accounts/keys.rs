//! Public keys as in an authorized_keys file (sshd(8), "AUTHORIZED_KEYS FILE FORMAT").

use std::ops::RangeInclusive;
use std::str::FromStr;

use anyhow::{anyhow, bail};
use ssh_key::public::KeyData;
use ssh_key::{HashAlg, PublicKey};

use super::key_options::{Honoured, honoured, required, unquoted};
use super::security_key::Required;

/// Accepted key types, by the names in their base64 data.
pub(super) const KINDS: [&str; 7] = [
    "ssh-ed25519",
    "ecdsa-sha2-nistp256",
    "ecdsa-sha2-nistp384",
    "ecdsa-sha2-nistp521",
    "ssh-rsa",
    "sk-ssh-ed25519@openssh.com",
    "sk-ecdsa-sha2-nistp256@openssh.com",
];

/// A shorter RSA key is not secure, and signatures of a longer one are not verified.
const RSA_BITS: RangeInclusive<usize> = 2048..=8192;

/// Longest line that is parsed, in bytes; an RSA key of 8192 bits takes 1400.
const MAX_LINE: usize = 16 * 1024;

/// A public key of an account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuthorizedKey {
    /// Its type and base64 data, separated by a space.
    pub public_key: String,
    /// `SHA256:...`, as in the output of ssh-keygen -l.
    pub fingerprint: String,
    /// The comment; may be empty.
    pub comment: String,
    /// The options as given; all are supported.
    pub options: String,
    /// Expiry: seconds since 1970-01-01 00:00 UTC.
    pub expires_at: Option<i64>,
}

impl AuthorizedKey {
    /// Returns its type, such as `ssh-ed25519`.
    pub fn kind(&self) -> &str {
        self.public_key.split(' ').next().unwrap_or_default()
    }

    /// Returns what it requires of a security key's signature.
    pub(super) fn required(&self) -> anyhow::Result<Required> {
        required(&self.options)
    }

    /// Parses one line.
    ///
    /// # Errors
    ///
    /// It has no key, a key that is not accepted, or an unsupported option.
    pub fn parse(line: &str) -> anyhow::Result<Self> {
        let line = line.trim();
        if line.len() > MAX_LINE {
            bail!("this is longer than {MAX_LINE} bytes: not a key");
        }
        if line.starts_with("---- BEGIN SSH2 PUBLIC KEY") {
            bail!("this is a key in RFC 4716 format; convert it with: ssh-keygen -i -f FILE");
        }
        refuse_other_formats(line)?;
        if line.contains(|c: char| c.is_control() && c != '\t') {
            bail!("this contains control characters");
        }
        let (options, rest) = if is_kind(first_word(line).0) {
            ("", line)
        } else {
            split_options(line)?
        };
        let (kind, rest) = first_word(rest);
        let (base64, comment) = first_word(rest);
        // The base64 data of a key begins like this: the text before it is a type, not an option.
        let unknown_kind = !options.is_empty() && kind.starts_with("AAAA");
        refuse_kind(if unknown_kind { options } else { kind })?;
        let Honoured {
            expires_at,
            for_security_keys,
            ..
        } = honoured(options)?;
        if for_security_keys && !is_security_key(kind) {
            bail!(
                "no-touch-required and verify-required apply to security keys (sk-...), and this is an {kind} key"
            );
        }
        let damaged = || anyhow!("this {kind} key is damaged or truncated");
        let key = PublicKey::from_openssh(&format!("{kind} {base64}")).map_err(|_| damaged())?;
        refuse_unsafe(&key)?;
        Ok(Self {
            public_key: canonical(&key).ok_or_else(damaged)?,
            fingerprint: key.fingerprint(HashAlg::Sha256).to_string(),
            comment: comment.to_owned(),
            options: options.to_owned(),
            expires_at,
        })
    }
}

impl FromStr for AuthorizedKey {
    type Err = NotAKey;

    fn from_str(line: &str) -> Result<Self, NotAKey> {
        Self::parse(line).map_err(|failure| NotAKey(format!("{failure:#}")))
    }
}

/// Why text is not an accepted key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct NotAKey(String);

/// Converts a peer's key (RFC 4253, section 6.6) to the stored format; `None` if it is not accepted.
pub(super) fn from_wire(blob: &[u8]) -> Option<String> {
    if blob.len() > MAX_LINE {
        return None;
    }
    let key = PublicKey::from_bytes(blob).ok()?;
    refuse_unsafe(&key).ok()?;
    canonical(&key)
}

/// Returns whether a key type, or a key in the stored format, is a security key.
pub(super) fn is_security_key(key: &str) -> bool {
    key.starts_with("sk-")
}

/// Refuses keys of a type or size that is not accepted: the one check for keys of accounts, keys in
/// certificates and authorities.
fn refuse_unsafe(key: &PublicKey) -> anyhow::Result<()> {
    refuse_kind(key.algorithm().as_str())?;
    if let KeyData::Rsa(rsa) = key.key_data() {
        let bits = rsa.n.as_positive_bytes().map_or(0, bits);
        let (least, most) = RSA_BITS.into_inner();
        if !RSA_BITS.contains(&bits) {
            bail!(
                "this RSA key has {bits} bits, but must have at least {least} and at most {most}; better use an ssh-ed25519 key"
            );
        }
    }
    Ok(())
}

fn canonical(key: &PublicKey) -> Option<String> {
    PublicKey::from(key.key_data().clone()).to_openssh().ok()
}

fn is_kind(word: &str) -> bool {
    KINDS.contains(&word) || word == "ssh-dss" || word.contains("-cert-v0")
}

fn refuse_kind(kind: &str) -> anyhow::Result<()> {
    match kind {
        kind if KINDS.contains(&kind) => Ok(()),
        "ssh-dss" => bail!("DSA keys are no longer safe; use an ssh-ed25519 key"),
        kind if kind.contains("-cert-v0") => {
            bail!("this is a certificate; give the plain public key (the .pub file without -cert)")
        }
        kind => bail!(
            "the key type {kind:?} is not accepted; accepted are: {}",
            KINDS.join(", ")
        ),
    }
}

/// Explains files that are often mistaken for a public key.
pub(super) fn refuse_other_formats(text: &str) -> anyhow::Result<()> {
    let text = text.trim_start();
    if text.starts_with("PuTTY-User-Key-File") {
        bail!(
            "this is a private key of PuTTY; give the line that PuTTYgen shows for authorized_keys"
        );
    }
    if text.starts_with("-----BEGIN") {
        bail!("this is a private key or a certificate; give the .pub file beside it");
    }
    Ok(())
}

fn first_word(text: &str) -> (&str, &str) {
    let text = text.trim_start();
    match text.split_once([' ', '\t']) {
        Some((word, rest)) => (word, rest.trim()),
        None => (text, ""),
    }
}

/// Splits the options from the key: they end at the first space outside of quotes.
fn split_options(line: &str) -> anyhow::Result<(&str, &str)> {
    let end = unquoted(line, |c| c == ' ' || c == '\t')?;
    match end {
        Some(end) => Ok(line.split_at(end)),
        None => refuse_kind(line).map(|()| (line, "")),
    }
}

fn bits(number: &[u8]) -> usize {
    let zeros = number
        .first()
        .map_or(0, |byte| byte.leading_zeros() as usize);
    (number.len() * 8).saturating_sub(zeros)
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::process::Command;

    use proptest::prelude::*;
    use tempfile::TempDir;

    use super::*;

    const KEY: &str =
        "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAILM+rvN+ot98qgEN796jTiQfZfG1KaT0PtFDJ/XFSqti";

    const SECURITY_KEY: &str = "sk-ssh-ed25519@openssh.com AAAAGnNrLXNzaC1lZDI1NTE5QG9wZW5zc2guY29tAAAAICFo/k5LU8863u66YC9eUO2170QduohPURkQnbLa/dczAAAABHNzaDo= here";

    fn refused(line: &str) -> String {
        format!("{:#}", AuthorizedKey::parse(line).expect_err(line))
    }

    /// A number that looks like an RSA key of this size.
    fn rsa_of(bits: usize) -> PublicKey {
        let mut n = vec![0xff; bits.div_ceil(8)];
        n[0] >>= (8 - bits % 8) % 8;
        let mpint = |bytes: &[u8]| ssh_key::Mpint::from_positive_bytes(bytes).unwrap();
        let (e, n) = (mpint(&[1, 0, 1]), mpint(&n));
        KeyData::Rsa(ssh_key::public::RsaPublicKey { e, n }).into()
    }

    /// Generates a key with OpenSSH; returns its public line and its fingerprint by ssh-keygen.
    fn generate(arguments: &[&str]) -> (String, String) {
        let folder = TempDir::new().unwrap();
        let file = folder.path().join("key");
        let made = Command::new("ssh-keygen")
            .args(["-q", "-N", "", "-C", "it is mine", "-f"])
            .arg(&file)
            .args(arguments)
            .status()
            .expect("this test needs OpenSSH's ssh-keygen");
        assert!(made.success(), "{arguments:?}");
        let public = file.with_extension("pub");
        let told = Command::new("ssh-keygen")
            .arg("-lf")
            .arg(&public)
            .output()
            .unwrap();
        let told = String::from_utf8(told.stdout).unwrap();
        let fingerprint = told.split(' ').nth(1).unwrap().to_owned();
        (fs::read_to_string(public).unwrap(), fingerprint)
    }

    #[test]
    fn keys_that_openssh_makes_are_taken() {
        let kinds: [&[&str]; 5] = [
            &["-t", "ed25519"],
            &["-t", "ecdsa", "-b", "256"],
            &["-t", "ecdsa", "-b", "384"],
            &["-t", "ecdsa", "-b", "521"],
            &["-t", "rsa", "-b", "2048"],
        ];
        for arguments in kinds {
            let (line, fingerprint) = generate(arguments);
            let key = AuthorizedKey::parse(&line).unwrap();
            assert_eq!(key.fingerprint, fingerprint);
            assert_eq!(key.comment, "it is mine");
            assert_eq!(key.options, "");
            assert!(line.starts_with(&key.public_key));
            let blob = PublicKey::from_openssh(&line).unwrap().to_bytes().unwrap();
            assert_eq!(from_wire(&blob).as_deref(), Some(key.public_key.as_str()));
        }
    }

    #[test]
    fn security_keys_are_taken() {
        // Keys from OpenSSH's own tests (regress/unittests/sshkey/testdata).
        for line in [
            SECURITY_KEY,
            "sk-ecdsa-sha2-nistp256@openssh.com AAAAInNrLWVjZHNhLXNoYTItbmlzdHAyNTZAb3BlbnNzaC5jb20AAAAIbmlzdHAyNTYAAABBBIELQJ2DgvaX1yQlKFokfWM2suuaCFI2qp0eJodHyg6O4ifxc3XpRKd1OS8dNYQtE/YjdXSrA+AOnMF5ns2Nkx4AAAAEc3NoOg== here",
        ] {
            let key = AuthorizedKey::parse(line).unwrap();
            assert_eq!(key.kind(), line.split(' ').next().unwrap());
            assert_eq!(key.comment, "here");
        }
    }

    #[test]
    fn keys_that_protect_nobody_are_refused_in_plain_words() {
        let (weak, _) = generate(&["-t", "rsa", "-b", "1024"]);
        assert!(refused(&weak).contains("1024 bits"));
        let blob = PublicKey::from_openssh(&weak).unwrap().to_bytes().unwrap();
        assert_eq!(from_wire(&blob), None);
        for (bits, good) in [(2047, false), (2048, true), (8192, true), (8193, false)] {
            let key = rsa_of(bits);
            assert_eq!(
                AuthorizedKey::parse(&key.to_openssh().unwrap()).is_ok(),
                good
            );
            assert_eq!(
                from_wire(&key.to_bytes().unwrap()).is_some(),
                good,
                "{bits}"
            );
        }
        assert!(refused("ssh-dss AAAAB3NzaC1kc3MAAACB me").contains("DSA"));
        assert!(refused("no-pty ssh-dss AAAAB3NzaC1kc3MAAACB me").contains("DSA"));
        let certificate = "ssh-ed25519-cert-v01@openssh.com AAAAIHNzaC1lZDI1NTE5LWNlcnQtdjAx me";
        assert!(refused(certificate).contains("certificate"));
        assert!(refused("-----BEGIN OPENSSH PRIVATE KEY-----").contains("private key"));
        assert!(refused("PuTTY-User-Key-File-3: ssh-ed25519").contains("PuTTY"));
        assert!(refused("---- BEGIN SSH2 PUBLIC KEY ----").contains("ssh-keygen -i"));
        assert!(refused("ssh-foo AAAA").contains("ssh-foo"));
        for damaged in [
            "ssh-ed25519",
            "ssh-ed25519 ",
            "ssh-ed25519 AAAA",
            "ssh-ed25519 !!!!",
            "ssh-rsa AAAAC3NzaC1lZDI1NTE5AAAAILM+rvN+ot98qgEN796jTiQfZfG1KaT0PtFDJ/XFSqti",
        ] {
            assert!(refused(damaged).contains("damaged"), "{damaged}");
        }
        assert!(refused(&KEY[..KEY.len() - 4]).contains("damaged"));
        assert!(refused(&format!("{KEY} a\u{1b}[2Jb")).contains("control"));
        assert!(refused(&format!("{KEY} {}", "x".repeat(MAX_LINE))).contains("longer"));
    }

    #[test]
    fn options_are_honoured_or_refused_by_name_and_never_ignored() {
        for good in [
            "restrict",
            "no-pty,no-port-forwarding",
            "No-X11-Forwarding,no-agent-forwarding,no-user-rc",
        ] {
            let key = AuthorizedKey::parse(&format!("{good} {KEY} c")).unwrap();
            assert_eq!((key.options.as_str(), key.expires_at), (good, None));
            assert_eq!(key.comment, "c");
        }
        let expiring = AuthorizedKey::parse(&format!(
            "expiry-time=\"20300101Z\",restrict,expiry-time=\"203101010000Z\" {KEY}"
        ));
        assert_eq!(expiring.unwrap().expires_at, Some(1_893_456_000));
        for (bad, name) in [
            ("command=\"rm -rf /, now\"", "command"),
            ("restrict,from=\"10.0.0.0/8\"", "from"),
            ("pty", "pty"),
            ("cert-authority", "cert-authority"),
            ("permitopen=\"a b\",restrict", "permitopen"),
            ("restrict=\"yes\"", "restrict"),
            ("restrict,,no-pty", "\"\""),
            ("environment=\"A=\\\"b c\\\"\"", "environment"),
            ("expiry-time", "expiry-time"),
        ] {
            let text = refused(&format!("{bad} {KEY}"));
            assert!(
                text.contains("not supported") && text.contains(name),
                "{bad}: {text}"
            );
        }
        for bad in [
            "expiry-time=\"20300101\"",
            "expiry-time=20300101Z",
            "expiry-time=\"20301301Z\"",
        ] {
            assert!(refused(&format!("{bad} {KEY}")).contains("UTC"), "{bad}");
        }
        assert!(refused(&format!("command=\"x {KEY}")).contains("quote"));
    }

    #[test]
    fn options_of_security_keys_are_honoured_and_refused_for_other_keys() {
        let required = |options: &str| {
            let key = AuthorizedKey::parse(&format!("{options} {SECURITY_KEY}")).unwrap();
            let Required {
                presence,
                verification,
            } = key.required().unwrap();
            (presence, verification)
        };
        assert_eq!(required(""), (true, false));
        assert_eq!(required("restrict"), (true, false));
        assert_eq!(required("no-touch-required"), (false, false));
        assert_eq!(required("Verify-Required,restrict"), (true, true));
        assert_eq!(required("verify-required,no-touch-required"), (false, true));
        for option in ["no-touch-required", "verify-required"] {
            let text = refused(&format!("{option} {KEY}"));
            assert!(
                text.contains(option) && text.contains("ssh-ed25519"),
                "{text}"
            );
        }
    }

    #[test]
    fn a_file_is_taken_as_a_whole_or_not_at_all() {
        let file = format!("# my keys\n\n  {KEY} one\r\n\t\nrestrict\t{KEY}\ttwo words\n");
        let keys = AuthorizedKey::parse_file(&file).unwrap();
        assert_eq!(keys.len(), 2);
        assert_eq!(keys[0].comment, "one");
        assert_eq!(
            (keys[1].options.as_str(), keys[1].comment.as_str()),
            ("restrict", "two words")
        );
        let bad = AuthorizedKey::parse_file(&format!("{KEY}\n\nssh-dss AAAA\n")).unwrap_err();
        assert!(format!("{bad:#}").starts_with("line 3: "), "{bad:#}");
        for empty in ["", "\n\n", "# nothing\n"] {
            assert!(AuthorizedKey::parse_file(empty).is_err());
        }
    }

    proptest! {
        #[test]
        fn no_line_and_no_blob_does_harm(line in ".{0,200}", blob in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = AuthorizedKey::parse(&line);
            let _ = AuthorizedKey::parse(&format!("{line} {KEY}"));
            prop_assert!(from_wire(&blob).is_none_or(|key| !key.is_empty()));
        }
    }
}
