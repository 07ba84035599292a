//! The files of the audit log. Each of its two streams has a current file (`audit.jsonl`,
//! `audit-operations.jsonl`) and older ones beside it (`audit-NUMBER-TIME.jsonl`,
//! `audit-operations-NUMBER-TIME.jsonl`). Each stream rotates on its own, so that a flood in one does not
//! remove files of the other.
//!
//! The server and the operator's commands append to the same file (O_APPEND, whole lines in one write).
//! Only the server renames it, while it holds the file's lock; a command holds the lock, too, and checks
//! that the file still has its name before it writes.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Seek as _, Write as _};
use std::os::unix::fs::{FileExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::event::{self, AuditStream, Event};
use crate::database::NO_LINK;
use crate::values::time::{self, compact_utc, now};

/// Enough for the time at the beginning of a line.
const TIME_WITHIN: usize = 40;

/// When a stream starts a new file, and how many old files are kept.
#[derive(Debug, Clone, Copy, Default)]
pub struct LogRotation {
    /// Approximate size limit of a file, in bytes.
    pub size: u64,
    /// Age limit of a file.
    pub age: Duration,
    /// Number of old files of each stream that are kept.
    pub keep: usize,
}

/// The audit log in a folder.
#[derive(Debug, Clone)]
pub struct AuditLog {
    folder: PathBuf,
    rotation: LogRotation,
}

/// The files of one stream.
#[derive(Debug)]
pub(super) struct LogFiles {
    folder: PathBuf,
    rotation: LogRotation,
    stream: AuditStream,
}

/// The file that is being written.
pub(super) struct Current {
    file: File,
    /// Its start: seconds since 1970.
    begun: i64,
}

/// An old file of the audit log.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Old {
    /// Files are numbered in the order of writing.
    pub(super) number: u64,
    pub(super) path: PathBuf,
}

impl AuditLog {
    /// Makes it for an existing folder.
    pub fn new(folder: &Path, rotation: LogRotation) -> Self {
        Self {
            folder: folder.to_owned(),
            rotation,
        }
    }

    /// Returns the files of a stream.
    pub(super) fn files(&self, stream: AuditStream) -> LogFiles {
        LogFiles {
            folder: self.folder.clone(),
            rotation: self.rotation,
            stream,
        }
    }

    /// Appends one event from a command, with or without a running server.
    ///
    /// # Errors
    ///
    /// Errors of the disk.
    pub fn append(&self, event: &Event<'_>) -> io::Result<()> {
        let line = event::line(None, event);
        self.files(event.stream()).append(&line)
    }
}

impl LogFiles {
    fn append(&self, line: &[u8]) -> io::Result<()> {
        loop {
            let Current { mut file, .. } = self.open()?;
            file.lock()?;
            if !self.is_current(&file)? {
                continue;
            }
            let mut text = Vec::new();
            if !ends_whole(&file)? {
                text.push(b'\n');
            }
            text.extend_from_slice(line);
            return file.write_all(&text);
        }
    }

    /// Writes whole lines, opening the file if necessary. Returns the bytes of complete lines; an
    /// incomplete one is removed.
    pub(super) fn write(
        &self,
        current: &mut Option<Current>,
        lines: &[u8],
    ) -> (usize, io::Result<()>) {
        let (written, outcome) = match self.prepare(current, lines.len()) {
            Ok(file) => append(file, lines),
            Err(failure) => (0, Err(failure)),
        };
        if outcome.is_err() {
            // Reopening checks how the file ends.
            *current = None;
        }
        (written, outcome)
    }

    /// Returns the file to write to, with room for this many bytes.
    fn prepare<'a>(
        &self,
        current: &'a mut Option<Current>,
        length: usize,
    ) -> io::Result<&'a mut File> {
        // Somebody else may have removed it.
        let is_there = match current {
            Some(current) => self.is_current(&current.file)?,
            None => false,
        };
        if !is_there {
            *current = None;
        }
        let mut open = match current.take() {
            Some(open) => open,
            None => self.open_to_go_on()?,
        };
        let there = open.file.metadata()?.len();
        let is_full = there > 0
            && (there.saturating_add(length as u64) > self.rotation.size
                || now().saturating_sub(open.begun) > seconds(self.rotation.age));
        if is_full && self.rotate(&open.file)? {
            open = self.open()?;
        }
        Ok(&mut current.insert(open).file)
    }

    fn current(&self) -> PathBuf {
        current_file(&self.folder, self.stream)
    }

    fn open(&self) -> io::Result<Current> {
        let file = OpenOptions::new()
            .create(true)
            .read(true)
            .append(true)
            .mode(0o600)
            .custom_flags(NO_LINK)
            .open(self.current())?;
        let begun = begun(&file);
        Ok(Current { file, begun })
    }

    /// Opens the current file. A machine that went down may have left an incomplete line.
    fn open_to_go_on(&self) -> io::Result<Current> {
        let mut current = self.open()?;
        if !ends_whole(&current.file)? {
            current.file.write_all(b"\n")?;
        }
        Ok(current)
    }

    /// Returns whether the current name leads to this file.
    fn is_current(&self, file: &File) -> io::Result<bool> {
        let own = file.metadata()?;
        match fs::metadata(self.current()) {
            Ok(found) => Ok((found.dev(), found.ino()) == (own.dev(), own.ino())),
            Err(failure) if failure.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(failure) => Err(failure),
        }
    }

    /// Renames the file to an old one; returns false if a command is writing to it.
    fn rotate(&self, file: &File) -> io::Result<bool> {
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Ok(false),
            Err(TryLockError::Error(failure)) => return Err(failure),
        }
        let mut files = old_files(&self.folder, self.stream)?;
        let number = files.last().map_or(1, |last| last.number + 1);
        let path = self.folder.join(old_name(self.stream, number, now()));
        fs::rename(self.current(), &path)?;
        file.unlock()?;
        files.push(Old { number, path });
        let surplus = files.len().saturating_sub(self.rotation.keep);
        for old in files.iter().take(surplus) {
            fs::remove_file(&old.path)?;
        }
        Ok(true)
    }
}

