//! The last login to each account. A login is noted in memory and written to the database about a
//! second later, so that no login waits for a disk.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::sleep;
use tracing::warn;

use super::{Accounts, UserName, sql};
use crate::database::Relaxed;
use crate::observe::log::Seldom;
use crate::values::error_chain::chain;
use crate::values::time;

/// How long a login waits for others that are written with it.
const GATHER: Duration = Duration::from_secs(1);

/// The last login to an account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LastLogin {
    /// When: seconds since 1970-01-01 00:00 UTC.
    pub at: i64,
    /// The authentication method, as in the audit log.
    pub method: String,
    /// The client's address.
    pub address: String,
}

/// The logins that are not in the database yet.
#[derive(Default)]
pub(super) struct LastLogins {
    unsaved: Mutex<HashMap<UserName, LastLogin>>,
    noted: Notify,
    /// One save at a time.
    connection: tokio::sync::Mutex<Relaxed>,
}

impl LastLogins {
    fn unsaved(&self) -> MutexGuard<'_, HashMap<UserName, LastLogin>> {
        self.unsaved.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Accounts {
    /// Notes that somebody has logged in to an account just now.
    pub fn note_login(&self, name: &UserName, method: &str, address: IpAddr) {
        let login = LastLogin {
            at: time::now(),
            method: method.to_owned(),
            address: address.to_canonical().to_string(),
        };
        let logins = &self.inner.logins;
        logins.unsaved().insert(name.clone(), login);
        logins.noted.notify_one();
    }

    /// Writes the noted logins to the database, some time after each. Never ends by itself.
    pub async fn keep_logins(self) {
        let mut failures = Seldom::default();
        loop {
            self.inner.logins.noted.notified().await;
            sleep(GATHER).await;
            let Err(failure) = self.save_logins().await else {
                continue;
            };
            self.inner.logins.noted.notify_one();
            if let Some(times) = failures.now() {
                warn!(
                    times,
                    "cannot write the last logins; trying again: {}",
                    chain(&failure)
                );
            }
        }
    }

    /// Writes the noted logins to the database now. After a failure they stay noted.
    pub async fn save_logins(&self) -> anyhow::Result<()> {
        let logins = &self.inner.logins;
        let mut connection = logins.connection.lock().await;
        let noted: Vec<_> = logins.unsaved().clone().into_iter().collect();
        if noted.is_empty() {
            return Ok(());
        }
        connection
            .run(self.database(), async |to| {
                sql::save_logins(to, &noted).await
            })
            .await?;
        let mut unsaved = logins.unsaved();
        for (name, saved) in noted {
            // A newer login may have been noted meanwhile.
            if unsaved.get(&name) == Some(&saved) {
                unsaved.remove(&name);
            }
        }
        Ok(())
    }
}
