//! The log in the configured format. It goes to the standard error or to systemd's journal; no thread waits
//! for its reader (docs/adr/0020).

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

/// The format of the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum LogFormat {
    #[default]
    /// Lines for people, in colours on a terminal.
    Text,
    /// One JSON object per line.
    Json,
    /// Entries of systemd's journal with their fields.
    Journald,
}

/// Most verbose level of other crates: below it they may log secrets, such as the packets of a login.
const MOST_OF_OTHERS: Level = Level::DEBUG;
/// Time for the reader of the log when the server ends.
const PATIENCE: Duration = Duration::from_secs(2);

/// The log of this process; cheap to clone.
#[derive(Clone)]
pub struct Log {
    levels: Handle<Targets, Registry>,
    output: LogOutput,
}

impl Log {
    /// Starts logging in this format. Logging threads wait for the reader until [`Log::start_thread`].
    ///
    /// # Errors
    ///
    /// The journal is configured and not running.
    pub fn start(level: Level, format: LogFormat) -> anyhow::Result<Self> {
        let (filter, handle) = reload::Layer::new(levels(level));
        let target = match format {
            LogFormat::Text | LogFormat::Json => {
                Target::standard_error().context("cannot write to standard error")?
            }
            LogFormat::Journald => journal::connect().context(
                "cannot connect to systemd's journal; without one, set format = \"text\" in [log]",
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

    /// Starts a thread that writes the log, so that no other thread waits for its reader.
    ///
    /// # Errors
    ///
    /// The thread cannot be started.
    pub fn start_thread(&self) -> anyhow::Result<()> {
        // Otherwise a panicking thread writes its message itself and waits for the reader.
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
        // It fails only after the end of the log.
        let _ = self.levels.reload(levels(level));
    }

    /// Waits until everything is written, up to a limit for a reader that does not read.
    pub fn flush(&self) {
        self.output.flush(PATIENCE);
    }

    /// Returns the number of dropped lines since the start.
    pub fn dropped(&self) -> u64 {
        self.output.dropped()
    }
}

/// russh warns of harmless messages: phpseclib replies to requests that want no reply, and PuTTY sends
/// requests of its own. Landfall logs the relevant ones itself.
const RUSSH: &str = "russh";

fn levels(level: Level) -> Targets {
    let of_russh = LevelFilter::from_level(level.min(MOST_OF_OTHERS));
    let is_wanted = of_russh >= LevelFilter::DEBUG;
    Targets::new()
        .with_default(level.min(MOST_OF_OTHERS))
        .with_target(
            RUSSH,
            if is_wanted {
                of_russh
            } else {
                LevelFilter::OFF
            },
        )
        .with_target(env!("CARGO_PKG_NAME"), level)
}

/// Returns the part of an unauthenticated client's text that the log shows.
pub fn brief(text: &str) -> &str {
    const MOST: usize = 128;
    shortened(text, MOST)
}

/// Returns the start of a text, at most this many bytes.
pub fn shortened(text: &str, most: usize) -> &str {
    text.get(..text.floor_char_boundary(most)).unwrap_or(text)
}

/// Limits a message that can occur any number of times to one per minute.
#[derive(Debug, Default)]
pub struct RateLimited {
    last: Option<Instant>,
    times: u64,
}

impl RateLimited {
    /// Counts an occurrence; returns the number since the last message if it is time for another.
    pub fn count(&mut self) -> Option<u64> {
        const PAUSE: Duration = Duration::from_secs(60);
        self.times += 1;
        if self.last.is_some_and(|last| last.elapsed() < PAUSE) {
            return None;
        }
        self.last = Some(Instant::now());
        Some(std::mem::take(&mut self.times))
    }
}
