//! Landfall beside OpenSSH's sshd and other servers: the table "Goals in figures", measured.
//!
//! `cargo bench --bench compare -- --help` says how to run it; docs/performance.md says what came
//! out. The flow: an outer process owns the temporary folder and everything that is started in it,
//! and cleans up however the run ends ([`supervise`]); beneath it the same program makes the files
//! ([`fixture`]), starts the servers ([`servers`]), lets the real `sftp` work ([`client`],
//! [`workloads`]) in interleaved rounds ([`rounds`]), beside what nobody can leave out ([`floor`]), prints the
//! table ([`report`]), and writes every sample ([`record`]) and a plot ([`plot`]).

use std::path::Path;
use std::process::{Command, ExitCode};

use anyhow::{Context, Result};
use clap::Parser;

use args::{Arguments, Inner};
use fixture::Fixture;
use record::Record;
use report::{Machine, Report};
use servers::Programs;

mod args;
mod client;
mod fixture;
mod floor;
mod plot;
mod processes;
mod record;
mod report;
mod rounds;
mod servers;
mod spread;
mod supervise;
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

/// The outer process: whatever happens to the inner one, no process and no file stays behind.
fn measure_in_a_folder_of_its_own(arguments: &Arguments) -> Result<ExitCode> {
    // What is missing is said before anything is made.
    Programs::find(arguments)?;
    let folder = tempfile::Builder::new()
        .prefix("compare-")
        .tempdir_in(&arguments.dir)
        .with_context(|| format!("cannot make a folder in {}", arguments.dir.display()))?;
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

/// The inner process: one run, from the files to the table.
fn measure(arguments: &Arguments, folder: &Path) -> Result<ExitCode> {
    supervise::end_with_parent()?;
    let scale = arguments.scale();
    let programs = Programs::find(arguments)?;
    let peers = arguments.peers(&programs)?;
    let fixture = Fixture::make(folder, &scale, &programs)?;
    let workloads = arguments.workloads();

    let samples = rounds::run(&fixture, &scale, &peers, &workloads)?;
    let report = Report {
        machine: Machine::describe(&fixture, &peers),
        scale,
        peers,
        workloads,
        samples,
    };
    println!("{report}");
    let record = report.record();
    if let Some(file) = &arguments.json {
        record.write(file)?;
    }
    if let Some(file) = &arguments.svg {
        plot::write(&record, file)?;
    }
    Ok(ExitCode::SUCCESS)
}
