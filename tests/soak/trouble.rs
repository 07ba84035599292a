//! What befalls the server and its sessions from outside, and may make a client fail.

use std::collections::BTreeMap;
use std::sync::Mutex;

/// Counts how often troubles began and ended: a number is odd while there is one.
#[derive(Default)]
pub struct Trouble(Mutex<BTreeMap<String, u64>>);

/// Of all accounts.
const EVERYBODY: &str = "";

impl Trouble {
    /// What an account has had, and what all have had.
    pub fn of(&self, account: &str) -> [u64; 2] {
        let counts = self.0.lock().unwrap();
        [account, EVERYBODY].map(|who| counts.get(who).copied().unwrap_or_default())
    }

    /// Was there any since then?
    pub fn since(&self, before: [u64; 2], account: &str) -> bool {
        before != self.of(account) || before.iter().any(|count| count % 2 == 1)
    }

    /// Something happens that these sessions may feel: told before and after it.
    pub fn meanwhile<T>(&self, account: Option<&str>, act: impl FnOnce() -> T) -> T {
        let who = account.unwrap_or(EVERYBODY);
        let count = || *self.0.lock().unwrap().entry(who.to_owned()).or_default() += 1;
        count();
        let result = act();
        count();
        result
    }
}
