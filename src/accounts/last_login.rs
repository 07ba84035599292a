//! The last login to each account. A login is stored in memory and written to the database about a second
//! later, so that no login waits for a disk.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::sleep;
use tracing::warn;

use super::account::LastLogin;
use super::sql;
use crate::database::{Database, Relaxed};
use crate::observe::log::RateLimited;
use crate::observe::outcome::LoginMethod;
use crate::values::error_chain::chain;
use crate::values::label::Label as _;
use crate::values::time;
use crate::values::user_name::UserName;

/// How long logins are collected before they are written together.
const GATHER: Duration = Duration::from_secs(1);

/// The logins that are not in the database yet.
pub(super) struct LastLogins {
    database: Database,
    unsaved: Mutex<HashMap<UserName, LastLogin>>,
    noted: Notify,
    /// One save at a time.
    connection: tokio::sync::Mutex<Relaxed>,
}

impl LastLogins {
    pub(super) fn new(database: Database) -> Self {
        Self {
            database,
            unsaved: Mutex::default(),
            noted: Notify::new(),
            connection: tokio::sync::Mutex::default(),
        }
    }

    fn unsaved(&self) -> MutexGuard<'_, HashMap<UserName, LastLogin>> {
        self.unsaved.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Records a login to an account.
    pub(super) fn record(&self, name: &UserName, method: LoginMethod, address: IpAddr) {
        let login = LastLogin {
            at: time::now(),
            method: method.name().to_owned(),
            address: address.to_canonical().to_string(),
        };
        self.unsaved().insert(name.clone(), login);
        self.noted.notify_one();
    }

    /// Writes recorded logins to the database, some time after each. Never returns.
    pub(super) async fn keep_saving(&self) {
        let mut failures = RateLimited::default();
        loop {
            self.noted.notified().await;
            sleep(GATHER).await;
            let Err(failure) = self.save().await else {
                continue;
            };
            self.noted.notify_one();
            if let Some(times) = failures.count() {
                warn!(
                    times,
                    "cannot write the last logins; trying again: {}",
                    chain(&failure)
                );
            }
        }
    }

    /// Writes recorded logins to the database now. After a failure they stay in memory.
    pub(super) async fn save(&self) -> anyhow::Result<()> {
        let mut connection = self.connection.lock().await;
        let noted: Vec<_> = self.unsaved().clone().into_iter().collect();
        if noted.is_empty() {
            return Ok(());
        }
        connection
            .run(&self.database, async |to| {
                sql::save_logins(to, &noted).await
            })
            .await?;
        let mut unsaved = self.unsaved();
        for (name, saved) in noted {
            // A newer login may have been recorded meanwhile.
            if unsaved.get(&name) == Some(&saved) {
                unsaved.remove(&name);
            }
        }
        Ok(())
    }
}
