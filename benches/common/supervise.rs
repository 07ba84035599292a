//! A process that owns all processes below it, orphans included, and ends them all.
//!
//! It is a "child subreaper": a process below it that loses its parent becomes its child. So it can wait
//! for every process that ever ran below it, which makes its `cutime` and `cstime` the CPU time of all of
//! them, and it can end them by their ids.

use std::ffi::OsString;
use std::process::{Command, ExitCode};
use std::time::Duration;

use anyhow::{Context, Result};
use rustix::process::{self, Pid, Signal, WaitOptions};
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::{Instant, sleep, timeout_at};

use crate::common::processes::Tree;

/// The maximum time for a program to end after SIGTERM.
const GRACE: Duration = Duration::from_secs(5);

/// The hidden command `supervise PROGRAM ARGUMENT...`.
pub(crate) fn program(command: &[OsString]) -> Result<ExitCode> {
    let (program, arguments) = command.split_first().context("no program to supervise")?;
    end_with_parent()?;
    run(Command::new(program).args(arguments))
}

/// Runs a program until it ends or this process gets SIGTERM, SIGINT or SIGHUP; then ends all
/// processes that are left. Returns the program's exit code.
pub(crate) fn run(command: &mut Command) -> Result<ExitCode> {
    process::set_child_subreaper(Some(process::getpid())).context("cannot be a subreaper")?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let code = runtime.block_on(watch(command))?;
    end_descendants()?;
    Ok(code)
}

/// Sends SIGTERM to this process when its parent ends, for whatever reason.
pub(crate) fn end_with_parent() -> Result<()> {
    Ok(process::set_parent_process_death_signal(Some(
        Signal::TERM,
    ))?)
}

async fn watch(command: &mut Command) -> Result<ExitCode> {
    let mut child_ended = signal(SignalKind::child())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut hang_up = signal(SignalKind::hangup())?;

    let program = command.get_program().to_string_lossy().into_owned();
    let child = command
        .spawn()
        .with_context(|| format!("cannot start {program}"))?;
    let child = Pid::from_raw(i32::try_from(child.id())?).context("a process without an id")?;

    let stopped = loop {
        tokio::select! {
            _ = child_ended.recv() => {
                if let Some(code) = reap(child)? {
                    return Ok(code);
                }
            }
            _ = terminate.recv() => break Signal::TERM,
            _ = interrupt.recv() => break Signal::INT,
            _ = hang_up.recv() => break Signal::HUP,
        }
    };
    eprintln!("stopped by a signal");
    // It may have just ended, which is fine.
    let _ = process::kill_process(child, Signal::TERM);
    let deadline = Instant::now() + GRACE;
    while reap(child)?.is_none() && timeout_at(deadline, child_ended.recv()).await.is_ok() {
        sleep(Duration::from_millis(1)).await;
    }
    Ok(ExitCode::from(128 + u8::try_from(stopped.as_raw())?))
}

/// Waits for all children that have ended; returns the exit code of `main` if it is among them.
fn reap(main: Pid) -> Result<Option<ExitCode>> {
    let mut code = None;
    loop {
        match process::wait(WaitOptions::NOHANG) {
            Ok(Some((pid, status))) if pid == main => {
                let number = status
                    .exit_status()
                    .or_else(|| status.terminating_signal().map(|signal| 128 + signal))
                    .and_then(|number| u8::try_from(number).ok());
                code = Some(number.map_or(ExitCode::FAILURE, ExitCode::from));
            }
            Ok(Some(_)) => {}
            Ok(None) | Err(rustix::io::Errno::CHILD) => return Ok(code),
            Err(error) => return Err(error).context("cannot wait for children"),
        }
    }
}

/// Kills the processes below this one until none is left.
fn end_descendants() -> Result<()> {
    loop {
        for pid in Tree::below(std::process::id())?.running() {
            if let Some(pid) = i32::try_from(pid).ok().and_then(Pid::from_raw) {
                // It may have ended already.
                let _ = process::kill_process(pid, Signal::KILL);
            }
        }
        match process::wait(WaitOptions::empty()) {
            Ok(_) => {}
            Err(rustix::io::Errno::CHILD) => return Ok(()),
            Err(error) => return Err(error).context("cannot wait for children"),
        }
    }
}
