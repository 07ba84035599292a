//! Who somebody is: checks of passwords and keys.

use tracing::warn;
use zeroize::Zeroizing;

use super::changes::Basis;
use super::password::Verdict;
use super::sql::AccountRow;
use super::{Account, Accounts, Inner, Password, UserName, keys};
use crate::calendar;

/// A name that no account can have: what is looked up for names that are not valid.
const NO_NAME: &str = "";
/// A key that no account can have: what is looked up for keys that are not valid.
const NO_KEY: &str = "";

/// The proof that somebody is who they say: only a check of a password or key in this module makes
/// one.
#[derive(Debug)]
pub struct Proof {
    account: Account,
    basis: Basis,
}

impl Proof {
    /// The account that was proven.
    pub fn account(&self) -> &Account {
        &self.account
    }

    /// Uses the proof.
    pub fn into_parts(self) -> (Account, Basis) {
        (self.account, self.basis)
    }
}

impl Accounts {
    /// Checks a password. The name and the password may be anything that a peer can send, and a
    /// wrong one costs the same whatever is wrong with it.
    pub async fn check_password(
        &self,
        name: &str,
        password: Zeroizing<String>,
    ) -> anyhow::Result<Option<Proof>> {
        let Inner { rows, .. } = &*self.inner;
        let hasher = self.hasher();
        let as_of = rows.last_change().await?;
        let row = rows.account(looked_up(name)).await?;
        let hash = row.as_ref().and_then(|row| row.password_hash.clone());
        let verdict = hasher.verify(password.clone(), hash).await?;
        match (row, verdict) {
            (Some(row), Verdict::Right) => Ok(Some(self.proof(row, None, as_of)?)),
            (Some(row), Verdict::RightButOutdated) => {
                if let Err(failure) = self.renew_hash(&row, password).await {
                    // The password is right all the same; the next login tries again.
                    warn!(user = row.name, "cannot renew a password hash: {failure:#}");
                }
                Ok(Some(self.proof(row, None, as_of)?))
            }
            (_, Verdict::Wrong) | (None, _) => Ok(None),
        }
    }

    /// Hashes a password that was right once more, with the argon2 settings of now.
    async fn renew_hash(
        &self,
        row: &AccountRow,
        password: Zeroizing<String>,
    ) -> anyhow::Result<()> {
        let Some(old) = &row.password_hash else {
            return Ok(());
        };
        let Inner { rows, .. } = &*self.inner;
        let new = self.hasher().hash(&Password::new(password)?).await?;
        rows.refresh_password(&row.name, old, &new).await
    }

    /// May this key log in to the account? `key_blob` is the key as on the wire (RFC 4253,
    /// section 6.6). The name and the key may be anything that a peer can send.
    pub async fn has_key(&self, name: &str, key_blob: &[u8]) -> anyhow::Result<bool> {
        let key = looked_up_key(key_blob);
        Ok(self.login_with_key(name, &key).await?.is_some())
    }

    /// As [`Accounts::has_key`]; the caller must have verified a signature by the key over this
    /// session, or the proof is none.
    pub async fn check_key(&self, name: &str, key_blob: &[u8]) -> anyhow::Result<Option<Proof>> {
        let as_of = self.inner.rows.last_change().await?;
        let key = looked_up_key(key_blob);
        let row = self.login_with_key(name, &key).await?;
        row.map(|row| self.proof(row, Some(key), as_of)).transpose()
    }

    async fn login_with_key(&self, name: &str, key: &str) -> anyhow::Result<Option<AccountRow>> {
        self.inner
            .rows
            .account_with_key(looked_up(name), key, calendar::now())
            .await
    }

    /// The proof by this key, or else by the password. `as_of` was read before the account was.
    fn proof(&self, row: AccountRow, key: Option<String>, as_of: i64) -> anyhow::Result<Proof> {
        let basis = Basis {
            made_by: row.made_by,
            password_by: key.is_none().then_some(row.password_by),
            key,
            as_of,
        };
        let account = self.account(row)?;
        Ok(Proof { account, basis })
    }
}

/// The key to look up for what a peer shows.
fn looked_up_key(key_blob: &[u8]) -> String {
    keys::from_wire(key_blob).unwrap_or_else(|| NO_KEY.to_owned())
}

/// The name to look up for what a peer calls itself.
fn looked_up(name: &str) -> &str {
    if name.parse::<UserName>().is_ok() {
        name
    } else {
        NO_NAME
    }
}
