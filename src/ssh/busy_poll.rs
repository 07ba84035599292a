//! Clients that are near are waited for awake; see docs/adr/0018.
//!
//! Who moves many small files sends a request for each reply. To fall asleep and be waked takes as long as
//! to answer, or longer, on both sides: waking a processor that sleeps is work of who wakes it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use tokio::task::yield_now;

/// As long is the next request waited for, and whoever sends it within this time is near. A client on the
/// same machine takes half as long, one on a fast network of its own as long.
const WINDOW: Duration = Duration::from_micros(200);
/// So many times, until it is taken for a habit.
const HABIT: u8 = 8;
/// A request with its reply that has more bytes is part of a transfer, which does not wait for each of them.
const SMALL: usize = 8 << 10;
/// Who does not get the processor for so long has others beside it that need it more.
const DISTURBED: Duration = Duration::from_micros(500);

/// What one connection knows of its client.
pub(super) struct Near {
    turn: PollTurn,
    /// Bytes of the request that is being answered, and of the reply.
    moved: usize,
    /// How much of a habit it is that the client is quick.
    quick: u8,
    /// And that it is answered as quickly.
    prompt: u8,
    watch: Arc<Watch>,
}

/// Who has to send something, and since when.
enum PollTurn {
    Client(Instant),
    Server(Instant),
}

impl Near {
    pub(super) fn new() -> Self {
        let born = Instant::now();
        Self {
            turn: PollTurn::Server(born),
            moved: 0,
            quick: 0,
            prompt: 0,
            watch: Arc::new(Watch {
                born,
                until: AtomicU64::new(0),
                is_awake: AtomicBool::new(false),
                is_disturbed: AtomicBool::new(false),
            }),
        }
    }

    /// So many bytes have come.
    pub(super) fn came(&mut self, count: usize, now: Instant) {
        if let PollTurn::Client(since) = self.turn {
            let is_disturbed = self.watch.is_disturbed.swap(false, Ordering::Relaxed);
            let is_small = self.moved <= SMALL;
            learn(
                &mut self.quick,
                !is_disturbed && is_small && now.duration_since(since) < WINDOW,
            );
            self.turn = PollTurn::Server(now);
            self.moved = 0;
        }
        self.moved = self.moved.saturating_add(count);
        // A thread of the pool may have to answer, and wake this one when it has. That may take long.
        if self.is_near() && self.prompt >= HABIT {
            self.watch.last_until(now + WINDOW);
        }
    }

    /// So many bytes went.
    pub(super) fn went(&mut self, count: usize, now: Instant) {
        if let PollTurn::Server(since) = self.turn {
            learn(&mut self.prompt, now.duration_since(since) < WINDOW);
        }
        self.turn = PollTurn::Client(now);
        self.moved = self.moved.saturating_add(count);
        if self.is_near() {
            self.watch.last_until(now + WINDOW);
        }
    }

    fn is_near(&self) -> bool {
        self.quick >= HABIT && self.moved <= SMALL
    }
}

/// A habit is soon lost, but not by a single slip.
fn learn(habit: &mut u8, once_more: bool) {
    *habit = if once_more {
        (*habit + 1).min(2 * HABIT)
    } else {
        *habit / 2
    };
}

/// The time that is spent awake, shared with the task that spends it.
struct Watch {
    born: Instant,
    /// When it ends, in nanoseconds since it was born.
    until: AtomicU64,
    is_awake: AtomicBool,
    /// Somebody else needed the processor meanwhile.
    is_disturbed: AtomicBool,
}

impl Watch {
    /// To be called in the runtime that is not to sleep.
    fn last_until(self: &Arc<Self>, until: Instant) {
        let until = until.duration_since(self.born).as_nanos();
        let until = u64::try_from(until).unwrap_or(u64::MAX);
        self.until.store(until, Ordering::Relaxed);
        if !self.is_awake.swap(true, Ordering::Relaxed) {
            tokio::spawn(self.clone().stay_awake());
        }
    }

    /// Each time that this gives way, the runtime looks for what has come, and does not sleep for it.
    async fn stay_awake(self: Arc<Self>) {
        let mut last = Instant::now();
        loop {
            yield_now().await;
            let now = Instant::now();
            if now.duration_since(last) > DISTURBED {
                self.is_disturbed.store(true, Ordering::Relaxed);
                break;
            }
            let lived = now.duration_since(self.born).as_nanos();
            if lived >= u128::from(self.until.load(Ordering::Relaxed)) {
                break;
            }
            last = now;
        }
        self.is_awake.store(false, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A request and its reply, of so many bytes in all, after the client has taken its time.
    fn turn(near: &mut Near, now: &mut Instant, pause: Duration, bytes: usize) -> bool {
        *now += pause;
        near.came(bytes / 2, *now);
        let was_near = near.is_near();
        near.went(bytes - bytes / 2, *now);
        was_near
    }

    #[tokio::test]
    async fn only_who_makes_a_habit_of_it_is_near() {
        let (mut near, mut now) = (Near::new(), Instant::now());
        let quick = WINDOW / 2;
        // The first turn has no reply before it.
        for number in 0..=HABIT {
            assert_eq!(turn(&mut near, &mut now, quick, 150), number == HABIT);
        }
        assert!(turn(&mut near, &mut now, quick, SMALL));
        assert!(!turn(&mut near, &mut now, WINDOW, 150));
        assert!(!turn(&mut near, &mut now, quick, 150));
        // Once it is one, a single slip does not end it.
        for _ in 0..100 {
            turn(&mut near, &mut now, quick, 150);
        }
        assert!(turn(&mut near, &mut now, WINDOW, 150));
        assert!(!turn(&mut near, &mut now, WINDOW, 150));
    }

    #[tokio::test]
    async fn a_transfer_is_not_waited_for() {
        let (mut near, mut now) = (Near::new(), Instant::now());
        for _ in 0..100 {
            assert!(!turn(&mut near, &mut now, WINDOW / 4, SMALL + 1));
        }
        assert!(!near.watch.is_awake.load(Ordering::Relaxed));
    }

    #[tokio::test]
    async fn who_is_gone_or_disturbs_is_not_waited_for_any_longer() {
        for disturbs in [false, true] {
            let (mut near, mut now) = (Near::new(), Instant::now());
            while !turn(&mut near, &mut now, WINDOW / 4, 150) {}
            // What is in the future by now is waited for, and no longer.
            assert!(near.watch.is_awake.load(Ordering::Relaxed));
            yield_now().await;
            if disturbs {
                std::thread::sleep(DISTURBED * 2);
            }
            while near.watch.is_awake.load(Ordering::Relaxed) {
                yield_now().await;
            }
            if disturbs {
                assert!(!turn(&mut near, &mut now, WINDOW / 4, 150));
            }
        }
    }
}
