//! Which algorithms are offered to whom. What a stranger finds, held to it by `tests/algorithms.rs`.

use std::borrow::Cow;

use russh::keys::{Algorithm, EcdsaCurve, HashAlg};
use russh::{Names, Preferred, cipher, compression, kex, mac};

use crate::config;

/// Holds against quantum computers, too: X25519 beside ML-KEM.
const POST_QUANTUM_KEX: &[kex::Name] = &[kex::MLKEM768X25519_SHA256];
/// What nearly every client since 2014 has (RFC 8731), under both of its names.
const USUAL_KEX: &[kex::Name] = &[kex::CURVE25519, kex::CURVE25519_PRE_RFC_8731];
/// For clients before that. No group of 1024 bits, and none that the server would choose.
const OLD_KEX: &[kex::Name] = &[
    kex::ECDH_SHA2_NISTP256,
    kex::ECDH_SHA2_NISTP384,
    kex::ECDH_SHA2_NISTP521,
    kex::DH_GEX_SHA256,
    kex::DH_G18_SHA512,
    kex::DH_G16_SHA512,
    kex::DH_G14_SHA256,
    kex::DH_G14_SHA1,
];
/// No algorithms, but what both sides can (RFC 8308; OpenSSH's PROTOCOL, section 1.10): without them
/// there is no strict key exchange.
const EXTENSIONS: &[kex::Name] = &[
    kex::EXTENSION_SUPPORT_AS_CLIENT,
    kex::EXTENSION_SUPPORT_AS_SERVER,
    kex::EXTENSION_OPENSSH_STRICT_KEX_AS_CLIENT,
    kex::EXTENSION_OPENSSH_STRICT_KEX_AS_SERVER,
];

/// They need no MAC.
const AEAD_CIPHERS: &[cipher::Name] = &[
    cipher::AES_256_GCM,
    cipher::AES_128_GCM,
    cipher::CHACHA20_POLY1305,
];
const CTR_CIPHERS: &[cipher::Name] = &[
    cipher::AES_256_CTR,
    cipher::AES_192_CTR,
    cipher::AES_128_CTR,
];
const OLD_CIPHERS: &[cipher::Name] = &[
    cipher::AES_256_CBC,
    cipher::AES_192_CBC,
    cipher::AES_128_CBC,
];

const ETM_MACS: &[mac::Name] = &[mac::HMAC_SHA512_ETM, mac::HMAC_SHA256_ETM];
/// They authenticate what was encrypted, and not the encryption.
const ENCRYPT_AND_MACS: &[mac::Name] = &[mac::HMAC_SHA512, mac::HMAC_SHA256];
const OLD_MACS: &[mac::Name] = &[mac::HMAC_SHA1_ETM, mac::HMAC_SHA1];

/// Kinds of host keys, and of keys that a login is signed with. Of the host keys those are offered that
/// lie in the folder of the keys.
const KEYS: &[Algorithm] = &[
    Algorithm::Ed25519,
    Algorithm::Ecdsa {
        curve: EcdsaCurve::NistP256,
    },
    Algorithm::Ecdsa {
        curve: EcdsaCurve::NistP384,
    },
    Algorithm::Ecdsa {
        curve: EcdsaCurve::NistP521,
    },
    Algorithm::Rsa {
        hash: Some(HashAlg::Sha512),
    },
    Algorithm::Rsa {
        hash: Some(HashAlg::Sha256),
    },
];
/// ssh-rsa: SHA-1, which RFC 8332 replaces.
pub(super) const SSH_RSA: Algorithm = Algorithm::Rsa { hash: None };

/// What is offered, the best first. SSH has the client's order decide.
pub(super) fn preferred(ssh: &config::Ssh, knows_etm: bool) -> Preferred {
    let usual = |wanted: bool, names: &'static [kex::Name]| if wanted { names } else { &[] };
    let kex = [
        POST_QUANTUM_KEX,
        usual(!ssh.post_quantum_only, USUAL_KEX),
        usual(ssh.legacy, OLD_KEX),
        EXTENSIONS,
    ];
    let mut cipher = [AEAD_CIPHERS, CTR_CIPHERS].concat();
    let mut mac = ETM_MACS.to_vec();
    let mut key = KEYS.to_vec();
    if ssh.legacy || !knows_etm {
        mac.extend(ENCRYPT_AND_MACS);
    }
    if ssh.legacy {
        cipher.extend(OLD_CIPHERS);
        mac.extend(OLD_MACS);
        key.push(SSH_RSA);
    }
    Preferred {
        kex: Cow::Owned(kex.concat()),
        key: Cow::Owned(key),
        cipher: Cow::Owned(cipher),
        mac: Cow::Owned(mac),
        // Before a login nothing is worth compressing, and after it CRIME is not worth the bytes.
        compression: Cow::Borrowed(&[compression::NONE]),
        ..Preferred::default()
    }
}

/// Does a client of this identification know MACs of what is encrypted, or a cipher that needs none?
/// libssh2 has them since 1.11; 1.10 is what curl is made with in Debian 12.
pub(super) fn knows_etm(identification: &[u8]) -> bool {
    let version = identification.strip_prefix(b"SSH-2.0-libssh2_1.");
    let minor = version.and_then(|version| {
        let digits = version.iter().take_while(|byte| byte.is_ascii_digit());
        let digits: Vec<u8> = digits.copied().collect();
        str::from_utf8(&digits).ok()?.parse::<u32>().ok()
    });
    minor.is_none_or(|minor| minor >= 11)
}

/// What was agreed on that only `ssh.legacy` offers, in words; empty if there is nothing.
pub(super) fn old_ones(names: &Names) -> Vec<String> {
    let mut found = Vec::new();
    if OLD_KEX.contains(&names.kex) {
        found.push(names.kex.as_ref().to_owned());
    }
    if names.key == SSH_RSA {
        found.push("ssh-rsa as the host key".to_owned());
    }
    if OLD_CIPHERS.contains(&names.cipher) {
        found.push(names.cipher.as_ref().to_owned());
    }
    if !AEAD_CIPHERS.contains(&names.cipher) {
        let old = |mac: &&mac::Name| ENCRYPT_AND_MACS.contains(mac) || OLD_MACS.contains(mac);
        let macs = [names.client_mac, names.server_mac];
        let mut macs: Vec<_> = macs.iter().filter(old).map(mac::Name::as_ref).collect();
        macs.dedup();
        found.extend(macs.into_iter().map(str::to_owned));
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn libssh2_before_1_11_knows_no_etm_and_all_others_do() {
        for (identification, knows) in [
            ("SSH-2.0-libssh2_1.10.0", false),
            ("SSH-2.0-libssh2_1.4.3", false),
            ("SSH-2.0-libssh2_1.11.0", true),
            ("SSH-2.0-libssh2_1.11.1_DEV", true),
            ("SSH-2.0-libssh2_2.0.0", true),
            ("SSH-2.0-libssh2_1.", true),
            ("SSH-2.0-OpenSSH_9.2p1", true),
            ("", true),
        ] {
            assert_eq!(
                knows_etm(identification.as_bytes()),
                knows,
                "{identification}"
            );
        }
    }
}
