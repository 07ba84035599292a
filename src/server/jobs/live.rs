//! Keeps the open sessions as their accounts are: what an operator changes holds for them within a
//! second; see docs/adr/0010.

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
use crate::rules::KeptOut;
use crate::session::Session;
use crate::session::registry::Sessions;
use crate::values::error_chain::chain;
use crate::values::time;

/// How often the database is asked for changes that nobody has told of, and sessions for those whose
/// account has expired.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// See the module's description.
pub(in crate::server) struct Live {
    accounts: Accounts,
    sessions: Arc<Sessions>,
    /// Held from reading an account until its sessions have it, so that an older state never comes
    /// after a newer one.
    one: Mutex<()>,
    /// The last change of any account that was noticed.
    noticed: watch::Sender<i64>,
}

/// What became of the sessions of an account.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(in crate::server) struct LiveOutcome {
    /// Sessions that go on, with the account as it is now.
    pub changed: usize,
    /// Sessions that were ended.
    pub ended: usize,
}

impl Live {
    /// Of these sessions.
    pub(in crate::server) fn new(accounts: Accounts, sessions: Arc<Sessions>) -> Self {
        Self {
            accounts,
            sessions,
            one: Mutex::default(),
            noticed: watch::Sender::new(0),
        }
    }

    /// The number of the last change of any account, as often as there is a new one.
    pub(in crate::server) fn changes(&self) -> watch::Receiver<i64> {
        self.noticed.subscribe()
    }

    /// Notices changes by itself, told or not. Never ends by itself.
    pub(in crate::server) async fn run(self: Arc<Self>) {
        // A disk or a database that hangs below one of them must not keep the others waiting.
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
                () = self.sessions.somebody_came_late() => {}
            }
            if let Err(failure) = self.look(&mut changes).await
                && let Some(times) = failures.now()
            {
                warn!(
                    times,
                    "cannot read what has changed; trying again: {}",
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
                && let Some(times) = failures.now()
            {
                warn!(
                    times,
                    "cannot see whether open sessions are still trusted: {}",
                    chain(&failure)
                );
            }
        }
    }

    /// Reads what has changed and applies it. A change that cannot be applied stays in `changes`, and
    /// holds up none of the others.
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

    /// Reads an account, and has its open sessions go on with it or end.
    pub(in crate::server) async fn apply(&self, name: &UserName) -> anyhow::Result<LiveOutcome> {
        let _one = self.one.lock().await;
        self.sessions.know_until(self.accounts.last_change().await?);
        let standing = self.accounts.standing(name).await?;
        let mut outcome = LiveOutcome::default();
        for open in self.sessions.of(name.as_str()) {
            match goes_on(&open.session, standing.as_ref()) {
                Err(words) => {
                    open.end(words);
                    // One on its way out, too: [`Live::run`] may have been quicker than who tells of the change.
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

    /// The same for several accounts, as far as it can be done now; the rest is noticed later.
    pub(in crate::server) async fn apply_all(&self, names: impl IntoIterator<Item = &UserName>) {
        for name in names {
            if let Err(failure) = self.apply(name).await {
                warn!("sessions of {name} do not have it yet: {}", chain(&failure));
            }
        }
    }

    /// The date may come while a session is open.
    fn end_expired(&self) {
        let now = time::now();
        for open in self.sessions.all() {
            let account = open.session.account();
            if account.settings.rules.has_expired(now) {
                open.end(EXPIRED);
            } else if open.session.has_expired(now) {
                open.end("The key or certificate of this session has expired");
            }
        }
    }

    /// Ends the sessions whose key was revoked, or whose certificate is not trusted any more. Each is
    /// looked at once, since its login may have been proven before the last change, and after each
    /// change of the files.
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
                        open.end("The key of this session has been revoked")
                    }
                    Some(_) => open.end("The certificate of this session is not trusted any more"),
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

/// The changes of accounts that [`Live::look`] has read.
#[derive(Default)]
struct AccountChanges {
    /// The number of the last one. No session is older than the server, so it may begin with 0: a change
    /// that is applied twice does no harm.
    seen: i64,
    /// Accounts whose open sessions may not have their last change.
    unapplied: BTreeSet<UserName>,
}

/// The open sessions that were trusted, by what the files of keys said.
#[derive(Default)]
struct Trusted {
    by: Option<TrustStamp>,
    sessions: BTreeSet<u64>,
}

/// By what a session was let in, unless that was a password.
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

/// The account with which a session goes on, and until when; or why it cannot, in words for its client.
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
    match rules.keep_out(session.peer().ip(), time::now()) {
        Some(KeptOut::Disabled) => Err("This account has been disabled"),
        Some(KeptOut::Expired) => Err(EXPIRED),
        Some(KeptOut::Elsewhere) => Err("This account may not be used from your address any more"),
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
