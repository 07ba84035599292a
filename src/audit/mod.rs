//! The audit trail: who did what, one JSON object a line in `data/audit.jsonl`. docs/audit.md has the
//! schema.
//!
//! Nobody who moves files ever waits for it: events are handed to one thread that writes them. What
//! it cannot take is counted, told in the log, and noted in the trail itself as soon as that can be
//! written.

mod event;
mod read;
mod trail;
mod writer;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::{self, Receiver, Sender};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use tracing::error;

pub use self::event::{Ending, Event, KINDS, Login, Moved, Operator, Who, shown};
pub use self::read::Reader;
pub use self::trail::{Rotation, Trail};

/// Bytes of events that may wait for a disk; beyond, they are lost, and counted.
const MOST_WAITING: usize = 8 << 20;
/// A write that takes so long is one that fails.
const STUCK: Duration = Duration::from_secs(5);

/// A handle of the trail, cheap to clone.
#[derive(Clone)]
pub struct Audit(Option<Open>);

#[derive(Clone)]
struct Open {
    shared: Arc<Shared>,
    lines: Sender<Job>,
    hashes: bool,
    refuses_logins: bool,
}

/// What the writing thread and the others know of each other.
struct Shared {
    born: Instant,
    /// Bytes that were handed over and are not written yet.
    waiting: AtomicUsize,
    /// Events that were not taken, and are not noted in the trail yet.
    lost: AtomicU64,
    lost_in_all: AtomicU64,
    /// The last write did not succeed.
    failing: AtomicBool,
    /// When the write that is under way began, in milliseconds since `born`; 0 if there is none.
    writing_since: AtomicU64,
    ending: AtomicBool,
}

enum Job {
    Line(String),
    /// Everything before it is written; the thread ends.
    End,
}

/// What is done when the trail cannot be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnFailure {
    /// Everything goes on, and what is lost is counted.
    Continue,
    /// Who is logged in goes on; nobody else logs in.
    Refuse,
}

/// What the trail is to do.
#[derive(Debug, Clone, Copy)]
pub struct Policy {
    /// Does it note the hash of what was moved?
    pub sha256: bool,
    /// And if it cannot be written?
    pub on_failure: OnFailure,
}

/// The thread that writes.
pub struct Writer {
    shared: Arc<Shared>,
    lines: Sender<Job>,
    done: Receiver<()>,
}

impl Audit {
    /// None at all: nothing is noted.
    pub fn off() -> Self {
        Self(None)
    }

    /// Starts to write to this trail.
    ///
    /// # Errors
    /// If there can be no thread for it. A trail that cannot be written is told in the log.
    pub fn start(trail: Trail, policy: Policy) -> anyhow::Result<(Self, Writer)> {
        let shared = Arc::new(Shared {
            born: Instant::now(),
            waiting: AtomicUsize::new(0),
            lost: AtomicU64::new(0),
            lost_in_all: AtomicU64::new(0),
            failing: AtomicBool::new(false),
            writing_since: AtomicU64::new(0),
            ending: AtomicBool::new(false),
        });
        let (lines, jobs) = mpsc::channel();
        let (told, done) = mpsc::channel();
        let for_thread = shared.clone();
        thread::Builder::new()
            .name("audit".to_owned())
            .spawn(move || {
                writer::run(&trail, &jobs, &for_thread);
                // If the server does not wait any more, it does not need to know.
                let _ = told.send(());
            })
            .context("cannot start the thread of the audit trail")?;
        let writer = Writer {
            shared: shared.clone(),
            lines: lines.clone(),
            done,
        };
        let open = Open {
            shared,
            lines,
            hashes: policy.sha256,
            refuses_logins: policy.on_failure == OnFailure::Refuse,
        };
        Ok((Self(Some(open)), writer))
    }

    /// Notes an event, now. Never waits.
    pub fn note(&self, who: Option<&Who>, event: &Event<'_>) {
        let Some(Open { shared, lines, .. }) = &self.0 else {
            return;
        };
        let line = event::line(who, event);
        let length = line.len();
        let before = shared.waiting.fetch_add(length, Ordering::Relaxed);
        if before + length > MOST_WAITING || lines.send(Job::Line(line)).is_err() {
            shared.waiting.fetch_sub(length, Ordering::Relaxed);
            shared.lost_in_all.fetch_add(1, Ordering::Relaxed);
            if shared.lost.fetch_add(1, Ordering::Relaxed) == 0 {
                error!("the audit trail is not written as fast as things happen: events are lost");
            }
        }
    }

    /// Does it note the hash of what was moved?
    pub fn wants_hashes(&self) -> bool {
        self.0.as_ref().is_some_and(|open| open.hashes)
    }

    /// Must nobody log in, since it could not be noted?
    pub fn refuses_logins(&self) -> bool {
        let open = self.0.as_ref().filter(|open| open.refuses_logins);
        open.is_some_and(|open| open.shared.is_failing())
    }

    /// Events that were lost since the start.
    pub fn lost(&self) -> u64 {
        let open = self.0.as_ref();
        open.map_or(0, |open| open.shared.lost_in_all.load(Ordering::Relaxed))
    }
}

impl Shared {
    fn is_failing(&self) -> bool {
        let since = self.writing_since.load(Ordering::Relaxed);
        let is_stuck = || since > 0 && self.now().saturating_sub(since) > STUCK.as_millis() as u64;
        self.failing.load(Ordering::Relaxed) || self.lost.load(Ordering::Relaxed) > 0 || is_stuck()
    }

    /// Milliseconds since it was made, and never 0.
    fn now(&self) -> u64 {
        u64::try_from(self.born.elapsed().as_millis())
            .unwrap_or(u64::MAX)
            .max(1)
    }
}

impl Writer {
    /// Waits until all that was noted is written, but no longer than this for the disk.
    pub fn finish(self, patience: Duration) {
        self.shared.ending.store(true, Ordering::Relaxed);
        let _ = self.lines.send(Job::End);
        if self.done.recv_timeout(patience).is_err() {
            error!("the disk does not take the last events of the audit trail: they are lost");
        }
    }
}

/// Milliseconds, as events have them.
pub fn milliseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
