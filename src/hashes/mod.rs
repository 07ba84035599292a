//! Hashes of files: the algorithms that clients ask for, and the hashes that are known.

mod memory;

use std::fmt;

use aws_lc_rs::digest;
use md5::Digest as _;

use self::memory::Memory;

pub use self::memory::Content;

/// Longest hash: that of SHA-512.
const LONGEST: usize = 64;

/// An algorithm, by the names of draft-ietf-secsh-filexfer-extensions-00, section 3.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Algorithm {
    /// CRC-32 as zlib has it; finds accidents only.
    Crc32,
    /// RFC 1321; not safe against intent.
    Md5,
    /// FIPS 180-4; not safe against intent.
    Sha1,
    /// FIPS 180-4.
    Sha224,
    /// FIPS 180-4.
    Sha256,
    /// FIPS 180-4.
    Sha384,
    /// FIPS 180-4.
    Sha512,
}

impl Algorithm {
    /// All there are.
    pub const ALL: [Self; 7] = [
        Self::Crc32,
        Self::Md5,
        Self::Sha1,
        Self::Sha224,
        Self::Sha256,
        Self::Sha384,
        Self::Sha512,
    ];

    /// Its name in requests.
    pub fn name(self) -> &'static str {
        match self {
            Self::Crc32 => "crc32",
            Self::Md5 => "md5",
            Self::Sha1 => "sha1",
            Self::Sha224 => "sha224",
            Self::Sha256 => "sha256",
            Self::Sha384 => "sha384",
            Self::Sha512 => "sha512",
        }
    }

    /// The algorithm of this name.
    pub fn named(name: &[u8]) -> Option<Self> {
        let known = |algorithm: &Self| algorithm.name().as_bytes() == name;
        Self::ALL.into_iter().find(known)
    }

    /// Bytes of a hash.
    pub fn length(self) -> usize {
        match self {
            Self::Crc32 => 4,
            Self::Md5 => 16,
            Self::Sha1 => 20,
            Self::Sha224 => 28,
            Self::Sha256 => 32,
            Self::Sha384 => 48,
            Self::Sha512 => LONGEST,
        }
    }
}

/// A hash that is being computed.
pub struct Hasher(State);

enum State {
    Crc32(crc32fast::Hasher),
    Md5(md5::Md5),
    Sha(digest::Context),
}

impl Hasher {
    /// Of nothing yet.
    pub fn new(algorithm: Algorithm) -> Self {
        let sha = |algorithm| State::Sha(digest::Context::new(algorithm));
        Self(match algorithm {
            Algorithm::Crc32 => State::Crc32(crc32fast::Hasher::new()),
            Algorithm::Md5 => State::Md5(md5::Md5::new()),
            Algorithm::Sha1 => sha(&digest::SHA1_FOR_LEGACY_USE_ONLY),
            Algorithm::Sha224 => sha(&digest::SHA224),
            Algorithm::Sha256 => sha(&digest::SHA256),
            Algorithm::Sha384 => sha(&digest::SHA384),
            Algorithm::Sha512 => sha(&digest::SHA512),
        })
    }

    /// Takes in what comes next.
    pub fn update(&mut self, bytes: &[u8]) {
        match &mut self.0 {
            State::Crc32(hasher) => hasher.update(bytes),
            State::Md5(hasher) => hasher.update(bytes),
            State::Sha(hasher) => hasher.update(bytes),
        }
    }

    /// The hash of all that was taken in.
    pub fn finish(self) -> Hash {
        match self.0 {
            State::Crc32(hasher) => Hash::new(&hasher.finalize().to_be_bytes()),
            State::Md5(hasher) => Hash::new(&hasher.finalize()),
            State::Sha(hasher) => Hash::new(hasher.finish().as_ref()),
        }
    }
}

/// A hash. Shown in lower case hexadecimal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Hash {
    bytes: [u8; LONGEST],
    length: usize,
}

impl Hash {
    /// Of these bytes.
    pub(crate) fn new(hash: &[u8]) -> Self {
        let mut bytes = [0; LONGEST];
        let length = hash.len().min(LONGEST);
        for (to, from) in bytes.iter_mut().zip(hash) {
            *to = *from;
        }
        Self { bytes, length }
    }

    /// Its bytes.
    pub fn as_bytes(&self) -> &[u8] {
        self.bytes.get(..self.length).unwrap_or_default()
    }
}

impl fmt::Display for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut bytes = self.as_bytes().iter();
        bytes.try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// The hashes that are known, for all sessions.
#[derive(Default)]
pub struct Hashes {
    memory: Memory,
}

impl Hashes {
    /// The hash of a whole file that has not changed since it was computed.
    pub fn known(&self, content: &Content, algorithm: Algorithm) -> Option<Hash> {
        self.memory.get(content, algorithm)
    }

    /// Remembers the hash of a whole file.
    pub fn remember(&self, content: Content, algorithm: Algorithm, hash: Hash) {
        self.memory.put(content, algorithm, hash);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Known answers: of nothing, and of "abc" (RFC 1321, FIPS 180-4's examples; CRC-32 by zlib).
    #[test]
    fn the_algorithms_are_what_they_are_called() {
        let answers = [
            ("crc32", "00000000", "352441c2"),
            (
                "md5",
                "d41d8cd98f00b204e9800998ecf8427e",
                "900150983cd24fb0d6963f7d28e17f72",
            ),
            (
                "sha1",
                "da39a3ee5e6b4b0d3255bfef95601890afd80709",
                "a9993e364706816aba3e25717850c26c9cd0d89d",
            ),
            (
                "sha224",
                "d14a028c2a3a2bc9476102bb288234c415a2b01f828ea62ac5b3e42f",
                "23097d223405d8228642a477bda255b32aadbce4bda0b3f7e36c9da7",
            ),
            (
                "sha256",
                "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
                "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
            ),
            (
                "sha384",
                "38b060a751ac96384cd9327eb1b1e36a21fdb71114be07434c0cc7bf63f6e1da274edebfe76f65fbd51ad2f14898b95b",
                "cb00753f45a35e8bb5a03d699ac65007272c32ab0eded1631a8b605a43ff5bed8086072ba1e7cc2358baeca134c825a7",
            ),
            (
                "sha512",
                "cf83e1357eefb8bdf1542850d66d8007d620e4050b5715dc83f4a921d36ce9ce47d0d13c5d85f2b0ff8318d2877eec2f63b931bd47417a81a538327af927da3e",
                "ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a2192992a274fc1a836ba3c23a3feebbd454d4423643ce80e2a9ac94fa54ca49f",
            ),
        ];
        for (name, of_nothing, of_abc) in answers {
            let algorithm = Algorithm::named(name.as_bytes());
            let hash = |pieces: &[&[u8]]| {
                algorithm.map(|algorithm| {
                    let mut hasher = Hasher::new(algorithm);
                    pieces.iter().for_each(|piece| hasher.update(piece));
                    let hash = hasher.finish();
                    assert_eq!(hash.as_bytes().len(), algorithm.length());
                    hash.to_string()
                })
            };
            assert_eq!(hash(&[]).as_deref(), Some(of_nothing), "{name}");
            assert_eq!(hash(&[b"a", b"", b"bc"]).as_deref(), Some(of_abc), "{name}");
        }
        assert_eq!(Algorithm::named(b"md4"), None);
    }
}
