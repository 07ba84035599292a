//! The log, in the form that the config says. It goes to standard error, or to systemd's journal, and
//! nobody waits for its reader (docs/adr/0020).

mod journal;
mod output;

use std::backtrace::{Backtrace, BacktraceStatus};
use std::io::IsTerminal as _;
use std::panic;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use tracing::{Level, error};
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::reload::{self, Handle};
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{Layer, Registry, fmt, registry};

use self::journal::Journal;
use self::output::{LogOutput, Target};

/// The form of the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum LogFormat {
    #[default]
    /// Lines for people, in colours on a terminal.
    Text,
    /// One JSON object a line.
    Json,
    /// Entries of systemd's journal, with their fields.
    Journald,
}

/// What other crates log at most: below it, they may tell what nobody shall read, such as the packets of
/// a login.
const MOST_OF_OTHERS: Level = Level::DEBUG;
/// Time that the reader of the log has at the end of the server.
const PATIENCE: Duration = Duration::from_secs(2);

/// The log of this process, a handle that is cheap to clone.
#[derive(Clone)]
pub struct Log {
    levels: Handle<Targets, Registry>,
    output: LogOutput,
}

impl Log {
    /// From now on, what is logged goes where the format says. Who logs still waits for its reader, until
    /// [`Log::let_nobody_wait`].
    ///
    /// # Errors
    /// If the journal is to be written to and is not there.
    pub fn start(level: Level, format: LogFormat) -> anyhow::Result<Self> {
        let (filter, handle) = reload::Layer::new(levels(level));
        let target = match format {
            LogFormat::Text | LogFormat::Json => {
                Target::standard_error().context("cannot write to standard error")?
            }
            LogFormat::Journald => journal::connect().context(
                "cannot reach systemd's journal; where there is none, set format = \"text\" in [log]",
            )?,
        };
        let output = LogOutput::new(target);
        let lines = match format {
            LogFormat::Text => fmt::layer()
                .with_writer(output.clone())
                .with_ansi(std::io::stderr().is_terminal())
                .boxed(),
            LogFormat::Json => fmt::layer()
                .json()
                .flatten_event(true)
                .with_writer(output.clone())
                .boxed(),
            LogFormat::Journald => Journal::new(output.clone()).boxed(),
        };
        registry().with(filter).with(lines).init();
        Ok(Self {
            levels: handle,
            output,
        })
    }

    /// From now on a thread writes the log, and nobody waits for its reader.
    ///
    /// # Errors
    /// If there can be no thread.
    pub fn let_nobody_wait(&self) -> anyhow::Result<()> {
        // Otherwise the thread that panics writes its message, and waits for the reader.
        panic::set_hook(Box::new(|panic| {
            let (thread, trace) = (thread::current(), Backtrace::capture());
            let thread = thread.name().unwrap_or_default();
            match trace.status() {
                BacktraceStatus::Captured => error!(thread, "{panic}\n{trace}"),
                _ => error!(thread, "{panic}"),
            }
        }));
        self.output.start_thread()
    }

    /// Changes the level.
    pub fn set(&self, level: Level) {
        // It fails only when there is no log any more.
        let _ = self.levels.reload(levels(level));
    }

    /// Waits until everything is written, but not longer than a reader has time that reads at all.
    pub fn flush(&self) {
        self.output.flush(PATIENCE);
    }

    /// Lines since the start that were dropped, since nobody read.
    pub fn dropped(&self) -> u64 {
        self.output.dropped()
    }
}

/// russh warns of what peers send: phpseclib answers requests that want no answer, and PuTTY sends requests of
/// its own. What matters of it is logged here.
const OF_PEERS: &str = "russh";

fn levels(level: Level) -> Targets {
    let of_peers = LevelFilter::from_level(level.min(MOST_OF_OTHERS));
    let is_wanted = of_peers >= LevelFilter::DEBUG;
    Targets::new()
        .with_default(level.min(MOST_OF_OTHERS))
        .with_target(
            OF_PEERS,
            if is_wanted {
                of_peers
            } else {
                LevelFilter::OFF
            },
        )
        .with_target(env!("CARGO_PKG_NAME"), level)
}

/// As much of a text of somebody who is not logged in as stands in the log.
pub fn brief(text: &str) -> &str {
    const MOST: usize = 128;
    shortened(text, MOST)
}

/// Returns the beginning of a text, of at most so many bytes.
pub fn shortened(text: &str, most: usize) -> &str {
    text.get(..text.floor_char_boundary(most)).unwrap_or(text)
}

/// Says when a message that may come without end is to be logged: once in a minute.
#[derive(Debug, Default)]
pub struct RateLimited {
    last: Option<Instant>,
    times: u64,
}

impl RateLimited {
    /// It has happened again: how often since it was logged last, if it is to be logged now.
    pub fn now(&mut self) -> Option<u64> {
        const PAUSE: Duration = Duration::from_secs(60);
        self.times += 1;
        if self.last.is_some_and(|last| last.elapsed() < PAUSE) {
            return None;
        }
        self.last = Some(Instant::now());
        Some(std::mem::take(&mut self.times))
    }
}
