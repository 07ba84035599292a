//! Where the lines of the log go. Once the server serves, a thread of its own writes them: a reader that
//! does not read (a pipe, systemd's journal), or a disk that hangs, stops nobody else. What waits is
//! bounded; what finds no room is dropped and counted.

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

/// Bytes of lines that may wait for their reader.
const MOST_WAITING: usize = 4 << 20;
/// It is said how many lines were dropped once there are no more than so many again.
const FLOWS_AGAIN: usize = MOST_WAITING / 2;
/// How long it is waited where the output does not wait by itself.
const PAUSE: Duration = Duration::from_millis(10);

/// A handle of the output, cheap to clone.
#[derive(Clone)]
pub(super) struct LogOutput(Arc<LogShared>);

struct LogShared {
    target: Target,
    /// To the thread, once there is one.
    lines: OnceLock<Sender<LogJob>>,
    /// Bytes that were handed over and are not written yet.
    waiting: AtomicUsize,
    /// Lines that found no room.
    dropped: AtomicU64,
    /// Lines that nobody takes any more.
    failed: AtomicU64,
}

enum LogJob {
    Line(Vec<u8>),
    /// Everything before it is written.
    Flush(Sender<()>),
}

/// What takes the lines.
pub(super) enum Target {
    /// Standard error.
    Stream(File),
    /// systemd's journal, where each line is an entry.
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

    /// From now on a thread writes, and nobody else waits.
    pub(super) fn start_thread(&self) -> anyhow::Result<()> {
        let (lines, jobs) = mpsc::channel();
        let shared = self.0.clone();
        thread::Builder::new()
            .name("log".to_owned())
            .spawn(move || run(&jobs, &shared))
            .context("cannot start the thread of the log")?;
        // There is one already only if it was started twice.
        let _ = self.0.lines.set(lines);
        Ok(())
    }

    /// Writes a line, or an entry, as a whole.
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

    /// Waits until all lines are written, but no longer than this.
    pub(super) fn flush(&self, patience: Duration) {
        if let Some(lines) = self.0.lines.get() {
            let (done, written) = mpsc::channel();
            let _ = lines.send(LogJob::Flush(done));
            // Who does not read the log does not keep the server from its end.
            let _ = written.recv_timeout(patience);
        }
    }

    /// Lines since the start that nobody will read.
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
                "log lines were dropped since the start: the log was not read"
            );
            // Unless others came first, and this line was dropped, too.
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

/// Writes all of it. Waits for the reader also if another process has set the output to O_NONBLOCK.
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
    /// Standard error. Its lock is not taken: who prints there waits for nobody.
    pub(super) fn standard_error() -> io::Result<Self> {
        let own = io::stderr().as_fd().try_clone_to_owned()?;
        Ok(Self::Stream(own.into()))
    }
}

/// A line comes in one call.
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
