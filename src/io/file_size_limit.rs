//! Handling of SIGXFSZ.

use rustix::process::Signal;
use tokio::runtime::Builder;
use tokio::signal::unix::{SignalKind, signal};

/// Makes a write beyond the limit on file sizes (`RLIMIT_FSIZE`) fail with `EFBIG`. By default the kernel
/// ends the process (SIGXFSZ), which a client could cause.
///
/// # Errors
///
/// The handler cannot be installed.
pub fn survive_file_size_limit() -> std::io::Result<()> {
    let runtime = Builder::new_current_thread().enable_io().build()?;
    let _in_it = runtime.enter();
    // The handler stays until the process ends, whether anybody listens or not.
    signal(SignalKind::from_raw(Signal::XFSZ.as_raw())).map(drop)
}
