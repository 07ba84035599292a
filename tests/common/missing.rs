//! What a test does without its client: it says so, and in CI it fails.

use std::fs::OpenOptions;
use std::io::Write;
use std::path::{Path, PathBuf};

/// Where `tests/run` reads, at its end, which tests were skipped.
const SKIPPED: &str = concat!(env!("CARGO_TARGET_TMPDIR"), "/skipped");

/// Created by tests/setup.
const PYTHON: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/target/clients/bin/python");

/// Returns a program's path, looked up as a shell would; system folders count even if not in PATH.
pub fn program(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .chain(["/usr/sbin", "/sbin", "/usr/local/bin"].map(PathBuf::from))
        .map(|folder| folder.join(name))
        .find(|candidate| candidate.is_file())
}

/// Returns a program that `tests/setup` unpacks from a Debian package if it is not installed; without it,
/// skips as [`skip`] does.
pub fn unpacked(package: &str, name: &str) -> Option<PathBuf> {
    let clients = concat!(env!("CARGO_MANIFEST_DIR"), "/target/clients");
    let unpacked = PathBuf::from(format!("{clients}/{package}/usr/bin/{name}"));
    let found = program(name).or(Some(unpacked).filter(|program| program.exists()));
    if found.is_none() {
        skip(&format!("`{name}` is not installed (tests/setup does it)"));
    }
    found
}

/// Returns whether all these programs exist; if not, skips as [`skip`] does.
#[must_use]
pub fn have(programs: &[&str]) -> bool {
    for name in programs {
        if program(name).is_none() {
            skip(&format!("the program `{name}` is not installed"));
            return false;
        }
    }
    true
}

/// Returns the Python with the packages of tests/clients/requirements.txt; without it, skips as [`skip`]
/// does.
pub fn python() -> Option<&'static Path> {
    let python = Path::new(PYTHON);
    if python.exists() {
        return Some(python);
    }
    skip("the Python clients are not installed (tests/setup does it)");
    None
}

/// Records that the running test is skipped. With `CI=true` it fails instead.
pub fn skip(why: &str) {
    let test = std::thread::current().name().unwrap_or("?").to_owned();
    let line = format!("SKIPPED {test}: {why}\n");
    assert!(
        std::env::var("CI").as_deref() != Ok("true"),
        "{line}In CI nothing may be left out: run tests/setup, which installs what is missing."
    );
    // Straight to the stream: `eprint!` in a passing test is not shown.
    let _ = std::io::stderr().write_all(line.as_bytes());
    let noted = OpenOptions::new().create(true).append(true).open(SKIPPED);
    if let Ok(mut noted) = noted {
        let _ = noted.write_all(line.as_bytes());
    }
}
