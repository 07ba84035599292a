//! How many files and directories the sessions of an account may hold open together, so that no account
//! takes the descriptors of all others.

use rustix::process::{Resource, getrlimit};

use crate::error::Error;
use crate::io::portions::{Portion, Portions, Taken, UsedUp};

/// Those of the process.
#[derive(Debug)]
pub struct Descriptors(Portions);

impl Descriptors {
    /// Half of those that the system allows now: the others are for connections, and for what is open only
    /// for the time of a request.
    pub fn of_process() -> Self {
        let limit = getrlimit(Resource::Nofile).current;
        let limit = limit.and_then(|limit| usize::try_from(limit).ok());
        Self(Portions::new(limit.unwrap_or(usize::MAX) / 2))
    }

    /// A session of this account begins.
    pub fn join(&self, user: &str) -> Holdings {
        Holdings(self.0.join(user))
    }
}

/// What the sessions of an account hold.
#[derive(Debug, Clone)]
pub struct Holdings(Portion);

/// One that is held open, until this is dropped.
pub type HeldDescriptor = Taken;

impl Holdings {
    /// So many the account may hold now, if the others stay as they are.
    pub fn most(&self) -> usize {
        self.0.most()
    }

    /// One more is to be opened.
    ///
    /// # Errors
    /// The account has as many as it may have now.
    pub fn take(&self) -> Result<HeldDescriptor, Error> {
        self.0.take().map_err(|UsedUp { most }| {
            Error::Limit(
                "Too many files and directories are open in the sessions of this account",
                most as u64,
            )
        })
    }
}
