//! Faults of a configuration file, with their positions.

use std::fmt;
use std::ops::Range;
use std::path::{Path, PathBuf};

use strsim::levenshtein;

/// All faults of a configuration file, in file order.
#[derive(Debug)]
pub struct Faults {
    faults: Vec<ConfigFault>,
    /// The data folder, if it can be determined.
    data: Option<PathBuf>,
}

impl Faults {
    /// Returns the data folder of the faulty configuration, if it can be determined: a server that uses it
    /// may have to report the faults, too.
    pub fn data(&self) -> Option<&Path> {
        self.data.as_deref()
    }

    /// Makes faults that were found after the file had been read.
    pub(super) fn of<'a>(faults: impl Iterator<Item = (Option<&'a Spot>, String)>) -> Self {
        let fault = |(spot, text): (Option<&Spot>, String)| ConfigFault {
            place: spot.map(|spot| spot.place),
            file: spot.map_or_else(String::new, |spot| spot.file.clone()),
            text,
        };
        let mut faults: Vec<_> = faults.map(fault).collect();
        faults.sort();
        Self { faults, data: None }
    }

    pub(super) fn with_data(self, data: PathBuf) -> Self {
        let is_known = !data.as_os_str().is_empty();
        Self {
            data: is_known.then_some(data),
            ..self
        }
    }
}

/// One fault and its position.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct ConfigFault {
    place: Option<LineColumn>,
    /// The file as the operator named it.
    file: String,
    text: String,
}

/// A position in a configuration file, kept for later faults.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Spot {
    file: String,
    place: LineColumn,
}

impl fmt::Display for Spot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}, line {}", self.file, self.place.line)
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct LineColumn {
    /// Starts at 1.
    line: usize,
    /// In characters; starts at 1.
    column: usize,
}

impl fmt::Display for ConfigFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.place {
            Some(LineColumn { line, column }) => {
                write!(f, "{}:{line}:{column}: {}", self.file, self.text)
            }
            None => write!(f, "{}: {}", self.file, self.text),
        }
    }
}

/// One fault per line: `config.toml:LINE:COLUMN: what is wrong and what would be right`.
impl fmt::Display for Faults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, fault) in self.faults.iter().enumerate() {
            if number > 0 {
                writeln!(f)?;
            }
            write!(f, "{fault}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Faults {}

/// Collects the faults of one file.
pub(super) struct Report<'a> {
    file: String,
    text: &'a str,
    faults: Vec<ConfigFault>,
    /// Lines that are not TOML: further faults there are consequences.
    unreadable_lines: Vec<usize>,
}

impl<'a> Report<'a> {
    pub(super) fn new(file: String, text: &'a str) -> Self {
        Self {
            file,
            text,
            faults: Vec::new(),
            unreadable_lines: Vec::new(),
        }
    }

    /// Adds a fault of the whole file.
    pub(super) fn whole(&mut self, text: impl Into<String>) {
        self.faults.push(ConfigFault {
            place: None,
            file: self.file.clone(),
            text: text.into(),
        });
    }

    /// Adds a syntax error; `at` is in bytes.
    pub(super) fn syntax(&mut self, at: Option<Range<usize>>, text: impl Into<String>) {
        let Some(at) = at else {
            return self.whole(text);
        };
        let place = self.place(at.start);
        // One mistake often causes several errors in a line: the first explains it best.
        if self.unreadable_lines.contains(&place.line) {
            return;
        }
        self.unreadable_lines.push(place.line);
        self.push(place, text.into());
    }

    /// Adds a fault of a setting; `at` is in bytes.
    pub(super) fn fault(&mut self, at: Range<usize>, text: impl Into<String>) {
        let place = self.place(at.start);
        if !self.unreadable_lines.contains(&place.line) {
            self.push(place, text.into());
        }
    }

    /// Returns a position for later; `at` is in bytes.
    pub(super) fn spot(&self, at: Range<usize>) -> Spot {
        Spot {
            file: self.file.clone(),
            place: self.place(at.start),
        }
    }

    fn push(&mut self, place: LineColumn, text: String) {
        self.faults.push(ConfigFault {
            place: Some(place),
            file: self.file.clone(),
            text,
        });
    }

    fn place(&self, offset: usize) -> LineColumn {
        let before = self.text.get(..offset).unwrap_or(self.text);
        let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
        LineColumn {
            line: before.matches('\n').count() + 1,
            column: before.get(line_start..).unwrap_or_default().chars().count() + 1,
        }
    }

    /// Returns `value` if there is no fault.
    pub(super) fn finish<T>(mut self, value: T) -> Result<T, Faults> {
        if self.faults.is_empty() {
            return Ok(value);
        }
        self.faults.sort();
        Err(Faults {
            faults: self.faults,
            data: None,
        })
    }
}

/// Returns the candidate that `name` most likely means, if one is similar enough.
pub(super) fn nearest<'a>(
    name: &str,
    candidates: impl Iterator<Item = &'a str>,
) -> Option<&'a str> {
    candidates
        .map(|candidate| (levenshtein(name, candidate), candidate))
        .filter(|(distance, candidate)| *distance <= candidate.len().div_ceil(3))
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nearest_finds_slips_and_leaves_the_rest() {
        let keys = ["listen", "data", "keys", "shards"];
        assert_eq!(nearest("lisen", keys.into_iter()), Some("listen"));
        assert_eq!(nearest("key", keys.into_iter()), Some("keys"));
        assert_eq!(nearest("frobnicate", keys.into_iter()), None);
    }
}
