//! Queries of a running server about accounts with open sessions: changes, current state, and whether keys
//! and certificates are still trusted.

use std::net::IpAddr;
use std::sync::Arc;

use super::basis::AccountStanding;
use super::credential::Credential;
use super::keys::AuthorizedKey;
use super::refusal::LoginRefusal;
use super::revoked::Revoked;
use super::trust::TrustStamp;
use super::{Accounts, UserName, certificates, stored_name};
use crate::values::time;

/// A key or certificate of an open session.
pub struct HeldCredential {
    /// The account.
    pub user: UserName,
    /// The key or certificate.
    pub credential: Arc<Credential>,
    /// The client address.
    pub from: IpAddr,
}

impl Accounts {
    /// Returns the current state of an account; `None` if there is none.
    pub async fn standing(&self, name: &UserName) -> anyhow::Result<Option<AccountStanding>> {
        let rows = &self.inner.rows;
        let Some(row) = rows.account(name.as_str()).await? else {
            return Ok(None);
        };
        Ok(Some(AccountStanding {
            made_by: row.made_by,
            password_by: row.password_by,
            keys: rows.keys(name.as_str()).await?,
            account: self.account(row)?,
        }))
    }

    /// Returns the number of the last account change.
    pub async fn last_change(&self) -> anyhow::Result<i64> {
        self.inner.rows.last_change().await
    }

    /// Returns accounts that were changed after this number, and the number of the last of these changes.
    /// There may be more: call again until the number stays.
    pub async fn changed_since(&self, number: i64) -> anyhow::Result<(Vec<UserName>, i64)> {
        /// Every account was changed once, and a starting server queries all changes.
        const AT_ONCE: i64 = 1000;
        let mut last = number;
        let mut names = Vec::new();
        for (name, number) in self.inner.rows.changed_since(number, AT_ONCE).await? {
            // Nobody can log in under an invalid name.
            names.extend(stored_name(&name));
            last = last.max(number);
        }
        Ok((names, last))
    }

    /// Returns the state of the key files in the configuration.
    pub async fn trust_stamp(&self) -> anyhow::Result<TrustStamp> {
        self.trust().stamp().await
    }

    /// Checks credentials against the key files again; returns for each why it would be refused now.
    pub async fn still_trusted(
        &self,
        held: Vec<HeldCredential>,
    ) -> anyhow::Result<Vec<Option<LoginRefusal>>> {
        let now = time::now();
        let ask = move |authorities: &[AuthorizedKey], revoked: &Revoked| {
            let refusal = |held: &HeldCredential| match &*held.credential {
                Credential::Key(blob) => revoked.has_key(blob).then_some(LoginRefusal::Revoked),
                Credential::Certificate(one) => {
                    let name = held.user.as_str();
                    certificates::check(one, name, held.from, now, authorities, revoked).err()
                }
            };
            held.iter().map(refusal).collect()
        };
        self.trust().with_files(ask).await
    }
}
