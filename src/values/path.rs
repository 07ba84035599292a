//! Paths as a peer sends them: bytes, relative to the account's home.

use std::cmp::Ordering;
use std::fmt;

/// Linux's PATH_MAX, which includes the terminating NUL.
pub const PATH_MAX: usize = 4096;
/// Linux's NAME_MAX.
pub const NAME_MAX: usize = 255;

/// Why bytes are not a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PathError {
    /// A NUL byte cannot be part of a name.
    #[error("File name contains a NUL byte")]
    Nul,
    /// The path does not fit in PATH_MAX.
    #[error("Path too long (at most {} bytes)", PATH_MAX - 1)]
    PathTooLong,
    /// A component does not fit in NAME_MAX.
    #[error("File name too long (at most {NAME_MAX} bytes)")]
    NameTooLong,
}

/// A path inside a home, normalized as far as that is safe without the disk: no empty components, no ".",
/// no leading slash. The home itself is the empty path.
///
/// ".." stays: its meaning depends on links, so only the kernel can resolve it (see `store::local`).
///
/// A trailing slash stays as well: "x/" and "x/." must be a directory, which the kernel checks. It is not
/// part of the location: paths are compared, displayed and split without it.
#[derive(Clone, Default)]
pub struct VPath {
    bytes: Vec<u8>,
}

impl VPath {
    /// The home itself.
    pub fn home() -> Self {
        Self::default()
    }

    /// Parses a path of a request; absolute and relative ones both start at the home, where every session
    /// starts (draft-ietf-secsh-filexfer-02, section 6.2).
    pub fn parse(raw: &[u8]) -> Result<Self, PathError> {
        if raw.contains(&0) {
            return Err(PathError::Nul);
        }
        // The kernel never gets the leading slash, so the limit applies to the path as the user knows it.
        if raw.strip_prefix(b"/").unwrap_or(raw).len() >= PATH_MAX {
            return Err(PathError::PathTooLong);
        }
        let mut bytes = Vec::with_capacity(raw.len());
        for name in raw.split(|b| *b == b'/') {
            if name.is_empty() || name == b"." {
                continue;
            }
            if name.len() > NAME_MAX {
                return Err(PathError::NameTooLong);
            }
            if !bytes.is_empty() {
                bytes.push(b'/');
            }
            bytes.extend_from_slice(name);
        }
        let mut path = Self { bytes };
        if (raw.ends_with(b"/") || raw.ends_with(b"/.")) && !path.names_directory() {
            path.bytes.push(b'/');
        }
        Ok(path)
    }

    /// Returns whether this must be a directory: it ends in a slash, in "/." or in "..", or is the home.
    pub fn names_directory(&self) -> bool {
        matches!(
            *self.bytes,
            [] | [.., b'/'] | [b'.', b'.'] | [.., b'/', b'.', b'.']
        )
    }

    /// Returns the path without a trailing slash.
    fn place(&self) -> &[u8] {
        self.bytes.strip_suffix(b"/").unwrap_or(&self.bytes)
    }

    /// Returns the path relative to the home, for the kernel: without a leading slash, with a trailing one
    /// if it was sent; "." for the home itself.
    pub fn relative(&self) -> &[u8] {
        if self.bytes.is_empty() {
            b"."
        } else {
            &self.bytes
        }
    }

    /// Returns the path as the user knows it: with a leading slash, without a trailing one.
    pub fn absolute(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(self.bytes.len() + 1);
        out.push(b'/');
        out.extend_from_slice(self.place());
        out
    }

    /// Returns whether this is the home itself, by text.
    pub fn is_home(&self) -> bool {
        self.bytes.is_empty()
    }

    /// Returns whether this is the directory or below it, by text: neither path may contain ".." or links.
    pub fn is_within(&self, directory: &Self) -> bool {
        match self.place().strip_prefix(directory.place()) {
            Some(rest) => rest.is_empty() || directory.is_home() || rest.starts_with(b"/"),
            None => false,
        }
    }

    /// Returns its parents, outermost first, and the path itself; nothing for the home.
    pub fn with_parents(&self) -> impl Iterator<Item = Self> {
        let place = self.place();
        let slashes = place.iter().enumerate();
        let slashes = slashes.filter(|(_, byte)| **byte == b'/');
        let ends = slashes.map(|(end, _)| end).chain([place.len()]);
        let parents = ends.filter_map(|end| place.get(..end));
        parents.filter(|bytes| !bytes.is_empty()).map(|bytes| Self {
            bytes: bytes.to_vec(),
        })
    }

    /// Returns the path with its ".." resolved by text: correct if it contains no links.
    pub fn without_dotdot(&self) -> Self {
        let mut names = Vec::new();
        for name in self.bytes.split(|byte| *byte == b'/') {
            if name == b".." {
                names.pop();
            } else {
                names.push(name);
            }
        }
        Self {
            bytes: names.join(&b'/'),
        }
    }

    /// Returns the directory and the last component, for calls that act on a name in a directory.
    ///
    /// A path without a last component of its own (the home, or one that ends in "..") returns itself and
    /// ".": the kernel then refuses to remove, rename or create it, as it should.
    pub fn split_last(&self) -> (&[u8], &[u8]) {
        let place = self.place();
        let (parent, last) = match place.iter().rposition(|b| *b == b'/') {
            Some(slash) => {
                let (parent, rest) = place.split_at(slash);
                (parent, rest.get(1..).unwrap_or_default())
            }
            None => (&b"."[..], place),
        };
        if last.is_empty() || last == b".." {
            (self.relative(), b".")
        } else {
            (parent, last)
        }
    }

