//! The audit log: one JSON object per line, in two streams in the data folder. `audit.jsonl` contains
//! logins and operator actions, `audit-operations.jsonl` the operations of clients. docs/audit.md has the
//! schema.
//!
//! Transfers never wait for it: one thread writes the events. Events that it cannot take are counted,
//! reported in the log, and recorded in the audit log as soon as that can be written. Flood control
//! combines events before they get there: `floods`.

mod archive;
mod event;
mod floods;
mod log_files;
mod queue;
mod read;
mod text;
mod writer;

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{self, Receiver, Sender};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use tracing::error;

use self::event::AuditStream;
use self::floods::Floods;
use self::queue::{AuditJob, AuditShared, StreamQueue, WaitingBytes};
use crate::io::by_account::ByAccount;

pub use self::archive::{copy_files, is_log, restore_files};
pub use self::event::{
    AccountAction, Actor, Event, KINDS, LoginEvent, Operator, TransferEvent, shown,
};
pub use self::log_files::{AuditLog, LogRotation};
pub use self::read::AuditReader;

/// Bytes of events of each stream that may wait for a disk; further events are lost and counted. An account
/// may have half of what the others leave, so that its flood does not cost others their events.
const MOST_WAITING: usize = 8 << 20;
/// A handle of the audit log; cheap to clone.
#[derive(Clone)]
pub struct Audit(Option<OpenAudit>);

#[derive(Clone)]
struct OpenAudit {
    shared: Arc<AuditShared>,
    /// The share of the account, or of the server itself.
    share: Arc<WaitingBytes>,
    lines: Sender<AuditJob>,
    hashes: bool,
    refuses_logins: bool,
}

/// What happens when the audit log cannot be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum OnFailure {
    #[default]
    /// Everything continues, and lost events are counted.
    Continue,
    /// Open sessions continue; logins are refused.
    Refuse,
}

/// Options of the audit log.
#[derive(Debug, Clone, Copy, Default)]
pub struct Policy {
    /// Record the hash of transferred files.
    pub sha256: bool,
    /// What to do if it cannot be written.
    pub on_failure: OnFailure,
}

/// The thread that writes.
pub struct Writer {
    shared: Arc<AuditShared>,
    lines: Sender<AuditJob>,
    done: Receiver<()>,
}

impl Audit {
    /// Returns a handle that records nothing.
    pub fn off() -> Self {
        Self(None)
    }

    /// Starts the audit log.
    ///
    /// # Errors
    ///
    /// The thread cannot be started. Files that cannot be written are reported in the log.
    pub fn start(log: AuditLog, policy: Policy) -> anyhow::Result<(Self, Writer)> {
        let shared = Arc::new(AuditShared {
            born: Instant::now(),
            access: StreamQueue::default(),
            operations: StreamQueue::default(),
            lost_in_all: AtomicU64::new(0),
            shares: ByAccount::default(),
            floods: Mutex::new(Floods::new(Instant::now())),
            folded_in_all: AtomicU64::new(0),
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
                writer::run(&log, &jobs, &for_thread);
                // The receiver may have stopped waiting.
                let _ = told.send(());
            })
            .context("cannot start the thread of the audit log")?;
        let writer = Writer {
            shared: shared.clone(),
            lines: lines.clone(),
            done,
        };
        let open = OpenAudit {
            shared,
            share: Arc::default(),
            lines,
            hashes: policy.sha256,
            refuses_logins: policy.on_failure == OnFailure::Refuse,
        };
        Ok((Self(Some(open)), writer))
    }

    /// Returns a handle for the events of this account.
    pub fn of_account(&self, user: &str) -> Self {
        Self(self.0.as_ref().map(|open| OpenAudit {
            share: open.shared.shares.join(user, WaitingBytes::default),
            ..open.clone()
        }))
    }

    /// Records an event without waiting.
    pub fn record(&self, who: Option<&Actor>, event: &Event<'_>) {
        let Some(open) = &self.0 else {
            return;
        };
        if !Floods::concern(event) {
            return open.send(event.stream(), event::line(who, event));
        }
        let (taken, is_first) = {
            let mut floods = open.shared.floods();
            let had_folds = floods.has_folds();
            let taken = floods.take(who, event, Instant::now());
            (taken, !had_folds)
        };
        match taken {
            Some((stream, line)) => open.send(stream, line),
            None => {
                open.shared.folded_in_all.fetch_add(1, Ordering::Relaxed);
                if is_first {
                    // Without a thread nothing is written.
                    let _ = open.lines.send(AuditJob::Folded);
                }
            }
        }
    }

    /// Sets the prefix lengths that make addresses one source, as in admission control.
    pub fn count_sources_by(&self, ipv4_prefix: u8, ipv6_prefix: u8) {
        if let Some(open) = &self.0 {
            open.shared.floods().count_by(ipv4_prefix, ipv6_prefix);
        }
    }

    /// Returns whether to record the hash of transferred files.
    pub fn wants_hashes(&self) -> bool {
        self.0.as_ref().is_some_and(|open| open.hashes)
    }

    /// Returns whether logins must be refused, since they could not be recorded.
    pub fn refuses_logins(&self) -> bool {
        let open = self.0.as_ref().filter(|open| open.refuses_logins);
        open.is_some_and(|open| open.shared.is_failing())
    }

    /// Returns the number of lost events since the start.
    pub fn lost(&self) -> u64 {
        let open = self.0.as_ref();
        open.map_or(0, |open| open.shared.lost_in_all.load(Ordering::Relaxed))
    }

    /// Returns the number of combined events since the start.
    pub fn folded(&self) -> u64 {
        let open = self.0.as_ref();
        open.map_or(0, |open| open.shared.folded_in_all.load(Ordering::Relaxed))
    }
}

impl OpenAudit {
    fn send(&self, stream: AuditStream, line: Vec<u8>) {
        let queue = self.shared.queue(stream);
        let length = line.len();
        let waiting = queue.waiting.add(length);
        let own = self.share.add(length);
        let has_room = match stream {
            AuditStream::Access => waiting <= MOST_WAITING,
            AuditStream::Operations => own <= MOST_WAITING.saturating_sub(waiting),
        };
        let job = || AuditJob::Line(stream, line, self.share.clone());
        if !has_room || self.lines.send(job()).is_err() {
            queue.waiting.written(length);
            self.share.written(length);
            self.shared.lost_in_all.fetch_add(1, Ordering::Relaxed);
            if queue.lost.fetch_add(1, Ordering::Relaxed) == 0 {
                error!("the audit log cannot be written fast enough: events are lost");
            }
        }
    }
}

impl Writer {
    /// Waits until all events are written, up to this limit for the disk.
    pub fn finish(self, patience: Duration) {
        self.shared.ending.store(true, Ordering::Relaxed);
        let _ = self.lines.send(AuditJob::End);
        if self.done.recv_timeout(patience).is_err() {
            error!("the disk does not accept the last events of the audit log: they are lost");
        }
    }
}

/// Returns the milliseconds of a duration.
pub fn milliseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
