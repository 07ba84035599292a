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
        info!("system calls are not restricted: sandbox.seccomp is false");
        return Ok(sandbox);
    }
    match SyscallFilter::new().and_then(|filter| filter.apply()) {
        Ok(()) => {
            info!("seccomp is active: system calls that a file server does not need are refused")
        }
        Err(failure) => warn!(
            "system calls are not restricted (sandbox.seccomp): {}",
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
        info!("file access is not restricted: sandbox.landlock is false");
        return Ok(None);
    }
    let sandbox = Sandbox::new(config, homes);
    if !is_alone() {
        warn!("a startup thread waits for a disk and is outside of the sandbox");
    }
    match sandbox.raise()? {
        Holds::All => {
            info!("Landlock is active: access is limited to data, keys, configuration and homes")
        }
        Holds::Most => {
            info!("Landlock is partly active: this kernel supports only some of the restrictions")
        }
        Holds::Nothing => {
            warn!(
                "file access is not restricted: the kernel has no Landlock, or too old a version"
            );
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
