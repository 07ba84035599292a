//! The tables and the JSON.

use std::fmt;

use crate::axes::{Axis, PEERS};
use crate::common::machine::Machine;
use crate::common::servers::Peer;
use crate::common::spread::Spread;
use crate::common::table::{or_dash, write_aligned};
use crate::record::{Record, SampleRecord};
use crate::rounds::{Run, Sample};

/// The results of a run.
pub(crate) struct Report {
    machine: Machine,
    pub(crate) rounds: u32,
    left_out: Vec<String>,
    pub(crate) axes: Vec<Measured>,
}

/// An axis with its samples.
pub(crate) struct Measured {
    pub(crate) axis: &'static Axis,
    samples: Vec<Sample>,
}

impl Measured {
    /// The measured points, in order.
    pub(crate) fn points(&self) -> Vec<u64> {
        let mut points: Vec<u64> = self.samples.iter().map(|sample| sample.at).collect();
        points.sort_unstable();
        points.dedup();
        points
    }

    /// A figure of a server at a point.
    pub(crate) fn figure(&self, title: &str, peer: Peer, at: u64) -> Option<Spread> {
        let samples = self.samples.iter();
        let samples = samples.filter(|sample| sample.peer == peer && sample.at == at);
        let values = samples.filter_map(|sample| {
            let mut values = sample.values.iter();
            values.find(|(name, _)| *name == title).map(|(_, it)| *it)
        });
        Spread::of(values.collect())
    }

    /// A row for each measure of each server, with a column for each point and the ratio of the last to the
    /// first.
    fn rows(&self) -> Vec<Vec<String>> {
        let points = self.points();
        let mut head = vec![self.axis.title.to_owned()];
        head.extend(points.iter().map(|at| (self.axis.label)(*at)));
        head.push("last / first".to_owned());
        let mut rows = vec![head];
        for title in self.axis.measures {
            for peer in PEERS {
                let figure = |at: &u64| self.figure(title, peer, *at);
                let figures: Vec<_> = points.iter().map(figure).collect();
                if figures.iter().all(Option::is_none) {
                    continue;
                }
                // If there is no first (a round trip without delay), the next one.
                let mut medians = figures.iter().flatten().map(|figure| figure.median);
                let growth = medians.next().zip(medians.next_back());
                let growth = growth.filter(|(first, _)| *first > 0.0);
                let mut row = vec![format!("{title}, {}", peer.name())];
                row.extend(figures.into_iter().map(or_dash));
                row.push(or_dash(
                    growth.map(|(first, last)| format!("{:.2}", last / first)),
                ));
                rows.push(row);
            }
        }
        rows
    }
}

impl Report {
    pub(crate) fn new(run: &Run, axes: Vec<(&'static Axis, Vec<Sample>)>) -> Self {
        let axes = axes.into_iter();
        Self {
            machine: Machine::describe(&run.programs, run.folder(), &PEERS),
            rounds: run.scale.rounds,
            left_out: run.left_out.borrow().clone(),
            axes: axes
                .map(|(axis, samples)| Measured { axis, samples })
                .collect(),
        }
    }

    /// Every sample, and the machine.
    pub(crate) fn record(&self) -> Record {
        let samples = self.axes.iter().flat_map(|measured| {
            measured.samples.iter().map(|sample| SampleRecord {
                axis: measured.axis.name,
                at: sample.at,
                server: sample.peer.name(),
                round: sample.round + 1,
                values: sample.values.iter().copied().collect(),
                others_cores: sample.others,
            })
        });
        Record {
            site: self.machine.site(),
            rounds: self.rounds,
            versions: self.machine.versions.clone(),
            left_out: self.left_out.clone(),
            samples: samples.collect(),
        }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\n{}", self.machine)?;
        writeln!(f, "Medians (least-most) of {} rounds", self.rounds)?;
        let samples = self.axes.iter().flat_map(|measured| &measured.samples);
        if let Some(others) = Spread::of(samples.map(|sample| sample.others).collect()) {
            self.machine.write_others(f, &others)?;
        }
        for what in &self.left_out {
            writeln!(f, "LEFT OUT: {what}")?;
        }
        for measured in &self.axes {
            writeln!(f)?;
            write_aligned(f, &measured.rows())?;
        }
        Ok(())
    }
}
