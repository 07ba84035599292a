//! A run: each axis is prepared, then measured in rounds in which servers and points take turns.

use std::cell::RefCell;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use crate::args::Scale;
use crate::axes::Axis;
use crate::common::fixture::Fixture;
use crate::common::servers::{Builds, Peer, Programs};
use crate::common::turns::{beside_others, in_turn};

/// The figures by their titles.
pub(crate) type Values = Vec<(&'static str, f64)>;

/// A server at a point of an axis, ready for repeated measurements.
pub(crate) struct Place {
    /// The point.
    pub(crate) at: u64,
    pub(crate) peer: Peer,
    pub(crate) measure: Box<dyn Fn() -> Result<Values>>,
}

/// The results of one server at one point in one round.
pub(crate) struct Sample {
    pub(crate) at: u64,
    pub(crate) peer: Peer,
    /// From 0.
    pub(crate) round: u32,
    pub(crate) values: Values,
    /// CPU cores that other programs used meanwhile.
    pub(crate) others: f64,
}

/// A run.
pub(crate) struct Run {
    folder: PathBuf,
    pub(crate) programs: Programs,
    pub(crate) scale: Scale,
    /// What could not be measured on this machine, and why.
    pub(crate) left_out: RefCell<Vec<String>>,
}

impl Run {
    pub(crate) fn new(folder: &Path, builds: &Builds, scale: Scale) -> Result<Self> {
        Ok(Self {
            folder: folder.to_path_buf(),
            programs: Programs::find(builds)?,
            scale,
            left_out: RefCell::default(),
        })
    }

    /// The folder of the run.
    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    /// A new folder for servers and clients, for an axis or one of its points.
    pub(crate) fn fixture(&self, name: &str) -> Result<Fixture> {
        let folder = self.folder.join(name);
        fs::create_dir(&folder)?;
        Fixture::make(&folder, &self.programs)
    }

    /// Records that a point is not measured.
    pub(crate) fn leave_out(&self, what: String) {
        eprintln!("LEFT OUT: {what}");
        self.left_out.borrow_mut().push(what);
    }

    /// Measures an axis. All its files and processes are gone on return.
    pub(crate) fn measure(&self, axis: &Axis) -> Result<Vec<Sample>> {
        eprintln!("prepare  {}", axis.name);
        let places = (axis.places)(self)
            .with_context(|| format!("cannot prepare the axis {}", axis.name))?;
        let mut samples = Vec::new();
        for round in 0..self.scale.rounds {
            for place in in_turn(places.iter(), round) {
                let Place { at, peer, .. } = place;
                let label = (axis.label)(*at);
                let (values, others) = beside_others(&place.measure)
                    .with_context(|| format!("{}, {label}, {}", axis.name, peer.name()))?;
                let told: Vec<String> = values
                    .iter()
                    .map(|(title, value)| format!("{value:.2} {title}"))
                    .collect();
                eprintln!(
                    "round {:<2} {:<11} {label:<9} {:<9} {}",
                    round + 1,
                    axis.name,
                    peer.name(),
                    told.join(", ")
                );
                samples.push(Sample {
                    at: *at,
                    peer: *peer,
                    round,
                    values,
                    others,
                });
            }
        }
        // The servers end before their files are removed.
        drop(places);
        for entry in fs::read_dir(&self.folder)? {
            fs::remove_dir_all(entry?.path())?;
        }
        Ok(samples)
    }
}
