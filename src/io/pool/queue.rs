//! The order of work: first in, first out within an account, and round robin between accounts. A task
//! waits, without a thread; a returned permit wakes only the next waiter.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::oneshot;

use crate::io::portions::share;

/// What a work item needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum WorkKind {
    /// A thread.
    Light,
    /// A thread and a turn.
    Heavy,
}

/// The work of all accounts.
#[derive(Debug)]
pub(super) struct WorkQueue {
    threads: usize,
    least: usize,
    turns: usize,
    state: Mutex<QueueState>,
}

#[derive(Debug, Default)]
struct QueueState {
    held: HeldThread,
    /// Accounts with waiting work; the first is served next.
    lines: VecDeque<WaitingLine>,
}

/// What all accounts hold together.
#[derive(Debug, Default)]
struct HeldThread {
    permits: usize,
    turns: usize,
}

/// The waiting work of an account.
#[derive(Debug)]
struct WaitingLine {
    account: Arc<AccountQueue>,
    light: VecDeque<Waiter>,
    heavy: VecDeque<Waiter>,
}

type GrantedThread = (Permit, Option<PoolTurn>);
type Waiter = oneshot::Sender<GrantedThread>;

/// What an account holds. Changes only while the queue is locked.
#[derive(Debug)]
pub(super) struct AccountQueue {
    queue: Arc<WorkQueue>,
    permits: AtomicUsize,
    turns: AtomicUsize,
}

/// An account's thread, until it is dropped.
#[derive(Debug)]
pub(super) struct Permit(Arc<AccountQueue>);

/// An account's turn, until it is dropped.
#[derive(Debug)]
pub(super) struct PoolTurn(Arc<AccountQueue>);

