//! What a security key's signature says about its user (OpenSSH's PROTOCOL.u2f), and what a key or
//! certificate requires.

use super::refusal::LoginRefusal;

/// The flags in a security key's signature. All bits but these two are ignored, as in OpenSSH.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SecurityKeyFlags(pub u8);

/// The user touched the security key.
const USER_PRESENT: u8 = 0x01;
/// The security key verified the user by a PIN or a fingerprint.
const USER_VERIFIED: u8 = 0x04;

/// What a login with a security key requires of its user; by default a touch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Required {
    pub(super) presence: bool,
    pub(super) verification: bool,
}

impl Default for Required {
    fn default() -> Self {
        Self {
            presence: true,
            verification: false,
        }
    }
}

impl Required {
    /// Checks the flags of a signature; `None` for another kind of key, which has no flags.
    pub(super) fn met_by(self, flags: Option<SecurityKeyFlags>) -> Result<(), LoginRefusal> {
        let Some(SecurityKeyFlags(flags)) = flags else {
            return Ok(());
        };
        if self.presence && flags & USER_PRESENT == 0 {
            return Err(LoginRefusal::SecurityKey("it was not touched"));
        }
        if self.verification && flags & USER_VERIFIED == 0 {
            return Err(LoginRefusal::SecurityKey("it did not verify its user"));
        }
        Ok(())
    }
}
