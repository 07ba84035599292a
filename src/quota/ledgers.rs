//! The ledgers of all homes in use, and the counting of homes with unknown usage.

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use tokio::runtime::Handle;
use tokio::task::{JoinHandle, spawn_blocking};
use tokio::time::{sleep, timeout};
use tracing::{debug, info, warn};

use super::books::CountState;
use super::keeper::StoredUsage;
use super::keeper::{self, AccountHome, Keeper};
use super::ledger::Ledger;
use super::locks::lock;
use super::stored_usage;
use super::usage::{Limits, Usage};
use crate::database::Database;
use crate::error::Error;
use crate::io::disks::{Disk, Mounts, Turns};
use crate::values::error_chain::chain;

/// Greatest age of the usage that the operator's commands show, and longest delay of their requests.
const TELL_EVERY: Duration = Duration::from_secs(1);
/// How long the homes of accounts without a login wait for others on a disk that may hang.
const PATIENCE: Duration = Duration::from_secs(5);

/// Counts a home; reports the number of names seen now and then.
pub type CountHome = fn(&Path, &mut dyn FnMut(u64)) -> Result<Usage, Error>;

/// The ledgers of a server; see the module documentation.
pub struct Ledgers {
    keeper: Keeper,
    database: Database,
    count: CountHome,
    /// By home, which belongs to one account.
    in_use: Mutex<HashMap<PathBuf, Arc<Ledger>>>,
    joining: tokio::sync::Mutex<()>,
    /// For counts in the background.
    turns: Turns,
    /// Homes with a requested count that waits or runs.
    requested: Mutex<HashSet<PathBuf>>,
}

/// A session's membership in a ledger, which is in use while it has members.
pub struct Member {
    ledgers: Arc<Ledgers>,
    ledger: Arc<Ledger>,
}

impl Member {
    /// Returns the ledger.
    pub fn ledger(&self) -> &Arc<Ledger> {
        &self.ledger
    }
}

impl Drop for Member {
    fn drop(&mut self) {
        self.ledger.leave();
        // Each session closes its unused files at its end, unless it panicked.
        match Handle::try_current() {
            Ok(runtime) if self.ledger.has_deferred() => {
                let (ledgers, ledger) = (self.ledgers.clone(), self.ledger.clone());
                runtime.spawn_blocking(move || {
                    ledger.close_deferred();
                    ledgers.forget_idle(&ledger.home);
                });
            }
            _ => self.ledgers.forget_idle(&self.ledger.home),
        }
    }
}

impl Ledgers {
    /// Makes ledgers that store usage in this database. Must be called inside a runtime.
    pub fn new(database: Database, count: CountHome) -> Arc<Self> {
        Arc::new(Self {
            keeper: Keeper::start(database.clone()),
            database,
            count,
            in_use: Mutex::default(),
            joining: tokio::sync::Mutex::default(),
            turns: Turns::default(),
            requested: Mutex::default(),
        })
    }

    /// Adds a session, and sets the limits for all sessions of the account.
    pub async fn join(
        self: &Arc<Self>,
        user: &str,
        home: &Path,
        limits: Limits,
    ) -> anyhow::Result<Member> {
        self.enter(user, home, Some(limits)).await
    }

    /// As [`Ledgers::join`], for a caller that lets nothing grow: the limits stay.
    pub async fn visit(self: &Arc<Self>, user: &str, home: &Path) -> anyhow::Result<Member> {
        self.enter(user, home, None).await
    }

    async fn enter(
        self: &Arc<Self>,
        user: &str,
        home: &Path,
        limits: Option<Limits>,
    ) -> anyhow::Result<Member> {
        // One at a time, so that stored usage is current when it is read.
        let _one = self.joining.lock().await;
        self.forget_idle(home);
        let ledger = match self.join_known(home, limits) {
            Some(ledger) => ledger,
            None => {
                let kept = self.keeper.kept(user, home).await?;
                self.insert(user, home, kept, |ledger| ledger.join(limits))
            }
        };
        // Its sessions wait for the count, so the count does not wait for its turn.
        if ledger.begins_count() {
            let (ledgers, ledger) = (self.clone(), ledger.clone());
            spawn_blocking(move || ledgers.recount(&ledger).ok());
        }
        Ok(Member {
            ledgers: self.clone(),
            ledger,
        })
    }