/// Returns the current file of a stream.
pub(super) fn current_file(folder: &Path, stream: AuditStream) -> PathBuf {
    folder.join(format!("{}.jsonl", stream.name()))
}

/// Returns the old files of a stream, oldest first.
pub(super) fn old_files(folder: &Path, stream: AuditStream) -> io::Result<Vec<Old>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder)? {
        let name = entry?.file_name();
        if let Some(number) = name.to_str().and_then(|name| number_of(name, stream)) {
            let path = folder.join(name);
            files.push(Old { number, path });
        }
    }
    files.sort();
    Ok(files)
}

/// Returns the name of an old file that was current until this time.
pub(super) fn old_name(stream: AuditStream, number: u64, until: i64) -> String {
    format!("{}-{number:06}-{}.jsonl", stream.name(), compact_utc(until))
}

/// Returns the number in the name of an old file of this stream. For the prefix `audit-`, files of
/// operations have no number there.
pub(super) fn number_of(name: &str, stream: AuditStream) -> Option<u64> {
    let rest = name.strip_prefix(stream.name())?.strip_prefix('-')?;
    let rest = rest.strip_suffix(".jsonl")?;
    let (number, _) = rest.split_once('-')?;
    number.parse().ok()
}

/// Returns when the first line of a file was written, or now.
fn begun(file: &File) -> i64 {
    let mut first = [0; TIME_WITHIN];
    let read = file.read_at(&mut first, 0).unwrap_or(0);
    let first = first.get(..read).unwrap_or_default();
    let time = time_of(first).and_then(time::parse);
    time.unwrap_or_else(now)
}

/// Returns the time at the beginning of a line; times compare as text.
pub(super) fn time_of(line: &[u8]) -> Option<&str> {
    let beginning = line.get(..TIME_WITHIN).unwrap_or(line);
    let beginning = beginning.utf8_chunks().next()?.valid();
    let (_, rest) = beginning.split_once("\"time\":\"")?;
    rest.split_once('"').map(|(time, _)| time)
}

fn ends_whole(file: &File) -> io::Result<bool> {
    let Some(last) = file.metadata()?.len().checked_sub(1) else {
        return Ok(true);
    };
    let mut byte = [b'\n'];
    file.read_exact_at(&mut byte, last)?;
    Ok(byte == [b'\n'])
}

/// Appends lines. Returns the bytes of complete lines, and removes an incomplete one.
fn append(file: &mut File, lines: &[u8]) -> (usize, io::Result<()>) {
    let mut written = 0;
    let outcome = loop {
        let rest = lines.get(written..).unwrap_or_default();
        if rest.is_empty() {
            return (written, Ok(()));
        }
        match file.write(rest) {
            Ok(0) => break Err(io::ErrorKind::WriteZero.into()),
            Ok(count) => written += count,
            Err(failure) if failure.kind() == io::ErrorKind::Interrupted => {}
            Err(failure) => break Err(failure),
        }
    };
    let done = lines.get(..written).unwrap_or_default();
    let whole = done
        .iter()
        .rposition(|byte| *byte == b'\n')
        .map_or(0, |end| end + 1);
    if written > whole {
        // If that fails, it stays as a line of its own, which readers skip.
        let _ = remove_last(file, (written - whole) as u64);
    }
    (whole, outcome)
}

/// Removes the last bytes, unless a command has written after them.
fn remove_last(file: &mut File, count: u64) -> io::Result<()> {
    let end = file.stream_position()?;
    file.try_lock()?;
    let is_last = file.metadata()?.len() == end;
    let cut = if is_last {
        file.set_len(end.saturating_sub(count))
    } else {
        Ok(())
    };
    file.unlock()?;
    cut
}

fn seconds(duration: Duration) -> i64 {
    i64::try_from(duration.as_secs()).unwrap_or(i64::MAX)
}
