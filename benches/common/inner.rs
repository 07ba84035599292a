//! The processes of itself that a bench starts.

use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use anyhow::{Context, Result};
use clap::Subcommand;

use super::supervise;

/// What such a process does.
#[derive(Debug, Subcommand)]
#[command(disable_help_subcommand = true)]
pub(crate) enum Inner {
    /// The run, in a folder that the caller removes
    #[command(hide = true)]
    Measure { folder: PathBuf },
    /// A server, with all its processes below one supervisor
    #[command(hide = true)]
    Supervise {
        #[arg(required = true, trailing_var_arg = true, allow_hyphen_values = true)]
        command: Vec<std::ffi::OsString>,
    },
    /// A load of known size
    #[command(hide = true)]
    Burn { milliseconds: u64 },
}

/// Runs `measure` in an inner process; whatever happens to it, no process and no file is left.
pub(crate) fn in_a_folder_of_its_own(prefix: &str, dir: &Path) -> Result<ExitCode> {
    let folder = tempfile::Builder::new()
        .prefix(prefix)
        .tempdir_in(dir)
        .with_context(|| format!("cannot make a folder in {}", dir.display()))?;
    let mut inner = Command::new(std::env::current_exe()?);
    inner
        .args(std::env::args_os().skip(1))
        .arg("measure")
        .arg(folder.path());
    let code = supervise::run(&mut inner)?;
    folder
        .close()
        .context("cannot remove the temporary folder")?;
    Ok(code)
}
