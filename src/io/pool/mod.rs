//! The blocking pool: threads for work that may wait for a disk, shared fairly among accounts.
//!
//! Each work item needs a permit before it gets a thread. An account holds at most half of the permits that
//! other accounts leave, and always [`LEAST`]; its other items wait in the account's queue without a
//! thread. Heavy work, which occupies a processor or a disk for long, runs in slices and also needs a turn
//! ([`Threads::heavy`]). Work of logins and of the server needs no permit, so no account can delay it.

mod queue;

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use tokio::runtime::{self, Handle, Runtime};
use tokio::task::{JoinError, JoinHandle};
use tokio::time::timeout;

use self::queue::{AccountQueue, Permit, WorkKind, WorkQueue};
use crate::io::by_account::ByAccount;

/// Threads for accounts.
const THREADS: usize = 64;
/// Threads that an account always gets: a disk that hangs keeps the threads of its accounts, and all others
/// still have some.
const LEAST: usize = 2;
/// A longer slice of heavy work waits for a disk and does not occupy a processor.
const TURN: Duration = Duration::from_millis(500);

/// Heavy work gets the processor after everything else.
const NICE: i32 = 10;

/// Threads for heavy work. A thread cannot raise its priority again, so they do nothing else. `None` if the
/// system has refused them.
static HEAVY: LazyLock<Option<Runtime>> = LazyLock::new(|| {
    let threads = runtime::Builder::new_current_thread()
        .thread_name("heavy")
        .on_thread_start(|| {
            // Without it, heavy work delays other work.
            let _ = rustix::process::setpriority_process(None, NICE);
        })
        .max_blocking_threads(HEAVY_THREADS)
        .build();
    threads.ok()
});
/// More than those of all accounts whose disks hang.
const HEAVY_THREADS: usize = 4096;

/// For the whole process, since each shard has a pool of its own.
static AT_WORK: AtomicUsize = AtomicUsize::new(0);

/// Returns the amount of running and waiting work.
pub(crate) fn at_work() -> usize {
    AT_WORK.load(Ordering::Relaxed)
}

/// The threads that accounts share.
#[derive(Debug)]
pub struct Pool {
    queue: Arc<WorkQueue>,
    accounts: ByAccount<AccountQueue>,
}

impl Pool {
    /// Makes a pool that runs this many slices of heavy work at the same time.
    pub fn new(heavy: usize) -> Self {
        Self {
            queue: Arc::new(WorkQueue::new(THREADS, LEAST, heavy)),
            accounts: ByAccount::default(),
        }
    }

    /// Returns the share of an account, for one of its sessions.
    pub fn join(&self, user: &str) -> Threads {
        let account = || AccountQueue::new(self.queue.clone());
        Threads(self.accounts.join(user, account))
    }
}

/// The share of an account.
#[derive(Debug, Clone)]
pub struct Threads(Arc<AccountQueue>);

impl Threads {
    /// Runs `work`, which may wait for a disk, on a thread of the pool.
    ///
    /// # Errors
    ///
    /// The work panicked.
    pub(crate) async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, JoinError> {
        let counted = AtWork::new();
        let (permit, _) = self.0.take(WorkKind::Light).await;
        start(&Handle::current(), counted, permit, work).await
    }

    /// Starts `work` without waiting for its end.
    pub(crate) fn begin(&self, work: impl FnOnce() + Send + 'static) {
        let threads = self.clone();
        tokio::spawn(async move {
            // The panic hook reports a panic.
            let _ = threads.run(work).await;
        });
    }

    /// Runs a slice of heavy work when it is this account's turn. Once `gone` is ready nobody waits for the
    /// result: the slice then only cleans up, and does not wait for its turn.
    ///
    /// # Errors
    ///
    /// The work panicked.
    pub(crate) async fn heavy<T: Send + 'static>(
        &self,
        gone: impl Future<Output = ()>,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, JoinError> {
        let counted = AtWork::new();
        let granted = tokio::select! {
            biased;
            granted = self.0.take(WorkKind::Heavy) => granted,
            () = gone => self.0.take(WorkKind::Light).await,
        };
        let (permit, turn) = granted;
        let mut working = match (&turn, &*HEAVY) {
            (Some(_), Some(threads)) => start(threads.handle(), counted, permit, work),
            _ => start(&Handle::current(), counted, permit, work),
        };
        if let Ok(done) = timeout(TURN, &mut working).await {
            return done;
        }
        drop(turn);
        working.await
    }
}

fn start<T: Send + 'static>(
    threads: &Handle,
    counted: AtWork,
    permit: Permit,
    work: impl FnOnce() -> T + Send + 'static,
) -> JoinHandle<T> {
    threads.spawn_blocking(move || {
        let _held = (counted, permit);
        work()
    })
}

struct AtWork;

impl AtWork {
    fn new() -> Self {
        AT_WORK.fetch_add(1, Ordering::Relaxed);
        Self
    }
}

impl Drop for AtWork {
    fn drop(&mut self) {
        AT_WORK.fetch_sub(1, Ordering::Relaxed);
    }
}
