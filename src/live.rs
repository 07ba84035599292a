//! Keeps the open sessions as their accounts are: what an operator changes holds for them within a
//! second; see docs/adr/0010.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Mutex;
use tokio::time::sleep;
use tracing::warn;

use crate::accounts::{Accounts, Declared, Lost, Standing, UserName};
use crate::calendar;
use crate::config::Config;
use crate::quota::Limits;
use crate::rules::KeptOut;
use crate::session::Session;
use crate::sessions::Sessions;

/// How often the database is asked for changes that nobody has told of, and sessions for those whose
/// account has expired.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// See the module's description.
pub struct Live {
    accounts: Accounts,
    sessions: Arc<Sessions>,
    /// Held from reading an account until its sessions have it, so that an older state never comes
    /// after a newer one.
    one: Mutex<()>,
}

/// What became of the sessions of an account.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Outcome {
    /// Sessions that go on, with the account as it is now.
    pub changed: usize,
    /// Sessions that were ended.
    pub ended: usize,
}

impl Live {
    /// Of these sessions.
    pub fn new(accounts: Accounts, sessions: Arc<Sessions>) -> Self {
        Self {
            accounts,
            sessions,
            one: Mutex::default(),
        }
    }

    /// Notices changes by itself, told or not. Never ends by itself.
    pub async fn run(self: Arc<Self>) {
        // No session is older than the server; what is noticed twice does no harm.
        let mut seen = 0;
        loop {
            tokio::select! {
                () = sleep(LOOK_EVERY) => {}
                () = self.sessions.somebody_came_late() => {}
            }
            if let Err(failure) = self.look(&mut seen).await {
                warn!("cannot read what has changed: {failure:#}");
            }
            self.end_expired();
        }
    }

    async fn look(&self, seen: &mut i64) -> anyhow::Result<()> {
        for name in self.sessions.take_late() {
            if let Err(failure) = self.apply(&name).await {
                self.sessions.is_late(name);
                return Err(failure);
            }
        }
        let (changed, last) = self.accounts.changed_since(*seen).await?;
        self.sessions.know_until(last);
        for name in changed {
            // Of most accounts nobody is there.
            if !self.sessions.of(name.as_str()).is_empty() {
                self.apply(&name).await?;
            }
        }
        *seen = last;
        Ok(())
    }

    /// Reads an account, and has its open sessions go on with it or end.
    pub async fn apply(&self, name: &UserName) -> anyhow::Result<Outcome> {
        let _one = self.one.lock().await;
        self.sessions.know_until(self.accounts.last_change().await?);
        let standing = self.accounts.standing(name).await?;
        let mut outcome = Outcome::default();
        for open in self.sessions.of(name.as_str()) {
            match must_end(&open.session, standing.as_ref()) {
                Some(words) => outcome.ended += usize::from(open.end(words)),
                None => {
                    if let Some(standing) = &standing {
                        change(&open.session, standing);
                    }
                    outcome.changed += 1;
                }
            }
        }
        Ok(outcome)
    }

    /// Makes the declared accounts what config.toml says; their open sessions have it at once.
    pub async fn declare(&self, config: &Config) -> anyhow::Result<Declared> {
        let guest = &config.guest.name;
        let declared = self.accounts.declare(&config.users, guest).await?;
        for name in declared.touched() {
            if let Err(failure) = self.apply(name).await {
                // It is in the database, and will be noticed there.
                warn!("sessions of {name} do not have it yet: {failure:#}");
            }
        }
        Ok(declared)
    }

    /// The date may come while a session is open.
    fn end_expired(&self) {
        for open in self.sessions.all() {
            let account = open.session.account();
            if account.settings.rules.has_expired(calendar::now()) {
                open.end(EXPIRED);
            }
        }
    }
}

const EXPIRED: &str = "This account has expired";

/// Why a session cannot go on, in words for its client; `None` if it can.
fn must_end(session: &Session, standing: Option<&Standing>) -> Option<&'static str> {
    const REMOVED: &str = "This account has been removed";
    let Some(standing) = standing else {
        return Some(REMOVED);
    };
    match standing.still_has(session.basis()) {
        Err(Lost::Account) => return Some(REMOVED),
        Err(Lost::Password) => return Some("The password of this account has been changed"),
        Err(Lost::Key) => return Some("The key of this session has been removed"),
        Ok(()) => {}
    }
    let account = &standing.account;
    let rules = &account.settings.rules;
    match rules.keep_out(session.peer().ip(), calendar::now()) {
        Some(KeptOut::Disabled) => Some("This account has been disabled"),
        Some(KeptOut::Expired) => Some(EXPIRED),
        Some(KeptOut::Elsewhere) => Some("This account may not be used from your address any more"),
        None if account.home != session.home() => {
            Some("The home of this account has moved; please log in again")
        }
        None => None,
    }
}

fn change(session: &Session, standing: &Standing) {
    let account = standing.account.clone();
    session.ledger().set_limits(Limits {
        bytes: account.settings.allowance.bytes,
        files: account.settings.allowance.files,
    });
    session.change(account);
}
