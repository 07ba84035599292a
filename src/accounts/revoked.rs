//! Revoked keys: a key revocation list of OpenSSH (PROTOCOL.krl, made by `ssh-keygen -k`), or a list of
//! public keys and fingerprints.

use std::collections::HashSet;
use std::ops::RangeInclusive;

use anyhow::{Context as _, bail};
use ssh_key::PublicKey;

use super::key_file;
use crate::hashes::{Algorithm, Hasher};

/// "SSHKRL\n\0"
const MAGIC: &[u8] = b"SSHKRL\n\0";
const FORMAT: u32 = 1;

/// Section types of the file.
mod section {
    pub(super) const CERTIFICATES: u8 = 1;
    pub(super) const EXPLICIT_KEY: u8 = 2;
    pub(super) const FINGERPRINT_SHA1: u8 = 3;
    pub(super) const SIGNATURE: u8 = 4;
    pub(super) const FINGERPRINT_SHA256: u8 = 5;
    pub(super) const EXTENSION: u8 = 255;
}

/// Subsection types of a certificate section.
mod part {
    pub(super) const SERIAL_LIST: u8 = 0x20;
    pub(super) const SERIAL_RANGE: u8 = 0x21;
    pub(super) const SERIAL_BITMAP: u8 = 0x22;
    pub(super) const KEY_ID: u8 = 0x23;
    pub(super) const EXTENSION: u8 = 0x39;
}

/// The revoked keys and certificates.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Revoked {
    /// Keys in wire format.
    keys: HashSet<Vec<u8>>,
    sha1: HashSet<Vec<u8>>,
    sha256: HashSet<Vec<u8>>,
    certificates: Vec<OfAuthority>,
}

/// Revoked certificates of one authority.
#[derive(Debug, PartialEq, Eq)]
struct OfAuthority {
    /// Its key in wire format; empty for any authority.
    authority: Vec<u8>,
    serials: Vec<RangeInclusive<u64>>,
    /// Serial numbers as bits, from a first one on; the last byte has the first eight.
    bitmaps: Vec<(u64, Vec<u8>)>,
    key_ids: HashSet<Vec<u8>>,
}

impl OfAuthority {
    fn has_serial(&self, serial: u64) -> bool {
        let by_bit = |(first, bytes): &(u64, Vec<u8>)| {
            let bit = serial.checked_sub(*first)?;
            let byte = bytes.iter().rev().nth(usize::try_from(bit / 8).ok()?)?;
            Some(byte & (1 << (bit % 8)) != 0)
        };
        self.serials.iter().any(|some| some.contains(&serial))
            || self.bitmaps.iter().any(|bits| by_bit(bits) == Some(true))
    }
}

impl Revoked {
    /// Returns whether this key, in wire format, is revoked.
    pub(super) fn has_key(&self, blob: &[u8]) -> bool {
        let has = |hashes: &HashSet<Vec<u8>>, algorithm| {
            !hashes.is_empty() && hashes.contains(&digest(algorithm, blob))
        };
        self.keys.contains(blob)
            || has(&self.sha256, Algorithm::Sha256)
            || has(&self.sha1, Algorithm::Sha1)
    }

    /// Returns whether this certificate, its key or its authority is revoked.
    pub(super) fn has_certificate(
        &self,
        authority: &[u8],
        key: &[u8],
        serial: u64,
        key_id: &str,
    ) -> bool {
        let mut lists = self.certificates.iter();
        self.has_key(key)
            || self.has_key(authority)
            || lists.any(|list| {
                let concerned = list.authority.is_empty() || list.authority == authority;
                // A certificate without a serial number has 0, which identifies nothing.
                let by_serial = || serial != 0 && list.has_serial(serial);
                concerned && (list.key_ids.contains(key_id.as_bytes()) || by_serial())
            })
    }

    /// Parses either kind of file.
    ///
    /// # Errors
    ///
    /// A part of it is not understood: it could revoke anything.
    pub(super) fn parse(bytes: &[u8]) -> anyhow::Result<Self> {
        if bytes.starts_with(MAGIC) {
            return parse_krl(bytes).context("this key revocation list is damaged or too new");
        }
        let text = key_file::decode(bytes).context("this is not a list of keys")?;
        let mut revoked = Self::default();
        for (number, line) in key_file::lines(&text)? {
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let of_line = || format!("line {number} is neither a public key nor a fingerprint");
            if line.starts_with("SHA256:") {
                let fingerprint: ssh_key::Fingerprint = line.parse().with_context(of_line)?;
                revoked.sha256.insert(fingerprint.as_bytes().to_vec());
            } else {
                let key = PublicKey::from_openssh(line).with_context(of_line)?;
                revoked.keys.insert(key.to_bytes().with_context(of_line)?);
            }
        }
        Ok(revoked)
    }
}

fn digest(algorithm: Algorithm, blob: &[u8]) -> Vec<u8> {
    let mut hasher = Hasher::new(algorithm);
    hasher.update(blob);
    hasher.finish().as_bytes().to_vec()
}