impl WorkQueue {
    /// Makes a queue for this many threads, of which an account always gets `least`, and turns.
    pub(super) fn new(threads: usize, least: usize, turns: usize) -> Self {
        Self {
            threads,
            least,
            turns: turns.max(1),
            state: Mutex::default(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, QueueState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns whether the account may have one more of this kind.
    fn has_room(&self, held: &HeldThread, account: &AccountQueue, kind: WorkKind) -> bool {
        let own = account.permits.load(Ordering::Relaxed);
        let most = share(self.threads, held.permits, own).max(self.least);
        if own >= most {
            return false;
        }
        match kind {
            WorkKind::Light => true,
            WorkKind::Heavy => {
                let own = account.turns.load(Ordering::Relaxed);
                // Half of its threads are for its other work.
                let most = share(self.turns, held.turns, own).min(most / 2).max(1);
                held.turns < self.turns && own < most
            }
        }
    }

    /// Takes the first waiter that can be served. Its account moves to the end of the queue.
    fn serve_next(&self, state: &mut QueueState) -> Option<(Waiter, GrantedThread)> {
        let mut at = 0;
        loop {
            let line = state.lines.get_mut(at)?;
            let account = line.account.clone();
            let found = [WorkKind::Heavy, WorkKind::Light]
                .into_iter()
                .find_map(|kind| {
                    let has_room = self.has_room(&state.held, &account, kind);
                    let waiter = has_room.then(|| line.next(kind)).flatten();
                    waiter.map(|waiter| (waiter, kind))
                });
            if found.is_none() && !line.is_empty() {
                at += 1;
                continue;
            }
            let line = state.lines.remove(at).filter(|line| !line.is_empty());
            state.lines.extend(line);
            if let Some((waiter, kind)) = found {
                return Some((waiter, account.grant(&mut state.held, kind)));
            }
        }
    }
}

impl WaitingLine {
    fn new(account: Arc<AccountQueue>) -> Self {
        Self {
            account,
            light: VecDeque::new(),
            heavy: VecDeque::new(),
        }
    }

    fn of(&mut self, kind: WorkKind) -> &mut VecDeque<Waiter> {
        match kind {
            WorkKind::Light => &mut self.light,
            WorkKind::Heavy => &mut self.heavy,
        }
    }

    fn has_none(&self, kind: WorkKind) -> bool {
        match kind {
            WorkKind::Light => self.light.is_empty(),
            WorkKind::Heavy => self.heavy.is_empty(),
        }
    }

    /// Returns the next waiter that still waits.
    fn next(&mut self, kind: WorkKind) -> Option<Waiter> {
        let waiting = self.of(kind);
        while let Some(waiter) = waiting.pop_front() {
            if !waiter.is_closed() {
                return Some(waiter);
            }
        }
        None
    }

    fn add(&mut self, kind: WorkKind, waiter: Waiter) {
        let waiting = self.of(kind);
        if waiting.len() == waiting.capacity() {
            waiting.retain(|waiter| !waiter.is_closed());
        }
        waiting.push_back(waiter);
    }

    fn is_empty(&self) -> bool {
        self.light.is_empty() && self.heavy.is_empty()
    }
}

impl AccountQueue {
    pub(super) fn new(queue: Arc<WorkQueue>) -> Self {
        Self {
            queue,
            permits: AtomicUsize::new(0),
            turns: AtomicUsize::new(0),
        }
    }

    /// Waits for a permit, and for heavy work also for a turn.
    pub(super) async fn take(self: &Arc<Self>, kind: WorkKind) -> GrantedThread {
        loop {
            let waiting = match self.enter(kind) {
                Ok(granted) => return granted,
                Err(waiting) => waiting,
            };
            if let Ok(granted) = waiting.await {
                return granted;
            }
        }
    }

    fn enter(
        self: &Arc<Self>,
        kind: WorkKind,
    ) -> Result<GrantedThread, oneshot::Receiver<GrantedThread>> {
        let mut state = self.queue.lock();
        let QueueState { held, lines } = &mut *state;
        let at = lines
            .iter()
            .position(|line| Arc::ptr_eq(&line.account, self));
        let own = at.and_then(|at| lines.get_mut(at));
        let is_next = own.as_ref().is_none_or(|line| line.has_none(kind));
        if is_next && self.queue.has_room(held, self, kind) {
            return Ok(self.grant(held, kind));
        }
        let (waiter, waiting) = oneshot::channel();
        match own {
            Some(line) => line.add(kind, waiter),
            None => {
                let mut line = WaitingLine::new(self.clone());
                line.add(kind, waiter);
                lines.push_back(line);
            }
        }
        Err(waiting)
    }

    fn grant(self: &Arc<Self>, held: &mut HeldThread, kind: WorkKind) -> GrantedThread {
        held.permits += 1;
        self.permits.fetch_add(1, Ordering::Relaxed);
        let turn = (kind == WorkKind::Heavy).then(|| {
            held.turns += 1;
            self.turns.fetch_add(1, Ordering::Relaxed);
            PoolTurn(self.clone())
        });
        (Permit(self.clone()), turn)
    }

    /// Returns what `give` counts, and serves the waiters that can be served now.
    fn give_back(&self, give: impl FnOnce(&mut HeldThread)) {
        let mut state = self.queue.lock();
        give(&mut state.held);
        while let Some((waiter, granted)) = self.queue.serve_next(&mut state) {
            // Without the lock: a waiter that has just left returns what it was granted.
            drop(state);
            drop(waiter.send(granted));
            state = self.queue.lock();
        }
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.0.give_back(|held| {
            held.permits -= 1;
            self.0.permits.fetch_sub(1, Ordering::Relaxed);
        });
    }
}

impl Drop for PoolTurn {
    fn drop(&mut self) {
        self.0.give_back(|held| {
            held.turns -= 1;
            self.0.turns.fetch_sub(1, Ordering::Relaxed);
        });
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::task::{Context, Poll, Waker};

    use super::*;

    /// Requests a permit, and returns it if one is free.
    type Waiting<'a> = std::pin::Pin<Box<dyn Future<Output = GrantedThread> + 'a>>;

    fn ask(account: &Arc<AccountQueue>, kind: WorkKind) -> Waiting<'_> {
        Box::pin(account.take(kind))
    }

    fn granted(waiting: &mut Waiting<'_>) -> Option<GrantedThread> {
        match waiting
            .as_mut()
            .poll(&mut Context::from_waker(Waker::noop()))
        {
            Poll::Ready(granted) => Some(granted),
            Poll::Pending => None,
        }
    }

    fn accounts<const COUNT: usize>(queue: WorkQueue) -> [Arc<AccountQueue>; COUNT] {
        let queue = Arc::new(queue);
        [(); COUNT].map(|()| Arc::new(AccountQueue::new(queue.clone())))
    }

    /// Takes everything that the account gets without waiting.
    fn all(account: &Arc<AccountQueue>, kind: WorkKind) -> Vec<GrantedThread> {
        std::iter::from_fn(|| granted(&mut ask(account, kind))).collect()
    }

    #[test]
    fn an_account_has_half_of_what_the_others_leave_and_always_some() {
        let [one, two, three, four] = accounts(WorkQueue::new(16, 2, 4));
        let held = all(&one, WorkKind::Light);
        assert_eq!(held.len(), 8);
        assert_eq!(all(&two, WorkKind::Light).len(), 4);
        let _two = all(&two, WorkKind::Light);
        let _three = all(&three, WorkKind::Light);
        assert_eq!(all(&four, WorkKind::Light).len(), 2);
        drop(held);
        assert!(all(&four, WorkKind::Light).len() > 2);
    }

    #[test]
    fn accounts_take_turns_and_each_is_served_in_order() {
        let [one, two] = accounts(WorkQueue::new(100, 2, 1));
        let running = granted(&mut ask(&one, WorkKind::Heavy)).unwrap();
        let mut of_one: Vec<_> = (0..100).map(|_| ask(&one, WorkKind::Heavy)).collect();
        of_one
            .iter_mut()
            .for_each(|waiting| assert!(granted(waiting).is_none()));
        let mut of_two = ask(&two, WorkKind::Heavy);
        assert!(granted(&mut of_two).is_none());
        drop(running);
        let first = granted(&mut of_one[0]).unwrap();
        assert!(granted(&mut of_two).is_none());
        drop(first);
        // It does not wait behind the other 99 of the first account.
        let second = granted(&mut of_two).unwrap();
        assert!(
            of_one[1..]
                .iter_mut()
                .all(|waiting| granted(waiting).is_none())
        );
        drop(second);
        assert!(granted(&mut of_one[1]).is_some());
        assert!(
            granted(&mut of_one[3]).is_none(),
            "the next one has the turn"
        );
    }

    #[test]
    fn a_waiter_that_has_left_holds_up_nobody_and_is_forgotten() {
        let [one] = accounts(WorkQueue::new(100, 2, 1));
        let running = granted(&mut ask(&one, WorkKind::Heavy)).unwrap();
        for _ in 0..10_000 {
            assert!(granted(&mut ask(&one, WorkKind::Heavy)).is_none());
        }
        let mut last = ask(&one, WorkKind::Heavy);
        assert!(granted(&mut last).is_none());
        assert!(one.queue.lock().lines[0].heavy.capacity() < 100);
        drop(running);
        assert!(granted(&mut last).is_some());
    }

    #[test]
    fn heavy_work_leaves_threads_and_turns_to_others() {
        let [one, two] = accounts(WorkQueue::new(16, 2, 4));
        let of_one = all(&one, WorkKind::Heavy);
        assert_eq!(of_one.len(), 2);
        assert_eq!(all(&one, WorkKind::Light).len(), 6);
        assert_eq!(all(&two, WorkKind::Heavy).len(), 1);
        // Its disk hangs: the threads stay, the turns are returned.
        let (permits, turns): (Vec<_>, Vec<_>) = of_one.into_iter().unzip();
        drop(turns);
        assert_eq!(all(&two, WorkKind::Heavy).len(), 2);
        drop(permits);
        assert!(one.queue.lock().lines.is_empty());
        assert_eq!(one.queue.lock().held.permits, 0);
    }
}
