//! What a shell and `man` know of the commands, from the same table that reads them.

use std::fs;
use std::io;
use std::path::Path;

use anyhow::Context as _;
use clap::CommandFactory as _;
use clap_complete::Shell;

use crate::operator::cli::Cli;

/// `landfall completions`: a script on the standard output.
///
/// # Errors
/// One of the standard output.
pub fn completions(shell: Shell) -> io::Result<()> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "landfall", &mut script);
    crate::io::standard_streams::print(&String::from_utf8_lossy(&script))
}

/// `landfall man`: a page for each command, as `landfall-user-add.1`.
///
/// # Errors
/// One of the folder.
pub fn manual(folder: &Path) -> anyhow::Result<()> {
    fs::create_dir_all(folder)
        .and_then(|()| clap_mangen::generate_to(Cli::command(), folder))
        .with_context(|| format!("cannot write the manual pages into {}", folder.display()))
}
