//! The table and the JSON.

use std::fmt;
use std::fs;

use serde_json::{Value, json};

use crate::args::Scale;
use crate::fixture::Fixture;
use crate::rounds::Sample;
use crate::servers::Peer;
use crate::workloads::{Goal, Measure, Workload};

/// More of the machine than this for others, and the figures say little.
const OTHERS_MAY_USE: f64 = 0.1;

/// Where a run took place.
pub(crate) struct Machine {
    cpu: String,
    cores: usize,
    kernel: String,
    openssh: String,
    file_system: String,
}

impl Machine {
    /// Asks the system.
    pub(crate) fn describe(fixture: &Fixture) -> Self {
        let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
        let cpu = read("/proc/cpuinfo")
            .lines()
            .find_map(|line| line.strip_prefix("model name")?.split_once(": "))
            .map_or_else(|| "unknown CPU".to_owned(), |(_, name)| name.to_owned());
        Self {
            cpu,
            cores: std::thread::available_parallelism().map_or(1, usize::from),
            kernel: read("/proc/sys/kernel/osrelease").trim().to_owned(),
            openssh: fixture.programs.version(),
            file_system: fixture.file_system(),
        }
    }
}

/// All that a run has found.
pub(crate) struct Report {
    pub(crate) machine: Machine,
    pub(crate) scale: Scale,
    pub(crate) peers: Vec<Peer>,
    pub(crate) workloads: Vec<&'static Workload>,
    pub(crate) samples: Vec<Sample>,
}

/// A median with its spread.
struct Spread {
    median: f64,
    least: f64,
    most: f64,
}

impl Spread {
    fn of(mut values: Vec<f64>) -> Option<Self> {
        values.sort_by(f64::total_cmp);
        let middle = values.len() / 2;
        let upper = *values.get(middle)?;
        let median = match values.len() % 2 {
            0 => f64::midpoint(*values.get(middle - 1)?, upper),
            _ => upper,
        };
        Some(Self {
            median,
            least: *values.first()?,
            most: *values.last()?,
        })
    }
}

