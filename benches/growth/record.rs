//! What `--json` writes: a run, with every sample.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::common::machine::Site;

/// A run.
#[derive(Serialize)]
pub(crate) struct Record {
    #[serde(flatten)]
    pub(crate) site: Site,
    pub(crate) rounds: u32,
    /// The servers, in their own words.
    pub(crate) versions: Vec<String>,
    pub(crate) left_out: Vec<String>,
    pub(crate) samples: Vec<SampleRecord>,
}

/// What one server did at one point in one round.
#[derive(Serialize)]
pub(crate) struct SampleRecord {
    pub(crate) axis: &'static str,
    /// The point.
    pub(crate) at: u64,
    pub(crate) server: &'static str,
    /// From 1.
    pub(crate) round: u32,
    /// What was measured, by its title.
    pub(crate) values: BTreeMap<&'static str, f64>,
    /// CPU cores that were meanwhile busy with anything that is not of the run.
    pub(crate) others_cores: f64,
}
