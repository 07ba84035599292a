//! Busy-polling for clients that send each request right after a reply; see docs/adr/0018.
//! A client that transfers many small files sends one request per reply. Sleeping and waking take as long
//! as the answer, or longer, on both sides: the side that wakes a sleeping processor pays for it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use tokio::task::yield_now;

/// How long the thread polls for the next request. A client that sends it within this time counts as near.
/// A client on the same machine needs half of it, one on a fast local network about all of it.
const WINDOW: Duration = Duration::from_micros(200);
/// The number of quick turns in a row after which the thread polls.
const HABIT: u8 = 8;
/// A request and its reply with more bytes are part of a transfer, which does not wait for each reply.
const SMALL: usize = 8 << 10;
/// A poll that does not get the processor for this long competes with other work.
const DISTURBED: Duration = Duration::from_micros(500);
/// How long a client is not polled for after such a poll. It doubles while polls are disturbed soon again.
const PAUSE: Duration = Duration::from_millis(10);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// The recent behaviour of one client.
pub(super) struct BusyPoll {
    turn: PollTurn,
    /// Bytes of the current request and its reply.
    moved: usize,
    /// How often the client was quick, up to twice [`HABIT`].
    quick: u8,
    /// How often the server was quick.
    prompt: u8,
    /// Other work needs the processors until then.
    paused_until: Instant,
    pause: Duration,
    watch: Arc<Watch>,
}

/// The side that has to send next, and since when.
enum PollTurn {
    Client(Instant),
    Server(Instant),
}

impl BusyPoll {
    pub(super) fn new() -> Self {
        let born = Instant::now();
        Self {
            turn: PollTurn::Server(born),
            moved: 0,
            quick: 0,
            prompt: 0,
            paused_until: born,
            pause: PAUSE,
            watch: Arc::new(Watch {
                born,
                until: AtomicU64::new(0),
                is_awake: AtomicBool::new(false),
                is_disturbed: AtomicBool::new(false),
            }),
        }
    }

    /// Records received bytes.
    pub(super) fn received(&mut self, count: usize, now: Instant) {
        if let PollTurn::Client(since) = self.turn {
            if self.watch.is_disturbed.swap(false, Ordering::Relaxed) {
                self.pause(now);
            }
            let is_small = self.moved <= SMALL;
            learn(
                &mut self.quick,
                is_small && now.duration_since(since) < WINDOW,
            );
            self.turn = PollTurn::Server(now);
            self.moved = 0;
        }
        self.moved = self.moved.saturating_add(count);
        // A pool thread may compute the reply and must then wake this thread; that may take long.
        if self.is_polling(now) && self.prompt >= HABIT {
            self.watch.last_until(now + WINDOW);
        }
    }

    /// Records sent bytes.
    pub(super) fn sent(&mut self, count: usize, now: Instant) {
        if let PollTurn::Server(since) = self.turn {
            learn(&mut self.prompt, now.duration_since(since) < WINDOW);
        }
        self.turn = PollTurn::Client(now);
        self.moved = self.moved.saturating_add(count);
        if self.is_polling(now) {
            self.watch.last_until(now + WINDOW);
        }
    }

    /// Stops polling after a disturbance. Pauses grow as long as they exceed the time of polling before them, so
    /// that polling on busy processors becomes rare.
    fn pause(&mut self, now: Instant) {
        let is_soon = now.saturating_duration_since(self.paused_until) < self.pause;
        self.pause = if is_soon {
            (2 * self.pause).min(LONGEST_PAUSE)
        } else {
            PAUSE
        };
        self.paused_until = now + self.pause;
    }

    fn is_polling(&self, now: Instant) -> bool {
        self.quick >= HABIT && self.moved <= SMALL && now >= self.paused_until
    }
}

/// A single slow turn halves the count.
fn learn(habit: &mut u8, once_more: bool) {
    *habit = if once_more {
        (*habit + 1).min(2 * HABIT)
    } else {
        *habit / 2
    };
}

/// The polling state, shared with the task that polls.
struct Watch {
    born: Instant,
    /// The end of polling, in nanoseconds since `born`.
    until: AtomicU64,
    is_awake: AtomicBool,
    /// Other work needed the processor during the poll.
    is_disturbed: AtomicBool,
}

