//! The blocking pool: threads for work that may wait for a disk, shared fairly by account.
//!
//! Each piece of work needs a permit before it gets a thread. An account holds at most half of the
//! permits that the other accounts leave, and always [`LEAST`]; the rest of its work waits in a queue of
//! its own and costs no thread. Heavy work, which keeps a processor busy or a disk for long, comes in
//! slices and also needs a turn ([`Threads::heavy`]). Work of logins and of the server itself needs no
//! permit, so that no account can delay it.

mod queue;

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use tokio::runtime::{self, Handle, Runtime};
use tokio::task::{JoinError, JoinHandle};
use tokio::time::timeout;

use self::queue::{AccountQueue, Permit, WorkKind, WorkQueue};
use crate::io::by_account::ByAccount;

/// Threads at work for accounts, if each account is content with its share.
const THREADS: usize = 64;
/// An account has so many in any case: a disk that hangs keeps the threads of its accounts, and all
/// others still have some.
const LEAST: usize = 2;
/// A slice of heavy work that takes longer waits for a disk, and keeps no processor busy.
const TURN: Duration = Duration::from_millis(500);

/// Heavy work gives way to everything else that needs a processor.
const NICE: i32 = 10;

/// Threads for heavy work. Their priority is lower, which a thread cannot take back, so they are used for
/// nothing else. `None` if the system has refused them.
static HEAVY: LazyLock<Option<Runtime>> = LazyLock::new(|| {
    let threads = runtime::Builder::new_current_thread()
        .thread_name("heavy")
        .on_thread_start(|| {
            // Without it, heavy work is only in the way of others.
            let _ = rustix::process::setpriority_process(None, NICE);
        })
        .max_blocking_threads(HEAVY_THREADS)
        .build();
    threads.ok()
});
/// More than those of all accounts whose disks hang.
const HEAVY_THREADS: usize = 4096;

/// For the whole process, as its shards have pools of their own.
static AT_WORK: AtomicUsize = AtomicUsize::new(0);

/// Work that is done now, and work that waits for a thread.
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
    /// Lets so many slices of heavy work run at the same time.
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
    /// If it panicked.
    pub(crate) async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, JoinError> {
        let counted = AtWork::new();
        let (permit, _) = self.0.take(WorkKind::Light).await;
        start(&Handle::current(), counted, permit, work).await
    }

    /// Starts `work` and does not wait for its end.
    pub(crate) fn begin(&self, work: impl FnOnce() + Send + 'static) {
        let threads = self.clone();
        tokio::spawn(async move {
            // A panic is reported by the panic hook.
            let _ = threads.run(work).await;
        });
    }

    /// Runs a slice of heavy work when it is this account's turn. Once `gone` is ready nobody waits for
    /// the result, and the slice, which then only cleans up, does not wait for its turn.
    ///
    /// # Errors
    /// If it panicked.
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
