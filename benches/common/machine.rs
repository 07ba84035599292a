//! The machine and the date of a run.

use std::fmt;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use landfall::values::time;
use serde::{Deserialize, Serialize};

use super::servers::{Peer, Programs};
use super::spread::Spread;

/// If other programs use more of the machine than this, the figures mean little.
const OTHERS_MAY_USE: f64 = 0.1;

/// The machine of a run.
pub(crate) struct Machine {
    cpu: String,
    cores: usize,
    kernel: String,
    /// The file system of the run's files.
    file_system: String,
    /// The versions of the servers, as they report them.
    pub(crate) versions: Vec<String>,
}

/// Machine and date, as they are written to a file.
#[derive(Serialize, Deserialize)]
pub(crate) struct Site {
    /// The end of the run: a day in UTC, as in 2026-11-21.
    pub(crate) date: String,
    cpu: String,
    cores: usize,
    kernel: String,
    file_system: String,
}

impl Machine {
    /// Returns it with the current date.
    pub(crate) fn site(&self) -> Site {
        Site {
            date: today(),
            cpu: self.cpu.clone(),
            cores: self.cores,
            kernel: self.kernel.clone(),
            file_system: self.file_system.clone(),
        }
    }

    /// Queries the system.
    pub(crate) fn describe(programs: &Programs, folder: &Path, peers: &[Peer]) -> Self {
        let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
        let cpu = read("/proc/cpuinfo")
            .lines()
            .find_map(|line| line.strip_prefix("model name")?.split_once(": "))
            .map_or_else(|| "unknown CPU".to_owned(), |(_, name)| name.to_owned());
        Self {
            cpu,
            cores: std::thread::available_parallelism().map_or(1, usize::from),
            kernel: read("/proc/sys/kernel/osrelease").trim().to_owned(),
            file_system: file_system(folder),
            versions: peers.iter().map(|peer| programs.version(*peer)).collect(),
        }
    }

    /// Writes how busy the machine was with other work, and whether that was too much.
    pub(crate) fn write_others(&self, f: &mut fmt::Formatter<'_>, others: &Spread) -> fmt::Result {
        writeln!(
            f,
            "Used by other programs meanwhile: {others} of {} cores",
            self.cores
        )?;
        if others.median > OTHERS_MAY_USE * self.cores as f64 {
            writeln!(
                f,
                "THE MACHINE IS NOT QUIET: absolute figures mean little, ratios are rough"
            )?;
        }
        Ok(())
    }
}

impl fmt::Display for Machine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{} x {}, Linux {}", self.cores, self.cpu, self.kernel)?;
        writeln!(
            f,
            "{}; files on {}, in memory",
            self.versions.join("; "),
            self.file_system
        )
    }
}

/// The day in UTC, as in 2026-11-21.
pub(crate) fn today() -> String {
    let now = time::rfc3339(time::now());
    now.split('T').next().unwrap_or_default().to_owned()
}

/// Writes the results of a run as JSON.
pub(crate) fn write_down(found: &impl Serialize, file: &Path) -> Result<()> {
    let text = serde_json::to_string_pretty(found)?;
    fs::write(file, text + "\n").with_context(|| format!("cannot write {}", file.display()))
}

/// Returns the file system of a folder.
fn file_system(folder: &Path) -> String {
    // The longest mount point that contains the folder: "... mount-point ... - type source ..."
    let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    mounts
        .lines()
        .filter_map(|line| {
            let (before, after) = line.split_once(" - ")?;
            let point = Path::new(before.split(' ').nth(4)?);
            let kind = after.split(' ').next()?;
            folder
                .starts_with(point)
                .then(|| (point.as_os_str().len(), kind.to_owned()))
        })
        .max()
        .map_or_else(|| "unknown".to_owned(), |(_, kind)| kind)
}
