//! Runs this program under callgrind and reads its counts.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use crate::{Count, works};

/// The argument that tells the program that it runs under callgrind.
pub(crate) const BENEATH: &str = "--beneath-callgrind";

/// Counts everything.
pub(crate) fn run() -> Vec<Count> {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("out");
    let output = Command::new("valgrind")
        .args(["--tool=callgrind", "--quiet"])
        .arg(format!("--toggle-collect={}", works::COUNTED))
        // Each dump goes to the next file and resets the counts.
        .arg(format!("--dump-before={}", works::TELL))
        .arg(format!("--callgrind-out-file={}", out.display()))
        .arg(std::env::current_exe().unwrap())
        .arg(BENEATH)
        .stderr(Stdio::inherit())
        .output()
        .expect("valgrind can be started");
    assert!(output.status.success(), "valgrind: {}", output.status);
    let told = String::from_utf8(output.stdout).unwrap();
    let counts: Vec<Count> = told
        .lines()
        .zip(1..)
        .map(|(line, number)| {
            let (times, work) = line.split_once(' ').unwrap();
            let times: u64 = times.parse().unwrap();
            Count {
                work: work.to_owned(),
                instructions: total(&out.with_extension(number.to_string())) / times,
            }
        })
        .collect();
    assert!(!counts.is_empty());
    counts
}

/// The line `totals:` of one of callgrind's files.
fn total(file: &Path) -> u64 {
    let text = fs::read_to_string(file).unwrap_or_default();
    let total = text.lines().find_map(|line| line.strip_prefix("totals: "));
    let total = total.and_then(|total| total.trim().parse().ok());
    total.filter(|total| *total > 0).unwrap_or_else(|| {
        let (counted, tell) = (works::COUNTED, works::TELL);
        panic!("callgrind has not counted: does it find {counted} and {tell}?")
    })
}
