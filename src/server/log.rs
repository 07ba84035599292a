//! The log, on standard error.

use std::io::IsTerminal as _;

use tracing::Level;
use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::reload::{self, Handle};
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{Registry, fmt};

/// The least severe level that is logged, to be changed while the server runs.
pub(super) struct LogLevel(Handle<LevelFilter, Registry>);

impl LogLevel {
    /// Begins to log.
    pub(super) fn start(level: Level) -> Self {
        let (filter, handle) = reload::Layer::new(LevelFilter::from_level(level));
        let lines = fmt::layer()
            .with_writer(std::io::stderr)
            .with_ansi(std::io::stderr().is_terminal());
        tracing_subscriber::registry()
            .with(filter)
            .with(lines)
            .init();
        Self(handle)
    }

    /// Changes the level.
    pub(super) fn set(&self, level: Level) {
        // It fails only when there is no log any more.
        let _ = self.0.reload(LevelFilter::from_level(level));
    }
}