    fn join_known(&self, home: &Path, limits: Option<Limits>) -> Option<Arc<Ledger>> {
        let in_use = lock(&self.in_use);
        let ledger = in_use.get(home)?;
        // While it is held here, it is not idle.
        ledger.join(limits);
        Some(ledger.clone())
    }

    /// Returns the ledger of a home: the one in use, or a new one. `first` runs before the ledger can
    /// become idle.
    fn insert(
        &self,
        user: &str,
        home: &Path,
        kept: Option<StoredUsage>,
        first: impl FnOnce(&Ledger),
    ) -> Arc<Ledger> {
        let mut in_use = lock(&self.in_use);
        let ledger = in_use
            .entry(home.to_owned())
            .or_insert_with(|| Arc::new(Ledger::new(user, home, self.keeper.clone(), kept)));
        first(ledger);
        ledger.clone()
    }

    /// Returns the number of members of an account's ledgers: sessions, including closed ones that are
    /// still at work, and sweeps.
    pub fn members(&self, user: &str) -> usize {
        let in_use = lock(&self.in_use);
        let own = in_use.values().filter(|ledger| ledger.user == user);
        own.map(|ledger| lock(&ledger.books).members).sum()
    }

    fn forget_idle(&self, home: &Path) {
        let mut in_use = lock(&self.in_use);
        if in_use.get(home).is_some_and(|ledger| ledger.is_idle()) {
            in_use.remove(home);
        }
    }

    /// Starts to count, in the background, the homes that had writers when the last server died; if the
    /// machine went down, all homes that were ever counted.
    pub async fn begin_serving(self: &Arc<Self>) -> anyhow::Result<()> {
        if keeper::begin_serving(&self.database).await? {
            warn!(
                "the machine went down while the last server ran: counting the files of all users"
            );
        }
        self.recount_unclean().await
    }

    /// Returns those of these accounts, by name, whose homes were never counted.
    pub async fn uncounted(&self, homes: Vec<AccountHome>) -> anyhow::Result<Vec<AccountHome>> {
        let (Some((first, _)), Some((last, _))) = (homes.first(), homes.last()) else {
            return Ok(homes);
        };
        let known = stored_usage::stored_usage_between(&self.database, first, last).await?;
        let is_known =
            |(user, home): &AccountHome| known.get(user).is_some_and(|(of, _)| of == home);
        Ok(homes.into_iter().filter(|home| !is_known(home)).collect())
    }

    /// Counts homes for lists and metrics. The first login counts again, since files may be added by hand
    /// before it. Waits until each count has had its turn, but not long: a disk that hangs must not delay
    /// other homes.
    pub async fn count_uncounted(self: &Arc<Self>, homes: Vec<AccountHome>) {
        let counting = self.count_each(homes, |ledgers, user, home| {
            match (ledgers.count)(home, &mut |_| {}) {
                Ok(used) => ledgers.keeper.save_provisional(user, home, used),
                Err(failure) => {
                    warn!(user, %failure, "cannot count the home of a user without a login")
                }
            }
        });
        let all = async {
            for disk in counting {
                // Its task does not fail.
                let _ = disk.await;
            }
        };
        let _ = timeout(PATIENCE, all).await;
    }

    /// Waits until everything is in the database and on disk when the server has stopped.
    pub async fn end_serving(&self) -> anyhow::Result<()> {
        self.keeper.flush().await?;
        keeper::end_serving(&self.database).await
    }

    async fn recount_unclean(self: &Arc<Self>) -> anyhow::Result<()> {
        let unclean = self.keeper.unclean().await?;
        // From now on growth waits for the count.
        for (user, home) in &unclean {
            self.insert(user, home, None, |_| {});
        }
        self.count_each(unclean, |ledgers, _, home| {
            let ledger = lock(&ledgers.in_use).get(home).cloned();
            // If the account has logged in meanwhile, its count did not wait for its turn.
            if let Some(ledger) = ledger.filter(|ledger| ledger.begins_count()) {
                // The failure is in the log; a home that cannot be counted does not grow.
                let _ = ledgers.recount(&ledger);
            }
        });
        Ok(())
    }

