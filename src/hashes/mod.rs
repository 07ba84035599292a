//! Hashes of files: the algorithms, and a memory of known hashes.

mod algorithm;
mod memory;

use self::memory::KnownHashes;

pub use self::algorithm::{Algorithm, Hash, Hasher};
pub use self::memory::Content;

/// The known hashes, for all sessions.
#[derive(Default)]
pub struct Hashes {
    memory: KnownHashes,
}

impl Hashes {
    /// Returns the hash of a whole file if it has not changed since the computation.
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

    /// Known answers for the empty input and "abc" (RFC 1321, examples of FIPS 180-4; CRC-32 by zlib).
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
            let hash = |chunks: &[&[u8]]| {
                algorithm.map(|algorithm| {
                    let mut hasher = Hasher::new(algorithm);
                    chunks.iter().for_each(|chunk| hasher.update(chunk));
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
