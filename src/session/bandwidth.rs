//! Rate limits: the bandwidth of each account over all its sessions, the bandwidth of the whole server, and
//! the requests of each account.
//!
//! A token bucket fills at its rate. A transfer or a request takes from it, and waits as a task, never as a
//! thread, while it is empty. Turns are short and in order, so all waiters are served alike.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::sync;
use tokio::time::{Instant, sleep};

use crate::io::by_account::ByAccount;
use crate::io::pipe::Pipe;
use crate::observe::outcome::Direction;
use crate::rules::Bandwidth;

/// An unused bucket holds at most the amount of this time.
const BURST: Duration = Duration::from_millis(100);
/// A turn takes the amount of this time ...
const TURN: Duration = Duration::from_millis(20);
/// ... within these bounds, in bytes.
const LEAST_TURN: u64 = 4 << 10;
const MOST_TURN: u64 = 256 << 10;
/// A changed rate takes effect within this time.
const LOOK_AGAIN: Duration = Duration::from_millis(250);
const NO_LIMIT: u64 = 0;

/// A bucket of bytes in one direction, or of requests.
#[derive(Debug)]
struct Bucket {
    /// Units per second.
    rate: AtomicU64,
    /// The holder has the turn; tokio passes it on in order of arrival.
    level: sync::Mutex<BucketLevel>,
}

#[derive(Debug)]
struct BucketLevel {
    /// The amount that may be taken; negative after a turn that took more.
    amount: f64,
    /// The time of `amount`.
    at: Instant,
}

impl Bucket {
    fn new(rate: Option<u64>) -> Self {
        let level = BucketLevel {
            amount: 0.0,
            at: Instant::now(),
        };
        let bucket = Self {
            rate: AtomicU64::new(NO_LIMIT),
            level: sync::Mutex::new(level),
        };
        bucket.set(rate);
        bucket
    }

    fn set(&self, rate: Option<u64>) {
        self.rate.store(rate.unwrap_or(NO_LIMIT), Ordering::Relaxed);
    }

    fn rate(&self) -> Option<u64> {
        let rate = self.rate.load(Ordering::Relaxed);
        (rate != NO_LIMIT).then_some(rate)
    }

    /// Waits until this amount may be taken.
    async fn take(&self, mut amount: u64) {
        while amount > 0 {
            if self.rate().is_none() {
                return;
            }
            let mut level = self.level.lock().await;
            let Some(rate) = level.wait_until_filled(self).await else {
                return;
            };
            let taken = amount.min(in_a_turn(rate).clamp(LEAST_TURN, MOST_TURN));
            level.amount -= taken as f64;
            amount -= taken;
        }
    }
}

fn in_a_turn(rate: u64) -> u64 {
    (rate as f64 * TURN.as_secs_f64()) as u64
}

impl BucketLevel {
    /// Waits until the bucket is not empty, and returns the rate; `None` without a limit.
    async fn wait_until_filled(&mut self, bucket: &Bucket) -> Option<u64> {
        loop {
            let rate = bucket.rate()?;
            let now = Instant::now();
            let come = now.duration_since(self.at).as_secs_f64() * rate as f64;
            let most = rate as f64 * BURST.as_secs_f64();
            self.amount = (self.amount + come).min(most);
            self.at = now;
            if self.amount >= 0.0 {
                return Some(rate);
            }
            let missing = Duration::try_from_secs_f64(-self.amount / rate as f64);
            sleep(missing.unwrap_or(LOOK_AGAIN).min(LOOK_AGAIN)).await;
        }
    }
}

/// The buckets of both directions and of requests.
#[derive(Debug)]
struct Lane {
    up: Bucket,
    down: Bucket,
    requests: Bucket,
}

impl Lane {
    fn new(limits: Bandwidth, requests: Option<u64>) -> Self {
        Self {
            up: Bucket::new(limits.up),
            down: Bucket::new(limits.down),
            requests: Bucket::new(requests),
        }
    }

    fn set(&self, limits: Bandwidth) {
        self.up.set(limits.up);
        self.down.set(limits.down);
    }

    fn bucket(&self, direction: Direction) -> &Bucket {
        match direction {
            Direction::Upload => &self.up,
            Direction::Download => &self.down,
        }
    }
}

/// The rate limits of a server.
#[derive(Debug)]
pub struct Lanes {
    server: Arc<Lane>,
    accounts: ByAccount<Lane>,
    /// Requests per second of each account; 0 is no limit.
    requests: AtomicU64,
}

impl Lanes {
    /// Makes them with limits for the whole server, and a limit of requests per second for each account.
    pub fn new(limits: Bandwidth, requests: Option<u64>) -> Self {
        Self {
            server: Arc::new(Lane::new(limits, None)),
            accounts: ByAccount::default(),
            requests: AtomicU64::new(requests.unwrap_or(NO_LIMIT)),
        }
    }

    /// Sets other limits.
    pub fn set(&self, limits: Bandwidth, requests: Option<u64>) {
        self.server.set(limits);
        let of_each = requests.unwrap_or(NO_LIMIT);
        self.requests.store(of_each, Ordering::Relaxed);
        for account in self.accounts.all() {
            account.requests.set(requests);
        }
    }

