//! CPU time and memory of processes, from `/proc`, measured in the same way for every server.

use std::collections::HashMap;
use std::fs;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result};

/// Linux's USER_HZ: `/proc` counts CPU time in ticks of 10 ms on every architecture.
const TICK: Duration = Duration::from_millis(10);

/// A process, from `/proc/PID/stat`.
#[derive(Debug, Clone, Copy)]
struct Stat {
    parent: u32,
    zombie: bool,
    /// utime + stime.
    own_ticks: u64,
    /// cutime + cstime: of all children that it has waited for, and their children.
    waited_ticks: u64,
}

/// A process and all its descendants.
pub(crate) struct Tree {
    root: Stat,
    below: Vec<(u32, Stat)>,
}

impl Tree {
    /// Reads the current processes below the process `root`.
    pub(crate) fn below(root: u32) -> Result<Self> {
        let mut all = HashMap::new();
        for entry in fs::read_dir("/proc").context("cannot list /proc")? {
            let name = entry?.file_name();
            let Some(pid) = name.to_str().and_then(|name| name.parse::<u32>().ok()) else {
                continue;
            };
            // A process may be gone by now.
            if let Some(stat) = stat(pid) {
                all.insert(pid, stat);
            }
        }
        let root_stat = *all
            .get(&root)
            .with_context(|| format!("process {root} is gone"))?;
        let descends = |pid: u32| {
            // Bounded: parents that change meanwhile must not form a loop.
            let mut at = pid;
            (0..64).any(|_| match all.get(&at) {
                Some(stat) => {
                    at = stat.parent;
                    at == root
                }
                None => false,
            })
        };
        let below = all
            .iter()
            .filter(|(pid, _)| descends(**pid))
            .map(|(p, s)| (*p, *s))
            .collect();
        Ok(Self {
            root: root_stat,
            below,
        })
    }

    /// Ids of the processes that still run.
    pub(crate) fn running(&self) -> Vec<u32> {
        self.below
            .iter()
            .filter(|(_, stat)| !stat.zombie)
            .map(|(pid, _)| *pid)
            .collect()
    }

    /// CPU time of everything that ever ran below the root, without the root itself: running processes
    /// count for themselves, ended ones in the process that waited for them. With a subreaper as the root,
    /// this is complete, since it inherits and waits for all orphans.
    pub(crate) fn cpu(&self) -> Duration {
        let ticks: u64 = self
            .below
            .iter()
            .map(|(_, stat)| stat.own_ticks + stat.waited_ticks)
            .sum();
        TICK * u32::try_from(ticks + self.root.waited_ticks).unwrap_or(u32::MAX)
    }

    /// Memory of all processes below the root.
    pub(crate) fn memory(&self) -> Result<Memory> {
        let mut sum = Memory::default();
        for pid in self.running() {
            let path = format!("/proc/{pid}/smaps_rollup");
            let text = fs::read_to_string(&path).with_context(|| format!("cannot read {path}"))?;
            sum.resident += kibibytes(&text, "Rss:")?;
            sum.proportional += kibibytes(&text, "Pss:")?;
        }
        Ok(sum)
    }
}

/// Memory in bytes.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Memory {
    /// RSS: pages that several processes share count once for each.
    pub(crate) resident: u64,
    /// PSS: pages that several processes share count once in all.
    pub(crate) proportional: u64,
}

/// CPU time that the machine has used since its start.
pub(crate) fn machine_busy() -> Result<Duration> {
    let text = fs::read_to_string("/proc/stat").context("cannot read /proc/stat")?;
    let line = text.lines().next().unwrap_or_default();
    // cpu user nice system idle iowait irq softirq steal (guest times are part of user)
    let busy: u64 = line
        .split_whitespace()
        .skip(1)
        .take(8)
        .enumerate()
        .filter(|(column, _)| !matches!(column, 3 | 4))
        .filter_map(|(_, ticks)| ticks.parse::<u64>().ok())
        .sum();
    Ok(Duration::from_secs_f64(TICK.as_secs_f64() * busy as f64))
}

/// A load of known size: spins until this process has used that much CPU time.
pub(crate) fn burn(milliseconds: u64) -> Result<ExitCode> {
    let wanted = milliseconds.div_ceil(10);
    while stat(std::process::id())
        .context("cannot read /proc/self/stat")?
        .own_ticks
        < wanted
    {}
    Ok(ExitCode::SUCCESS)
}

/// CPU seconds per GiB.
pub(crate) fn for_a_gibibyte(cpu: Duration, bytes: u64) -> f64 {
    const GIBIBYTE: f64 = (1_u64 << 30) as f64;
    cpu.as_secs_f64() * GIBIBYTE / bytes as f64
}

fn stat(pid: u32) -> Option<Stat> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name is in parentheses and may contain anything, so count from the last one: state ppid ...
    // utime(11) stime cutime cstime
    let fields: Vec<&str> = text.rsplit_once(')')?.1.split_whitespace().collect();
    let number = |index: usize| fields.get(index)?.parse::<u64>().ok();
    Some(Stat {
        parent: u32::try_from(number(1)?).ok()?,
        zombie: *fields.first()? == "Z",
        own_ticks: number(11)? + number(12)?,
        waited_ticks: number(13)? + number(14)?,
    })
}

fn kibibytes(smaps: &str, name: &str) -> Result<u64> {
    smaps
        .lines()
        .find_map(|line| {
            line.strip_prefix(name)?
                .split_whitespace()
                .next()?
                .parse::<u64>()
                .ok()
        })
        .map(|kib| kib * 1024)
        .with_context(|| format!("no {name} in smaps_rollup"))
}
