//! Signals that must not end a process of this program.

use rustix::process::Signal;
use tokio::runtime::Builder;
use tokio::signal::unix::{SignalKind, signal};

/// Has a write beyond the limit on the size of files (`RLIMIT_FSIZE`) fail with `EFBIG`. By default the
/// kernel ends the process then (SIGXFSZ), and a client could do that to the server.
///
/// # Errors
/// The handler cannot be installed.
pub fn survive_file_size_limit() -> std::io::Result<()> {
    let runtime = Builder::new_current_thread().enable_io().build()?;
    let _in_it = runtime.enter();
    // The handler stays until the process ends, whether somebody listens or not.
    signal(SignalKind::from_raw(Signal::XFSZ.as_raw())).map(drop)
}