    /// Joins a session to its account's limits, which this call sets for all its sessions.
    pub fn join(&self, user: &str, limits: Bandwidth) -> Share {
        let requests = Some(self.requests.load(Ordering::Relaxed));
        let account = self.accounts.join(user, || Lane::new(limits, requests));
        account.set(limits);
        Share {
            account,
            server: self.server.clone(),
        }
    }
}

/// A session's share of the rate limits.
#[derive(Debug, Clone)]
pub struct Share {
    account: Arc<Lane>,
    server: Arc<Lane>,
}

impl Share {
    /// Sets other limits for all sessions of the account.
    pub fn set(&self, limits: Bandwidth) {
        self.account.set(limits);
    }

    /// Returns the limit of a direction, in bytes per second.
    pub fn limit(&self, direction: Direction) -> Option<u64> {
        let rates = [&self.account, &self.server].map(|lane| lane.bucket(direction).rate());
        rates.into_iter().flatten().min()
    }

    /// Returns how many requests may be carried out in one batch.
    pub fn requests_at_once(&self) -> usize {
        let rate = self.account.requests.rate();
        rate.map_or(usize::MAX, |rate| {
            usize::try_from(in_a_turn(rate))
                .unwrap_or(usize::MAX)
                .max(1)
        })
    }

    /// Waits until these requests may be carried out, or the peer has disconnected.
    pub async fn take_requests<P: Pipe>(&self, requests: usize, pipe: &P) {
        if requests > 0 && self.account.requests.rate().is_some() {
            unless_gone(self.account.requests.take(requests as u64), pipe).await;
        }
    }

    /// Waits until these bytes may be transferred, or the peer has disconnected.
    pub async fn take_unless_disconnected<P: Pipe>(
        &self,
        direction: Direction,
        bytes: u64,
        pipe: &P,
    ) {
        if bytes > 0 && self.limit(direction).is_some() {
            unless_gone(self.take(direction, bytes), pipe).await;
        }
    }

    async fn take(&self, direction: Direction, bytes: u64) {
        self.account.bucket(direction).take(bytes).await;
        self.server.bucket(direction).take(bytes).await;
    }
}

async fn unless_gone<P: Pipe>(waits: impl Future<Output = ()>, pipe: &P) {
    tokio::select! {
        () = waits => {}
        () = pipe.disconnected() => {}
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    const LIMITED: Bandwidth = Bandwidth {
        up: Some(1_000_000),
        down: None,
    };

    /// Returns the bytes that each of several shares transfers in five seconds.
    async fn moved(shares: &[(Share, u64)]) -> Vec<u64> {
        let sums: Vec<_> = shares.iter().map(|_| Arc::new(AtomicU64::new(0))).collect();
        let mut tasks = tokio::task::JoinSet::new();
        for ((share, at_once), sum) in shares.iter().cloned().zip(sums.clone()) {
            tasks.spawn(async move {
                loop {
                    share.take(Direction::Upload, at_once).await;
                    sum.fetch_add(at_once, Ordering::Relaxed);
                }
            });
        }
        sleep(Duration::from_secs(5)).await;
        sums.iter().map(|sum| sum.load(Ordering::Relaxed)).collect()
    }

    #[tokio::test(start_paused = true)]
    async fn an_account_keeps_to_its_limit_and_its_sessions_share_it_alike() {
        let lanes = Lanes::new(Bandwidth::default(), None);
        let ours = || lanes.join("ours", LIMITED);
        let sums = moved(&[(ours(), 32_000), (ours(), 255_000)]).await;
        let all: u64 = sums.iter().sum();
        assert!((4_700_000..=5_600_000).contains(&all), "{sums:?}");
        assert!(sums.iter().all(|sum| *sum > 2_000_000), "{sums:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn the_server_keeps_to_its_own_limit_too() {
        let lanes = Lanes::new(LIMITED, None);
        let (one, other) = (Bandwidth::default(), Bandwidth::default());
        let shares = [("one", one), ("other", other)];
        let shares = shares.map(|(user, limits)| (lanes.join(user, limits), 32_000));
        let all: u64 = moved(&shares).await.iter().sum();
        assert!((4_700_000..=5_300_000).contains(&all), "{all}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_changed_limit_is_felt_by_who_waits() {
        let lanes = Lanes::new(Bandwidth::default(), None);
        let slow = Bandwidth {
            up: Some(1),
            down: None,
        };
        let share = lanes.join("ours", slow);
        let waiting = tokio::spawn({
            let share = share.clone();
            async move { share.take(Direction::Upload, 1_000_000).await }
        });
        sleep(Duration::from_secs(10)).await;
        assert!(!waiting.is_finished());
        share.set(Bandwidth::default());
        sleep(Duration::from_millis(500)).await;
        assert!(waiting.is_finished());
        // The next session inherits it.
        assert_eq!(lanes.join("ours", slow).limit(Direction::Upload), Some(1));
        assert_eq!(share.limit(Direction::Upload), Some(1));
        assert_eq!(share.limit(Direction::Download), None);
    }
}
