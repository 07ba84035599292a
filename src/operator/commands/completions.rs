//! `landfall completions`: prints the script with which a shell gets completions from this program.

use std::io;

use clap_complete::Shell;
use clap_complete::env::Shells;

use crate::operator::output::print;

/// Prints the script for a shell.
///
/// # Errors
///
/// Errors of the standard output.
pub fn run(shell: Shell) -> io::Result<()> {
    let shells = Shells::builtins();
    let Some(completer) = shells.completer(&shell.to_string()) else {
        return Err(io::Error::other("this shell is not supported"));
    };
    let mut script = Vec::new();
    let (variable, program) = ("COMPLETE", "landfall");
    completer.write_registration(variable, program, program, program, &mut script)?;
    print(&String::from_utf8_lossy(&script))
}
