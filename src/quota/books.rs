//! The figures of a home, and whether growth fits.

use super::usage::{Limits, Usage};
use crate::error::{Error, Exceeded};

/// What is known of the figures.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum CountState {
    /// They are in the database, too.
    Saved,
    /// The database knows that they may have changed.
    Marked,
    /// They are not known: growth waits for the count.
    Uncounted,
    /// The same, and the count has begun.
    Counting,
    /// They could not be counted: nothing grows.
    Lost,
}

pub(super) struct Books {
    pub(super) used: Usage,
    pub(super) limits: Limits,
    pub(super) standing: CountState,
    /// Sessions that are open.
    pub(super) members: usize,
}

pub(super) fn fits(books: &Books, growth: Usage, wanted: Option<u64>) -> Result<(), Error> {
    let over = |growth: u64, used: u64, limit: Option<u64>| {
        limit.filter(|limit| growth > 0 && used.saturating_add(growth) > *limit)
    };
    if let Some(limit) = over(growth.bytes, books.used.bytes, books.limits.bytes) {
        let used = books.used.bytes;
        return Err(Error::Quota(Exceeded::Bytes {
            used,
            limit,
            wanted,
        }));
    }
    match over(growth.files, books.used.files, books.limits.files) {
        Some(limit) => Err(Error::Quota(Exceeded::Files {
            used: books.used.files,
            limit,
        })),
        None => Ok(()),
    }
}
