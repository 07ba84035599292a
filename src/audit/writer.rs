//! The thread that writes the trail.

use std::io;
use std::sync::atomic::Ordering;
use std::sync::mpsc::Receiver;

use tracing::{error, info};

use super::trail::Current;
use super::{Event, Job, Shared, Trail, event};

/// Lines are written together, up to about so many bytes.
const BATCH: usize = 256 << 10;

/// Writes until it is told to end, or nobody is left to tell anything.
pub(super) fn run(trail: Trail, jobs: &Receiver<Job>, shared: &Shared) {
    let mut current = None;
    let mut ended = false;
    while !ended {
        let mut lines = String::new();
        let mut count = 0;
        let mut next = jobs.recv().unwrap_or(Job::End);
        loop {
            match next {
                Job::Line(line) => {
                    lines.push_str(&line);
                    count += 1;
                }
                Job::End => {
                    ended = true;
                    break;
                }
            }
            if lines.len() >= BATCH {
                break;
            }
            match jobs.try_recv() {
                Ok(job) => next = job,
                Err(_) => break,
            }
        }
        let length = lines.len();
        let outcome = write(&trail, &mut current, lines, shared);
        shared.waiting.fetch_sub(length, Ordering::Relaxed);
        tell(outcome, count, shared);
    }
}

fn write(
    trail: &Trail,
    current: &mut Option<Current>,
    mut lines: String,
    shared: &Shared,
) -> io::Result<()> {
    let file = match current {
        Some(file) => file,
        none => none.insert(trail.open()?),
    };
    let lost = shared.lost.load(Ordering::Relaxed);
    if lost > 0 {
        lines = event::line(None, &Event::Lost { count: lost }) + &lines;
    }
    trail.write(file, lines.as_bytes())?;
    shared.lost.fetch_sub(lost, Ordering::Relaxed);
    Ok(())
}

fn tell(outcome: io::Result<()>, count: u64, shared: &Shared) {
    match outcome {
        Ok(()) => {
            if shared.failing.swap(false, Ordering::Relaxed) {
                info!("the audit trail is written again");
            }
        }
        Err(failure) => {
            shared.lost.fetch_add(count, Ordering::Relaxed);
            if !shared.failing.swap(true, Ordering::Relaxed) {
                error!("the audit trail cannot be written, and events are lost: {failure}");
            }
        }
    }
}
