//! The sessions that are open: found by id or by user, seen and ended from outside.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;

use crate::calendar;
use crate::session::Session;

/// All sessions that are open.
#[derive(Default)]
pub struct Sessions {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    last_id: u64,
    open: BTreeMap<u64, Arc<Open>>,
}

/// A session that is open.
pub struct Open {
    /// Unique while the server runs, and never used again.
    pub id: u64,
    /// The session itself.
    pub session: Arc<Session>,
    /// When it began: seconds since 1970-01-01 00:00 UTC.
    pub since: i64,
    ending: Ending,
}

impl Open {
    /// Ends it: the client is told these words.
    pub fn end(&self, words: &str) {
        self.ending.end(words);
    }
}

/// Ends one connection from outside; cheap to clone.
#[derive(Clone)]
pub struct Ending(Arc<watch::Sender<Option<String>>>);

impl Default for Ending {
    fn default() -> Self {
        Self(Arc::new(watch::Sender::new(None)))
    }
}

impl Ending {
    /// Ends it with these words, if nobody else has ended it before.
    pub fn end(&self, words: &str) {
        self.0.send_if_modified(|ended| {
            let first = ended.is_none();
            if first {
                *ended = Some(words.to_owned());
            }
            first
        });
    }

    /// Waits until somebody ends it; gives the words.
    pub async fn ended(&self) -> String {
        let mut told = self.0.subscribe();
        let words = told.wait_for(Option::is_some).await;
        // The sender lives as long as `self`, so the wait does not fail.
        words
            .map_or_else(|_| None, |words| words.clone())
            .unwrap_or_default()
    }
}

/// A session's place among those that are open; it is taken out when this is dropped.
pub struct Entry {
    sessions: Arc<Sessions>,
    id: u64,
}

impl Drop for Entry {
    fn drop(&mut self) {
        self.sessions.state().open.remove(&self.id);
    }
}

impl Sessions {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// An id for a session that is to begin.
    pub fn next_id(&self) -> u64 {
        let mut state = self.state();
        state.last_id += 1;
        state.last_id
    }

    /// A session begins, under an id that was made for it.
    pub fn enter(self: &Arc<Self>, id: u64, session: Arc<Session>, ending: Ending) -> Entry {
        let mut state = self.state();
        let open = Open {
            id,
            session,
            since: calendar::now(),
            ending,
        };
        state.open.insert(id, Arc::new(open));
        Entry {
            sessions: self.clone(),
            id,
        }
    }

    /// All that are open, the oldest first.
    pub fn all(&self) -> Vec<Arc<Open>> {
        self.state().open.values().cloned().collect()
    }

    /// Those of one user, the oldest first.
    pub fn of(&self, user: &str) -> Vec<Arc<Open>> {
        let state = self.state();
        let open = state.open.values();
        let own = open.filter(|open| open.session.user() == user);
        own.cloned().collect()
    }

    /// The one of this id.
    pub fn find(&self, id: u64) -> Option<Arc<Open>> {
        self.state().open.get(&id).cloned()
    }
}
