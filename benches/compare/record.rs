//! What `--json` writes and `--from` reads: a run, with every sample.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

use crate::common::machine::Site;

/// A run.
#[derive(Serialize, Deserialize)]
pub(crate) struct Record {
    #[serde(flatten)]
    pub(crate) site: Site,
    /// Of the big file, in bytes.
    pub(crate) size: u64,
    pub(crate) rounds: u32,
    /// The first is what the others were held against.
    pub(crate) servers: Vec<ServerRecord>,
    pub(crate) samples: Vec<SampleRecord>,
    /// CPU seconds for each GiB that the floor of a work took, in the order of the rounds.
    #[serde(default)]
    pub(crate) floors: BTreeMap<String, Vec<f64>>,
}

/// Who took part.
#[derive(Serialize, Deserialize)]
pub(crate) struct ServerRecord {
    pub(crate) name: String,
    /// In its own words.
    pub(crate) version: String,
    /// The AES-GCM that it was measured with.
    pub(crate) aes_gcm: String,
}

/// What one server did in one round.
#[derive(Serialize, Deserialize)]
pub(crate) struct SampleRecord {
    pub(crate) work: String,
    pub(crate) server: String,
    /// From 1.
    pub(crate) round: u32,
    /// What was measured, by its title.
    pub(crate) values: BTreeMap<String, f64>,
    /// CPU cores that were meanwhile busy with anything that is not of the run.
    pub(crate) others_cores: f64,
}

impl Record {
    pub(crate) fn read(file: &Path) -> Result<Self> {
        let name = file.display();
        let text = fs::read_to_string(file).with_context(|| format!("cannot read {name}"))?;
        serde_json::from_str(&text).with_context(|| format!("{name} is not of a run"))
    }

    /// What was measured of a server, in the order of the rounds.
    pub(crate) fn values(&self, work: &str, server: &str, title: &str) -> Vec<f64> {
        self.samples
            .iter()
            .filter(|sample| sample.work == work && sample.server == server)
            .filter_map(|sample| sample.values.get(title).copied())
            .collect()
    }
}
