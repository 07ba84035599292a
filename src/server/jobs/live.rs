//! Keeps open sessions in step with their accounts: an operator's change applies to them within a second;
//! see docs/adr/0010.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Mutex, watch};
use tokio::time::sleep;
use tracing::warn;

use crate::accounts::{
    Account, AccountStanding, Accounts, HeldCredential, LoginRefusal, Lost, TrustStamp, UserName,
};
use crate::observe::log::RateLimited;
use crate::quota::Limits;
use crate::rules::RuleRefusal;
use crate::session::Session;
use crate::session::registry::Sessions;
use crate::values::error_chain::chain;
use crate::values::time;

/// How often the server polls the database for changes, and checks sessions for expired accounts.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Applies account changes to open sessions; see the module documentation.
pub(in crate::server) struct Live {
    accounts: Accounts,
    sessions: Arc<Sessions>,
    /// Held from reading an account until its sessions have it, so that an older state never replaces a
    /// newer one.
    one: Mutex<()>,
    /// The last known account change.
    noticed: watch::Sender<i64>,
}

/// The outcome for the sessions of an account.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(in crate::server) struct LiveOutcome {
    /// Sessions that continue with the changed account.
    pub changed: usize,
    /// Sessions that were closed.
    pub ended: usize,
}

impl Live {
    /// Makes it for these sessions.
    pub(in crate::server) fn new(accounts: Accounts, sessions: Arc<Sessions>) -> Self {
        Self {
            accounts,
            sessions,
            one: Mutex::default(),
            noticed: watch::Sender::new(0),
        }
    }

    /// Returns the number of the last account change; the receiver sees each new one.
    pub(in crate::server) fn changes(&self) -> watch::Receiver<i64> {
        self.noticed.subscribe()
    }

    /// Polls for changes and applies them. Never returns.
    pub(in crate::server) async fn run(self: Arc<Self>) {
        // A disk or database that hangs in one of them must not delay the others.
        tokio::join!(
            self.watch_accounts(),
            self.watch_dates(),
            self.watch_trust()
        );
    }

    async fn watch_accounts(&self) {
        let mut changes = AccountChanges::default();
        let mut failures = RateLimited::default();
        loop {
            tokio::select! {
                () = sleep(LOOK_EVERY) => {}
                () = self.sessions.wait_for_late() => {}
            }
            if let Err(failure) = self.look(&mut changes).await
                && let Some(times) = failures.count()
            {
                warn!(
                    times,
                    "cannot read account changes; trying again: {}",
                    chain(&failure)
                );
            }
        }
    }

    async fn watch_dates(&self) {
        loop {
            sleep(LOOK_EVERY).await;
            self.end_expired();
        }
    }

    async fn watch_trust(&self) {
        let mut trusted = Trusted::default();
        let mut failures = RateLimited::default();
        loop {
            sleep(LOOK_EVERY).await;
            if let Err(failure) = self.look_at_trust(&mut trusted).await
                && let Some(times) = failures.count()
            {
                warn!(
                    times,
                    "cannot check whether the keys of open sessions are still trusted: {}",
                    chain(&failure)
                );
            }
        }
    }

    /// Reads the changes and applies them. One that cannot be applied stays in `changes` and does not delay
    /// the others.
    async fn look(&self, changes: &mut AccountChanges) -> anyhow::Result<()> {
        changes.unapplied.extend(self.sessions.take_late());
        let mut outcome = self.read(changes).await;
        for name in std::mem::take(&mut changes.unapplied) {
            if let Err(failure) = self.apply(&name).await {
                outcome = Err(failure.context(format!("the account {name}")));
                changes.unapplied.insert(name);
            }
        }
        outcome
    }

    async fn read(&self, changes: &mut AccountChanges) -> anyhow::Result<()> {
        loop {
            let (changed, last) = self.accounts.changed_since(changes.seen).await?;
            self.sessions.know_until(last);
            if last == changes.seen {
                return Ok(());
            }
            // Most accounts have no open session.
            let has_sessions = |name: &UserName| !self.sessions.of(name.as_str()).is_empty();
            let changed = changed.into_iter().filter(has_sessions);
            changes.unapplied.extend(changed);
            changes.seen = last;
            self.noticed.send_replace(last);
        }
    }

