//! Passwords and password hashes that are accepted.

use std::str::FromStr;

use anyhow::{Context as _, anyhow};
use argon2::password_hash::phc::PasswordHash as PhcHash;
use argon2::{Algorithm, Params, Version};
use rand::TryRng as _;
use rand::rngs::SysRng;
use zeroize::Zeroizing;

/// The longest password, in bytes; hashing costs the same for every length.
pub const MAX_PASSWORD: usize = 1024;

/// A password that can be set.
#[derive(Clone)]
pub struct Password(Zeroizing<String>);

impl Password {
    /// Checks a password.
    ///
    /// # Errors
    ///
    /// It is empty, longer than [`MAX_PASSWORD`], or has characters that clients cannot send.
    pub fn new(password: Zeroizing<String>) -> anyhow::Result<Self> {
        if password.is_empty() {
            return Err(anyhow!("the password is empty"));
        }
        if password.len() > MAX_PASSWORD {
            return Err(anyhow!("the password is longer than {MAX_PASSWORD} bytes"));
        }
        if password.contains(['\0', '\n', '\r']) {
            return Err(anyhow!(
                "the password contains a line break or a NUL; it must be one line"
            ));
        }
        Ok(Self(password))
    }

    /// Generates a password of 24 letters and digits (120 bits) from the system's random numbers, without
    /// characters that look alike.
    ///
    /// # Errors
    ///
    /// The system has no random numbers.
    pub fn random() -> anyhow::Result<Self> {
        const LETTERS: [char; 32] = [
            'a', 'b', 'c', 'd', 'e', 'f', 'g', 'h', 'i', 'j', 'k', 'm', 'n', 'p', 'q', 'r', 's',
            't', 'u', 'v', 'w', 'x', 'y', 'z', '2', '3', '4', '5', '6', '7', '8', '9',
        ];
        let mut random = Zeroizing::new([0; 24]);
        SysRng
            .try_fill_bytes(random.as_mut())
            .context("the system has no random numbers")?;
        let letter = |byte: &u8| LETTERS.get(usize::from(byte % 32)).copied();
        Ok(Self(Zeroizing::new(
            random.iter().filter_map(letter).collect(),
        )))
    }

    /// Returns the password.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// An argon2id hash as a PHC string, such as [`hash_password`] makes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PasswordHash(String);

impl PasswordHash {
    /// Returns the PHC string.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Text that is not a password hash.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "this is not an argon2id hash ($argon2id$v=19$m=...,t=...,p=...$salt$hash) of up to 1 GiB; create one with: landfall hash-password"
)]
pub struct NotAHash;

impl FromStr for PasswordHash {
    type Err = NotAHash;

    fn from_str(text: &str) -> Result<Self, NotAHash> {
        const MOST_KIB: u32 = 1 << 20;
        const MOST_PASSES: u32 = 1000;
        let hash = PhcHash::new(text).map_err(|_| NotAHash)?;
        let params = Params::try_from(&hash).map_err(|_| NotAHash)?;
        let is_complete = hash.salt.is_some() && hash.hash.is_some();
        let is_right = hash.algorithm == Algorithm::Argon2id.ident()
            && hash.version == Some(Version::V0x13.into())
            && params.m_cost() <= MOST_KIB
            && params.t_cost() <= MOST_PASSES;
        if is_complete && is_right {
            Ok(Self(text.to_owned()))
        } else {
            Err(NotAHash)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passwords_have_limits() {
        for bad in [
            String::new(),
            "a\nb".into(),
            "a\rb".into(),
            "a\0b".into(),
            "x".repeat(1025),
        ] {
            assert!(Password::new(Zeroizing::new(bad)).is_err());
        }
        for good in ["x".to_owned(), "x".repeat(1024), " påsswörd \t".into()] {
            assert!(Password::new(Zeroizing::new(good)).is_ok());
        }
    }

    #[test]
    fn random_passwords_are_long_and_never_the_same() {
        let (first, second) = (Password::random().unwrap(), Password::random().unwrap());
        assert_eq!(first.as_str().len(), 24);
        assert_ne!(first.as_str(), second.as_str());
    }
}
