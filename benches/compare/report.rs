//! The table and the JSON.

use std::fmt;

use crate::args::Scale;
use crate::common::client::AES;
use crate::common::machine::Machine;
use crate::common::servers::Peer;
use crate::common::spread::Spread;
use crate::common::table::{or_dash, write_aligned};
use crate::record::{Record, SampleRecord, ServerRecord};
use crate::rounds::Samples;
use crate::workloads::{CPU, Goal, Measure, Workload};

/// The results of a run.
pub(crate) struct Report {
    pub(crate) machine: Machine,
    pub(crate) scale: Scale,
    pub(crate) peers: Vec<Peer>,
    pub(crate) workloads: Vec<&'static Workload>,
    pub(crate) samples: Samples,
}

impl Goal {
    fn is_met(self, ratio: f64) -> bool {
        match self {
            Self::AtLeast(bound) => ratio >= bound,
            Self::AtMost(bound) => ratio <= bound,
        }
    }
}

impl fmt::Display for Goal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AtLeast(bound) => write!(f, ">= {bound}x"),
            Self::AtMost(bound) => write!(f, "<= {bound}x"),
        }
    }
}

impl Report {
    /// The figures of one measure of one workload: (round, value), in the order of the rounds.
    fn values(&self, work: &Workload, measure: usize, peer: Peer) -> Vec<(u32, f64)> {
        let samples = self.samples.servers.iter();
        samples
            .filter(|sample| sample.work == work.name && sample.peer == peer)
            .filter_map(|sample| Some((sample.round, *sample.values.get(measure)?)))
            .collect()
    }

    /// The floor of a workload: (round, value).
    fn floors(&self, work: &Workload) -> Vec<(u32, f64)> {
        let floors = self.samples.floors.iter();
        floors
            .filter(|floor| floor.work == work.name)
            .map(|floor| (floor.round, floor.cpu))
            .collect()
    }

    /// Ratios to the reference.
    fn ratios(&self, work: &Workload, measure: usize, peer: Peer) -> Vec<f64> {
        let reference = self.peers.first();
        let reference = reference.map_or_else(Vec::new, |peer| self.values(work, measure, *peer));
        ratios(self.values(work, measure, peer), &reference)
    }

    /// How busy the machine was with other work.
    fn others(&self) -> Option<Spread> {
        let samples = self.samples.servers.iter();
        Spread::of(samples.map(|sample| sample.others).collect())
    }

    /// The figures in a cell.
    fn cell(&self, work: &Workload, index: usize, peer: Peer) -> Option<Spread> {
        Spread::of(values(&self.values(work, index, peer)))
    }

    fn goals_head(peers: &[Peer]) -> Vec<String> {
        let mut head: Vec<String> = peers.iter().map(|peer| peer.name().to_owned()).collect();
        for peer in peers.iter().skip(1) {
            head.push(format!("{} ratio", peer.name()));
            head.extend(["goal", "met"].map(str::to_owned));
        }
        head
    }

    /// The figures, the ratios, and whether they meet the goals.
    fn goals_row(
        &self,
        peers: &[Peer],
        work: &Workload,
        index: usize,
        measure: &Measure,
    ) -> Vec<String> {
        let mut row: Vec<String> = peers
            .iter()
            .map(|peer| or_dash(self.cell(work, index, *peer)))
            .collect();
        // The goals are relative to OpenSSH, not to an earlier build.
        let against_openssh = peers.first() == Some(&Peer::Openssh);
        let goal = measure.goal.filter(|_| against_openssh);
        for peer in peers.iter().skip(1) {
            let ratio = Spread::of(self.ratios(work, index, *peer));
            let met = ratio
                .as_ref()
                .zip(goal)
                .map(|(ratio, goal)| goal.is_met(ratio.median));
            row.push(or_dash(ratio));
            row.push(or_dash(goal));
            row.push(or_dash(met.map(|met| if met { "yes" } else { "no" })));
        }
        row
    }

    /// The figures, each with its median ratio: short, for many servers.
    fn row_of_all(&self, work: &Workload, index: usize) -> Vec<String> {
        let cell = |(number, peer): (usize, &Peer)| {
            let figures = self.cell(work, index, *peer)?.to_string();
            if number == 0 {
                return Some(figures);
            }
            let ratio = Spread::of(self.ratios(work, index, *peer));
            let ratio = ratio.map(|ratio| format!("{:.2}x", ratio.median));
            Some(format!("{figures} {}", or_dash(ratio)))
        };
        let cells = self.peers.iter().enumerate().map(cell);
        cells.map(or_dash).collect()
    }

