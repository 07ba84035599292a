//! A value that all sessions of an account share while it has any.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};

/// One value for each account with sessions.
#[derive(Debug)]
pub(crate) struct ByAccount<T>(Mutex<HashMap<String, Weak<T>>>);

impl<T> Default for ByAccount<T> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<T> ByAccount<T> {
    /// Returns the account's shared value, creating it if absent.
    pub(crate) fn join(&self, user: &str, make: impl FnOnce() -> T) -> Arc<T> {
        let mut accounts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(there) = accounts.get(user).and_then(Weak::upgrade) {
            return there;
        }
        accounts.retain(|_, one| one.strong_count() > 0);
        let new = Arc::new(make());
        accounts.insert(user.to_owned(), Arc::downgrade(&new));
        new
    }

    /// Returns the values of all accounts with sessions.
    pub(crate) fn all(&self) -> Vec<Arc<T>> {
        let accounts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        accounts.values().filter_map(Weak::upgrade).collect()
    }
}
