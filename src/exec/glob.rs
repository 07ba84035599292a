//! Patterns for file names, which a shell would expand for `scp` (IEEE 1003.1, Shell Command Language,
//! section 2.13; without character classes).

use crate::error::Error;
use crate::exec::arguments::Word;
use crate::values::path::{PATH_MAX, PathError, VPath};
use crate::vfs::Vfs;

/// Most paths that a pattern may expand to.
const MATCHES: usize = 10_000;
/// Names that one command may compare with patterns.
const WORK: usize = 200_000;
/// A comparison counts as one more name for this many steps that it may take.
const STEPS: usize = 4096;

const TOO_MANY: Error = Error::Limit("The pattern matches too many names", MATCHES as u64);
const TOO_MUCH: Error = Error::Limit("Too many names to compare with a pattern", WORK as u64);

/// Expands the patterns of one command.
pub struct Expansion {
    work: usize,
}

impl Default for Expansion {
    fn default() -> Self {
        Self { work: WORK }
    }
}

impl Expansion {
    /// Returns the sorted paths that match an argument; the argument itself if it is no pattern, or without
    /// a match.
    pub fn paths(&mut self, vfs: &Vfs, word: Word) -> Result<Vec<Vec<u8>>, Error> {
        let mut found = match &word.pattern {
            Some(pattern) => self.matching(vfs, pattern)?,
            None => Vec::new(),
        };
        if found.is_empty() {
            found.push(word.text);
        }
        found.sort_unstable();
        Ok(found)
    }

    fn matching(&mut self, vfs: &Vfs, pattern: &[u8]) -> Result<Vec<Vec<u8>>, Error> {
        if pattern.len() > PATH_MAX {
            return Err(PathError::PathTooLong.into());
        }
        let root = if pattern.starts_with(b"/") { "/" } else { "" };
        let end: &[u8] = if pattern.ends_with(b"/") { b"/" } else { b"" };
        let mut found = vec![root.as_bytes().to_vec()];
        for name in pattern.split(|byte| *byte == b'/') {
            if name.is_empty() {
                continue;
            }
            found = match literal(name) {
                Some(name) => found.iter().map(|path| join(path, &name)).collect(),
                None => self.in_directories(vfs, &found, name)?,
            };
        }
        found
            .iter_mut()
            .for_each(|path| path.extend_from_slice(end));
        found
            .retain(|path| VPath::parse(path).is_ok_and(|path| vfs.metadata(&path, false).is_ok()));
        Ok(found)
    }

    fn in_directories(
        &mut self,
        vfs: &Vfs,
        directories: &[Vec<u8>],
        pattern: &[u8],
    ) -> Result<Vec<Vec<u8>>, Error> {
        let parts = parts(pattern);
        let mut found = Vec::new();
        for directory in directories {
            // A directory that cannot be listed has no match, as in a shell.
            let Ok(mut names) = VPath::parse(directory)
                .map_err(Error::from)
                .and_then(|path| vfs.open_directory(&path))
            else {
                continue;
            };
            while let Ok(Some(entry)) = vfs.next_entry(&mut names) {
                let cost = 1 + parts.len() * entry.name.len() / STEPS;
                self.work = self.work.checked_sub(cost).ok_or(TOO_MUCH)?;
                let is_hidden = entry.name.starts_with(b".") && !pattern.starts_with(b".");
                if is_hidden || is_dots(&entry.name) || !fits(&parts, &entry.name) {
                    continue;
                }
                if found.len() == MATCHES {
                    return Err(TOO_MANY);
                }
                found.push(join(directory, &entry.name));
            }
        }
        Ok(found)
    }
}

/// Returns whether a name is `.` or `..`.
pub fn is_dots(name: &[u8]) -> bool {
    matches!(name, b"." | b"..")
}

/// Joins a directory and a name.
pub fn join(directory: &[u8], name: &[u8]) -> Vec<u8> {
    let slash: &[u8] = match directory {
        [] | [.., b'/'] => b"",
        _ => b"/",
    };
    [directory, slash, name].concat()
}

/// A part of a pattern for one name.
#[derive(Debug)]
enum PatternPart {
    /// `*`: any number of bytes.
    Any,
    /// `?`, `[...]` or a byte: one byte of these.
    OneOf(CharacterSet),
}

/// A set of bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct CharacterSet([u64; 4]);

impl CharacterSet {
    const NONE: Self = Self([0; 4]);
    const ALL: Self = Self([u64::MAX; 4]);

    fn of(byte: u8) -> Self {
        let mut set = Self::NONE;
        set.add(byte);
        set
    }

    fn add(&mut self, byte: u8) {
        if let Some(word) = self.0.get_mut(usize::from(byte >> 6)) {
            *word |= 1 << (byte & 63);
        }
    }

    fn has(&self, byte: u8) -> bool {
        let word = self.0.get(usize::from(byte >> 6)).copied();
        word.unwrap_or(0) >> (byte & 63) & 1 == 1
    }
}

fn parts(mut pattern: &[u8]) -> Vec<PatternPart> {
    let mut parts = Vec::new();
    while let Some((first, rest)) = pattern.split_first() {
        let (part, rest) = match (first, rest) {
            (b'*', rest) => (PatternPart::Any, rest),
            (b'?', rest) => (PatternPart::OneOf(CharacterSet::ALL), rest),
            (b'\\', [quoted, rest @ ..]) => (PatternPart::OneOf(CharacterSet::of(*quoted)), rest),
            (b'[', rest) => {
                // A bracket that is not closed is a plain character.
                let (set, rest) = bracket(rest).unwrap_or((CharacterSet::of(b'['), rest));
                (PatternPart::OneOf(set), rest)
            }
            (byte, rest) => (PatternPart::OneOf(CharacterSet::of(*byte)), rest),
        };
        parts.push(part);
        pattern = rest;
    }
    parts
}

