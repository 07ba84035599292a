//! The thread that writes the audit log.

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, RecvTimeoutError, TryRecvError};
use std::thread;
use std::time::{Duration, Instant};

use tracing::{error, info};

use super::event::{self, AuditStream, Event};
use super::log_files::{AuditLog, Current, LogFiles};
use super::queue::{AuditJob, AuditShared, WaitingBytes};

/// Approximate bytes that are written together.
const BATCH: usize = 256 << 10;
/// How long an event waits for others. It reaches the disk a little later, but the next event does not have
/// to wake this thread, which costs as much as a small request.
const COMPANY: Duration = Duration::from_millis(5);
/// How often combined and lost events are written.
const TICK: Duration = Duration::from_secs(1);
/// Pause after a failure.
const RETRY: Duration = Duration::from_secs(1);
const RETRY_STEP: Duration = Duration::from_millis(50);

/// The queue of one stream to the disk.
struct AuditOutput {
    stream: AuditStream,
    files: LogFiles,
    current: Option<Current>,
    lines: Vec<u8>,
    /// The owners of these lines, with the length of each.
    owners: VecDeque<(Arc<WaitingBytes>, usize)>,
}

struct AuditWriter<'a> {
    jobs: &'a Receiver<AuditJob>,
    shared: &'a AuditShared,
    outputs: [AuditOutput; 2],
    /// The share of lines that this thread adds.
    own: Arc<WaitingBytes>,
    /// When combined and lost events are to be written.
    due: Option<Instant>,
    /// What to subtract from the counts of lost events when a `lost` is written.
    reported: [u64; 2],
    /// No more events will come.
    is_last: bool,
}

/// Writes until it receives `AuditJob::End`, or all senders are gone.
pub(super) fn run(log: &AuditLog, jobs: &Receiver<AuditJob>, shared: &AuditShared) {
    let mut writer = AuditWriter {
        jobs,
        shared,
        outputs: AuditStream::ALL.map(|stream| AuditOutput {
            stream,
            files: log.files(stream),
            current: None,
            lines: Vec::new(),
            owners: VecDeque::new(),
        }),
        own: Arc::default(),
        due: None,
        reported: [0; 2],
        is_last: false,
    };
    for output in &mut writer.outputs {
        // Creates both files at the start. A failure is reported when there is something to write.
        let _ = output.attempt(0, shared);
    }
    loop {
        writer.gather();
        writer.settle();
        match writer.write() {
            Ok(()) if writer.is_last => return,
            Ok(()) => {}
            Err(failure) if !writer.waits_for_retry() => return writer.give_up(&failure),
            Err(_) => {}
        }
    }
}

