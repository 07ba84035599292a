//! How many files and directories the sessions of an account may hold open together, so that no account
//! takes the descriptors of all others.
//!
//! An account may hold as many as there are left for all: half of what the others have not taken. Then
//! there are always some for who comes next, whoever holds how many, and one account alone has many. It is
//! how switches share their memory among ports (Choudhury and Hahne, "Dynamic queue length thresholds in a
//! shared-memory packet switch", IEEE/ACM Transactions on Networking 6, 1998).

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use rustix::process::{Resource, getrlimit};

use crate::by_account::ByAccount;
use crate::error::Error;

/// So many an account may hold in any case.
const LEAST: usize = 4;

/// Those of the process.
#[derive(Debug)]
pub struct Descriptors {
    all: Arc<Pool>,
    accounts: ByAccount<AtomicUsize>,
}

#[derive(Debug)]
struct Pool {
    /// How many may be held for files and directories.
    budget: usize,
    held: AtomicUsize,
}

impl Descriptors {
    /// Half of those that the system allows now: the others are for connections, and for what is open only
    /// for the time of a request.
    pub fn of_process() -> Self {
        let limit = getrlimit(Resource::Nofile).current;
        let limit = limit.and_then(|limit| usize::try_from(limit).ok());
        Self::new(limit.unwrap_or(usize::MAX) / 2)
    }

    fn new(budget: usize) -> Self {
        let held = AtomicUsize::new(0);
        Self {
            all: Arc::new(Pool { budget, held }),
            accounts: ByAccount::default(),
        }
    }

    /// A session of this account begins.
    pub fn join(&self, user: &str) -> Holdings {
        Holdings {
            all: self.all.clone(),
            account: self.accounts.join(user, AtomicUsize::default),
        }
    }
}

/// What the sessions of an account hold.
#[derive(Debug, Clone)]
pub struct Holdings {
    all: Arc<Pool>,
    account: Arc<AtomicUsize>,
}

impl Holdings {
    /// One more is to be opened.
    ///
    /// # Errors
    /// The account has as many as it may have now.
    pub fn take(&self) -> Result<Held, Error> {
        let own = self.account.fetch_add(1, Ordering::Relaxed);
        let held = self.all.held.fetch_add(1, Ordering::Relaxed);
        // From here on it is given back however this ends.
        let taken = Held(self.clone());
        let others = held.saturating_sub(own);
        let most = LEAST.max(self.all.budget.saturating_sub(others) / 2);
        if own < most {
            Ok(taken)
        } else {
            Err(Error::Limit(
                "Too many files and directories are open in the sessions of this account",
                own as u64,
            ))
        }
    }
}

/// One that is held open, until this is dropped.
#[derive(Debug)]
pub struct Held(Holdings);

impl Drop for Held {
    fn drop(&mut self) {
        let Self(Holdings { all, account }) = self;
        account.fetch_sub(1, Ordering::Relaxed);
        all.held.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn taken(holdings: &Holdings) -> Vec<Held> {
        std::iter::from_fn(|| holdings.take().ok()).collect()
    }

    #[test]
    fn there_are_always_some_for_who_comes_next() {
        let descriptors = Descriptors::new(1000);
        let (first, second) = (descriptors.join("first"), descriptors.join("second"));
        let of_first = taken(&first);
        assert_eq!(of_first.len(), 500);
        // Another session of the same account has no others.
        assert!(descriptors.join("first").take().is_err());
        let of_second = taken(&second);
        assert_eq!(of_second.len(), 250);
        assert!(first.take().is_err());
        for number in 0..10 {
            let name = format!("more {number}");
            std::mem::forget(taken(&descriptors.join(&name)));
        }
        assert_eq!(taken(&descriptors.join("the last")).len(), LEAST);
        drop(of_second);
        assert!(taken(&second).len() >= 100);
    }

    #[test]
    fn what_is_given_back_can_be_taken_again() {
        let descriptors = Descriptors::new(100);
        let holdings = descriptors.join("somebody");
        for _ in 0..3 {
            assert_eq!(taken(&holdings).len(), 50);
        }
        assert_eq!(descriptors.all.held.load(Ordering::Relaxed), 0);
    }
}
