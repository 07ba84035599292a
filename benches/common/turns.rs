//! Taking turns, and what the machine does besides.

use std::os::unix::process::parent_id;
use std::time::{Duration, Instant};

use anyhow::Result;

use super::processes::{Tree, machine_busy};

/// The first goes first in one round and last in the next: what drifts hits all alike.
pub(crate) fn in_turn<T>(all: impl DoubleEndedIterator<Item = T>, round: u32) -> Vec<T> {
    if round.is_multiple_of(2) {
        all.collect()
    } else {
        all.rev().collect()
    }
}

/// Does a work, and says how many CPU cores were meanwhile busy with anything that is not of this run.
pub(crate) fn beside_others<T>(work: impl FnOnce() -> Result<T>) -> Result<(T, f64)> {
    let before = used_by_others()?;
    let started = Instant::now();
    let outcome = work()?;
    let elapsed = started.elapsed();
    let others = used_by_others()?.saturating_sub(before);
    Ok((outcome, others.as_secs_f64() / elapsed.as_secs_f64()))
}

/// CPU time of the machine that nothing of this run has used: all beneath the outer process is ours.
fn used_by_others() -> Result<Duration> {
    Ok(machine_busy()?.saturating_sub(Tree::below(parent_id())?.cpu()))
}
