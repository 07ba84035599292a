//! Output to the standard streams that does not depend on a reader.

use std::io::{self, ErrorKind, Write as _};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

/// Prints to the standard output without buffering. A closed pipe (`| head -1`) is no error.
pub fn print(text: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(failure) if failure.kind() == ErrorKind::BrokenPipe => Ok(()),
        result => result,
    }
}

/// Prints a line to the standard error if possible: it may be a file on a full disk. A stalled reader
/// delays the end of the process by at most two seconds.
pub fn complain(text: &str) {
    const PATIENCE: Duration = Duration::from_secs(2);
    let line = text.to_owned();
    let (done, printed) = mpsc::channel();
    thread::spawn(move || {
        let _ = writeln!(io::stderr(), "{line}");
        // A caller that no longer waits does not need it.
        let _ = done.send(());
    });
    let _ = printed.recv_timeout(PATIENCE);
}
