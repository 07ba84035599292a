//! Why somebody is not let in.

use crate::rules::KeptOut;

/// Why somebody is not let in: for the log, and never for a stranger.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum LoginRefusal {
    /// There is no such account.
    #[error("no such user")]
    NoSuchUser,
    /// The password is not that of the account.
    #[error("wrong password")]
    WrongPassword,
    /// The account has no password.
    #[error("the account has no password")]
    NoPassword,
    /// The account does not have the key.
    #[error("unknown key")]
    UnknownKey,
    /// The account has the key, which has expired.
    #[error("the key has expired")]
    ExpiredKey,
    /// The account keeps them out.
    #[error(transparent)]
    KeptOut(#[from] KeptOut),
    /// The account takes no password, or not without a key before it.
    #[error("the account wants a key first")]
    KeyWanted,
    /// The key was accepted as the first of two steps, and is no longer.
    #[error("the key of the first step is no longer accepted")]
    KeyLost,
    /// The signature of a security key lacks what the key requires.
    #[error("security key: {0}")]
    SecurityKey(&'static str),
    /// The key, or what has signed it, is revoked.
    #[error("the key is revoked")]
    Revoked,
    /// Something is wrong with a certificate.
    #[error("certificate: {0}")]
    Certificate(&'static str),
}

impl LoginRefusal {
    /// Is the name, the password or the key wrong, which is all that a client may know?
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
