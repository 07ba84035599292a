//! What a server that runs wants to know of changes: which there were, and how an account stands.

use super::{Account, Accounts, UserName, stored_name};

/// What a session was let in by. As long as the account [still has](Standing::still_has) it, the
/// session may go on.
#[derive(Debug, Clone)]
pub struct Basis {
    /// The change that made the account: another one of its name is not it.
    pub(super) made_by: i64,
    /// The change that gave the account the password, if it was proven by one.
    pub(super) password_by: Option<i64>,
    /// The key, if it was proven by one.
    pub(super) key: Option<String>,
    /// A certificate allows nothing but SFTP.
    pub(super) only_sftp: bool,
    /// The last change of any account that was known when it was proven.
    pub(super) as_of: i64,
}

impl Basis {
    /// Is nothing allowed but SFTP, whatever is asked for?
    pub fn only_sftp(&self) -> bool {
        self.only_sftp
    }

    /// The last change of any account that was known when the login was proven.
    pub fn as_of(&self) -> i64 {
        self.as_of
    }
}

/// An account as it stands.
#[derive(Debug)]
pub struct Standing {
    /// The account.
    pub account: Account,
    made_by: i64,
    password_by: i64,
    keys: Vec<String>,
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

impl Standing {
    /// Is all still there that a session was let in by?
    pub fn still_has(&self, basis: &Basis) -> Result<(), Lost> {
        let has_key = |key: &String| self.keys.contains(key);
        if self.made_by != basis.made_by {
            Err(Lost::Account)
        } else if basis.password_by.is_some_and(|by| by != self.password_by) {
            Err(Lost::Password)
        } else if !basis.key.as_ref().is_none_or(has_key) {
            Err(Lost::Key)
        } else {
            Ok(())
        }
    }
}

impl Accounts {
    /// How an account stands now; `None` if there is none.
    pub async fn standing(&self, name: &UserName) -> anyhow::Result<Option<Standing>> {
        let rows = &self.inner.rows;
        let Some(row) = rows.account(name.as_str()).await? else {
            return Ok(None);
        };
        let keys = rows.keys(name.as_str()).await?.into_iter();
        Ok(Some(Standing {
            made_by: row.made_by,
            password_by: row.password_by,
            keys: keys.map(|key| key.public_key).collect(),
            account: self.account(row)?,
        }))
    }

    /// The number of the last change of any account.
    pub async fn last_change(&self) -> anyhow::Result<i64> {
        self.inner.rows.last_change().await
    }

    /// The accounts that were changed after the change of this number, and the number of the last
    /// change.
    pub async fn changed_since(&self, number: i64) -> anyhow::Result<(Vec<UserName>, i64)> {
        let mut last = number;
        let mut names = Vec::new();
        for (name, number) in self.inner.rows.changed_since(number).await? {
            names.push(stored_name(&name)?);
            last = last.max(number);
        }
        Ok((names, last))
    }
}