impl Watch {
    /// Must be called on the runtime that is to poll.
    fn last_until(self: &Arc<Self>, until: Instant) {
        let until = until.duration_since(self.born).as_nanos();
        let until = u64::try_from(until).unwrap_or(u64::MAX);
        self.until.store(until, Ordering::Relaxed);
        if !self.is_awake.swap(true, Ordering::Relaxed) {
            tokio::spawn(self.clone().stay_awake());
        }
    }

    /// Polls: each yield makes the runtime check for I/O without sleeping.
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

    /// Records a request and its reply of `bytes` in total, after the client waited for `pause`.
    fn turn(poll: &mut BusyPoll, now: &mut Instant, pause: Duration, bytes: usize) -> bool {
        *now += pause;
        poll.received(bytes / 2, *now);
        let polled = poll.is_polling(*now);
        poll.sent(bytes - bytes / 2, *now);
        polled
    }

    #[tokio::test]
    async fn only_a_client_that_is_often_quick_is_polled() {
        let (mut poll, mut now) = (BusyPoll::new(), Instant::now());
        let quick = WINDOW / 2;
        // No reply precedes the first turn.
        for number in 0..=HABIT {
            assert_eq!(turn(&mut poll, &mut now, quick, 150), number == HABIT);
        }
        assert!(turn(&mut poll, &mut now, quick, SMALL));
        assert!(!turn(&mut poll, &mut now, WINDOW, 150));
        assert!(!turn(&mut poll, &mut now, quick, 150));
        // A single slow turn does not end polling.
        for _ in 0..100 {
            turn(&mut poll, &mut now, quick, 150);
        }
        assert!(turn(&mut poll, &mut now, WINDOW, 150));
        assert!(!turn(&mut poll, &mut now, WINDOW, 150));
    }

    #[tokio::test]
    async fn a_transfer_is_not_waited_for() {
        let (mut poll, mut now) = (BusyPoll::new(), Instant::now());
        for _ in 0..100 {
            assert!(!turn(&mut poll, &mut now, WINDOW / 4, SMALL + 1));
        }
        assert!(!poll.watch.is_awake.load(Ordering::Relaxed));
    }

    #[tokio::test]
    async fn who_is_gone_or_disturbs_is_not_waited_for_any_longer() {
        for disturbs in [false, true] {
            let (mut poll, mut now) = (BusyPoll::new(), Instant::now());
            while !turn(&mut poll, &mut now, WINDOW / 4, 150) {}
            // It polls until the time that is in the future now, and no longer.
            assert!(poll.watch.is_awake.load(Ordering::Relaxed));
            yield_now().await;
            if disturbs {
                std::thread::sleep(DISTURBED * 2);
            }
            while poll.watch.is_awake.load(Ordering::Relaxed) {
                yield_now().await;
            }
            assert_eq!(turn(&mut poll, &mut now, WINDOW / 4, 150), !disturbs);
        }
    }

    #[tokio::test]
    async fn pauses_grow_while_polls_are_disturbed_soon_again() {
        let (mut poll, mut now) = (BusyPoll::new(), Instant::now());
        let quick = WINDOW / 4;
        while !turn(&mut poll, &mut now, quick, 150) {}
        let mut disturb = |polled: Duration| {
            for _ in 0..polled.as_nanos() / quick.as_nanos() {
                assert!(turn(&mut poll, &mut now, quick, 150));
            }
            poll.watch.is_disturbed.store(true, Ordering::Relaxed);
            let began = now;
            while !turn(&mut poll, &mut now, quick, 150) {}
            now - began
        };
        let about = |pause: Duration| pause..pause + 4 * quick;
        // The first poll lasted longer than the shortest pause.
        assert!(about(PAUSE).contains(&disturb(2 * PAUSE)));
        assert!(about(2 * PAUSE).contains(&disturb(PAUSE / 2)));
        assert!(about(4 * PAUSE).contains(&disturb(PAUSE / 2)));
        for _ in 0..7 {
            disturb(PAUSE / 2);
        }
        assert!(about(LONGEST_PAUSE).contains(&disturb(PAUSE / 2)));
        assert!(about(PAUSE).contains(&disturb(2 * LONGEST_PAUSE)));
    }
}
