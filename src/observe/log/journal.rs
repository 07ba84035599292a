//! Entries of systemd's journal with their fields (systemd.io/JOURNAL_NATIVE_PROTOCOL). Names and
//! priorities are those of the crate tracing-journald, which blocks if the journal does not read.

use std::fmt::{self, Write as _};
use std::io;
use std::os::unix::net::UnixDatagram;
use std::path::Path;

use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::Context;

use super::output::{LogOutput, Target};

const SOCKET: &str = "/run/systemd/journal/socket";
/// Most bytes of one value, so that an entry fits into a datagram.
const LONGEST: usize = 16 << 10;

/// A layer that writes journal entries.
pub(super) struct Journal(LogOutput);

impl Journal {
    pub(super) fn new(output: LogOutput) -> Self {
        Self(output)
    }
}

/// Connects to the journal, if there is one.
pub(super) fn connect() -> io::Result<Target> {
    let (socket, path) = (UnixDatagram::unbound()?, Path::new(SOCKET));
    // The journal ignores an entry without fields.
    socket.send_to(&[], path)?;
    Ok(Target::Journal(socket, path))
}

impl<S: Subscriber> Layer<S> for Journal {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let about = event.metadata();
        let priority = match *about.level() {
            Level::ERROR => 3,
            Level::WARN => 4,
            Level::INFO => 5,
            Level::DEBUG => 6,
            Level::TRACE => 7,
        };
        let mut entry = JournalEntry(Vec::with_capacity(512));
        entry.put("PRIORITY", format_args!("{priority}"));
        entry.put("SYSLOG_IDENTIFIER", format_args!("landfall"));
        entry.put("TARGET", format_args!("{}", about.target()));
        if let (Some(file), Some(line)) = (about.file(), about.line()) {
            entry.put("CODE_FILE", format_args!("{file}"));
            entry.put("CODE_LINE", format_args!("{line}"));
        }
        event.record(&mut entry);
        self.0.put(&entry.0);
    }
}

struct JournalEntry(Vec<u8>);

impl JournalEntry {
    fn put(&mut self, name: &str, value: fmt::Arguments<'_>) {
        let mut text = CappedField(String::new());
        // It fails at the limit.
        let _ = text.write_fmt(value);
        self.0.extend_from_slice(name.as_bytes());
        self.0.push(b'\n');
        self.0
            .extend_from_slice(&(text.0.len() as u64).to_le_bytes());
        self.0.extend_from_slice(text.0.as_bytes());
        self.0.push(b'\n');
    }
}

impl Visit for JournalEntry {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        let name = field.name().replace('.', "_").to_ascii_uppercase();
        match name.as_str() {
            "MESSAGE" => self.put(&name, format_args!("{value:?}")),
            _ => self.put(&format!("F_{name}"), format_args!("{value:?}")),
        }
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.record_debug(field, &format_args!("{value}"));
    }
}

struct CappedField(String);

impl fmt::Write for CappedField {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let room = LONGEST - self.0.len();
        let fits = text.get(..text.floor_char_boundary(room));
        let fits = fits.unwrap_or_default();
        self.0.push_str(fits);
        if fits.len() == text.len() {
            return Ok(());
        }
        self.0.push('…');
        Err(fmt::Error)
    }
}
