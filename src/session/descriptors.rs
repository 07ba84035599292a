//! How many files and directories the sessions of an account may hold open together, so that no account
//! uses up the descriptors of all others.

use rustix::process::{Resource, getrlimit};

use crate::error::Error;
use crate::io::portions::{Portion, Portions, Taken, UsedUp};

/// The descriptors of the process.
#[derive(Debug)]
pub struct Descriptors(Portions);

impl Descriptors {
    /// Takes half of those that the system allows now. The rest is for connections and for files that are
    /// open during one request.
    pub fn of_process() -> Self {
        let limit = getrlimit(Resource::Nofile).current;
        let limit = limit.and_then(|limit| usize::try_from(limit).ok());
        Self(Portions::new(limit.unwrap_or(usize::MAX) / 2))
    }

    /// Joins a session to its account.
    pub fn join(&self, user: &str) -> Holdings {
        Holdings(self.0.join(user))
    }
}

/// The descriptors that the sessions of an account hold.
#[derive(Debug, Clone)]
pub struct Holdings(Portion);

/// One descriptor that is held until this is dropped.
pub type HeldDescriptor = Taken;

impl Holdings {
    /// Returns how many the account may hold now, if the others do not change.
    pub fn most(&self) -> usize {
        self.0.most()
    }

    /// Takes one more descriptor.
    ///
    /// # Errors
    ///
    /// The account holds as many as it may.
    pub fn take(&self) -> Result<HeldDescriptor, Error> {
        self.0.take().map_err(|UsedUp { most }| {
            Error::Limit(
                "Too many open files and directories in the sessions of this account",
                most as u64,
            )
        })
    }
}
