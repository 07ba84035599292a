//! The open sessions: found by id or user, listed, and closed from outside.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{Notify, watch};
use tracing::info;

use crate::accounts::UserName;
use crate::session::Session;
use crate::values::time;

/// All open sessions.
#[derive(Default)]
pub struct Sessions {
    state: Mutex<RegistryState>,
    somebody_late: Notify,
}

#[derive(Default)]
struct RegistryState {
    last_id: u64,
    open: BTreeMap<u64, Arc<RegisteredSession>>,
    /// The last account change that the sessions were checked for.
    known_until: i64,
    /// Users whose sessions may have missed a change, since their login was verified before it.
    late: BTreeSet<UserName>,
}

impl RegistryState {
    fn of(&self, user: &str) -> impl Iterator<Item = &Arc<RegisteredSession>> {
        let open = self.open.values();
        open.filter(move |open| open.session.user() == user)
    }
}

/// The account has as many connections as it may.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TooMany {
    /// Its own limit of sessions.
    #[error("This account has reached its limit of concurrent sessions ({0})")]
    Sessions(u32),
    /// Its share of the server's connections.
    #[error(
        "This account has used up its share of the server's connections ({0}); close one, or try again later"
    )]
    Connections(usize),
}

/// An open session.
pub struct RegisteredSession {
    /// Unique while the server runs, and never reused.
    pub id: u64,
    /// The session.
    pub session: Arc<Session>,
    /// The time of the login: seconds since 1970-01-01 00:00 UTC.
    pub since: i64,
    closer: SessionCloser,
}

impl RegisteredSession {
    /// Closes the session with this reason, unless it is closing already.
    pub fn close(&self, reason: &str) {
        if self.closer.close(reason) {
            self.session.record_close_reason(reason);
            let (user, peer) = (self.session.user(), self.session.peer());
            info!(user, %peer, id = self.id, reason, "closing a session");
        }
    }
}

/// Closes one connection from outside; cheap to clone.
#[derive(Clone)]
pub struct SessionCloser(Arc<watch::Sender<Option<String>>>);

impl Default for SessionCloser {
    fn default() -> Self {
        Self(Arc::new(watch::Sender::new(None)))
    }
}

impl SessionCloser {
    /// Closes the connection with this reason; false if it is closing already.
    pub fn close(&self, reason: &str) -> bool {
        self.0.send_if_modified(|ended| {
            let first = ended.is_none();
            if first {
                *ended = Some(reason.to_owned());
            }
            first
        })
    }

    /// Waits until the connection is to be closed; returns the reason.
    pub async fn closed(&self) -> String {
        let mut told = self.0.subscribe();
        let reason = told.wait_for(Option::is_some).await;
        // The sender lives as long as `self`, so the wait cannot fail.
        reason
            .map_or_else(|_| None, |reason| reason.clone())
            .unwrap_or_default()
    }
}

/// A session's entry in the registry; dropping it removes the session.
pub struct RegistryEntry {
    sessions: Arc<Sessions>,
    id: u64,
}

impl Drop for RegistryEntry {
    fn drop(&mut self) {
        self.sessions.state().open.remove(&self.id);
    }
}

impl Sessions {
    fn state(&self) -> MutexGuard<'_, RegistryState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns an id for a new session.
    pub fn next_id(&self) -> u64 {
        let mut state = self.state();
        state.last_id += 1;
        state.last_id
    }

    /// Registers a session under its id, unless its account has as many as it may.
    pub fn enter(
        self: &Arc<Self>,
        id: u64,
        session: Arc<Session>,
        closer: SessionCloser,
    ) -> Result<RegistryEntry, TooMany> {
        let mut state = self.state();
        let account = session.account();
        if let Some(most) = account.settings.rules.max_sessions {
            let own = state.of(session.user()).count();
            if u32::try_from(own).unwrap_or(u32::MAX) >= most {
                return Err(TooMany::Sessions(most));
            }
        }
        if session.basis().as_of() < state.known_until {
            state.late.insert(account.name.clone());
            self.somebody_late.notify_one();
        }
        let open = RegisteredSession {
            id,
            session,
            since: time::now(),
            closer,
        };
        state.open.insert(id, Arc::new(open));
        Ok(RegistryEntry {
            sessions: self.clone(),
            id,
        })
    }

    /// Waits until a session may have missed a change.
    pub async fn wait_for_late(&self) {
        self.somebody_late.notified().await;
    }

    /// Takes the users of such sessions, whose accounts must be read again.
    pub fn take_late(&self) -> BTreeSet<UserName> {
        std::mem::take(&mut self.state().late)
    }

    /// Records the last account change that the open sessions were checked for. A session that logs in
    /// later with older data is late.
    pub fn know_until(&self, change: i64) {
        let mut state = self.state();
        state.known_until = state.known_until.max(change);
    }

    /// Returns all open sessions, oldest first.
    pub fn all(&self) -> Vec<Arc<RegisteredSession>> {
        self.state().open.values().cloned().collect()
    }

    /// Returns the sessions of a user, oldest first.
    pub fn of(&self, user: &str) -> Vec<Arc<RegisteredSession>> {
        self.state().of(user).cloned().collect()
    }

    /// Returns the session with this id.
    pub fn find(&self, id: u64) -> Option<Arc<RegisteredSession>> {
        self.state().open.get(&id).cloned()
    }
}