    /// Reads an account, and updates or closes its open sessions.
    pub(in crate::server) async fn apply(&self, name: &UserName) -> anyhow::Result<LiveOutcome> {
        let _one = self.one.lock().await;
        self.sessions.know_until(self.accounts.last_change().await?);
        let standing = self.accounts.standing(name).await?;
        let mut outcome = LiveOutcome::default();
        for open in self.sessions.of(name.as_str()) {
            match goes_on(&open.session, standing.as_ref()) {
                Err(words) => {
                    open.close(words);
                    // A session that is already closing counts, too: [`Live::run`] may have closed it
                    // before this call.
                    outcome.ended += 1;
                }
                Ok((account, until)) => {
                    change(&open.session, account, until);
                    outcome.changed += 1;
                }
            }
        }
        Ok(outcome)
    }

    /// Applies changes of several accounts as far as possible now; the rest is noticed later.
    pub(in crate::server) async fn apply_all(&self, names: impl IntoIterator<Item = &UserName>) {
        for name in names {
            if let Err(failure) = self.apply(name).await {
                warn!(
                    "cannot update the sessions of {name} yet: {}",
                    chain(&failure)
                );
            }
        }
    }

    /// Closes sessions whose account has expired meanwhile.
    fn end_expired(&self) {
        let now = time::now();
        for open in self.sessions.all() {
            let account = open.session.account();
            if account.settings.rules.has_expired(now) {
                open.close(EXPIRED);
            } else if open.session.has_expired(now) {
                open.close("The key or certificate of this session has expired");
            }
        }
    }

    /// Closes sessions whose key was revoked or whose certificate is no longer trusted. Checks each session
    /// once, since its login may precede the last change, and again after each change of the files.
    async fn look_at_trust(&self, trusted: &mut Trusted) -> anyhow::Result<()> {
        let stamp = self.accounts.trust_stamp().await?;
        if trusted.by.as_ref() != Some(&stamp) {
            trusted.sessions.clear();
        }
        let open = self.sessions.all();
        let ids: BTreeSet<u64> = open.iter().map(|open| open.id).collect();
        let (open, held): (Vec<_>, Vec<_>) = open
            .into_iter()
            .filter(|open| !trusted.sessions.contains(&open.id))
            .filter_map(|open| held(&open.session).map(|held| (open, held)))
            .unzip();
        if !held.is_empty() {
            let refusals = self.accounts.still_trusted(held).await?;
            for (open, refusal) in open.iter().zip(refusals) {
                match refusal {
                    Some(LoginRefusal::Revoked) => {
                        open.close("The key of this session has been revoked")
                    }
                    Some(_) => open.close("The certificate of this session is no longer trusted"),
                    None => continue,
                };
            }
        }
        *trusted = Trusted {
            by: Some(stamp),
            sessions: ids,
        };
        Ok(())
    }
}

/// The account changes that [`Live::look`] has read.
#[derive(Default)]
struct AccountChanges {
    /// The number of the last one. It starts at 0, since no session is older than the server and applying a
    /// change twice is harmless.
    seen: i64,
    /// Accounts whose open sessions may lack the last change.
    unapplied: BTreeSet<UserName>,
}

/// The open sessions that passed the check against the current key files.
#[derive(Default)]
struct Trusted {
    by: Option<TrustStamp>,
    sessions: BTreeSet<u64>,
}

/// Returns the key or certificate of a session, or `None` for a password.
fn held(session: &Session) -> Option<HeldCredential> {
    session
        .basis()
        .credential()
        .map(|credential| HeldCredential {
            user: session.account().name.clone(),
            credential: credential.clone(),
            from: session.peer().ip(),
        })
}

const EXPIRED: &str = "This account has expired";

/// Returns the account and expiry for a session to continue with, or the reason to close it.
fn goes_on<'a>(
    session: &Session,
    standing: Option<&'a AccountStanding>,
) -> Result<(&'a Account, Option<i64>), &'static str> {
    const REMOVED: &str = "This account has been removed";
    let standing = standing.ok_or(REMOVED)?;
    let until = standing
        .still_has(session.basis())
        .map_err(|lost| match lost {
            Lost::Account => REMOVED,
            Lost::Password => "The password of this account has been changed",
            Lost::Key => "The key of this session has been removed",
        })?;
    let account = &standing.account;
    let rules = &account.settings.rules;
    match rules.login_refusal(session.peer().ip(), time::now()) {
        Some(RuleRefusal::Disabled) => Err("This account has been disabled"),
        Some(RuleRefusal::Expired) => Err(EXPIRED),
        Some(RuleRefusal::OtherNetwork) => {
            Err("This account is no longer allowed from your address")
        }
        None if account.home != session.home() => {
            Err("The home of this account has moved; please log in again")
        }
        None => Ok((account, until)),
    }
}

fn change(session: &Session, account: &Account, until: Option<i64>) {
    session.ledger().set_limits(Limits {
        bytes: account.settings.allowance.bytes,
        files: account.settings.allowance.files,
    });
    session.change(account.clone(), until);
}
