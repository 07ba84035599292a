//! Paths as a peer writes them: bytes, relative to nothing but the account's home.

use std::fmt;

/// Linux's PATH_MAX, which counts the terminating NUL.
pub const PATH_MAX: usize = 4096;
/// Linux's NAME_MAX.
pub const NAME_MAX: usize = 255;

/// Why bytes are not a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PathError {
    /// A NUL byte cannot be part of a file name.
    #[error("File name contains a NUL byte")]
    Nul,
    /// The whole path does not fit in PATH_MAX.
    #[error("Path too long (at most {} bytes)", PATH_MAX - 1)]
    PathTooLong,
    /// One component does not fit in NAME_MAX.
    #[error("File name too long (at most {NAME_MAX} bytes)")]
    NameTooLong,
}

/// A path inside a home, normalised as far as that is safe without looking at the disk: no empty
/// components, no ".", no leading or trailing slash. The home itself is the empty path.
///
/// ".." stays: what it means depends on links, so only the kernel can say (see `store::local`).
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct VPath {
    bytes: Vec<u8>,
}

impl VPath {
    /// The home itself.
    pub fn home() -> Self {
        Self::default()
    }

    /// Takes a path from the wire; absolute and relative ones both start at the home, since that is
    /// where every session starts (draft-ietf-secsh-filexfer-02, section 6.2).
    pub fn parse(raw: &[u8]) -> Result<Self, PathError> {
        if raw.contains(&0) {
            return Err(PathError::Nul);
        }
        // The kernel is never told the slash, so the longest path is one as the user knows it, too.
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
        Ok(Self { bytes })
    }

    /// The path relative to the home, without a leading slash; "." for the home itself.
    pub fn relative(&self) -> &[u8] {
        if self.bytes.is_empty() {
            b"."
        } else {
            &self.bytes
        }
    }

    /// The path as the user knows it: with a leading slash.
    pub fn absolute(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(self.bytes.len() + 1);
        out.push(b'/');
        out.extend_from_slice(&self.bytes);
        out
    }

    /// Is this the home itself, as written?
    pub fn is_home(&self) -> bool {
        self.bytes.is_empty()
    }

    /// Is this the directory, or below it? Letter by letter: neither path may have ".." or links in it.
    pub fn is_within(&self, directory: &Self) -> bool {
        match self.bytes.strip_prefix(directory.bytes.as_slice()) {
            Some(rest) => rest.is_empty() || directory.is_home() || rest.starts_with(b"/"),
            None => false,
        }
    }

    /// The directory part and the last name, for calls that act on a name in a directory.
    ///
    /// A path without a last name of its own (the home, or one that ends in "..") gives itself and
    /// ".": the kernel then refuses to remove, rename or create it, which is right.
    pub fn split_last(&self) -> (&[u8], &[u8]) {
        let (parent, last) = match self.bytes.iter().rposition(|b| *b == b'/') {
            Some(slash) => {
                let (parent, rest) = self.bytes.split_at(slash);
                (parent, rest.get(1..).unwrap_or_default())
            }
            None => (&b"."[..], self.bytes.as_slice()),
        };
        if last.is_empty() || last == b".." {
            (self.relative(), b".")
        } else {
            (parent, last)
        }
    }
}

impl fmt::Debug for VPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "/{}", self.bytes.escape_ascii())
    }
}

impl fmt::Display for VPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "/{}", String::from_utf8_lossy(&self.bytes))
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