/// Parses after `[`: returns the set and the rest, or `None` without a closing bracket.
fn bracket(pattern: &[u8]) -> Option<(CharacterSet, &[u8])> {
    let (is_negated, mut rest) = match pattern {
        [b'!' | b'^', rest @ ..] => (true, rest),
        rest => (false, rest),
    };
    let mut set = CharacterSet::NONE;
    let mut is_first = true;
    loop {
        let low = match rest {
            [b']', behind @ ..] if !is_first => {
                let negated = CharacterSet(set.0.map(|word| !word));
                return Some((if is_negated { negated } else { set }, behind));
            }
            _ => member(&mut rest)?,
        };
        is_first = false;
        let high = match rest {
            [b'-', behind @ ..] if !behind.starts_with(b"]") => {
                rest = behind;
                member(&mut rest)?
            }
            _ => low,
        };
        (low..=high).for_each(|byte| set.add(byte));
    }
}

/// Parses the next byte of a set; a backslash precedes a quoted one.
fn member(rest: &mut &[u8]) -> Option<u8> {
    let (byte, behind) = match rest {
        [b'\\', byte, behind @ ..] | [byte, behind @ ..] => (*byte, behind),
        [] => return None,
    };
    *rest = behind;
    Some(byte)
}

/// Returns the only name that a pattern without wildcards matches.
fn literal(pattern: &[u8]) -> Option<Vec<u8>> {
    let mut name = Vec::with_capacity(pattern.len());
    let mut rest = pattern.iter();
    while let Some(byte) = rest.next() {
        match byte {
            b'*' | b'?' | b'[' => return None,
            b'\\' => name.extend(rest.next()),
            byte => name.push(*byte),
        }
    }
    Some(name)
}

/// Returns whether a name matches a pattern. Goes through both once, and again from the last `*` after a
/// mismatch, so the number of steps is at most that of pairs of a part and a byte.
fn fits(mut parts: &[PatternPart], mut name: &[u8]) -> bool {
    let mut last_star: Option<(&[PatternPart], &[u8])> = None;
    loop {
        let taken = match (parts.split_first(), name.split_first()) {
            (None, None) => return true,
            (Some((PatternPart::Any, behind)), _) => {
                last_star = Some((behind, name));
                Some((behind, name))
            }
            (Some((PatternPart::OneOf(set), behind)), Some((byte, rest))) => {
                set.has(*byte).then_some((behind, rest))
            }
            (None, Some(_)) => None,
            (Some((PatternPart::OneOf(_), _)), None) => return false,
        };
        (parts, name) = match (taken, last_star) {
            (Some(taken), _) => taken,
            // The star takes one more byte.
            (None, Some((behind, [_, rest @ ..]))) => {
                last_star = Some((behind, rest));
                (behind, rest)
            }
            (None, _) => return false,
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_fit_what_they_fit_in_a_shell() {
        for (pattern, fitting, others) in [
            (&b"*"[..], &["", "a", "abc"][..], &[][..]),
            (
                b"a*c",
                &["ac", "abc", "acc", "a*c"],
                &["a", "ab", "bac", "acb"],
            ),
            (
                b"*.txt",
                &[".txt", "a.txt", "a.txt.txt"],
                &["a.txtx", "txt"],
            ),
            (b"*a*b*", &["ab", "xaybz"], &["ba", "a"]),
            (b"a**b", &["ab", "axb"], &["a"]),
            (b"?", &["a", "*"], &["", "ab"]),
            (b"a?c", &["abc"], &["ac", "abbc"]),
            (br"a\*", &["a*"], &["ab", "a"]),
            (br"\[a]", &["[a]"], &["a"]),
            (b"[abc]", &["a", "c"], &["d", "", "ab", "[abc]"]),
            (b"[a-cx]", &["b", "x"], &["d", "-"]),
            (b"[!a-c]", &["d"], &["a", ""]),
            (b"[^a]", &["b"], &["a"]),
            (b"[]a]", &["]", "a"], &["b"]),
            (b"[!]]", &["a"], &["]"]),
            (b"[a-]", &["a", "-"], &["b"]),
            (br"[\]a]", &["]", "a"], &["\\"]),
            (b"[", &["["], &["a", ""]),
            (b"[a", &["[a"], &["a"]),
            (b"*[0-9]", &["a1", "7"], &["1a"]),
            (b"", &[""], &["a"]),
        ] {
            for name in fitting {
                assert!(
                    fits(&parts(pattern), name.as_bytes()),
                    "{} {name}",
                    pattern.escape_ascii()
                );
            }
            for name in others {
                assert!(
                    !fits(&parts(pattern), name.as_bytes()),
                    "{} {name}",
                    pattern.escape_ascii()
                );
            }
        }
    }

    #[test]
    fn the_worst_pattern_takes_no_more_steps_than_there_are_pairs() {
        // Backtracking to every star would take forever.
        let pattern = b"*a".repeat(120);
        let mut name = vec![b'a'; 254];
        assert!(fits(&parts(&pattern), &name));
        name.push(b'b');
        assert!(!fits(&parts(&pattern), &name));
    }

    #[test]
    fn names_without_wildcards_are_taken_as_they_are() {
        assert_eq!(literal(br"a\*b"), Some(b"a*b".to_vec()));
        assert_eq!(literal(b"a*"), None);
        assert_eq!(join(b"", b"a"), b"a");
        assert_eq!(join(b"/", b"a"), b"/a");
        assert_eq!(join(b"x", b"a"), b"x/a");
    }
}
