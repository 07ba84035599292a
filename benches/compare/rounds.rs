//! A run: each workload is verified once, then measured in rounds in which the servers take turns.

use anyhow::Result;

use crate::args::Scale;
use crate::common::fixture::Fixture;
use crate::common::processes::for_a_gibibyte;
use crate::common::servers::{Peer, Server};
use crate::common::turns::{beside_others, in_turn};
use crate::workloads::{Bench, Workload};

/// The results of one server in one round.
pub(crate) struct Sample {
    /// Name of the workload.
    pub(crate) work: &'static str,
    /// The server.
    pub(crate) peer: Peer,
    /// The round, from 0.
    pub(crate) round: u32,
    /// One figure for each measure of the workload.
    pub(crate) values: Vec<f64>,
    /// CPU cores that other programs used meanwhile.
    pub(crate) others: f64,
}

/// The floor of a workload in one round.
pub(crate) struct FloorSample {
    /// Name of the workload.
    pub(crate) work: &'static str,
    /// The round, from 0.
    pub(crate) round: u32,
    /// CPU seconds per GiB.
    pub(crate) cpu: f64,
}

/// All results.
#[derive(Default)]
pub(crate) struct Samples {
    pub(crate) servers: Vec<Sample>,
    pub(crate) floors: Vec<FloorSample>,
}

/// Starts the servers and measures. All processes have ended on return.
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
            for server in who_can(work, in_turn(servers.iter(), round)) {
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

/// The servers that can run a workload.
fn who_can<'a>(
    work: &Workload,
    servers: impl IntoIterator<Item = &'a Server>,
) -> impl Iterator<Item = &'a Server> {
    let needs = work.needs;
    let servers = servers.into_iter();
    servers.filter(move |server| server.peer.can(needs))
}

fn measure(work: &Workload, bench: &Bench, round: u32) -> Result<Sample> {
    let (values, others) = beside_others(|| (work.run)(bench))?;
    Ok(Sample {
        work: work.name,
        peer: bench.server.peer,
        round,
        values,
        others,
    })
}
