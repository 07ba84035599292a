//! The blocking pool, and how much of it is at work.

use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::task::{JoinError, JoinHandle, spawn_blocking};

/// For the whole process, as its shards have pools of their own.
static AT_WORK: AtomicUsize = AtomicUsize::new(0);

/// Lets `work` run where it may wait for a disk.
///
/// # Errors
/// If it panicked.
pub(crate) async fn run<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, JoinError> {
    begin(work).await
}

/// The same for who does not wait for it.
pub(crate) fn begin<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> JoinHandle<T> {
    let counted = AtWork::new();
    spawn_blocking(move || {
        let _counted = counted;
        work()
    })
}

/// Threads that are at work, and work that waits for one.
pub(crate) fn at_work() -> usize {
    AT_WORK.load(Ordering::Relaxed)
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
