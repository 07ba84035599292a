//! Limits how much one account may hold of a shared resource, so that none takes all of it.
//!
//! An account may hold half of what the others have not taken. So something is always left for the next
//! account, and an account that is alone gets much. Switches share their memory among ports like this
//! (Choudhury and Hahne, "Dynamic queue length thresholds in a shared-memory packet switch", IEEE/ACM
//! Transactions on Networking 6, 1998).

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::io::by_account::ByAccount;

/// What an account may always hold.
const LEAST: usize = 4;

/// Returns the most that a holder of `own` may hold of `all`, of which `held` is taken: half of what the
/// others leave.
pub fn share(all: usize, held: usize, own: usize) -> usize {
    all.saturating_sub(held.saturating_sub(own)) / 2
}

/// A resource that is shared among all accounts.
#[derive(Debug)]
pub struct Portions {
    all: Arc<SharedBudget>,
    accounts: ByAccount<AtomicUsize>,
}

#[derive(Debug)]
struct SharedBudget {
    /// The total.
    size: AtomicUsize,
    held: AtomicUsize,
}

impl Portions {
    /// Makes a resource of this total.
    pub fn new(budget: usize) -> Self {
        let all = SharedBudget {
            size: AtomicUsize::new(budget),
            held: AtomicUsize::new(0),
        };
        Self {
            all: Arc::new(all),
            accounts: ByAccount::default(),
        }
    }

    /// Changes the total. An account that holds more than it may keeps it.
    pub fn set_budget(&self, budget: usize) {
        self.all.size.store(budget, Ordering::Relaxed);
    }

    /// Returns the portion of an account, which all its sessions share.
    pub fn join(&self, user: &str) -> Portion {
        Portion {
            all: self.all.clone(),
            account: self.accounts.join(user, AtomicUsize::default),
        }
    }
}

/// What one account holds.
#[derive(Debug, Clone)]
pub struct Portion {
    all: Arc<SharedBudget>,
    account: Arc<AtomicUsize>,
}

/// The account holds as much as it may now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UsedUp {
    /// The current limit.
    pub most: usize,
}

impl Portion {
    /// Returns the current limit, if the others do not change.
    pub fn most(&self) -> usize {
        let held = self.all.held.load(Ordering::Relaxed);
        self.share(held, self.account.load(Ordering::Relaxed))
    }

    fn share(&self, held: usize, own: usize) -> usize {
        LEAST.max(share(self.all.size.load(Ordering::Relaxed), held, own))
    }

    /// Takes one unit.
    ///
    /// # Errors
    ///
    /// The account holds as much as it may now.
    pub fn take(&self) -> Result<Taken, UsedUp> {
        let own = self.account.fetch_add(1, Ordering::Relaxed);
        let held = self.all.held.fetch_add(1, Ordering::Relaxed);
        // From here on it is returned in any case.
        let taken = Taken(self.clone());
        let most = self.share(held, own);
        if own < most {
            Ok(taken)
        } else {
            Err(UsedUp { most })
        }
    }
}

/// A unit that is held until this is dropped.
#[derive(Debug)]
pub struct Taken(Portion);

impl Drop for Taken {
    fn drop(&mut self) {
        let Self(Portion { all, account }) = self;
        account.fetch_sub(1, Ordering::Relaxed);
        all.held.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all_of(portion: &Portion) -> Vec<Taken> {
        std::iter::from_fn(|| portion.take().ok()).collect()
    }

    #[test]
    fn there_are_always_some_for_the_account_that_comes_next() {
        let portions = Portions::new(1000);
        let (first, second) = (portions.join("first"), portions.join("second"));
        let of_first = all_of(&first);
        assert_eq!(of_first.len(), 500);
        // Another session of the same account shares the limit.
        let refused = portions.join("first").take().err();
        assert_eq!(refused, Some(UsedUp { most: 500 }));
        assert_eq!(second.most(), 250);
        let of_second = all_of(&second);
        assert_eq!(of_second.len(), 250);
        assert!(first.take().is_err());
        for number in 0..10 {
            let name = format!("more {number}");
            std::mem::forget(all_of(&portions.join(&name)));
        }
        assert_eq!(all_of(&portions.join("the last")).len(), LEAST);
        drop(of_second);
        assert!(all_of(&second).len() >= 100);
    }

    #[test]
    fn what_is_given_back_can_be_taken_again() {
        let portions = Portions::new(100);
        let portion = portions.join("somebody");
        for _ in 0..3 {
            assert_eq!(all_of(&portion).len(), 50);
        }
        assert_eq!(portions.all.held.load(Ordering::Relaxed), 0);
    }

    #[test]
    fn another_budget_holds_for_what_is_taken_next() {
        let portions = Portions::new(100);
        let portion = portions.join("somebody");
        let mut held = all_of(&portion);
        portions.set_budget(20);
        assert!(portion.take().is_err());
        held.truncate(9);
        held.push(portion.take().unwrap());
        assert!(portion.take().is_err());
        portions.set_budget(200);
        assert_eq!(all_of(&portion).len(), 90);
    }
}
