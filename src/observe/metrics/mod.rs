//! The metrics of the server: relaxed atomics, and their text for Prometheus. docs/metrics.md lists them.

pub mod http;
mod text;

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

use crate::observe::outcome::{Direction, LoginMethod, RefusalReason, TransferResult};
use crate::values::label::{ByLabel, labels};
use crate::values::time;

pub use self::text::{AccountMetrics, DiskSpace, ExternalMetrics, FileSystem, ProcessUsage};

/// All metrics of a server.
#[derive(Debug)]
pub struct Metrics {
    /// Start time: seconds since 1970.
    began: i64,
    connections: Gauge,
    accepted: Counter,
    sessions: Gauge,
    logins: ByLabel<LoginOutcome, ByLabel<LoginMethod, Counter>>,
    bytes: ByLabel<Direction, Counter>,
    transfers: ByLabel<Direction, ByLabel<TransferResult, Counter>>,
    requests: ByLabel<RequestKind, Histogram>,
    refusals: ByLabel<RefusalReason, Counter>,
    backlog: Gauge,
}

labels! {
    /// Whether a login succeeded.
    pub(super) enum LoginOutcome {
        /// It succeeded.
        Accepted = "accepted",
        /// It failed.
        Refused = "refused",
    }
}

labels! {
    /// The kind of an SFTP request.
    #[allow(missing_docs)] // Named as in the protocol.
    pub enum RequestKind {
        Init = "init",
        Open = "open",
        Close = "close",
        Read = "read",
        Write = "write",
        Stat = "stat",
        Setstat = "setstat",
        List = "list",
        Remove = "remove",
        Mkdir = "mkdir",
        Rmdir = "rmdir",
        Realpath = "realpath",
        Rename = "rename",
        Link = "link",
        Extended = "extended",
        Unknown = "unknown",
    }
}

/// Upper bounds of a histogram's buckets, in seconds; an unbounded one follows.
const BUCKETS: [(&str, Duration); 9] = [
    ("0.00005", Duration::from_micros(50)),
    ("0.0002", Duration::from_micros(200)),
    ("0.001", Duration::from_millis(1)),
    ("0.005", Duration::from_millis(5)),
    ("0.02", Duration::from_millis(20)),
    ("0.1", Duration::from_millis(100)),
    ("0.5", Duration::from_millis(500)),
    ("2", Duration::from_secs(2)),
    ("10", Duration::from_secs(10)),
];

/// A number that only grows.
#[derive(Debug, Default)]
struct Counter(AtomicU64);

impl Counter {
    fn add(&self, count: u64) {
        self.0.fetch_add(count, Ordering::Relaxed);
    }

    fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// A number that grows and shrinks.
#[derive(Debug, Default)]
struct Gauge(AtomicI64);

impl Gauge {
    fn add(&self, count: i64) {
        self.0.fetch_add(count, Ordering::Relaxed);
    }

    fn get(&self) -> i64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// A histogram of durations.
#[derive(Debug, Default)]
struct Histogram {
    /// The buckets of [`BUCKETS`] and the unbounded one.
    buckets: [Counter; BUCKETS.len() + 1],
    nanoseconds: Counter,
}

impl Histogram {
    fn observe(&self, took: Duration) {
        let bucket = BUCKETS.iter().position(|(_, end)| took <= *end);
        if let Some(bucket) = self.buckets.get(bucket.unwrap_or(BUCKETS.len())) {
            bucket.add(1);
        }
        self.nanoseconds
            .add(u64::try_from(took.as_nanos()).unwrap_or(u64::MAX));
    }
}

impl Default for Metrics {
    fn default() -> Self {
        Self {
            began: time::now(),
            connections: Gauge::default(),
            accepted: Counter::default(),
            sessions: Gauge::default(),
            logins: ByLabel::default(),
            bytes: ByLabel::default(),
            transfers: ByLabel::default(),
            requests: ByLabel::default(),
            refusals: ByLabel::default(),
            backlog: Gauge::default(),
        }
    }
}

impl Metrics {
    /// Counts a connection while the result is held.
    pub fn connection(self: &Arc<Self>) -> Presence {
        self.accepted.add(1);
        Presence::new(self.clone(), |metrics| &metrics.connections)
    }

    /// Counts a session while the result is held.
    pub fn session(self: &Arc<Self>) -> Presence {
        Presence::new(self.clone(), |metrics| &metrics.sessions)
    }

    /// Counts a login or a refused attempt.
    pub fn login(&self, method: LoginMethod, is_accepted: bool) {
        let outcome = match is_accepted {
            true => LoginOutcome::Accepted,
            false => LoginOutcome::Refused,
        };
        self.logins[outcome][method].add(1);
    }

    /// Counts transferred bytes of a file.
    pub fn moved(&self, direction: Direction, bytes: u64) {
        self.bytes[direction].add(bytes);
    }

    /// Counts a file that was closed after a transfer, or whose session has ended.
    pub fn transferred(&self, direction: Direction, result: TransferResult) {
        self.transfers[direction][result].add(1);
    }

    /// Counts a request and its duration.
    pub fn request(&self, request: RequestKind, took: Duration) {
        self.requests[request].observe(took);
    }

    /// Counts a refused operation.
    pub fn refused(&self, reason: RefusalReason) {
        self.refusals[reason].add(1);
    }

    /// Changes the number of waiting bytes of requests.
    pub fn backlog(&self, change: i64) {
        self.backlog.add(change);
    }
}

/// Counts something while it exists.
#[derive(Debug)]
pub struct Presence {
    metrics: Arc<Metrics>,
    of: fn(&Metrics) -> &Gauge,
}

impl Presence {
    fn new(metrics: Arc<Metrics>, of: fn(&Metrics) -> &Gauge) -> Self {
        of(&metrics).add(1);
        Self { metrics, of }
    }
}

impl Drop for Presence {
    fn drop(&mut self) {
        (self.of)(&self.metrics).add(-1);
    }
}
