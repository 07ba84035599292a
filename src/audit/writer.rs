//! The thread that writes the trail.

use std::io;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, TryRecvError};
use std::thread;
use std::time::Duration;

use tracing::{error, info};

use super::trail::Current;
use super::{Event, Job, Shared, Trail, event};

/// Lines are written together, up to about so many bytes.
const BATCH: usize = 256 << 10;
/// How long an event waits for others: it is on the disk a little later, but who notes the next one
/// does not have to wake this thread again, which costs as much as a small request.
const COMPANY: Duration = Duration::from_millis(5);
/// How long after a failure it is tried again.
const RETRY: Duration = Duration::from_secs(1);
const RETRY_STEP: Duration = Duration::from_millis(50);

/// Lines on their way to the disk.
#[derive(Default)]
struct Batch {
    lines: Vec<u8>,
    /// What is to be taken off the count of lost events when this is written.
    admits: u64,
    /// No more will come.
    is_last: bool,
}

/// Writes until it is told to end, or nobody is left to tell anything.
pub(super) fn run(trail: &Trail, jobs: &Receiver<Job>, shared: &Shared) {
    let mut current = None;
    loop {
        let mut batch = gather(jobs, shared);
        while let Err(failure) = write(trail, &mut current, &mut batch, shared) {
            tell(&failure, shared);
            if !wait_for_retry(shared) {
                let left = batch.lines.iter().filter(|byte| **byte == b'\n').count();
                let left = left + jobs.try_iter().count();
                error!(
                    left,
                    "the last events of the audit trail cannot be written: {failure}"
                );
                return;
            }
        }
        shared.lost.fetch_sub(batch.admits, Ordering::Relaxed);
        if shared.failing.swap(false, Ordering::Relaxed) {
            info!("the audit trail is written again");
        }
        if batch.is_last {
            return;
        }
    }
}

/// Waits for what is to be written, and takes what else comes soon.
fn gather(jobs: &Receiver<Job>, shared: &Shared) -> Batch {
    let mut batch = Batch::default();
    let mut next = jobs.recv().map_err(|_| TryRecvError::Disconnected);
    if let Ok(Job::Line(_)) = next {
        thread::sleep(COMPANY);
    }
    loop {
        match next {
            Ok(Job::Line(line)) => batch.lines.extend_from_slice(line.as_bytes()),
            Ok(Job::End) | Err(TryRecvError::Disconnected) => {
                batch.is_last = true;
                break;
            }
            Err(TryRecvError::Empty) => break,
        }
        if batch.lines.len() >= BATCH {
            break;
        }
        next = jobs.try_recv();
    }
    // Events are only lost while others wait, so that a batch always comes after them.
    batch.admits = shared.lost.load(Ordering::Relaxed);
    if batch.admits > 0 {
        let line = event::line(
            None,
            &Event::Lost {
                count: batch.admits,
            },
        );
        shared.waiting.fetch_add(line.len(), Ordering::Relaxed);
        batch.lines.extend_from_slice(line.as_bytes());
        error!(count = batch.admits, "events of the audit trail were lost");
    }
    batch
}

/// Writes the lines of a batch, and leaves in it those that were not written.
fn write(
    trail: &Trail,
    current: &mut Option<Current>,
    batch: &mut Batch,
    shared: &Shared,
) -> io::Result<()> {
    shared.writing_since.store(shared.now(), Ordering::Relaxed);
    let (written, outcome) = trail.write(current, &batch.lines);
    shared.writing_since.store(0, Ordering::Relaxed);
    batch.lines.drain(..written);
    shared.waiting.fetch_sub(written, Ordering::Relaxed);
    outcome
}

fn tell(failure: &io::Error, shared: &Shared) {
    if !shared.failing.swap(true, Ordering::Relaxed) {
        error!("the audit trail cannot be written, and is tried again: {failure}");
    }
}

/// False if the server ends meanwhile.
fn wait_for_retry(shared: &Shared) -> bool {
    let mut waited = Duration::ZERO;
    while waited < RETRY {
        if shared.ending.load(Ordering::Relaxed) {
            return false;
        }
        thread::sleep(RETRY_STEP);
        waited += RETRY_STEP;
    }
    true
}
