//! Usage and limits.

/// Bytes and names.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Usage {
    /// Apparent sizes of regular files and symbolic links, in bytes.
    pub bytes: u64,
    /// Names of files, directories and links.
    pub files: u64,
}

impl Usage {
    /// Returns usage of bytes alone.
    pub const fn bytes(bytes: u64) -> Self {
        Self { bytes, files: 0 }
    }

    /// Returns usage of names alone.
    pub const fn files(files: u64) -> Self {
        Self { bytes: 0, files }
    }

    pub(super) fn plus(self, other: Self) -> Self {
        Self {
            bytes: self.bytes.saturating_add(other.bytes),
            files: self.files.saturating_add(other.files),
        }
    }

    pub(super) fn minus(self, other: Self) -> Self {
        Self {
            bytes: self.bytes.saturating_sub(other.bytes),
            files: self.files.saturating_sub(other.files),
        }
    }
}

/// The limits of an account; `None` is no limit.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Limits {
    /// In bytes.
    pub bytes: Option<u64>,
    /// In names.
    pub files: Option<u64>,
}
