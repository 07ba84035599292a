//! Reads the audit log: both streams by time, from the oldest file on, and new lines as they are written.

use std::fs::{self, File};
use std::io::{self, BufRead as _, BufReader, ErrorKind};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use super::event::AuditStream;
use super::log_files::{Old, current_file, old_files, time_of};

/// Reads the audit log line by line, and follows it into new files.
pub struct AuditReader {
    streams: [StreamReader; 2],
    /// The next line of each stream.
    heads: [Option<Vec<u8>>; 2],
}

struct StreamReader {
    folder: PathBuf,
    stream: AuditStream,
    file: Option<OpenLog>,
    /// The number of the last old file that was opened.
    number: u64,
    /// The beginning of an incomplete line.
    line: Vec<u8>,
}

struct OpenLog {
    text: BufReader<File>,
    inode: (u64, u64),
    /// The file is not written any more.
    is_old: bool,
}

impl AuditReader {
    /// Reads the audit log in this folder from its beginning.
    pub fn new(folder: &Path) -> Self {
        Self {
            streams: AuditStream::ALL.map(|stream| StreamReader::new(folder, stream)),
            heads: [None, None],
        }
    }

    /// Returns the next line by time, without its end; `None` if there is none yet.
    ///
    /// # Errors
    ///
    /// Errors of the disk.
    pub fn next_line(&mut self) -> io::Result<Option<Vec<u8>>> {
        for (head, stream) in self.heads.iter_mut().zip(&mut self.streams) {
            if head.is_none() {
                *head = stream.next_line()?;
            }
        }
        let [access, operations] = &mut self.heads;
        let is_earlier = match (&access, &operations) {
            // A line without a time is torn and must not delay others.
            (Some(one), Some(other)) => time_of(one) <= time_of(other),
            (one, _) => one.is_some(),
        };
        Ok(if is_earlier {
            access.take()
        } else {
            operations.take()
        })
    }
}

impl StreamReader {
    fn new(folder: &Path, stream: AuditStream) -> Self {
        Self {
            folder: folder.to_owned(),
            stream,
            file: None,
            number: 0,
            line: Vec::new(),
        }
    }

    fn next_line(&mut self) -> io::Result<Option<Vec<u8>>> {
        loop {
            let Some(open) = &mut self.file else {
                self.file = self.next_file()?;
                if self.file.is_none() {
                    return Ok(None);
                }
                continue;
            };
            open.text.read_until(b'\n', &mut self.line)?;
            if self.line.pop_if(|last| *last == b'\n').is_some() {
                return Ok(Some(std::mem::take(&mut self.line)));
            }
            if open.is_old {
                // A line that a crash has cut off is dropped.
                self.line.clear();
                self.file = None;
                continue;
            }
            let inode = open.inode;
            if inode_of(&current_file(&self.folder, self.stream))? == Some(inode) {
                return Ok(None);
            }
            // It is an old file now; lines written before that are still read.
            open.is_old = true;
            let renamed = old_files(&self.folder, self.stream)?
                .into_iter()
                .find(|old| inode_of(&old.path).is_ok_and(|found| found == Some(inode)));
            self.number = renamed.map_or(self.number + 1, |old| old.number);
        }
    }

    /// Returns the file after the last one.
    fn next_file(&mut self) -> io::Result<Option<OpenLog>> {
        loop {
            // Opened first, so that a file that becomes an old one meanwhile is among those.
            let current = open(&current_file(&self.folder, self.stream), false)?;
            let older = old_files(&self.folder, self.stream)?;
            let Some(Old { number, path }) = older.into_iter().find(|old| old.number > self.number)
            else {
                return Ok(current);
            };
            self.number = number;
            // Skips a file that was removed meanwhile.
            if let Some(old) = open(&path, true)? {
                return Ok(Some(old));
            }
        }
    }
}

fn open(path: &Path, is_old: bool) -> io::Result<Option<OpenLog>> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(failure) if failure.kind() == ErrorKind::NotFound => return Ok(None),
        Err(failure) => return Err(failure),
    };
    let found = file.metadata()?;
    Ok(Some(OpenLog {
        text: BufReader::new(file),
        inode: (found.dev(), found.ino()),
        is_old,
    }))
}

fn inode_of(path: &Path) -> io::Result<Option<(u64, u64)>> {
    match fs::metadata(path) {
        Ok(found) => Ok(Some((found.dev(), found.ino()))),
        Err(failure) if failure.kind() == ErrorKind::NotFound => Ok(None),
        Err(failure) => Err(failure),
    }
}
