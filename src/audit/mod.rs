//! The audit trail: who did what, one JSON object a line in `data/audit.jsonl`. docs/audit.md has the
//! schema.
//!
//! Nobody ever waits for it: events are handed to one thread that writes them. What it cannot take or
//! write is counted, told in the log, and noted in the trail itself as soon as that can be written.

mod event;
mod trail;
mod writer;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::{self, Sender};
use std::thread::{self, JoinHandle};

use anyhow::Context as _;

pub use self::event::{Event, Login, Moved, Who, shown};
pub use self::trail::{Rotation, Trail};

/// Bytes of events that may wait for a disk; beyond, they are lost, and counted.
const MOST_WAITING: usize = 8 << 20;

/// A handle of the trail, cheap to clone.
#[derive(Clone)]
pub struct Audit {
    shared: Arc<Shared>,
    lines: Sender<Job>,
}

#[derive(Default)]
struct Shared {
    waiting: AtomicUsize,
    lost: AtomicU64,
    failing: AtomicBool,
}

enum Job {
    Line(String),
    /// Everything before it is written; the thread ends.
    End,
}

/// The thread that writes.
pub struct Writer {
    lines: Sender<Job>,
    thread: JoinHandle<()>,
}

impl Audit {
    /// Starts to write to this trail.
    ///
    /// # Errors
    /// If the trail cannot be written to.
    pub fn start(trail: Trail) -> anyhow::Result<(Self, Writer)> {
        let shared = Arc::new(Shared::default());
        let (lines, jobs) = mpsc::channel();
        let for_thread = shared.clone();
        let thread = thread::Builder::new()
            .name("audit".to_owned())
            .spawn(move || writer::run(trail, &jobs, &for_thread))
            .context("cannot start the thread of the audit trail")?;
        let audit = Self {
            shared,
            lines: lines.clone(),
        };
        Ok((audit, Writer { lines, thread }))
    }

    /// Notes an event, now. Never waits.
    pub fn note(&self, who: Option<&Who>, event: &Event<'_>) {
        let line = event::line(who, event);
        let length = line.len();
        let before = self.shared.waiting.fetch_add(length, Ordering::Relaxed);
        if before + length > MOST_WAITING || self.lines.send(Job::Line(line)).is_err() {
            self.shared.waiting.fetch_sub(length, Ordering::Relaxed);
            self.shared.lost.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Can events not be written now?
    pub fn is_failing(&self) -> bool {
        self.shared.failing.load(Ordering::Relaxed)
    }
}

impl Writer {
    /// Waits until all that was noted is written.
    pub fn finish(self) {
        let _ = self.lines.send(Job::End);
        // It does not panic; and if it did, the log has it.
        let _ = self.thread.join();
    }
}
