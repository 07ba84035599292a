//! The logins that failed last, for whoever watches the server.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::values::time;

/// How many are kept.
const KEPT: usize = 100;
/// How much is kept of a name, which a stranger can choose.
const MAX_NAME: usize = 64;

/// A login that failed.
#[derive(Debug, Clone)]
pub struct FailedLogin {
    /// When: seconds since 1970-01-01 00:00 UTC.
    pub at: i64,
    /// What the client called itself: anything, cut to 64 characters.
    pub user: String,
    /// Where it was.
    pub peer: SocketAddr,
    /// What it tried.
    pub method: String,
    /// Why it was refused.
    pub reason: String,
}

/// See the module's description.
#[derive(Debug, Default)]
pub struct FailedLogins(Mutex<VecDeque<FailedLogin>>);

impl FailedLogins {
    fn kept(&self) -> MutexGuard<'_, VecDeque<FailedLogin>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// One more.
    pub fn note(&self, user: &str, peer: SocketAddr, method: &str, reason: &str) {
        let failed = FailedLogin {
            at: time::now(),
            user: user.chars().take(MAX_NAME).collect(),
            peer,
            method: method.to_owned(),
            reason: reason.to_owned(),
        };
        let mut kept = self.kept();
        kept.truncate(KEPT - 1);
        kept.push_front(failed);
    }

    /// The last ones, the newest first.
    pub fn last(&self, most: usize) -> Vec<FailedLogin> {
        self.kept().iter().take(most).cloned().collect()
    }
}
