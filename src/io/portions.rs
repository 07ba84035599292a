//! How much one account may hold of what all accounts share, so that none takes all of it.
//!
//! An account may hold as much as is left for all: half of what the others have not taken. Then there is
//! always some for the account that comes next, whoever holds how much, and one account alone has much. It
//! is how switches share their memory among ports (Choudhury and Hahne, "Dynamic queue length thresholds in
//! a shared-memory packet switch", IEEE/ACM Transactions on Networking 6, 1998).

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::io::by_account::ByAccount;

/// So many an account may hold in any case.
const LEAST: usize = 4;

/// Returns the most of `all` that one may hold who holds `own` of what is held: half of what the others leave.
pub fn share(all: usize, held: usize, own: usize) -> usize {
    all.saturating_sub(held.saturating_sub(own)) / 2
}

/// Something that is shared out among all accounts.
#[derive(Debug)]
pub struct Portions {
    all: Arc<SharedBudget>,
    accounts: ByAccount<AtomicUsize>,
}

#[derive(Debug)]
struct SharedBudget {
    /// How many there are for all.
    size: AtomicUsize,
    held: AtomicUsize,
}

impl Portions {
    /// There are so many for all.
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

    /// From now on there are so many. An account that holds more than it may keeps them.
    pub fn set_budget(&self, budget: usize) {
        self.all.size.store(budget, Ordering::Relaxed);
    }

    /// The portion of an account, which all its sessions share.
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

/// The account holds as many as it may hold now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UsedUp {
    /// So many.
    pub most: usize,
}

impl Portion {
    /// Returns how many the account may hold now, if the others stay as they are.
    pub fn most(&self) -> usize {
        let held = self.all.held.load(Ordering::Relaxed);
        self.share(held, self.account.load(Ordering::Relaxed))
    }

    fn share(&self, held: usize, own: usize) -> usize {
        LEAST.max(share(self.all.size.load(Ordering::Relaxed), held, own))
    }

    /// Takes one more.
    ///
    /// # Errors
    /// The account has as many as it may have now.
    pub fn take(&self) -> Result<Taken, UsedUp> {
        let own = self.account.fetch_add(1, Ordering::Relaxed);
        let held = self.all.held.fetch_add(1, Ordering::Relaxed);
        // From here on it is given back however this ends.
        let taken = Taken(self.clone());
        let most = self.share(held, own);
        if own < most {
            Ok(taken)
        } else {
            Err(UsedUp { most })
        }
    }
}

/// One that is held, until this is dropped.
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
        // Another session of the same account has no others.
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
