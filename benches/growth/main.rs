//! Measures how throughput, CPU and memory change as things grow: connections, files in a home, accounts,
//! the size of a file, and the delay of the path. OpenSSH's sshd runs beside Landfall where it has the
//! same.
//!
//! `cargo bench --bench growth -- --help` lists the options; docs/performance.md ("Growth") has the
//! results. The flow: an outer process owns the temporary folder and all processes ([`common::inner`]);
//! below it the same program prepares the points of one axis after another ([`axes`]), measures them in
//! rounds and in turns ([`rounds`]), prints a table for each axis ([`report`]), and writes every sample
//! ([`record`]) and the plots ([`plot`]).

use std::path::Path;
use std::process::ExitCode;

use anyhow::Result;
use clap::Parser;

use args::Arguments;
use common::inner::{self, Inner};
use common::machine::write_down;
use common::servers::Programs;
use common::{processes, supervise};
use report::Report;
use rounds::Run;

mod args;
mod axes;
#[allow(dead_code)] // Shared with compare; each uses all of what it needs.
#[path = "../common/mod.rs"]
mod common;
mod plot;
mod proxy;
mod record;
mod report;
mod rounds;
mod session;

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let outcome = match &arguments.inner {
        None => measure_in_a_folder_of_its_own(&arguments),
        Some(Inner::Measure { folder }) => measure(&arguments, folder),
        Some(Inner::Supervise { command }) => supervise::program(command),
        Some(Inner::Burn { milliseconds }) => processes::burn(*milliseconds),
    };
    outcome.unwrap_or_else(|error| {
        eprintln!("growth: {error:#}");
        ExitCode::FAILURE
    })
}

/// The outer process.
fn measure_in_a_folder_of_its_own(arguments: &Arguments) -> Result<ExitCode> {
    // Missing programs are reported before anything is created.
    Programs::find(&arguments.builds())?;
    inner::in_a_folder_of_its_own("growth-", &arguments.dir)
}

/// The inner process: one run, from the files to the tables.
fn measure(arguments: &Arguments, folder: &Path) -> Result<ExitCode> {
    supervise::end_with_parent()?;
    let run = Run::new(folder, &arguments.builds(), arguments.scale())?;
    let mut axes = Vec::new();
    for axis in arguments.axes() {
        axes.push((axis, run.measure(axis)?));
    }
    let report = Report::new(&run, axes);
    println!("{report}");
    if let Some(file) = &arguments.json {
        write_down(&report.record(), file)?;
    }
    if let Some(folder) = &arguments.svg {
        plot::write_all(&report, folder)?;
    }
    Ok(ExitCode::SUCCESS)
}
