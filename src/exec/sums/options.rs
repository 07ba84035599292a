//! The options of a hash command.

use crate::hashes::Algorithm;

/// A hash command with its options.
pub(in crate::exec) struct Sum {
    pub(super) algorithm: Algorithm,
    /// Marks names with "*" for binary mode, which makes no difference here.
    pub(super) binary: bool,
    /// BSD's format.
    pub(super) tag: bool,
    /// Lines end with NUL, and names are not escaped.
    pub(super) zero: bool,
    /// The files are lists to check.
    pub(super) check: Option<CheckOptions>,
}

/// How lists are checked.
#[derive(Clone, Copy, Default)]
pub(super) struct CheckOptions {
    /// Omits successful checks from the output.
    pub(super) quiet: bool,
    /// Prints nothing; only the exit status tells the outcome.
    pub(super) status: bool,
    /// Reports each malformed line.
    pub(super) warn: bool,
    /// Malformed lines count as failures.
    pub(super) strict: bool,
    /// Missing files do not count.
    pub(super) ignore_missing: bool,
}
