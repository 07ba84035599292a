//! Removes temporary files that a crash left behind during safe overwrites; see docs/adr/0007.

use std::collections::HashSet;
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use tokio::sync::watch;
use tokio::task::spawn_blocking;
use tokio::time::timeout;
use tracing::{error, info, warn};

use crate::accounts::{Account, Accounts, UserName};
use crate::config::Config;
use crate::error::Error;
use crate::io::disks::{Disk, DiskTurn, Mounts, Turns};
use crate::quota::{Ledger, Ledgers, Usage};
use crate::session::open_home;
use crate::store::seconds;
use crate::values::error_chain::chain;
use crate::values::path::VPath;
use crate::vfs;

const DAY: Duration = Duration::from_secs(24 * 3600);
/// How long homes on other disks wait for a turn on one disk.
const PATIENCE: Duration = Duration::from_secs(5);
/// Names that are collected before they are removed: bounds memory.
const AT_ONCE: usize = 1000;
/// Accounts that are read at a time: bounds memory, too.
const ACCOUNTS_AT_ONCE: i64 = 1000;

/// Sweeps all homes at the start and then once a day. Never returns.
pub(in crate::server) async fn run(
    accounts: Accounts,
    ledgers: Arc<Ledgers>,
    config: watch::Receiver<Arc<Config>>,
) {
    let sweeper = Arc::new(Sweeper {
        accounts,
        ledgers,
        turns: Turns::default(),
        apart: Mutex::default(),
    });
    loop {
        let after = config.borrow().uploads.sweep_after;
        sweeper.clone().pass(None, None, after).await;
        tokio::time::sleep(DAY).await;
    }
}

struct Sweeper {
    accounts: Accounts,
    ledgers: Arc<Ledgers>,
    turns: Turns,
    /// Slow disks, which have a pass of their own.
    apart: Mutex<HashSet<Disk>>,
}

impl Sweeper {
    /// Sweeps the homes of the accounts after `last` by name: on all disks, or on the one that this pass is
    /// for.
    async fn pass(self: Arc<Self>, last: Option<UserName>, only: Option<Disk>, after: Duration) {
        let swept = self.sweep_all(last, only.as_ref(), after).await;
        if let Err(failure) = swept {
            warn!(
                "cannot look for leftover temporary files: {}",
                chain(&failure)
            );
        }
        if let Some(disk) = only {
            self.apart().remove(&disk);
        }
    }

    async fn sweep_all(
        self: &Arc<Self>,
        mut last: Option<UserName>,
        only: Option<&Disk>,
        after: Duration,
    ) -> anyhow::Result<()> {
        loop {
            let some = self.accounts.after(last.as_ref(), ACCOUNTS_AT_ONCE).await?;
            if some.is_empty() {
                return Ok(());
            }
            let mounts = Mounts::now();
            for user in some {
                let account = user.account;
                let name = account.name.clone();
                let disk = mounts.disk_of(&account.home);
                match only {
                    Some(only) if disk == *only => {
                        let turn = self.turns.take(&disk).await;
                        self.begin(account, turn, after);
                    }
                    None if !self.apart().contains(&disk) => {
                        match timeout(PATIENCE, self.turns.take(&disk)).await {
                            Ok(turn) => self.begin(account, turn, after),
                            Err(_) => self.begin_pass(last, disk, after),
                        }
                    }
                    // It belongs to another pass.
                    _ => {}
                }
                last = Some(name);
            }
        }
    }

    fn begin(self: &Arc<Self>, account: Account, turn: DiskTurn, after: Duration) {
        let this = self.clone();
        tokio::spawn(async move {
            sweep_home(&this.accounts, &this.ledgers, account, after).await;
            drop(turn);
        });
    }

    /// Starts a pass for a slow disk, so that the others do not wait for it.
    fn begin_pass(self: &Arc<Self>, last: Option<UserName>, disk: Disk, after: Duration) {
        self.apart().insert(disk.clone());
        tokio::spawn(self.clone().pass(last, Some(disk), after));
    }

    fn apart(&self) -> MutexGuard<'_, HashSet<Disk>> {
        self.apart.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn sweep_home(
    accounts: &Accounts,
    ledgers: &Arc<Ledgers>,
    account: Account,
    after: Duration,
) {
    let user = account.name.as_str();
    let mut gone = Usage::default();
    let outcome = remove_all(accounts, ledgers, &account, after, &mut gone).await;
    if let Err(failure) = outcome {
        warn!(
            user,
            "cannot remove leftover temporary files: {}",
            chain(&failure)
        );
    }
    let Usage { bytes, files } = gone;
    if files > 0 {
        info!(user, files, bytes, "removed leftover temporary files");
    }
}

/// Removes stale files, and adds them to `gone`.
async fn remove_all(
    accounts: &Accounts,
    ledgers: &Arc<Ledgers>,
    account: &Account,
    after: Duration,
    gone: &mut Usage,
) -> anyhow::Result<()> {
    let before = seconds(SystemTime::now() - after);
    loop {
        let home = account.home.clone();
        let stale = spawn_blocking(move || find_stale(&home, before)).await??;
        if stale.is_empty() {
            return Ok(());
        }
        // The account may have got another home during the walk.
        if accounts.find(&account.name).await?.account.home != account.home {
            return Ok(());
        }
        let member = ledgers.visit(account.name.as_str(), &account.home).await?;
        let (home, ledger) = (account.home.clone(), member.ledger().clone());
        let whole = stale.len() < AT_ONCE;
        let removed = spawn_blocking(move || remove(&home, &ledger, &stale, before)).await??;
        gone.bytes += removed.bytes;
        gone.files += removed.files;
        if whole || removed.files == 0 {
            return Ok(());
        }
    }
}

/// Returns at most [`AT_ONCE`] names of stale files.
fn find_stale(home: &Path, before: i64) -> Result<Vec<VPath>, Error> {
    let store = open_home(home, 0)?;
    let mut stale = Vec::new();
    store.leftovers(&mut |path| {
        let found = store.metadata(&path, false);
        if found.is_ok_and(|found| vfs::is_stale(&found, before)) {
            stale.push(path);
        }
        if stale.len() < AT_ONCE {
            ControlFlow::Continue(())
        } else {
            ControlFlow::Break(())
        }
    })?;
    Ok(stale)
}

fn remove(home: &Path, ledger: &Arc<Ledger>, stale: &[VPath], before: i64) -> Result<Usage, Error> {
    let store = open_home(home, 0)?;
    let mut gone = Usage::default();
    for path in stale {
        match vfs::sweep(&*store, ledger, path, before) {
            Ok(Some(bytes)) => {
                gone.bytes += bytes;
                gone.files += 1;
            }
            Ok(None) | Err(Error::Os(rustix::io::Errno::NOENT)) => {}
            Err(failure) => error!(?path, %failure, "cannot remove a leftover temporary file"),
        }
    }
    Ok(gone)
}
