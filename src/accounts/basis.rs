//! The credential of a login, and whether the account still has it.

use std::sync::Arc;

use super::account::Account;
use super::credential::{AcceptedCredential, Credential};
use super::keys::{self, AuthorizedKey};
use super::sql::AccountRow;

/// The credential of a session. The session may continue while the account [still has](Standing::still_has)
/// it.
#[derive(Debug, Clone)]
pub struct Basis {
    /// The change that created the account: identifies it among accounts of the same name.
    made_by: i64,
    /// The change that set the password, if the login used it.
    password_by: Option<i64>,
    /// The key or certificate, if the login used one.
    entry: Option<AcceptedCredential>,
    /// The last account change known when the login was verified.
    as_of: i64,
}

impl Basis {
    /// Makes the basis of a login to this account.
    pub(super) fn of(row: &AccountRow, entry: Option<AcceptedCredential>, as_of: i64) -> Self {
        Self {
            made_by: row.made_by,
            password_by: None,
            entry,
            as_of,
        }
    }

    /// Adds the verified password.
    pub(super) fn and_password(self, row: &AccountRow) -> Self {
        Self {
            password_by: Some(row.password_by),
            ..self
        }
    }

    /// Returns the key or certificate, if the login used one.
    pub fn credential(&self) -> Option<&Arc<Credential>> {
        self.entry.as_ref().map(|entry| &entry.credential)
    }

    /// Returns its expiry: seconds since 1970-01-01 00:00 UTC.
    pub fn until(&self) -> Option<i64> {
        self.entry.as_ref().and_then(|entry| entry.allowed.until)
    }

    /// Returns whether only SFTP is allowed, whatever the client requests.
    pub fn only_sftp(&self) -> bool {
        let mut entry = self.entry.iter();
        entry.any(|entry| entry.allowed.only_sftp)
    }

    /// Returns the last account change known when the login was verified.
    pub fn as_of(&self) -> i64 {
        self.as_of
    }
}

/// The current state of an account.
#[derive(Debug)]
pub struct AccountStanding {
    /// The account.
    pub account: Account,
    pub(super) made_by: i64,
    pub(super) password_by: i64,
    pub(super) keys: Vec<AuthorizedKey>,
}

/// The part of a credential that is gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lost {
    /// The account was removed, even if another one has its name now.
    Account,
    /// The password was changed or removed.
    Password,
    /// The key was removed.
    Key,
}

impl AccountStanding {
    /// Checks that the account still has everything the login used. Returns the expiry: seconds since
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
        // It may have been added again with options that require more.
        let required = key.required().map_err(|_| Lost::Key)?;
        let met = required.met_by(basis.entry.as_ref().and_then(|entry| entry.flags));
        met.map(|()| key.expires_at).map_err(|_| Lost::Key)
    }
}
