//! The algorithms that the server offers. `tests/algorithms.rs` checks what an unauthenticated client sees.

use std::borrow::Cow;

use russh::keys::{Algorithm, EcdsaCurve, HashAlg};
use russh::{AlgorithmKind, Names, Preferred, cipher, compression, kex, mac};

use crate::config;
use crate::config::Algorithms::{self, Compatible, Legacy, Modern};

/// The algorithms of one kind, best first, each with the least permissive setting that offers it.
type AlgorithmTable<T> = &'static [(Algorithms, &'static [T])];

/// Resists quantum computers: X25519 combined with ML-KEM.
const POST_QUANTUM_KEX: kex::Name = kex::MLKEM768X25519_SHA256;
/// Nearly every client since 2014 supports curve25519 (RFC 8731), under both of its names. Groups of 1024
/// bits are never offered.
const KEX: AlgorithmTable<kex::Name> = &[
    (
        Modern,
        &[
            POST_QUANTUM_KEX,
            kex::CURVE25519,
            kex::CURVE25519_PRE_RFC_8731,
        ],
    ),
    (
        Compatible,
        &[
            kex::ECDH_SHA2_NISTP256,
            kex::ECDH_SHA2_NISTP384,
            kex::ECDH_SHA2_NISTP521,
            kex::DH_G18_SHA512,
            kex::DH_G16_SHA512,
            kex::DH_G14_SHA256,
        ],
    ),
    (Legacy, &[kex::DH_GEX_SHA256, kex::DH_G14_SHA1]),
];
/// Not algorithms but flags of both sides (RFC 8308; OpenSSH's PROTOCOL, section 1.10). Strict key exchange
/// needs them.
const EXTENSIONS: &[kex::Name] = &[
    kex::EXTENSION_SUPPORT_AS_CLIENT,
    kex::EXTENSION_SUPPORT_AS_SERVER,
    kex::EXTENSION_OPENSSH_STRICT_KEX_AS_CLIENT,
    kex::EXTENSION_OPENSSH_STRICT_KEX_AS_SERVER,
];

/// These need no MAC.
const AEAD_CIPHERS: &[cipher::Name] = &[
    cipher::AES_256_GCM,
    cipher::AES_128_GCM,
    cipher::CHACHA20_POLY1305,
];
const CIPHERS: AlgorithmTable<cipher::Name> = &[
    (Modern, AEAD_CIPHERS),
    (
        Modern,
        &[
            cipher::AES_256_CTR,
            cipher::AES_192_CTR,
            cipher::AES_128_CTR,
        ],
    ),
    (
        Legacy,
        &[
            cipher::AES_256_CBC,
            cipher::AES_192_CBC,
            cipher::AES_128_CBC,
        ],
    ),
];

/// The MACs of `Compatible` authenticate the plaintext instead of the ciphertext.
const MACS: AlgorithmTable<mac::Name> = &[
    (Modern, &[mac::HMAC_SHA512_ETM, mac::HMAC_SHA256_ETM]),
    (Compatible, &[mac::HMAC_SHA512, mac::HMAC_SHA256]),
    (Legacy, &[mac::HMAC_SHA1_ETM, mac::HMAC_SHA1]),
];

/// ssh-rsa, which signs with SHA-1. RFC 8332 replaces it.
pub(super) const SSH_RSA: Algorithm = Algorithm::Rsa { hash: None };
/// Algorithms of host keys and of user keys. The server offers those host key algorithms for which it has a
/// key file.
const KEYS: AlgorithmTable<Algorithm> = &[
    (
        Modern,
        &[
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
        ],
    ),
    (Legacy, &[SSH_RSA]),
];

/// Returns what a setting offers, in the order of the table.
fn offered<T: Clone>(table: AlgorithmTable<T>, setting: Algorithms) -> Vec<T> {
    let rows = table.iter().filter(|(least, _)| *least <= setting);
    rows.flat_map(|(_, names)| names.iter().cloned()).collect()
}

/// Returns the least permissive setting that offers an algorithm.
fn least<T: PartialEq>(table: AlgorithmTable<T>, name: &T) -> Algorithms {
    let row = table.iter().find(|(_, names)| names.contains(name));
    row.map_or(Modern, |(least, _)| *least)
}

/// Returns the algorithms to offer, best first. In SSH the client's order decides.
pub(super) fn preferred(ssh: &config::SshSettings, knows_etm: bool) -> Preferred {
    let kex = if ssh.post_quantum_only {
        vec![POST_QUANTUM_KEX]
    } else {
        offered(KEX, ssh.algorithms)
    };
    Preferred {
        kex: Cow::Owned([&kex[..], EXTENSIONS].concat()),
        key: Cow::Owned(offered(KEYS, ssh.algorithms)),
        cipher: Cow::Owned(offered(CIPHERS, ssh.algorithms)),
        mac: Cow::Owned(offered(MACS, setting_of_macs(ssh.algorithms, knows_etm))),
        // Nothing before the login is worth compressing, and after it compression would allow attacks like
        // CRIME.
        compression: Cow::Borrowed(&[compression::NONE]),
        ..Preferred::default()
    }
}

