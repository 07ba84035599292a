//! Reasons to refuse a login.

use crate::rules::RuleRefusal;

/// Why a login is refused: for the log, never for the client.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum LoginRefusal {
    /// There is no such account.
    #[error("no such user")]
    NoSuchUser,
    /// The password is wrong.
    #[error("wrong password")]
    WrongPassword,
    /// The account has no password.
    #[error("the account has no password")]
    NoPassword,
    /// The account does not have the key.
    #[error("unknown key")]
    UnknownKey,
    /// The account has the key, but it has expired.
    #[error("the key has expired")]
    ExpiredKey,
    /// The rules of the account refuse it.
    #[error(transparent)]
    Rules(#[from] RuleRefusal),
    /// The account accepts no password, or only after a key.
    #[error("the account requires a key first")]
    KeyWanted,
    /// The key was accepted as the first of two steps, and is not accepted any more.
    #[error("the key of the first step is no longer accepted")]
    KeyLost,
    /// The signature of a security key lacks what the key requires.
    #[error("security key: {0}")]
    SecurityKey(&'static str),
    /// The key or its authority is revoked.
    #[error("the key is revoked")]
    Revoked,
    /// A certificate is not acceptable.
    #[error("certificate: {0}")]
    Certificate(&'static str),
}

impl LoginRefusal {
    /// Returns whether the name, the password or the key is wrong, which is all that a client may learn.
    pub fn is_wrong(self) -> bool {
        matches!(
            self,
            Self::NoSuchUser
                | Self::WrongPassword
                | Self::NoPassword
                | Self::UnknownKey
                | Self::ExpiredKey
        )
    }
}
