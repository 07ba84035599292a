//! One run: everything verified once, then measured in rounds in which the servers take turns.

use std::os::unix::process::parent_id;
use std::time::{Duration, Instant};

use anyhow::Result;

use crate::args::Scale;
use crate::fixture::Fixture;
use crate::processes::{Tree, machine_busy};
use crate::servers::{Peer, Server};
use crate::workloads::{Bench, Workload, for_a_gibibyte};

/// What one server did in one round.
pub(crate) struct Sample {
    /// Name of the work.
    pub(crate) work: &'static str,
    /// Who did it.
    pub(crate) peer: Peer,
    /// In which round, from 0.
    pub(crate) round: u32,
    /// One figure for each of the work's measures.
    pub(crate) values: Vec<f64>,
    /// CPU cores that were meanwhile busy with anything that is not of this run.
    pub(crate) others: f64,
}

/// What the floor of a work took in one round.
pub(crate) struct FloorSample {
    /// Name of the work.
    pub(crate) work: &'static str,
    /// In which round, from 0.
    pub(crate) round: u32,
    /// CPU seconds for each GiB.
    pub(crate) cpu: f64,
}

/// All that was measured.
#[derive(Default)]
pub(crate) struct Samples {
    pub(crate) servers: Vec<Sample>,
    pub(crate) floors: Vec<FloorSample>,
}

/// Starts the servers and measures. Everything that is started has ended when this returns.
pub(crate) fn run(
    fixture: &Fixture,
    scale: &Scale,
    peers: &[Peer],
    workloads: &[&'static Workload],
) -> Result<Samples> {
    let servers = peers
        .iter()
        .map(|peer| peer.start(fixture))
        .collect::<Result<Vec<_>>>()?;
    let bench = |server| Bench {
        fixture,
        scale,
        server,
    };

    for work in workloads {
        for server in who_can(work, servers.iter()) {
            eprintln!("verify  {:<11} {}", work.name, server.peer.name());
            (work.verify)(&bench(server))?;
        }
    }
    let mut samples = Samples::default();
    for round in 0..scale.rounds {
        for work in workloads.iter().filter(|work| round == 0 || !work.once) {
            for server in who_can(work, in_turn(&servers, round)) {
                let sample = measure(work, &bench(server), round)?;
                let values: Vec<String> = work
                    .measures
                    .iter()
                    .zip(&sample.values)
                    .map(|(measure, value)| format!("{value:.2} {}", measure.title))
                    .collect();
                eprintln!(
                    "round {:<2} {:<10} {:<9} {}",
                    round + 1,
                    work.name,
                    server.peer.name(),
                    values.join(", ")
                );
                samples.servers.push(sample);
            }
            if let Some(floor) = work.floor {
                let cpu = for_a_gibibyte(floor.run(fixture, scale.size)?, scale.size);
                eprintln!(
                    "round {:<2} {:<10} floor     {cpu:.2} CPU s/GiB",
                    round + 1,
                    work.name
                );
                samples.floors.push(FloorSample {
                    work: work.name,
                    round,
                    cpu,
                });
            }
        }
    }
    Ok(samples)
}

/// The servers that can do a work.
fn who_can<'a>(
    work: &Workload,
    servers: impl IntoIterator<Item = &'a Server>,
) -> impl Iterator<Item = &'a Server> {
    let needs = work.needs;
    let servers = servers.into_iter();
    servers.filter(move |server| server.peer.can(needs))
}

/// The first goes first in one round and last in the next: what drifts hits all alike.
fn in_turn(servers: &[Server], round: u32) -> Vec<&Server> {
    if round.is_multiple_of(2) {
        servers.iter().collect()
    } else {
        servers.iter().rev().collect()
    }
}

fn measure(work: &Workload, bench: &Bench, round: u32) -> Result<Sample> {
    let before = used_by_others()?;
    let started = Instant::now();
    let values = (work.run)(bench)?;
    let elapsed = started.elapsed();
    let others = used_by_others()?.saturating_sub(before);
    Ok(Sample {
        work: work.name,
        peer: bench.server.peer,
        round,
        values,
        others: others.as_secs_f64() / elapsed.as_secs_f64(),
    })
}

/// CPU time of the machine that nothing of this run has used: all beneath the outer process is ours.
fn used_by_others() -> Result<Duration> {
    Ok(machine_busy()?.saturating_sub(Tree::below(parent_id())?.cpu()))
}
