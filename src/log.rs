//! The log, in the form that the config says. It goes to standard error, or to systemd's journal.

use std::io::IsTerminal as _;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use tracing::Level;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::reload::{self, Handle};
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{Layer, Registry, fmt, registry};

use crate::config;

/// The form of the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
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

/// Whether a line that cannot be written is complained of in the same place: where that is a file on a
/// full disk, the complaint would be a panic.
const COMPLAIN: bool = false;

/// The log of this process; its level can be changed while the server runs.
pub struct Log(Handle<Targets, Registry>);

impl Log {
    /// From now on, what is logged goes where the config says.
    ///
    /// # Errors
    /// If the journal is to be written to and is not there.
    pub fn start(log: &config::Log) -> anyhow::Result<Self> {
        let (levels, handle) = reload::Layer::new(levels(log.level));
        let lines = match log.format {
            Format::Text => fmt::layer()
                .log_internal_errors(COMPLAIN)
                .with_writer(std::io::stderr)
                .with_ansi(std::io::stderr().is_terminal())
                .boxed(),
            Format::Json => fmt::layer()
                .json()
                .flatten_event(true)
                .log_internal_errors(COMPLAIN)
                .with_writer(std::io::stderr)
                .boxed(),
            Format::Journald => tracing_journald::layer()
                .context(
                    "cannot reach systemd's journal; where there is none, set format = \"text\" in [log]",
                )?
                .with_syslog_identifier("landfall".to_owned())
                .boxed(),
        };
        registry().with(levels).with(lines).init();
        Ok(Self(handle))
    }

    /// Changes the level.
    pub fn set(&self, level: Level) {
        // It fails only when there is no log any more.
        let _ = self.0.reload(levels(level));
    }
}

fn levels(level: Level) -> Targets {
    Targets::new()
        .with_default(level.min(MOST_OF_OTHERS))
        .with_target(env!("CARGO_PKG_NAME"), level)
}

/// Says when a message that may come without end is to be logged: once in a minute.
#[derive(Debug, Default)]
pub struct Seldom {
    last: Option<Instant>,
    times: u64,
}

impl Seldom {
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
