//! Counts the homes of accounts without a login so far, so that lists and metrics show the usage of all
//! accounts.

use std::sync::Arc;

use tokio::sync::watch;
use tracing::warn;

use crate::accounts::{Accounts, Details};
use crate::quota::{AccountHome, Ledgers};
use crate::values::error_chain::chain;

/// Accounts that are read at a time.
const ACCOUNTS_AT_ONCE: i64 = 1000;

/// Counts every uncounted home at the start, then those of changed accounts. Never returns.
pub(in crate::server) async fn run(
    accounts: Accounts,
    ledgers: Arc<Ledgers>,
    mut changes: watch::Receiver<i64>,
) {
    let mut seen = match first(&accounts, &ledgers).await {
        Ok(seen) => seen,
        Err(failure) => {
            warn!(
                "some homes stay uncounted until the next start: {}",
                chain(&failure)
            );
            *changes.borrow()
        }
    };
    while changes.changed().await.is_ok() {
        if let Err(failure) = next(&accounts, &ledgers, &mut seen).await {
            warn!(
                "cannot count the homes of changed accounts: {}",
                chain(&failure)
            );
        }
    }
}

/// Goes through all accounts; returns the number of the last change before.
async fn first(accounts: &Accounts, ledgers: &Arc<Ledgers>) -> anyhow::Result<i64> {
    let seen = accounts.last_change().await?;
    let mut last = None;
    loop {
        let some = accounts.after(last.as_ref(), ACCOUNTS_AT_ONCE).await?;
        let Some(user) = some.last() else {
            return Ok(seen);
        };
        last = Some(user.account.name.clone());
        count(ledgers, some.iter().map(home).collect()).await?;
    }
}

/// Goes through the accounts that have changed since `seen`.
async fn next(accounts: &Accounts, ledgers: &Arc<Ledgers>, seen: &mut i64) -> anyhow::Result<()> {
    loop {
        let (changed, last) = accounts.changed_since(*seen).await?;
        if changed.is_empty() {
            return Ok(());
        }
        for name in changed {
            if let Some(user) = accounts.find_any(&name).await? {
                count(ledgers, vec![home(&user)]).await?;
            }
        }
        *seen = last;
    }
}

fn home(user: &Details) -> AccountHome {
    let account = &user.account;
    (account.name.to_string(), account.home.clone())
}

async fn count(ledgers: &Arc<Ledgers>, homes: Vec<AccountHome>) -> anyhow::Result<()> {
    let uncounted = ledgers.uncounted(homes).await?;
    ledgers.count_uncounted(uncounted).await;
    Ok(())
}
