//! What a session was let in by, and whether its account still has it.

use std::sync::Arc;

use super::account::Account;
use super::credential::{AcceptedCredential, Credential};
use super::keys::{self, AuthorizedKey};
use super::sql::AccountRow;

/// What a session was let in by. As long as the account [still has](Standing::still_has) it, the
/// session may go on.
#[derive(Debug, Clone)]
pub struct Basis {
    /// The change that made the account: another one of its name is not it.
    made_by: i64,
    /// The change that gave the account the password, if it was proven by one.
    password_by: Option<i64>,
    /// The key or certificate, if it was proven by one.
    entry: Option<AcceptedCredential>,
    /// The last change of any account that was known when it was proven.
    as_of: i64,
}

impl Basis {
    /// To be let in to this account.
    pub(super) fn of(row: &AccountRow, entry: Option<AcceptedCredential>, as_of: i64) -> Self {
        Self {
            made_by: row.made_by,
            password_by: None,
            entry,
            as_of,
        }
    }

    /// Its password was proven, too.
    pub(super) fn and_password(self, row: &AccountRow) -> Self {
        Self {
            password_by: Some(row.password_by),
            ..self
        }
    }

    /// The key or certificate, if it was proven by one.
    pub fn credential(&self) -> Option<&Arc<Credential>> {
        self.entry.as_ref().map(|entry| &entry.credential)
    }

    /// When that expires: seconds since 1970-01-01 00:00 UTC.
    pub fn until(&self) -> Option<i64> {
        self.entry.as_ref().and_then(|entry| entry.allowed.until)
    }

    /// Is nothing allowed but SFTP, whatever is asked for?
    pub fn only_sftp(&self) -> bool {
        let mut entry = self.entry.iter();
        entry.any(|entry| entry.allowed.only_sftp)
    }

    /// The last change of any account that was known when the login was proven.
    pub fn as_of(&self) -> i64 {
        self.as_of
    }
}

/// An account as it stands.
#[derive(Debug)]
pub struct AccountStanding {
    /// The account.
    pub account: Account,
    pub(super) made_by: i64,
    pub(super) password_by: i64,
    pub(super) keys: Vec<AuthorizedKey>,
}

/// What a session was let in by, and is not there any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lost {
    /// The account: it was removed, whatever is called so now.
    Account,
    /// The password was changed, or taken away.
    Password,
    /// The key was removed.
    Key,
}

impl AccountStanding {
    /// Is all still there that a session was let in by? Gives when that expires: seconds since
    /// 1970-01-01 00:00 UTC.
    pub fn still_has(&self, basis: &Basis) -> Result<Option<i64>, Lost> {
        if self.made_by != basis.made_by {
            return Err(Lost::Account);
        }
        if basis.password_by.is_some_and(|by| by != self.password_by) {
            return Err(Lost::Password);
        }
        let Some(Credential::Key(blob)) = basis.credential().map(|credential| &**credential) else {
            return Ok(basis.until());
        };
        let public_key = keys::from_wire(blob);
        let mut own = self.keys.iter();
        let key = own.find(|key| Some(&key.public_key) == public_key.as_ref());
        let key = key.ok_or(Lost::Key)?;
        // It may have been added again, with options that require more.
        let required = key.required().map_err(|_| Lost::Key)?;
        let met = required.met_by(basis.entry.as_ref().and_then(|entry| entry.flags));
        met.map(|()| key.expires_at).map_err(|_| Lost::Key)
    }
}
