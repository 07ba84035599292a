//! The files of the trail: `audit.jsonl`, and older ones beside it.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use crate::calendar::compact_utc;

const CURRENT: &str = "audit.jsonl";

/// When the trail goes on in a new file, and what becomes of the old ones.
#[derive(Debug, Clone, Copy)]
pub struct Rotation {
    /// A file gets no longer than this, in bytes.
    pub size: u64,
    /// A file is written to no longer than this.
    pub age: Duration,
    /// So many old files are kept.
    pub keep: usize,
}

/// The trail in a folder.
#[derive(Debug, Clone)]
pub struct Trail {
    folder: PathBuf,
    rotation: Rotation,
}

/// The file that is being written to.
pub(super) struct Current {
    file: File,
    length: u64,
    begun: SystemTime,
    /// A write has failed and may have left half a line.
    torn: bool,
}

impl Trail {
    /// In this folder, which exists.
    pub fn new(folder: &Path, rotation: Rotation) -> Self {
        Self {
            folder: folder.to_owned(),
            rotation,
        }
    }

    fn current(&self) -> PathBuf {
        self.folder.join(CURRENT)
    }

    /// Goes on where the last one has stopped.
    pub(super) fn open(&self) -> io::Result<Current> {
        let file = OpenOptions::new()
            .create(true)
            .append(true)
            .mode(0o600)
            .open(self.current())?;
        let found = file.metadata()?;
        // Where the file system does not know, it counts from now.
        let begun = found.created().unwrap_or_else(|_| SystemTime::now());
        let mut current = Current {
            file,
            length: found.len(),
            begun,
            torn: false,
        };
        current.end_torn_line(&self.current())?;
        Ok(current)
    }

    /// Writes whole lines.
    pub(super) fn write(&self, current: &mut Current, lines: &[u8]) -> io::Result<()> {
        let too_long = current.length + lines.len() as u64 > self.rotation.size;
        let too_old = current
            .begun
            .elapsed()
            .is_ok_and(|age| age > self.rotation.age);
        if current.length > 0 && (too_long || too_old) {
            self.rotate()?;
            *current = self.open()?;
        }
        if current.torn {
            current.file.write_all(b"\n")?;
        }
        let written = current.file.write_all(lines);
        current.torn = written.is_err();
        current.length += lines.len() as u64;
        written
    }

    fn rotate(&self) -> io::Result<()> {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
        let seconds = i64::try_from(now.map_or(0, |now| now.as_secs())).unwrap_or(0);
        let stamp = compact_utc(seconds);
        // Two in a second, or a clock that was set back: never over an older one.
        let old = (0..)
            .map(|number| match number {
                0 => format!("audit-{stamp}.jsonl"),
                number => format!("audit-{stamp}-{number}.jsonl"),
            })
            .map(|name| self.folder.join(name))
            .find(|path| !path.exists());
        if let Some(old) = old {
            fs::rename(self.current(), old)?;
        }
        let files = self.old_files()?;
        let surplus = files.len().saturating_sub(self.rotation.keep);
        for file in files.iter().take(surplus) {
            fs::remove_file(file)?;
        }
        Ok(())
    }

    /// The files that are no longer written to, the oldest first.
    fn old_files(&self) -> io::Result<Vec<PathBuf>> {
        let mut files = Vec::new();
        for entry in fs::read_dir(&self.folder)? {
            let name = entry?.file_name();
            let is_old = name
                .to_str()
                .is_some_and(|name| name.starts_with("audit-") && name.ends_with(".jsonl"));
            if is_old {
                files.push(self.folder.join(name));
            }
        }
        files.sort();
        Ok(files)
    }
}

impl Current {
    /// A crash may have left half a line.
    fn end_torn_line(&mut self, path: &Path) -> io::Result<()> {
        use std::os::unix::fs::FileExt as _;
        let Some(last) = self.length.checked_sub(1) else {
            return Ok(());
        };
        let mut byte = [b'\n'];
        File::open(path)?.read_exact_at(&mut byte, last)?;
        if byte != [b'\n'] {
            self.file.write_all(b"\n")?;
            self.length += 1;
        }
        Ok(())
    }
}
