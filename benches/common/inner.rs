//! What a bench starts of itself.

use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use anyhow::{Context, Result};
use clap::Subcommand;

use super::supervise;

/// What the program starts of itself.
#[derive(Debug, Subcommand)]
#[command(disable_help_subcommand = true)]
pub(crate) enum Inner {
    /// The run itself, in a folder that the caller removes
    #[command(hide = true)]
    Measure { folder: PathBuf },
    /// A server, with all that it starts gathered beneath one process
    #[command(hide = true)]
    Supervise {
        #[arg(required = true, trailing_var_arg = true, allow_hyphen_values = true)]
        command: Vec<std::ffi::OsString>,
    },
    /// A known load
    #[command(hide = true)]
    Burn { milliseconds: u64 },
}

/// The outer process: whatever happens to the inner one, which does `measure`, no process and no file
/// stays behind.
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