impl fmt::Display for Spread {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let digits = if self.median >= 100.0 { 0 } else { 2 };
        write!(
            f,
            "{:.digits$} ({:.digits$}-{:.digits$})",
            self.median, self.least, self.most
        )
    }
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
    /// The figures of one measure of one work: (round, value), in the order of the rounds.
    fn values(&self, work: &Workload, measure: usize, peer: Peer) -> Vec<(u32, f64)> {
        self.samples
            .iter()
            .filter(|sample| sample.work == work.name && sample.peer == peer)
            .filter_map(|sample| Some((sample.round, *sample.values.get(measure)?)))
            .collect()
    }

    /// Ratios to the reference. Each is within a round: the two were measured right after each
    /// other, so what slowed one down most likely slowed down the other.
    fn ratios(&self, work: &Workload, measure: usize, peer: Peer) -> Vec<f64> {
        let reference = self.peers.first();
        let reference = reference.map_or_else(Vec::new, |peer| self.values(work, measure, *peer));
        self.values(work, measure, peer)
            .into_iter()
            .filter_map(|(round, value)| {
                let (_, other) = reference.iter().find(|(other, _)| *other == round)?;
                Some(value / other)
            })
            .collect()
    }

    fn row(&self, work: &Workload, index: usize, measure: &Measure) -> Vec<String> {
        let spread = |values| Spread::of(values).map_or_else(|| "-".to_owned(), |s| s.to_string());
        let mut row = vec![format!("{}: {}", (work.title)(&self.scale), measure.title)];
        for peer in &self.peers {
            let values = self
                .values(work, index, *peer)
                .into_iter()
                .map(|(_, value)| value);
            row.push(spread(values.collect()));
        }
        // The goals are against OpenSSH, not against an earlier build.
        let against_openssh = self.peers.first() == Some(&Peer::Openssh);
        let goal = measure.goal.filter(|_| against_openssh);
        let dash = || "-".to_owned();
        for peer in self.compared() {
            let ratio = Spread::of(self.ratios(work, index, peer));
            let met = ratio
                .as_ref()
                .zip(goal)
                .map(|(ratio, goal)| goal.is_met(ratio.median));
            row.push(ratio.map_or_else(dash, |ratio| ratio.to_string()));
            row.push(goal.map_or_else(dash, |goal| goal.to_string()));
            row.push(met.map_or_else(dash, |met| if met { "yes" } else { "no" }.to_owned()));
        }
        row
    }

    /// Everyone but the reference.
    fn compared(&self) -> impl Iterator<Item = Peer> {
        self.peers.iter().copied().skip(1)
    }

    /// Every sample, and where it was taken.
    pub(crate) fn json(&self) -> Value {
        let samples: Vec<Value> = self
            .samples
            .iter()
            .map(|sample| {
                let measures = self.workloads.iter().find(|work| work.name == sample.work);
                let values: serde_json::Map<String, Value> = measures
                    .into_iter()
                    .flat_map(|work| work.measures)
                    .zip(&sample.values)
                    .map(|(measure, value)| (measure.title.to_owned(), json!(value)))
                    .collect();
                json!({
                    "work": sample.work,
                    "server": sample.peer.name(),
                    "round": sample.round + 1,
                    "values": values,
                    "others_cores": sample.others,
                })
            })
            .collect();
        json!({
            "cpu": self.machine.cpu,
            "cores": self.machine.cores,
            "kernel": self.machine.kernel,
            "openssh": self.machine.openssh,
            "file_system": self.machine.file_system,
            "size": self.scale.size,
            "rounds": self.scale.rounds,
            "samples": samples,
        })
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let machine = &self.machine;
        writeln!(
            f,
            "\n{} x {}, Linux {}",
            machine.cores, machine.cpu, machine.kernel
        )?;
        writeln!(
            f,
            "{}; files on {}, in memory",
            machine.openssh, machine.file_system
        )?;
        writeln!(
            f,
            "Medians (least-most) of {} rounds; ratios are within a round",
            self.scale.rounds
        )?;
        if let Some(others) = Spread::of(self.samples.iter().map(|s| s.others).collect()) {
            writeln!(
                f,
                "Busy with other things meanwhile: {others} of {} cores",
                machine.cores
            )?;
            if others.median > OTHERS_MAY_USE * machine.cores as f64 {
                writeln!(
                    f,
                    "THE MACHINE IS NOT QUIET: absolute figures mean little, ratios are rough"
                )?;
            }
        }
        writeln!(f)?;

        let mut rows = vec![vec!["work".to_owned()]];
        if let Some(head) = rows.first_mut() {
            head.extend(self.peers.iter().map(|peer| peer.name().to_owned()));
            for peer in self.compared() {
                head.push(format!("{} ratio", peer.name()));
                head.extend(["goal", "met"].map(str::to_owned));
            }
        }
        for work in &self.workloads {
            for (index, measure) in work.measures.iter().enumerate() {
                rows.push(self.row(work, index, measure));
            }
        }
        write_aligned(f, &rows)
    }
}

/// Writes a Markdown table that is readable as text too.
fn write_aligned(f: &mut fmt::Formatter<'_>, rows: &[Vec<String>]) -> fmt::Result {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let width = |column: usize| {
        rows.iter()
            .filter_map(|row| row.get(column))
            .map(String::len)
            .max()
            .unwrap_or(0)
    };
    let widths: Vec<usize> = (0..columns).map(width).collect();
    for (number, row) in rows.iter().enumerate() {
        for (cell, width) in row.iter().zip(&widths) {
            write!(f, "| {cell:<width$} ")?;
        }
        writeln!(f, "|")?;
        if number == 0 {
            for width in &widths {
                write!(f, "|{}", "-".repeat(width + 2))?;
            }
            writeln!(f, "|")?;
        }
    }
    Ok(())
}
