//! The options of a sum.

use crate::hashes::Algorithm;

/// One of the commands, with its options.
pub(in crate::exec) struct Sum {
    pub(super) algorithm: Algorithm,
    /// Marks names with "*": read as binary, which makes no difference here.
    pub(super) binary: bool,
    /// BSD's form.
    pub(super) tag: bool,
    /// Lines end with NUL, and names are as they are.
    pub(super) zero: bool,
    /// The files are lists to check.
    pub(super) check: Option<CheckOptions>,
}

/// How lists are checked.
#[derive(Clone, Copy, Default)]
pub(super) struct CheckOptions {
    /// Does not tell of what is right.
    pub(super) quiet: bool,
    /// Tells nothing but by the exit status.
    pub(super) status: bool,
    /// Tells of each line that is none.
    pub(super) warn: bool,
    /// Lines that are none count as failures.
    pub(super) strict: bool,
    /// Files that are not there do not count.
    pub(super) ignore_missing: bool,
}
