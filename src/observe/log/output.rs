//! The output of the log. While the server serves, a thread of its own writes the lines: a reader that does
//! not read (a pipe, systemd's journal) or a disk that hangs blocks nobody else. The queue is limited;
//! lines that do not fit are dropped and counted.

use std::fs::File;
use std::io::{self, ErrorKind, Write};
use std::os::fd::AsFd as _;
use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::{self, Receiver, Sender};
use std::sync::{Arc, OnceLock};
use std::thread;
use std::time::Duration;

use anyhow::Context as _;
use tracing::error;
use tracing_subscriber::fmt::MakeWriter;

/// Bytes of lines that may wait.
const MOST_WAITING: usize = 4 << 20;
/// Dropped lines are reported once no more than this many bytes wait.
const FLOWS_AGAIN: usize = MOST_WAITING / 2;
/// Pause between attempts if the output is non-blocking.
const PAUSE: Duration = Duration::from_millis(10);

/// A handle of the output; cheap to clone.
#[derive(Clone)]
pub(super) struct LogOutput(Arc<LogShared>);

struct LogShared {
    target: Target,
    /// The queue of the thread, once it runs.
    lines: OnceLock<Sender<LogJob>>,
    /// Bytes that are queued and not written yet.
    waiting: AtomicUsize,
    /// Lines that did not fit.
    dropped: AtomicU64,
    /// Lines that could not be written.
    failed: AtomicU64,
}

enum LogJob {
    Line(Vec<u8>),
    /// Reports that everything before it is written.
    Flush(Sender<()>),
}

/// The destination of the lines.
pub(super) enum Target {
    /// The standard error.
    Stream(File),
    /// systemd's journal; each line is an entry.
    Journal(UnixDatagram, &'static Path),
}

impl LogOutput {
    pub(super) fn new(target: Target) -> Self {
        Self(Arc::new(LogShared {
            target,
            lines: OnceLock::new(),
            waiting: AtomicUsize::new(0),
            dropped: AtomicU64::new(0),
            failed: AtomicU64::new(0),
        }))
    }

    /// Starts the thread that writes.
    pub(super) fn start_thread(&self) -> anyhow::Result<()> {
        let (lines, jobs) = mpsc::channel();
        let shared = self.0.clone();
        thread::Builder::new()
            .name("log".to_owned())
            .spawn(move || run(&jobs, &shared))
            .context("cannot start the thread of the log")?;
        // It is set only if this was called twice.
        let _ = self.0.lines.set(lines);
        Ok(())
    }

    /// Writes a whole line or entry.
    pub(super) fn put(&self, line: &[u8]) {
        let shared = &*self.0;
        let Some(lines) = shared.lines.get() else {
            return shared.write(line);
        };
        let length = line.len();
        let waiting = shared.waiting.fetch_add(length, Ordering::Relaxed) + length;
        if waiting > MOST_WAITING || lines.send(LogJob::Line(line.to_vec())).is_err() {
            shared.waiting.fetch_sub(length, Ordering::Relaxed);
            shared.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Waits until all lines are written, up to this limit.
    pub(super) fn flush(&self, patience: Duration) {
        if let Some(lines) = self.0.lines.get() {
            let (done, written) = mpsc::channel();
            let _ = lines.send(LogJob::Flush(done));
            // A reader that does not read must not delay the end of the server.
            let _ = written.recv_timeout(patience);
        }
    }

    /// Returns the number of lines since the start that nobody will read.
    pub(super) fn dropped(&self) -> u64 {
        let both = [&self.0.dropped, &self.0.failed];
        both.iter().map(|count| count.load(Ordering::Relaxed)).sum()
    }
}

fn run(jobs: &Receiver<LogJob>, shared: &LogShared) {
    let mut told = 0;
    while let Ok(job) = jobs.recv() {
        match job {
            LogJob::Line(line) => {
                shared.write(&line);
                shared.waiting.fetch_sub(line.len(), Ordering::Relaxed);
            }
            LogJob::Flush(done) => drop(done.send(())),
        }
        let dropped = shared.dropped.load(Ordering::Relaxed);
        if dropped > told && shared.waiting.load(Ordering::Relaxed) < FLOWS_AGAIN {
            error!(
                dropped,
                "log lines were dropped since the start: their reader did not keep up"
            );
            // Unless other lines came first, and this one was dropped, too.
            if shared.dropped.load(Ordering::Relaxed) == dropped {
                told = dropped;
            }
        }
    }
}

impl LogShared {
    fn write(&self, line: &[u8]) {
        let is_written = match &self.target {
            Target::Stream(stream) => write_all(stream, line),
            Target::Journal(socket, path) => socket.send_to(line, path).is_ok(),
        };
        if !is_written {
            self.failed.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// Writes all of it. Waits for the reader even if another process has set the output to O_NONBLOCK.
fn write_all(mut stream: &File, mut rest: &[u8]) -> bool {
    while !rest.is_empty() {
        match stream.write(rest) {
            Ok(0) => return false,
            Ok(written) => rest = rest.get(written..).unwrap_or_default(),
            Err(failure) if failure.kind() == ErrorKind::Interrupted => {}
            Err(failure) if failure.kind() == ErrorKind::WouldBlock => thread::sleep(PAUSE),
            Err(_) => return false,
        }
    }
    true
}

impl Target {
    /// Opens the standard error without its lock, so that printing there waits for nobody.
    pub(super) fn standard_error() -> io::Result<Self> {
        let own = io::stderr().as_fd().try_clone_to_owned()?;
        Ok(Self::Stream(own.into()))
    }
}

/// A line arrives in one call.
impl Write for LogOutput {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.put(line);
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for LogOutput {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}
