//! Turn-taking, and other work on the machine.

use std::os::unix::process::parent_id;
use std::time::{Duration, Instant};

use anyhow::Result;

use super::processes::{Tree, machine_busy};

/// The order is reversed in every other round, so that drift affects all alike.
pub(crate) fn in_turn<T>(all: impl DoubleEndedIterator<Item = T>, round: u32) -> Vec<T> {
    if round.is_multiple_of(2) {
        all.collect()
    } else {
        all.rev().collect()
    }
}

/// Runs `work`; also returns how many CPU cores other programs used meanwhile.
pub(crate) fn beside_others<T>(work: impl FnOnce() -> Result<T>) -> Result<(T, f64)> {
    let before = used_by_others()?;
    let started = Instant::now();
    let outcome = work()?;
    let elapsed = started.elapsed();
    let others = used_by_others()?.saturating_sub(before);
    Ok((outcome, others.as_secs_f64() / elapsed.as_secs_f64()))
}

/// CPU time of the machine without this run: everything below the outer process is this run.
fn used_by_others() -> Result<Duration> {
    Ok(machine_busy()?.saturating_sub(Tree::below(parent_id())?.cpu()))
}
