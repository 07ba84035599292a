//! The usage of a home, and whether growth fits.

use super::usage::{Limits, Usage};
use crate::error::{Error, Exceeded};

/// What is known of the usage.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum CountState {
    /// It is also in the database.
    Saved,
    /// The database has recorded that it may have changed.
    Marked,
    /// It is unknown: growth waits for the count.
    Uncounted,
    /// It is unknown, and the count is running.
    Counting,
    /// The count has failed: nothing may grow.
    Lost,
}

pub(super) struct Books {
    pub(super) used: Usage,
    pub(super) limits: Limits,
    pub(super) standing: CountState,
    /// Open sessions.
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