    /// Counts homes in the background, disk by disk, so that no disk delays another. Returns a task for
    /// each disk, which ends when all its counts have begun.
    fn count_each(
        self: &Arc<Self>,
        homes: Vec<AccountHome>,
        count: fn(&Self, &str, &Path),
    ) -> Vec<JoinHandle<()>> {
        let mounts = Mounts::now();
        let mut by_disk: HashMap<Disk, Vec<AccountHome>> = HashMap::new();
        for (user, home) in homes {
            let homes = by_disk.entry(mounts.disk_of(&home)).or_default();
            homes.push((user, home));
        }
        let count_all = |(disk, homes): (Disk, Vec<AccountHome>)| {
            let this = self.clone();
            tokio::spawn(async move {
                for (user, home) in homes {
                    let turn = this.turns.take(&disk).await;
                    let this = this.clone();
                    spawn_blocking(move || {
                        count(&this, &user, &home);
                        drop(turn);
                    });
                }
            })
        };
        by_disk.into_iter().map(count_all).collect()
    }

    /// Publishes usage for the operator's commands now and then, and handles their requests. Never returns.
    pub async fn keep_informed(self: Arc<Self>) {
        let mut told = HashMap::new();
        loop {
            sleep(TELL_EVERY).await;
            let figures = self.changed_since(&mut told);
            self.keeper.publish(figures);
            match self.keeper.requested().await {
                Ok(requested) => self.recount_requested(requested),
                Err(failure) => warn!(
                    "cannot read the requests to count homes: {}",
                    chain(&failure)
                ),
            }
        }
    }

    fn changed_since(&self, told: &mut HashMap<PathBuf, Usage>) -> Vec<(String, PathBuf, Usage)> {
        let in_use = lock(&self.in_use);
        told.retain(|home, _| in_use.contains_key(home));
        let mut changed = Vec::new();
        for (home, ledger) in in_use.iter() {
            let Some(used) = ledger.used() else { continue };
            if told.insert(home.clone(), used) != Some(used) {
                changed.push((ledger.user.clone(), home.clone(), used));
            }
        }
        changed
    }

    fn recount_requested(self: &Arc<Self>, homes: Vec<AccountHome>) {
        let mut requested = lock(&self.requested);
        let new = homes.into_iter();
        let new = new.filter(|(_, home)| requested.insert(home.clone()));
        let new = new.collect();
        drop(requested);
        self.count_each(new, |ledgers, user, home| {
            let ledger = ledgers.insert(user, home, None, |_| {});
            match ledgers.recount(&ledger) {
                Ok(used) => ledgers.keeper.counted(user, home, used),
                Err(_) => ledgers.keeper.forget(user, home),
            }
            lock(&ledgers.requested).remove(home);
        });
    }

    fn recount(&self, ledger: &Ledger) -> Result<Usage, Error> {
        let user = &ledger.user;
        debug!(user, "counting the files");
        let began = Instant::now();
        let counted = ledger.recount(|| {
            let mut progress = |files: u64| info!(user, files, "still counting the files");
            (self.count)(&ledger.home, &mut progress)
        });
        if let Ok(Usage { bytes, files }) = counted {
            debug!(user, bytes, files, took = ?began.elapsed(), "files counted");
        }
        self.forget_idle(&ledger.home);
        counted
    }

    /// Counts a home now, without a running server.
    pub async fn count_now(&self, user: &str, home: &Path) -> anyhow::Result<Usage> {
        let (count, keeper) = (self.count, self.keeper.clone());
        let (name, folder) = (user.to_owned(), home.to_owned());
        let counting = spawn_blocking(move || {
            keeper.mark(&name, &folder)?;
            anyhow::Ok(count(&folder, &mut |_| {})?)
        });
        let used = counting.await??;
        self.keeper.save(user, home, used);
        self.keeper.flush().await?;
        Ok(used)
    }

    /// Requests a count of a home from the running server. It is done when the home is not in
    /// [`Ledgers::requested`] any more.
    pub async fn request(&self, user: &str, home: &Path) -> anyhow::Result<()> {
        self.keeper.request(user, home).await
    }

    /// Returns the homes that the server has still to count on request.
    pub async fn requested(&self) -> anyhow::Result<HashSet<PathBuf>> {
        let requested = self.keeper.requested().await?.into_iter();
        Ok(requested.map(|(_, home)| home).collect())
    }

    /// Returns the stored usage of an account.
    pub async fn kept(&self, user: &str, home: &Path) -> anyhow::Result<Option<StoredUsage>> {
        self.keeper.kept(user, home).await
    }
}

impl Ledger {
    /// Returns true for the first caller while the usage is unknown; that caller counts.
    fn begins_count(&self) -> bool {
        let mut books = lock(&self.books);
        let is_first = books.standing == CountState::Uncounted;
        if is_first {
            books.standing = CountState::Counting;
        }
        is_first
    }
}
