//! The format of `--json`: a run with every sample.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::common::machine::Site;

/// A run.
#[derive(Serialize)]
pub(crate) struct Record {
    #[serde(flatten)]
    pub(crate) site: Site,
    pub(crate) rounds: u32,
    /// The servers' versions, as they report them.
    pub(crate) versions: Vec<String>,
    pub(crate) left_out: Vec<String>,
    pub(crate) samples: Vec<SampleRecord>,
}

/// The results of one server at one point in one round.
#[derive(Serialize)]
pub(crate) struct SampleRecord {
    pub(crate) axis: &'static str,
    /// The point.
    pub(crate) at: u64,
    pub(crate) server: &'static str,
    /// From 1.
    pub(crate) round: u32,
    /// The figures by their titles.
    pub(crate) values: BTreeMap<&'static str, f64>,
    /// CPU cores that other programs used meanwhile.
    pub(crate) others_cores: f64,
}
