//! Copies the audit log into a backup, and restores it.

use std::collections::HashSet;
use std::fs::{self, File};
use std::io::{self, ErrorKind, Read as _, Seek as _};
use std::path::{Path, PathBuf};

use super::event::AuditStream;
use super::log_files::{Old, current_file, number_of, old_files, old_name};
use crate::database::copy_to_new;
use crate::values::time::now;

/// Bytes that are compared at a time.
const CHUNK: usize = 64 << 10;

/// Returns whether this is the name of an audit log file.
pub fn is_log(name: &str) -> bool {
    AuditStream::ALL
        .into_iter()
        .any(|stream| is_current(name, stream) || number_of(name, stream).is_some())
}

fn is_current(name: &str, stream: AuditStream) -> bool {
    Path::new(name) == current_file(Path::new(""), stream)
}

/// Copies all files of the audit log into another folder, while a server may write to them.
///
/// # Errors
///
/// Errors of the disk.
pub fn copy_files(folder: &Path, to: &Path) -> io::Result<()> {
    for stream in AuditStream::ALL {
        let current = opened(&current_file(folder, stream))?;
        // While this is locked, the server renames no file.
        current.as_ref().map(File::lock).transpose()?;
        for Old { path, .. } in old_files(folder, stream)? {
            let name = path.file_name().unwrap_or_default();
            copy_to_new(&mut File::open(&path)?, &to.join(name))?;
        }
        if let Some(mut current) = current {
            copy_to_new(&mut current, &current_file(to, stream))?;
        }
    }
    Ok(())
}

/// Restores copies, each with its name, into a folder that no server uses. Existing events stay: those that
/// are not in the copies follow them, and common ones appear once.
///
/// # Errors
///
/// Errors of the disk.
pub fn restore_files(folder: &Path, copies: Vec<(String, File)>) -> io::Result<()> {
    let mut streams = AuditStream::ALL.map(|stream| Copies::new(folder, stream));
    for (name, file) in copies {
        for copies in &mut streams {
            if is_current(&name, copies.stream) {
                copies.current = Some(file);
                break;
            }
            if let Some(number) = number_of(&name, copies.stream) {
                copies.old.push((number, name, file));
                break;
            }
        }
    }
    streams.into_iter().try_for_each(Copies::restore)
}

/// Copies of one stream's files.
struct Copies<'a> {
    folder: &'a Path,
    stream: AuditStream,
    /// Each with its number and name.
    old: Vec<(u64, String, File)>,
    current: Option<File>,
}

impl<'a> Copies<'a> {
    fn new(folder: &'a Path, stream: AuditStream) -> Self {
        Self {
            folder,
            stream,
            old: Vec::new(),
            current: None,
        }
    }

    fn restore(mut self) -> io::Result<()> {
        let last = self.old.iter().map(|(number, ..)| *number).max();
        let next = last.map_or(1, |last| last + 1);
        // If the server has continued, the copied current file is an old file now, or the beginning of the
        // current one.
        if let Some(file) = self.current.take() {
            let name = old_name(self.stream, next, now());
            self.old.push((next, name, file));
        }
        let found = old_files(self.folder, self.stream)?;
        let current = current_file(self.folder, self.stream);
        let mut missing = Vec::new();
        for (number, name, mut file) in self.old {
            let mut places: Vec<_> = found.iter().filter(|old| old.number == number).collect();
            let here = Old {
                number,
                path: current.clone(),
            };
            places.extend((number == next).then_some(&here));
            let mut is_there = false;
            for place in places {
                is_there = is_there || begins_with(&place.path, &mut file)?;
            }
            if !is_there {
                missing.push((number, name, file));
            }
        }
        let numbers: HashSet<u64> = missing.iter().map(|(number, ..)| *number).collect();
        if found.iter().any(|old| numbers.contains(&old.number)) {
            // They belong to another history and follow the copies. Starts with the last one, so that no
            // name is taken twice.
            for old in found.iter().rev() {
                fs::rename(&old.path, renumbered(old, old.number + next, self.stream))?;
            }
        }
        for (_, name, mut file) in missing {
            copy_to_new(&mut file, &self.folder.join(name))?;
        }
        Ok(())
    }
}

/// Returns the path of an old file under another number.
fn renumbered(old: &Old, number: u64, stream: AuditStream) -> PathBuf {
    let name = old.path.file_name().and_then(|name| name.to_str());
    // The name ends with the time, which has no dash.
    let end = name.and_then(|name| name.rsplit('-').next());
    let end = end.unwrap_or_default();
    let name = format!("{}-{number:06}-{end}", stream.name());
    old.path.with_file_name(name)
}

/// Returns whether the file begins with the whole copy; rewinds the copy.
fn begins_with(file: &Path, copy: &mut File) -> io::Result<bool> {
    let Some(mut found) = opened(file)? else {
        return Ok(false);
    };
    let (mut copied, mut there) = (vec![0; CHUNK], vec![0; CHUNK]);
    let is_same = loop {
        let count = copy.read(&mut copied)?;
        let (copied, there) = (copied.split_at(count).0, there.split_at_mut(count).0);
        if count == 0 {
            break true;
        }
        match found.read_exact(there) {
            Ok(()) if there == copied => {}
            Err(failure) if failure.kind() != ErrorKind::UnexpectedEof => return Err(failure),
            _ => break false,
        }
    };
    copy.rewind()?;
    Ok(is_same)
}

/// Opens a file; `None` if it does not exist.
fn opened(file: &Path) -> io::Result<Option<File>> {
    match File::open(file) {
        Ok(file) => Ok(Some(file)),
        Err(failure) if failure.kind() == ErrorKind::NotFound => Ok(None),
        Err(failure) => Err(failure),
    }
}
