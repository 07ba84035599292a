//! What the server does, in numbers: relaxed atomics that whoever does it adds to, and their text for
//! Prometheus. docs/metrics.md lists them.

pub mod http;
mod text;

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

use crate::values::time;

pub use self::text::{AccountMetrics, DiskSpace, Elsewhere, FileSystem, ProcessFigures};

/// All numbers of a server.
#[derive(Debug)]
pub struct Metrics {
    /// When it began: seconds since 1970.
    began: i64,
    connections: Gauge,
    accepted: Counter,
    sessions: Gauge,
    logins_accepted: ByLabel<{ METHODS.len() }>,
    logins_refused: ByLabel<{ METHODS.len() }>,
    uploaded: Counter,
    downloaded: Counter,
    uploads: ByLabel<{ RESULTS.len() }>,
    downloads: ByLabel<{ RESULTS.len() }>,
    requests: [Histogram; REQUESTS.len()],
    refusals: ByLabel<5>,
    backlog: Gauge,
}

/// Which way the bytes of a file go.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Direction {
    /// From the client to the server.
    Upload,
    /// From the server to the client.
    Download,
}

/// The ways to log in.
const METHODS: [&str; 5] = [
    "password",
    "keyboard-interactive",
    "publickey",
    "certificate",
    "none",
];
/// How a transfer ends, as in the audit log.
const RESULTS: [&str; 4] = ["complete", "partial", "failed", "cut"];
/// Why something is refused, as in the audit trail.
const REASONS: [&str; 5] = ["permission", "confinement", "quota", "disk", "limit"];

/// What an SFTP client asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs)] // They are named as in the protocol.
pub enum RequestKind {
    Init,
    Open,
    Close,
    Read,
    Write,
    Stat,
    Setstat,
    List,
    Remove,
    Mkdir,
    Rmdir,
    Realpath,
    Rename,
    Link,
    Extended,
    Unknown,
}

/// The names of [`RequestKind`], in its order.
const REQUESTS: [&str; 16] = [
    "init", "open", "close", "read", "write", "stat", "setstat", "list", "remove", "mkdir",
    "rmdir", "realpath", "rename", "link", "extended", "unknown",
];

/// Upper ends of the buckets of a histogram, in seconds; one without an end follows.
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

/// A number that comes and goes.
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

/// A counter for each of a few labels.
#[derive(Debug)]
struct ByLabel<const LABELS: usize> {
    labels: [&'static str; LABELS],
    counters: [Counter; LABELS],
}

impl<const LABELS: usize> ByLabel<LABELS> {
    fn new(labels: [&'static str; LABELS]) -> Self {
        Self {
            labels,
            counters: std::array::from_fn(|_| Counter::default()),
        }
    }

    fn count(&self, label: &str) {
        let mut both = self.labels.iter().zip(&self.counters);
        if let Some((_, counter)) = both.find(|(known, _)| **known == label) {
            counter.add(1);
        }
    }

    fn each(&self) -> impl Iterator<Item = (&'static str, u64)> {
        let counts = self.counters.iter().map(Counter::get);
        self.labels.iter().copied().zip(counts)
    }
}

/// How often something took how long.
#[derive(Debug, Default)]
struct Histogram {
    /// Those of [`BUCKETS`], and the one without an end.
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
            logins_accepted: ByLabel::new(METHODS),
            logins_refused: ByLabel::new(METHODS),
            uploaded: Counter::default(),
            downloaded: Counter::default(),
            uploads: ByLabel::new(RESULTS),
            downloads: ByLabel::new(RESULTS),
            requests: std::array::from_fn(|_| Histogram::default()),
            refusals: ByLabel::new(REASONS),
            backlog: Gauge::default(),
        }
    }
}

impl Metrics {
    /// A connection is there for as long as this is held.
    pub fn connection(self: &Arc<Self>) -> Presence {
        self.accepted.add(1);
        Presence::new(self.clone(), |metrics| &metrics.connections)
    }

    /// Somebody is logged in for as long as this is held.
    pub fn session(self: &Arc<Self>) -> Presence {
        Presence::new(self.clone(), |metrics| &metrics.sessions)
    }

    /// Somebody has logged in, or was refused.
    pub fn login(&self, method: &str, is_accepted: bool) {
        if is_accepted {
            self.logins_accepted.count(method);
        } else {
            self.logins_refused.count(method);
        }
    }

    /// Bytes of a file have come, or were read to be sent.
    pub fn moved(&self, direction: Direction, bytes: u64) {
        match direction {
            Direction::Upload => self.uploaded.add(bytes),
            Direction::Download => self.downloaded.add(bytes),
        }
    }

    /// A file was closed after bytes of it were moved, or its session has ended.
    pub fn transferred(&self, direction: Direction, result: &str) {
        match direction {
            Direction::Upload => self.uploads.count(result),
            Direction::Download => self.downloads.count(result),
        }
    }

    /// A request was carried out, and took so long.
    pub fn request(&self, request: RequestKind, took: Duration) {
        if let Some(histogram) = self.requests.get(request as usize) {
            histogram.observe(took);
        }
    }

    /// Something was refused.
    pub fn refused(&self, reason: &str) {
        self.refusals.count(reason);
    }

    /// So many more bytes of requests wait, or fewer.
    pub fn backlog(&self, change: i64) {
        self.backlog.add(change);
    }
}

/// Something that is there, and counted as long as it is.
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