fn setting_of_macs(setting: Algorithms, knows_etm: bool) -> Algorithms {
    if knows_etm {
        setting
    } else {
        setting.max(Compatible)
    }
}

/// Returns whether a client supports encrypt-then-MAC, or a cipher that needs no MAC, by its
/// identification. libssh2 does since 1.11; curl in Debian 12 uses 1.10.
pub(super) fn knows_etm(identification: &[u8]) -> bool {
    let version = identification.strip_prefix(b"SSH-2.0-libssh2_1.");
    let minor = version.and_then(|version| {
        let digits = version.iter().take_while(|byte| byte.is_ascii_digit());
        let digits: Vec<u8> = digits.copied().collect();
        str::from_utf8(&digits).ok()?.parse::<u32>().ok()
    });
    minor.is_none_or(|minor| minor >= 11)
}

/// A negotiated algorithm, and the least permissive setting that offers it.
pub(super) type Agreed = (Algorithms, String);

/// Returns the negotiated algorithms that `Modern` does not offer this client.
pub(super) fn beyond_modern(names: &Names, knows_etm: bool) -> Vec<Agreed> {
    let mut agreed = vec![
        (least(KEX, &names.kex), names.kex.as_ref().to_owned()),
        (
            least(KEYS, &names.key),
            format!("{} as the host key", names.key),
        ),
        (
            least(CIPHERS, &names.cipher),
            names.cipher.as_ref().to_owned(),
        ),
    ];
    if !AEAD_CIPHERS.contains(&names.cipher) {
        let macs = [names.client_mac, names.server_mac];
        agreed.extend(macs.map(|mac| (least(MACS, &mac), mac.as_ref().to_owned())));
        agreed.dedup();
    }
    let modern_macs = offered(MACS, setting_of_macs(Modern, knows_etm));
    let is_offered_anyway = |name: &str| modern_macs.iter().any(|mac| mac.as_ref() == name);
    agreed.retain(|(setting, name)| *setting > Modern && !is_offered_anyway(name));
    agreed
}

/// Returns the least permissive setting of `ssh.algorithms` that offers one of the client's names after a
/// failed key exchange. `None`: no setting does, all do, or it depends on the host keys.
pub(super) fn sufficient(kind: &AlgorithmKind, theirs: &[String]) -> Option<Algorithms> {
    let is_theirs = |name: &str| theirs.iter().any(|one| one == name);
    let found = Algorithms::ALL.into_iter().find(|setting| match kind {
        AlgorithmKind::Kex => (offered(KEX, *setting).iter()).any(|one| is_theirs(one.as_ref())),
        AlgorithmKind::Cipher => {
            (offered(CIPHERS, *setting).iter()).any(|one| is_theirs(one.as_ref()))
        }
        AlgorithmKind::Mac => (offered(MACS, *setting).iter()).any(|one| is_theirs(one.as_ref())),
        AlgorithmKind::Key | AlgorithmKind::Compression => false,
    });
    found.filter(|setting| *setting > Modern)
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

    #[test]
    fn the_least_permissive_sufficient_setting_is_found() {
        use AlgorithmKind::{Cipher, Kex, Key, Mac};
        for (kind, theirs, setting) in [
            // With `ssh.post_quantum_only` no other setting helps.
            (Kex, "x,curve25519-sha256", None),
            (Kex, "ecdh-sha2-nistp384", Some(Compatible)),
            (
                Kex,
                "diffie-hellman-group14-sha1,diffie-hellman-group14-sha256",
                Some(Compatible),
            ),
            (Kex, "diffie-hellman-group14-sha1", Some(Legacy)),
            (Kex, "diffie-hellman-group-exchange-sha256", Some(Legacy)),
            (Kex, "diffie-hellman-group1-sha1", None),
            (Kex, "ext-info-c", None),
            (Kex, "", None),
            (Cipher, "aes128-cbc", Some(Legacy)),
            (Cipher, "3des-cbc", None),
            (Mac, "hmac-sha1,hmac-sha2-512", Some(Compatible)),
            (Mac, "hmac-sha1", Some(Legacy)),
            (Mac, "hmac-md5", None),
            (Key, "ssh-rsa", None),
        ] {
            let names: Vec<_> = theirs.split(',').map(str::to_owned).collect();
            assert_eq!(sufficient(&kind, &names), setting, "{kind:?} {theirs}");
        }
    }

    #[test]
    fn no_setting_but_legacy_offers_sha_1_or_cbc() {
        for setting in Algorithms::ALL {
            let names = offered(KEX, setting)
                .iter()
                .map(|one| one.as_ref().to_owned())
                .chain(
                    offered(CIPHERS, setting)
                        .iter()
                        .map(|one| one.as_ref().to_owned()),
                )
                .chain(
                    offered(MACS, setting)
                        .iter()
                        .map(|one| one.as_ref().to_owned()),
                )
                .chain(
                    offered(KEYS, setting)
                        .iter()
                        .map(|one| one.as_str().to_owned()),
                )
                .collect::<Vec<_>>();
            let is_weak =
                |name: &String| name.contains("sha1") || name.contains("-cbc") || name == "ssh-rsa";
            assert_eq!(names.iter().any(is_weak), setting == Legacy, "{names:?}");
        }
    }
}