fn parse_krl(bytes: &[u8]) -> anyhow::Result<Revoked> {
    let mut fields = Fields(bytes.get(MAGIC.len()..).unwrap_or_default());
    let format = fields.u32()?;
    if format != FORMAT {
        bail!("its format is {format}, and only {FORMAT} is supported");
    }
    // Version, creation time and flags.
    for _ in 0..3 {
        fields.u64()?;
    }
    // Reserved; a comment.
    fields.string()?;
    fields.string()?;
    let mut revoked = Revoked::default();
    while !fields.is_empty() {
        let kind = fields.u8()?;
        let mut data = Fields(fields.string()?);
        match kind {
            section::CERTIFICATES => revoked.certificates.push(certificates(data)?),
            section::EXPLICIT_KEY => data.strings_into(&mut revoked.keys)?,
            section::FINGERPRINT_SHA1 => data.strings_into(&mut revoked.sha1)?,
            section::FINGERPRINT_SHA256 => data.strings_into(&mut revoked.sha256)?,
            // By the key in `data`; only signatures follow. The file is the operator's own, so signatures
            // are not verified.
            section::SIGNATURE => {
                fields.string()?;
            }
            section::EXTENSION => data.extension()?,
            kind => bail!("its section {kind} is unknown"),
        }
    }
    Ok(revoked)
}

fn certificates(mut data: Fields<'_>) -> anyhow::Result<OfAuthority> {
    let mut list = OfAuthority {
        authority: data.string()?.to_vec(),
        serials: Vec::new(),
        bitmaps: Vec::new(),
        key_ids: HashSet::new(),
    };
    // Reserved.
    data.string()?;
    while !data.is_empty() {
        let kind = data.u8()?;
        let mut part = Fields(data.string()?);
        match kind {
            part::SERIAL_LIST => {
                while !part.is_empty() {
                    let serial = part.u64()?;
                    list.serials.push(serial..=serial);
                }
            }
            part::SERIAL_RANGE => list.serials.push(part.u64()?..=part.u64()?),
            part::SERIAL_BITMAP => {
                let first = part.u64()?;
                list.bitmaps.push((first, part.string()?.to_vec()));
            }
            part::KEY_ID => part.strings_into(&mut list.key_ids)?,
            part::EXTENSION => part.extension()?,
            kind => bail!("its list of certificates has an unknown part, {kind}"),
        }
    }
    Ok(list)
}

/// Fields in wire format (RFC 4251, section 5).
struct Fields<'a>(&'a [u8]);

impl<'a> Fields<'a> {
    fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    fn take(&mut self, length: usize) -> anyhow::Result<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(length).context("it is truncated")?;
        self.0 = rest;
        Ok(taken)
    }

    fn u8(&mut self) -> anyhow::Result<u8> {
        Ok(self.take(1)?.first().copied().unwrap_or_default())
    }

    fn u32(&mut self) -> anyhow::Result<u32> {
        Ok(u32::from_be_bytes(self.take(4)?.try_into()?))
    }

    fn u64(&mut self) -> anyhow::Result<u64> {
        Ok(u64::from_be_bytes(self.take(8)?.try_into()?))
    }

    fn string(&mut self) -> anyhow::Result<&'a [u8]> {
        let length = self.u32()?;
        self.take(usize::try_from(length)?)
    }

    fn strings_into(&mut self, set: &mut HashSet<Vec<u8>>) -> anyhow::Result<()> {
        while !self.is_empty() {
            set.insert(self.string()?.to_vec());
        }
        Ok(())
    }

    /// No extension is known; a critical one is an error.
    fn extension(&mut self) -> anyhow::Result<()> {
        self.string()?;
        if self.u8()? != 0 {
            bail!("it has an unknown critical extension");
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use ssh_key::HashAlg;

    use super::*;

    const KEY: &str =
        "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAILM+rvN+ot98qgEN796jTiQfZfG1KaT0PtFDJ/XFSqti";

    #[test]
    fn lists_hold_keys_and_fingerprints() {
        let key = PublicKey::from_openssh(KEY).unwrap();
        let blob = key.to_bytes().unwrap();
        let fingerprint = key.fingerprint(HashAlg::Sha256).to_string();
        for list in [
            KEY.to_owned(),
            format!("# of Ann\n\n{KEY} ann\n"),
            fingerprint,
        ] {
            let revoked = Revoked::parse(list.as_bytes()).unwrap();
            assert!(revoked.has_key(&blob), "{list}");
            assert!(!revoked.has_key(b"another"), "{list}");
            assert!(revoked.has_certificate(b"ca", &blob, 0, ""));
            assert!(revoked.has_certificate(&blob, b"key", 0, ""));
        }
        assert_eq!(Revoked::parse(b"# nothing\n").unwrap(), Revoked::default());
        for wrong in [
            "ssh-ed25519",
            "SHA256:",
            "SHA256:short",
            "MD5:00",
            "\0",
            "x y z",
        ] {
            assert!(Revoked::parse(wrong.as_bytes()).is_err(), "{wrong}");
        }
    }

    #[test]
    fn what_is_cut_or_unknown_is_refused() {
        let mut krl = MAGIC.to_vec();
        krl.extend(FORMAT.to_be_bytes());
        krl.extend([0; 24 + 8]);
        assert_eq!(Revoked::parse(&krl).unwrap(), Revoked::default());
        for length in MAGIC.len()..krl.len() {
            assert!(Revoked::parse(&krl[..length]).is_err(), "{length}");
        }
        for rest in [
            &[9, 0, 0, 0, 0][..],
            &[2, 0, 0, 0, 9],
            &[1, 0, 0, 0, 0],
            &[2],
        ] {
            assert!(Revoked::parse(&[&krl, rest].concat()).is_err(), "{rest:?}");
        }
        krl[MAGIC.len() + 3] = 2;
        assert!(Revoked::parse(&krl).is_err());
    }
}