    /// A table with a row for each measure of each workload.
    fn write_table(
        &self,
        f: &mut fmt::Formatter<'_>,
        head: Vec<String>,
        row: impl Fn(&Workload, usize, &Measure) -> Vec<String>,
    ) -> fmt::Result {
        let mut rows = vec![head];
        let mut titles = vec!["workload".to_owned()];
        for work in &self.workloads {
            for (index, measure) in work.measures.iter().enumerate() {
                rows.push(row(work, index, measure));
                let title = (work.title)(&self.scale);
                titles.push(format!("{title}: {}", measure.title));
            }
        }
        for (row, title) in rows.iter_mut().zip(titles) {
            row.insert(0, title);
        }
        write_aligned(f, &rows)
    }

    /// The CPU time of each server as a multiple of the floor.
    fn write_floors(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut head = vec!["workload".to_owned(), "floor, CPU s/GiB".to_owned()];
        head.extend(self.peers.iter().map(|peer| peer.name().to_owned()));
        let mut rows = vec![head];
        for work in &self.workloads {
            let floors = self.floors(work);
            let cpu = work
                .measures
                .iter()
                .position(|measure| measure.title == CPU);
            let Some((spread, cpu)) = Spread::of(values(&floors)).zip(cpu) else {
                continue;
            };
            let mut row = vec![(work.title)(&self.scale), spread.to_string()];
            row.extend(self.peers.iter().map(|peer| {
                let multiples = ratios(self.values(work, cpu, *peer), &floors);
                or_dash(Spread::of(multiples))
            }));
            rows.push(row);
        }
        if rows.len() > 1 {
            writeln!(
                f,
                "\nServer CPU as a multiple of what nobody can leave out\n"
            )?;
            write_aligned(f, &rows)?;
        }
        Ok(())
    }

    /// Every sample, and the machine.
    pub(crate) fn record(&self) -> Record {
        let samples = self.samples.servers.iter().map(|sample| {
            let measures = self.workloads.iter().find(|work| work.name == sample.work);
            let values = measures
                .into_iter()
                .flat_map(|work| work.measures)
                .zip(&sample.values)
                .map(|(measure, value)| (measure.title.to_owned(), *value));
            SampleRecord {
                work: sample.work.to_owned(),
                server: sample.peer.name().to_owned(),
                round: sample.round + 1,
                values: values.collect(),
                others_cores: sample.others,
            }
        });
        let servers = self.peers.iter().zip(&self.machine.versions);
        let servers = servers.map(|(peer, version)| ServerRecord {
            name: peer.name().to_owned(),
            version: version.clone(),
            aes_gcm: peer.cipher(AES).to_owned(),
        });
        let floors = self.workloads.iter().filter_map(|work| {
            let values = values(&self.floors(work));
            (!values.is_empty()).then(|| (work.name.to_owned(), values))
        });
        Record {
            site: self.machine.site(),
            size: self.scale.size,
            rounds: self.scale.rounds,
            servers: servers.collect(),
            samples: samples.collect(),
            floors: floors.collect(),
        }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let machine = &self.machine;
        write!(f, "\n{machine}")?;
        writeln!(
            f,
            "Medians (least-most) of {} rounds; ratios are within a round",
            self.scale.rounds
        )?;
        if let Some(others) = self.others() {
            machine.write_others(f, &others)?;
        }
        for peer in self.peers.iter().filter(|peer| peer.cipher(AES) != AES) {
            let (name, cipher) = (peer.name(), peer.cipher(AES));
            writeln!(f, "{name} has {cipher} where the others have {AES}")?;
        }
        writeln!(f)?;

        let ours: Vec<Peer> = self
            .peers
            .iter()
            .copied()
            .filter(|peer| !peer.is_further())
            .collect();
        let with_others = ours.len() < self.peers.len();
        // One server alone, between others, would repeat the second table.
        let with_goals = ours.len() > 1 || !with_others;
        if with_goals {
            self.write_table(f, Self::goals_head(&ours), |work, index, measure| {
                self.goals_row(&ours, work, index, measure)
            })?;
        }
        if with_goals && with_others {
            writeln!(f)?;
        }
        if with_others {
            writeln!(f, "All servers, with the median ratios\n")?;
            let head = self.peers.iter().map(|peer| peer.name().to_owned());
            self.write_table(f, head.collect(), |work, index, _| {
                self.row_of_all(work, index)
            })?;
        }
        self.write_floors(f)
    }
}

/// The values without the rounds.
fn values(figures: &[(u32, f64)]) -> Vec<f64> {
    figures.iter().map(|(_, value)| *value).collect()
}

/// Ratios of (round, value) to a reference. Both values of a ratio are from the same round, measured one
/// after the other, so that a disturbance most likely affects both.
fn ratios(figures: Vec<(u32, f64)>, reference: &[(u32, f64)]) -> Vec<f64> {
    let ratio = |(round, value)| {
        let (_, other) = reference.iter().find(|(other, _)| *other == round)?;
        Some(value / other)
    };
    figures.into_iter().filter_map(ratio).collect()
}
