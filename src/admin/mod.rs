//! What the operator's commands do, on the database directly, whether a server runs or not.

use std::fs;
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};

use anyhow::{Context, ensure};

use crate::config::Config;

pub mod first_run;
mod prompt;
pub mod user;

/// The home that an account gets unless the operator says otherwise.
fn default_home(config: &Config, name: &str) -> PathBuf {
    config.server.data.join("homes").join(name)
}

/// Makes a home, for its owner alone, and returns its path without links; one that is there already
/// is taken as it is.
fn make_home(home: &Path) -> anyhow::Result<PathBuf> {
    let shown = home.display();
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(home)
        .with_context(|| format!("cannot make the home {shown}"))?;
    let home = fs::canonicalize(home).with_context(|| format!("cannot find the home {shown}"))?;
    ensure!(
        home != Path::new("/"),
        "the whole file system cannot be a home"
    );
    let uid = rustix::process::geteuid().as_raw();
    let owner = fs::metadata(&home)?.uid();
    ensure!(
        owner == uid || uid == 0,
        "the home {shown} belongs to the user {owner}, not to the one that runs landfall ({uid})"
    );
    Ok(home)
}

/// Prints to standard output; a reader that has enough, as `head`, is no error.
pub fn print(text: &str) -> anyhow::Result<()> {
    let mut out = io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(error.into()),
        _ => Ok(()),
    }
}

fn print_json(value: &impl serde::Serialize) -> anyhow::Result<()> {
    print(&(serde_json::to_string_pretty(value)? + "\n"))
}
