//! The last failed logins.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::observe::outcome::LoginMethod;
use crate::values::time;

/// How many are kept.
const KEPT: usize = 100;
/// Characters of a user name that are kept, since an unauthenticated client chooses it.
const MAX_NAME: usize = 64;

/// A failed login.
#[derive(Debug, Clone)]
pub struct FailedLogin {
    /// Seconds since 1970-01-01 00:00 UTC.
    pub at: i64,
    /// The user name that the client sent: anything, cut to 64 characters.
    pub user: String,
    /// Client address.
    pub peer: SocketAddr,
    /// Authentication method.
    pub method: LoginMethod,
    /// Reason of the refusal.
    pub reason: String,
}

/// The last failed logins; see the module documentation.
#[derive(Debug, Default)]
pub struct FailedLogins(Mutex<VecDeque<FailedLogin>>);

impl FailedLogins {
    fn kept(&self) -> MutexGuard<'_, VecDeque<FailedLogin>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds a failed login.
    pub fn record(&self, user: &str, peer: SocketAddr, method: LoginMethod, reason: &str) {
        let failed = FailedLogin {
            at: time::now(),
            user: user.chars().take(MAX_NAME).collect(),
            peer,
            method,
            reason: reason.to_owned(),
        };
        let mut kept = self.kept();
        kept.truncate(KEPT - 1);
        kept.push_front(failed);
    }

    /// Returns the last ones, newest first.
    pub fn last(&self, most: usize) -> Vec<FailedLogin> {
        self.kept().iter().take(most).cloned().collect()
    }
}
