//! What a running server asks of accounts that have open sessions: which were changed, how one stands, and whether
//! keys and certificates are still trusted.

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

/// By what somebody was let in, who is still there.
pub struct HeldCredential {
    /// Whose account it is.
    pub user: UserName,
    /// The key or certificate.
    pub credential: Arc<Credential>,
    /// Where they are.
    pub from: IpAddr,
}

impl Accounts {
    /// How an account stands now; `None` if there is none.
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

    /// The number of the last change of any account.
    pub async fn last_change(&self) -> anyhow::Result<i64> {
        self.inner.rows.last_change().await
    }

    /// The accounts that were changed after the change of this number, and the number of the last
    /// of these changes. There may be more: no change is missed by asking on until the number stays.
    pub async fn changed_since(&self, number: i64) -> anyhow::Result<(Vec<UserName>, i64)> {
        /// Every account was changed once, and the server asks for all of them when it starts.
        const AT_ONCE: i64 = 1000;
        let mut last = number;
        let mut names = Vec::new();
        for (name, number) in self.inner.rows.changed_since(number, AT_ONCE).await? {
            // Nobody can be logged in under a name that is none.
            names.extend(stored_name(&name));
            last = last.max(number);
        }
        Ok((names, last))
    }

    /// The files of keys that the config names, as they stand.
    pub async fn trust_stamp(&self) -> anyhow::Result<TrustStamp> {
        self.trust().stamp().await
    }

    /// Asks the files once more, for all at once: why each of these would not be let in now.
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
