//! The format that `--json` writes and `--from` reads: a run with every sample.

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
    /// The size of the big file in bytes.
    pub(crate) size: u64,
    pub(crate) rounds: u32,
    /// The first is the reference.
    pub(crate) servers: Vec<ServerRecord>,
    pub(crate) samples: Vec<SampleRecord>,
    /// CPU seconds per GiB of each workload's floor, in the order of the rounds.
    #[serde(default)]
    pub(crate) floors: BTreeMap<String, Vec<f64>>,
}

/// A server of the run.
#[derive(Serialize, Deserialize)]
pub(crate) struct ServerRecord {
    pub(crate) name: String,
    /// As the server reports it.
    pub(crate) version: String,
    /// The AES-GCM cipher of its measurements.
    pub(crate) aes_gcm: String,
}

/// The results of one server in one round.
#[derive(Serialize, Deserialize)]
pub(crate) struct SampleRecord {
    pub(crate) work: String,
    pub(crate) server: String,
    /// From 1.
    pub(crate) round: u32,
    /// The figures by their titles.
    pub(crate) values: BTreeMap<String, f64>,
    /// CPU cores that other programs used meanwhile.
    pub(crate) others_cores: f64,
}

impl Record {
    pub(crate) fn read(file: &Path) -> Result<Self> {
        let name = file.display();
        let text = fs::read_to_string(file).with_context(|| format!("cannot read {name}"))?;
        serde_json::from_str(&text).with_context(|| format!("{name} is not of a run"))
    }

    /// The figures of a server, in the order of the rounds.
    pub(crate) fn values(&self, work: &str, server: &str, title: &str) -> Vec<f64> {
        self.samples
            .iter()
            .filter(|sample| sample.work == work && sample.server == server)
            .filter_map(|sample| sample.values.get(title).copied())
            .collect()
    }
}
