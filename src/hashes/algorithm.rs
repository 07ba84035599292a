//! The hash algorithms of requests.

use std::fmt;

use aws_lc_rs::digest;
use md5::Digest as _;

/// Longest hash: that of SHA-512.
const LONGEST: usize = 64;

/// A hash algorithm, named as in draft-ietf-secsh-filexfer-extensions-00, section 3.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Algorithm {
    /// CRC-32 as in zlib; detects accidents only.
    Crc32,
    /// RFC 1321; not secure.
    Md5,
    /// FIPS 180-4; not secure.
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
    /// All algorithms.
    pub const ALL: [Self; 7] = [
        Self::Crc32,
        Self::Md5,
        Self::Sha1,
        Self::Sha224,
        Self::Sha256,
        Self::Sha384,
        Self::Sha512,
    ];

    /// Returns its name in requests.
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

    /// Returns the algorithm of this name.
    pub fn named(name: &[u8]) -> Option<Self> {
        let known = |algorithm: &Self| algorithm.name().as_bytes() == name;
        Self::ALL.into_iter().find(known)
    }

    /// Returns the length of a hash in bytes.
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

/// The computation of a hash.
pub struct Hasher(HasherState);

enum HasherState {
    Crc32(crc32fast::Hasher),
    Md5(md5::Md5),
    Sha(digest::Context),
}

impl Hasher {
    /// Starts a computation.
    pub fn new(algorithm: Algorithm) -> Self {
        let sha = |algorithm| HasherState::Sha(digest::Context::new(algorithm));
        Self(match algorithm {
            Algorithm::Crc32 => HasherState::Crc32(crc32fast::Hasher::new()),
            Algorithm::Md5 => HasherState::Md5(md5::Md5::new()),
            Algorithm::Sha1 => sha(&digest::SHA1_FOR_LEGACY_USE_ONLY),
            Algorithm::Sha224 => sha(&digest::SHA224),
            Algorithm::Sha256 => sha(&digest::SHA256),
            Algorithm::Sha384 => sha(&digest::SHA384),
            Algorithm::Sha512 => sha(&digest::SHA512),
        })
    }

    /// Adds data.
    pub fn update(&mut self, bytes: &[u8]) {
        match &mut self.0 {
            HasherState::Crc32(hasher) => hasher.update(bytes),
            HasherState::Md5(hasher) => hasher.update(bytes),
            HasherState::Sha(hasher) => hasher.update(bytes),
        }
    }

    /// Returns the hash of all data.
    pub fn finish(self) -> Hash {
        match self.0 {
            HasherState::Crc32(hasher) => Hash::new(&hasher.finalize().to_be_bytes()),
            HasherState::Md5(hasher) => Hash::new(&hasher.finalize()),
            HasherState::Sha(hasher) => Hash::new(hasher.finish().as_ref()),
        }
    }
}

/// A hash. Displayed in lower case hexadecimal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Hash {
    bytes: [u8; LONGEST],
    length: usize,
}

impl Hash {
    /// Makes a hash of these bytes.
    pub(crate) fn new(hash: &[u8]) -> Self {
        let mut bytes = [0; LONGEST];
        let length = hash.len().min(LONGEST);
        for (to, from) in bytes.iter_mut().zip(hash) {
            *to = *from;
        }
        Self { bytes, length }
    }

    /// Returns its bytes.
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