    /// As [`Self::split_last`], with a trailing slash in the name: for calls that never follow a link in
    /// the last component.
    pub fn split_as_written(&self) -> (&[u8], &[u8]) {
        let (parent, last) = self.split_last();
        let length = last.len() + 1;
        let with_slash = self.bytes.len().checked_sub(length);
        match with_slash.and_then(|start| self.bytes.get(start..)) {
            Some(written @ [.., b'/']) => (parent, written),
            _ => (parent, last),
        }
    }
}

impl PartialEq for VPath {
    fn eq(&self, other: &Self) -> bool {
        self.place() == other.place()
    }
}

impl Eq for VPath {}

impl PartialOrd for VPath {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for VPath {
    fn cmp(&self, other: &Self) -> Ordering {
        self.place().cmp(other.place())
    }
}

impl fmt::Debug for VPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "/{}", self.place().escape_ascii())
    }
}

impl fmt::Display for VPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "/{}", String::from_utf8_lossy(self.place()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(raw: &[u8]) -> Vec<u8> {
        VPath::parse(raw).unwrap().absolute()
    }

    #[test]
    fn empty_components_and_dots_vanish_but_dotdot_stays() {
        assert_eq!(parsed(b""), b"/");
        assert_eq!(parsed(b"."), b"/");
        assert_eq!(parsed(b"/"), b"/");
        assert_eq!(parsed(b"//a/./b//"), b"/a/b");
        assert_eq!(parsed(b"a/../b"), b"/a/../b");
        assert_eq!(parsed(b"\xff\xfe/x"), b"/\xff\xfe/x");
    }

    #[test]
    fn a_slash_at_the_end_is_kept_for_the_kernel_and_is_no_part_of_the_place() {
        for (raw, relative, split) in [
            (&b"a/"[..], &b"a/"[..], (&b"."[..], &b"a/"[..])),
            (b"/a/b//./", b"a/b/", (b"a", b"b/")),
            (b"a/b/.", b"a/b/", (b"a", b"b/")),
            (b"a/..//", b"a/..", (b"a/..", b".")),
            (b"/", b".", (b".", b".")),
            (b"./.", b".", (b".", b".")),
        ] {
            let path = VPath::parse(raw).unwrap();
            assert!(path.names_directory(), "{path}");
            assert_eq!(path.relative(), relative, "{path}");
            assert_eq!(path.split_as_written(), split, "{path}");
            let plain = VPath::parse(&path.absolute()).unwrap();
            assert_eq!(path, plain);
            assert_eq!(path.split_last(), plain.split_last());
            assert!(path.is_within(&plain) && plain.is_within(&path));
        }
        for raw in [&b"a"[..], b"/a/b", b"a.", b"a/..b", b".a", b"a/b.."] {
            let path = VPath::parse(raw).unwrap();
            assert!(!path.names_directory(), "{path}");
            assert_eq!(path.split_as_written(), path.split_last());
        }
    }

    #[test]
    fn a_path_has_its_parents_before_it() {
        let parents = |path: &[u8]| -> Vec<String> {
            let path = VPath::parse(path).unwrap();
            path.with_parents().map(|path| path.to_string()).collect()
        };
        assert_eq!(parents(b"a/b c/d"), ["/a", "/a/b c", "/a/b c/d"]);
        assert_eq!(parents(b"a/b/"), ["/a", "/a/b"]);
        assert_eq!(parents(b"/"), [""; 0]);
    }

    #[test]
    fn dotdot_can_be_taken_at_its_word() {
        for (path, expected) in [
            ("/", "/"),
            ("a/b", "/a/b"),
            ("a/../b/c/..", "/b"),
            ("../../a", "/a"),
            ("a/..", "/"),
            ("a/../..", "/"),
            ("a/../b/", "/b"),
            ("a/../", "/"),
        ] {
            let path = VPath::parse(path.as_bytes()).unwrap();
            assert_eq!(path.without_dotdot().absolute(), expected.as_bytes());
        }
    }

    #[test]
    fn what_cannot_be_a_path_is_refused() {
        assert_eq!(VPath::parse(b"a\0b"), Err(PathError::Nul));
        assert_eq!(VPath::parse(&[b'a'; 256]), Err(PathError::NameTooLong));
        assert!(VPath::parse(&[b'a'; 255]).is_ok());
        assert_eq!(
            VPath::parse(&b"a/".repeat(2048)),
            Err(PathError::PathTooLong)
        );
        assert!(VPath::parse(&b"a/".repeat(2047)).is_ok());
    }

    #[test]
    fn the_longest_path_can_be_told_and_asked_for() {
        let relative = [&b"a/".repeat(2047)[..], b"a"].concat();
        let path = VPath::parse(&relative).unwrap();
        assert_eq!(path.relative().len(), PATH_MAX - 1);
        assert_eq!(VPath::parse(&path.absolute()), Ok(path));
    }

    #[test]
    fn last_name_is_never_dotdot() {
        let split = |raw: &[u8]| {
            let path = VPath::parse(raw).unwrap();
            let (parent, last) = path.split_last();
            (parent.to_vec(), last.to_vec())
        };
        assert_eq!(split(b"/a"), (b".".to_vec(), b"a".to_vec()));
        assert_eq!(split(b"/a/b"), (b"a".to_vec(), b"b".to_vec()));
        assert_eq!(split(b"/a/.."), (b"a/..".to_vec(), b".".to_vec()));
        assert_eq!(split(b"/"), (b".".to_vec(), b".".to_vec()));
        assert_eq!(split(b".."), (b"..".to_vec(), b".".to_vec()));
    }
}
