//! Announces all host keys to clients and proves possession of them, so that a client can learn a new key
//! before the old one is removed (OpenSSH's PROTOCOL, section 2.5).

use russh::Names;
use russh::keys::signature::Signer as _;
use russh::keys::ssh_encoding::Encode as _;
use russh::keys::ssh_key::Signature;
use russh::keys::ssh_key::private::KeypairData;
use russh::keys::{Algorithm, HashAlg, PrivateKey};

/// The server announces its keys.
pub(super) const ANNOUNCE: &str = "hostkeys-00@openssh.com";
/// The client requests proofs. The name is part of the signed data.
pub(super) const PROVE: &str = "hostkeys-prove-00@openssh.com";
/// Requests for proofs that one connection may send; a client sends one. Signing costs CPU.
const MOST_PROOFS: u32 = 4;

/// The host key state of a connection.
#[derive(Default)]
pub(super) struct KeyRotation {
    /// The hash of an RSA key's signature in the last key exchange. The client expects proofs with the same
    /// hash.
    hash: Option<HashAlg>,
    proofs: u32,
}

impl KeyRotation {
    /// Records a key exchange.
    pub(super) fn agreed(&mut self, names: &Names) {
        self.hash = match names.key {
            Algorithm::Rsa { hash } => hash,
            _ => None,
        };
    }

    /// Signs with the keys that the client requests; `None` if the server lacks one of them.
    pub(super) fn prove(
        &mut self,
        keys: &[PrivateKey],
        asked: &[u8],
        session_id: &[u8],
    ) -> Option<Vec<u8>> {
        self.proofs += 1;
        if self.proofs > MOST_PROOFS {
            return None;
        }
        let hash = self.hash.unwrap_or(HashAlg::Sha512);
        let blobs = strings(asked)?;
        // Each key at most once, so that a client cannot request more signatures than there are keys.
        if blobs.len() > keys.len() {
            return None;
        }
        let mut proofs = Vec::new();
        for blob in blobs {
            let is_it =
                |key: &&PrivateKey| key.public_key().to_bytes().is_ok_and(|own| own == blob);
            let key = keys.iter().find(is_it)?;
            let mut signed = Vec::new();
            PROVE.encode(&mut signed).ok()?;
            session_id.encode(&mut signed).ok()?;
            blob.encode(&mut signed).ok()?;
            sign(key, hash, &signed)?.encode(&mut proofs).ok()?;
        }
        Some(proofs)
    }
}

/// Encodes the announcement of all keys.
pub(super) fn announcement(keys: &[PrivateKey]) -> Vec<u8> {
    let mut told = Vec::new();
    for key in keys {
        // A key that was parsed can be encoded.
        if let Ok(blob) = key.public_key().to_bytes() {
            let _ = blob.encode(&mut told);
        }
    }
    told
}

fn sign(key: &PrivateKey, hash: HashAlg, data: &[u8]) -> Option<Vec<u8>> {
    let signature: Signature = match key.key_data() {
        KeypairData::Rsa(pair) => (pair, Some(hash)).try_sign(data).ok()?,
        _ => key.try_sign(data).ok()?,
    };
    let mut blob = Vec::new();
    signature.encode(&mut blob).ok()?;
    Some(blob)
}

/// Decodes a sequence of strings (RFC 4251, section 5).
fn strings(mut bytes: &[u8]) -> Option<Vec<&[u8]>> {
    let mut found = Vec::new();
    while !bytes.is_empty() {
        let (length, rest) = bytes.split_first_chunk::<4>()?;
        let length = usize::try_from(u32::from_be_bytes(*length)).ok()?;
        let (string, rest) = rest.split_at_checked(length)?;
        found.push(string);
        bytes = rest;
    }
    Some(found)
}

#[cfg(test)]
mod tests {
    use russh::keys::signature::Verifier as _;
    use russh::keys::ssh_encoding::Decode as _;

    use super::*;

    fn key() -> PrivateKey {
        PrivateKey::random(&mut rand::rng(), Algorithm::Ed25519).unwrap()
    }

    #[test]
    fn a_proof_is_a_signature_of_the_name_the_session_and_the_key() {
        let keys = [key(), key()];
        let asked = announcement(&keys);
        let proofs = KeyRotation::default().prove(&keys, &asked, b"session");
        let proofs = proofs.unwrap();
        let blobs = strings(&asked).unwrap();
        for ((key, blob), mut proof) in keys.iter().zip(blobs).zip(strings(&proofs).unwrap()) {
            let mut signed = Vec::new();
            PROVE.encode(&mut signed).unwrap();
            b"session".as_slice().encode(&mut signed).unwrap();
            blob.encode(&mut signed).unwrap();
            let signature = Signature::decode(&mut proof).unwrap();
            let public = key.public_key().key_data();
            public.verify(&signed, &signature).unwrap();
        }
    }

    #[test]
    fn what_is_no_own_key_is_not_signed_and_nothing_is_signed_without_end() {
        let keys = [key()];
        let own = announcement(&keys);
        let mut rotation = KeyRotation::default();
        assert_eq!(rotation.prove(&keys, &announcement(&[key()]), b"s"), None);
        assert_eq!(rotation.prove(&keys, &own.repeat(2), b"s"), None);
        let cut = own.get(..own.len() - 1).unwrap();
        assert_eq!(rotation.prove(&keys, cut, b"s"), None);
        assert!(rotation.prove(&keys, &own, b"s").is_some());
        assert_eq!(rotation.prove(&keys, &own, b"s"), None);
    }
}
