//! Compares Landfall with OpenSSH's sshd and other servers.
//!
//! `cargo bench --bench compare -- --help` lists the options; docs/performance.md has the results. The
//! flow: an outer process owns the temporary folder and all processes, and cleans up however the run ends
//! ([`common::inner`]); below it the same program creates the files ([`files`]), starts the servers
//! ([`common::servers`]), runs the real `sftp` ([`common::client`], [`workloads`]) in interleaved rounds
//! ([`rounds`]) together with the floor ([`floor`]), prints the table ([`report`]), and writes every sample
//! ([`record`]) and a plot ([`plot`]).

use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::Parser;

use args::Arguments;
use common::fixture::Fixture;
use common::inner::{self, Inner};
use common::machine::{Machine, write_down};
use common::servers::Programs;
use common::{processes, supervise};
use record::Record;
use report::Report;

mod args;
#[allow(dead_code)] // Shared with growth; each uses all of what it needs.
#[path = "../common/mod.rs"]
mod common;
mod files;
mod floor;
mod plot;
mod record;
mod report;
mod rounds;
mod workloads;

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let outcome = match &arguments.inner {
        None if arguments.from.is_some() => draw(&arguments),
        None => measure_in_a_folder_of_its_own(&arguments),
        Some(Inner::Measure { folder }) => measure(&arguments, folder),
        Some(Inner::Supervise { command }) => supervise::program(command),
        Some(Inner::Burn { milliseconds }) => processes::burn(*milliseconds),
    };
    outcome.unwrap_or_else(|error| {
        eprintln!("compare: {error:#}");
        ExitCode::FAILURE
    })
}

/// A plot of an earlier run.
fn draw(arguments: &Arguments) -> Result<ExitCode> {
    if let (Some(run), Some(svg)) = (&arguments.from, &arguments.svg) {
        plot::write(&Record::read(run)?, svg)?;
    }
    Ok(ExitCode::SUCCESS)
}

/// The outer process.
fn measure_in_a_folder_of_its_own(arguments: &Arguments) -> Result<ExitCode> {
    // Missing programs are reported before anything is created.
    Programs::find(&arguments.builds())?;
    inner::in_a_folder_of_its_own("compare-", &arguments.dir)
}

/// The inner process: one run, from the files to the table.
fn measure(arguments: &Arguments, folder: &Path) -> Result<ExitCode> {
    supervise::end_with_parent()?;
    let scale = arguments.scale();
    let programs = Programs::find(&arguments.builds())?;
    let peers = arguments.peers(&programs)?;
    let fixture = Fixture::make(folder, &programs)?;
    files::make(&fixture, &scale).context("cannot make the files to move")?;
    let workloads = arguments.workloads();

    let samples = rounds::run(&fixture, &scale, &peers, &workloads)?;
    let report = Report {
        machine: Machine::describe(&programs, folder, &peers),
        scale,
        peers,
        workloads,
        samples,
    };
    println!("{report}");
    let record = report.record();
    if let Some(file) = &arguments.json {
        write_down(&record, file)?;
    }
    if let Some(file) = &arguments.svg {
        plot::write(&record, file)?;
    }
    Ok(ExitCode::SUCCESS)
}
