//! What `--json` writes: a run, with every sample.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use serde::Serialize;

/// A run.
#[derive(Serialize)]
pub(crate) struct Record {
    /// When it ended: a day in UTC, as in 2026-11-21.
    pub(crate) date: String,
    pub(crate) cpu: String,
    pub(crate) cores: usize,
    pub(crate) kernel: String,
    pub(crate) file_system: String,
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

impl Record {
    pub(crate) fn write(&self, file: &Path) -> Result<()> {
        let text = serde_json::to_string_pretty(self)?;
        fs::write(file, text + "\n").with_context(|| format!("cannot write {}", file.display()))
    }
}
