//! The sandbox around the process. The process enters it while it has one thread, so that all later threads
//! are inside.

mod landlock;
pub mod syscalls;

pub use self::landlock::{Holds, Sandbox, leaves_out};

use std::fs;
use std::path::PathBuf;
use std::thread;
use std::time::{Duration, Instant};

use tracing::{info, warn};

use self::syscalls::SyscallFilter;
use crate::config::Config;
use crate::values::error_chain::chain;

/// Time for the threads of the preparations to end; they have nothing left to do.
const PATIENCE: Duration = Duration::from_secs(1);

/// Enters the configured sandbox; returns the file sandbox if the kernel enforces it.
pub(crate) fn raise(
    config: &Config,
    homes: Vec<PathBuf>,
) -> anyhow::Result<Option<&'static Sandbox>> {
    let sandbox = raise_landlock(config, homes)?;
    if !config.sandbox.seccomp {
        info!("no system call is refused: sandbox.seccomp is false");
        return Ok(sandbox);
    }
    match SyscallFilter::new().and_then(|filter| filter.apply()) {
        Ok(()) => info!("seccomp holds: system calls that a file server does not need are refused"),
        Err(failure) => warn!(
            "no system call is refused (sandbox.seccomp): {}",
            chain(&failure)
        ),
    }
    Ok(sandbox)
}

fn raise_landlock(
    config: &Config,
    homes: Vec<PathBuf>,
) -> anyhow::Result<Option<&'static Sandbox>> {
    if !config.sandbox.landlock {
        info!("no sandbox around this process: sandbox.landlock is false");
        return Ok(None);
    }
    let sandbox = Sandbox::new(config, homes);
    if !is_alone() {
        warn!("a thread of the start waits for a disk: it is outside of the sandbox");
    }
    match sandbox.raise()? {
        Holds::All => info!("Landlock holds: nothing is touched but data, keys, config and homes"),
        Holds::Most => {
            info!("Landlock holds in part: this kernel knows fewer rights than there are")
        }
        Holds::Nothing => {
            warn!("no sandbox around this process: the kernel has no Landlock, or too old a one");
            return Ok(None);
        }
    }
    Ok(Some(sandbox.stand()))
}

/// Waits until this is the only thread.
fn is_alone() -> bool {
    let began = Instant::now();
    loop {
        match fs::read_dir("/proc/self/task").map(Iterator::count) {
            Ok(1) => return true,
            Ok(_) if began.elapsed() < PATIENCE => thread::sleep(Duration::from_millis(1)),
            Ok(_) => return false,
            // Without /proc the number of threads is unknown.
            Err(_) => return true,
        }
    }
}