impl AuditWriter<'_> {
    /// Waits for work, and collects what arrives soon after.
    fn gather(&mut self) {
        let is_left = self.outputs.iter().any(|output| !output.lines.is_empty());
        let mut next = if is_left {
            self.jobs.try_recv()
        } else {
            self.wait()
        };
        if let Ok(AuditJob::Line(..)) = next {
            thread::sleep(COMPANY);
        }
        let mut taken = 0;
        loop {
            match next {
                Ok(AuditJob::Line(stream, line, share)) => {
                    taken += line.len();
                    self.output(stream).add(&line, share);
                }
                Ok(AuditJob::Folded) => self.schedule(),
                Ok(AuditJob::End) | Err(TryRecvError::Disconnected) => {
                    self.is_last = true;
                    return;
                }
                Err(TryRecvError::Empty) => return,
            }
            if taken >= BATCH {
                return;
            }
            next = self.jobs.try_recv();
        }
    }

    fn wait(&self) -> Result<AuditJob, TryRecvError> {
        let Some(due) = self.due else {
            return self.jobs.recv().map_err(|_| TryRecvError::Disconnected);
        };
        let left = due.saturating_duration_since(Instant::now());
        self.jobs
            .recv_timeout(left)
            .map_err(|failure| match failure {
                RecvTimeoutError::Timeout => TryRecvError::Empty,
                RecvTimeoutError::Disconnected => TryRecvError::Disconnected,
            })
    }

    fn schedule(&mut self) {
        self.due.get_or_insert_with(|| Instant::now() + TICK);
    }

    fn output(&mut self, stream: AuditStream) -> &mut AuditOutput {
        let [access, operations] = &mut self.outputs;
        match stream {
            AuditStream::Access => access,
            AuditStream::Operations => operations,
        }
    }

    /// Adds combined events and counts of lost ones, if it is time.
    fn settle(&mut self) {
        let now = Instant::now();
        let is_due = self.due.is_some_and(|due| due <= now);
        if is_due || self.is_last {
            self.due = None;
            let folded = self.shared.floods().due(now, self.is_last);
            for (stream, line) in folded {
                self.add(stream, &line);
            }
            self.subtract_lost();
        }
        // Events are lost only while others wait, so this line always comes after them.
        let has_lost = self.reported == [0; 2] && self.shared.lost().iter().sum::<u64>() > 0;
        if has_lost || self.shared.floods().has_folds() {
            self.schedule();
        }
    }

    fn subtract_lost(&mut self) {
        let lost = self.shared.lost();
        let count = lost.iter().sum();
        if count == 0 || self.reported != [0; 2] {
            return;
        }
        self.reported = lost;
        let line = event::line(None, &Event::Lost { count });
        self.add(AuditStream::Access, &line);
        error!(count, "events of the audit log were lost");
    }

    fn add(&mut self, stream: AuditStream, line: &[u8]) {
        self.shared.queue(stream).waiting.add(line.len());
        self.own.add(line.len());
        let own = self.own.clone();
        self.output(stream).add(line, own);
    }

    /// Writes the waiting lines of each stream, as much as its disk takes.
    fn write(&mut self) -> io::Result<()> {
        let mut outcome = Ok(());
        for output in &mut self.outputs {
            let written = output.write(self.shared);
            if written.is_ok() && output.stream == AuditStream::Access {
                self.shared
                    .subtract_lost(std::mem::take(&mut self.reported));
            }
            outcome = outcome.and(written);
        }
        match &outcome {
            Ok(()) => {
                if self.shared.failing.swap(false, Ordering::Relaxed) {
                    info!("the audit log can be written again");
                }
            }
            Err(failure) => {
                if !self.shared.failing.swap(true, Ordering::Relaxed) {
                    error!("cannot write the audit log; trying again: {failure}");
                }
            }
        }
        outcome
    }

    /// Waits to try again; returns false if the server ends.
    fn waits_for_retry(&self) -> bool {
        let mut waited = Duration::ZERO;
        while waited < RETRY {
            if self.shared.ending.load(Ordering::Relaxed) {
                return false;
            }
            thread::sleep(RETRY_STEP);
            waited += RETRY_STEP;
        }
        true
    }

    fn give_up(self, failure: &io::Error) {
        let lines = self.outputs.iter().flat_map(|output| &output.lines);
        let left = lines.filter(|byte| **byte == b'\n').count();
        let queued = self.jobs.try_iter();
        let left = left
            + queued
                .filter(|job| matches!(job, AuditJob::Line(..)))
                .count();
        error!(
            left,
            "cannot write the last events of the audit log: {failure}"
        );
    }
}

impl AuditOutput {
    fn add(&mut self, line: &[u8], share: Arc<WaitingBytes>) {
        self.lines.extend_from_slice(line);
        self.owners.push_back((share, line.len()));
    }

    /// Removes the complete lines of this many bytes.
    fn settle(&mut self, mut written: usize, shared: &AuditShared) {
        self.lines.drain(..written);
        shared.queue(self.stream).waiting.written(written);
        while written > 0
            && let Some((share, length)) = self.owners.pop_front()
        {
            share.written(length);
            written = written.saturating_sub(length);
        }
    }

    /// Writes its lines; those that were not written stay.
    fn write(&mut self, shared: &AuditShared) -> io::Result<()> {
        while !self.lines.is_empty() {
            let most = self.lines.get(..BATCH).unwrap_or(&self.lines);
            let end = most.iter().rposition(|byte| *byte == b'\n');
            let length = end.map_or(self.lines.len(), |end| end + 1);
            let (written, outcome) = self.attempt(length, shared);
            self.settle(written, shared);
            outcome?;
        }
        Ok(())
    }

    /// Tries to write this many bytes; others can see how long it takes.
    fn attempt(&mut self, length: usize, shared: &AuditShared) -> (usize, io::Result<()>) {
        let batch = self.lines.get(..length).unwrap_or(&self.lines);
        shared.writing_since.store(shared.now(), Ordering::Relaxed);
        let outcome = self.files.write(&mut self.current, batch);
        shared.writing_since.store(0, Ordering::Relaxed);
        outcome
    }
}
