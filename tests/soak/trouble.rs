//! Disturbances of the server and its sessions, for which a client may fail.

use std::collections::BTreeMap;
use std::sync::Mutex;

/// Counts the starts and ends of disturbances: an odd number means that there is one now.
#[derive(Default)]
pub struct Trouble(Mutex<BTreeMap<String, u64>>);

/// All accounts.
const EVERYBODY: &str = "";

impl Trouble {
    /// Returns the counts of one account and of all.
    pub fn of(&self, account: &str) -> [u64; 2] {
        let counts = self.0.lock().unwrap();
        [account, EVERYBODY].map(|who| counts.get(who).copied().unwrap_or_default())
    }

    /// Returns whether there has been a disturbance since then.
    pub fn since(&self, before: [u64; 2], account: &str) -> bool {
        before != self.of(account) || before.iter().any(|count| count % 2 == 1)
    }

    /// Does something that these sessions may notice; counts before and after it.
    pub fn meanwhile<T>(&self, account: Option<&str>, act: impl FnOnce() -> T) -> T {
        let who = account.unwrap_or(EVERYBODY);
        let count = || *self.0.lock().unwrap().entry(who.to_owned()).or_default() += 1;
        count();
        let result = act();
        count();
        result
    }
}
