//! Detects missing data in a file that its client may believe to be complete.

use std::ops::Range;

use crate::error::Error;

/// Number of separate ranges that are remembered; beyond that, neighbours are merged.
const RANGES: usize = 64;

/// Ranges whose WRITE was refused and not repeated. Some clients look only at the last reply (OpenSSH's
/// sftp), or only at that of CLOSE (Node's ssh2-sftp-client), and would consider the upload complete.
#[derive(Debug, Default)]
pub(super) struct Gap {
    /// Ordered and disjoint.
    missing: Vec<Range<u64>>,
    /// The end of the data that this handle has written since the first missing range.
    written_to: u64,
    /// The first error.
    why: Option<Error>,
}

impl Gap {
    /// Records a range that could not be written.
    pub(super) fn refused(&mut self, bytes: Range<u64>, why: Error) {
        if bytes.is_empty() {
            return;
        }
        self.why.get_or_insert(why);
        let touches = |other: &Range<u64>| other.start <= bytes.end && bytes.start <= other.end;
        let (touching, mut apart): (Vec<_>, Vec<_>) =
            self.missing.drain(..).partition(|other| touches(other));
        let joined = touching.into_iter().fold(bytes, |joined, other| {
            joined.start.min(other.start)..joined.end.max(other.end)
        });
        apart.push(joined);
        apart.sort_unstable_by_key(|range| range.start);
        self.missing = apart;
        self.join_last();
    }

    /// Records a written range.
    pub(super) fn written(&mut self, bytes: Range<u64>) {
        if self.missing.is_empty() {
            return;
        }
        self.written_to = self.written_to.max(bytes.end);
        let left = self.missing.drain(..).flat_map(|range| {
            let before = range.start..range.end.min(bytes.start);
            let behind = range.start.max(bytes.end)..range.end;
            [before, behind]
        });
        self.missing = left.filter(|range| !range.is_empty()).collect();
        self.join_last();
        self.forget_if_whole();
    }

    /// Records a new end of the file.
    pub(super) fn cut(&mut self, size: u64) {
        self.written_to = self.written_to.min(size);
        self.missing.retain_mut(|range| {
            range.end = range.end.min(size);
            !range.is_empty()
        });
        self.forget_if_whole();
    }

    /// Returns why data is missing, if any is.
    pub(super) fn why(&self) -> Option<Error> {
        self.why
    }

    /// Returns the offset of missing data that has data after it.
    pub(super) fn hidden_at(&self) -> Option<u64> {
        let first = self.missing.first()?.start;
        (first < self.written_to).then_some(first)
    }

    fn forget_if_whole(&mut self) {
        if self.missing.is_empty() {
            *self = Self::default();
        }
    }

    fn join_last(&mut self) {
        while self.missing.len() > RANGES
            && let Some(last) = self.missing.pop()
            && let Some(before) = self.missing.last_mut()
        {
            before.end = last.end;
        }
    }
}

#[cfg(test)]
mod tests {
    use rustix::io::Errno;

    use super::*;

    const FULL: Error = Error::Os(Errno::NOSPC);

    #[test]
    fn it_is_open_until_all_of_it_is_written_after_all() {
        let mut gap = Gap::default();
        gap.written(0..10);
        assert!(gap.why().is_none());
        gap.refused(10..20, FULL);
        gap.refused(20..30, FULL);
        assert!(gap.why().is_some());
        assert_eq!(gap.hidden_at(), None, "nothing came behind it");
        gap.written(30..40);
        assert_eq!(gap.hidden_at(), Some(10));
        gap.written(0..10);
        gap.written(10..20);
        assert_eq!(gap.hidden_at(), Some(20), "a part is still missing");
        gap.written(20..40);
        assert!(gap.why().is_none());
        gap.refused(10..20, FULL);
        assert_eq!(
            gap.hidden_at(),
            None,
            "what was there before is not behind it"
        );
        gap.written(20..30);
        gap.cut(15);
        assert!(gap.why().is_some(), "a part of it is left");
        assert_eq!(gap.hidden_at(), Some(10));
        gap.cut(10);
        assert!(gap.why().is_none(), "it is gone with the end of the file");
    }

    #[test]
    fn it_may_be_filled_in_any_order() {
        let mut gap = Gap::default();
        gap.refused(10..40, FULL);
        gap.refused(60..70, FULL);
        gap.written(20..30);
        assert_eq!(gap.missing, [10..20, 30..40, 60..70]);
        gap.refused(15..35, FULL);
        assert_eq!(gap.missing, [10..40, 60..70]);
        gap.written(55..100);
        gap.written(30..45);
        gap.written(0..30);
        assert!(gap.why().is_none());
    }

    #[test]
    fn it_never_grows_for_long_and_forgets_nothing() {
        let mut gap = Gap::default();
        for number in 0..10 * RANGES as u64 {
            gap.refused(number * 10..number * 10 + 5, FULL);
            assert!(gap.missing.len() <= RANGES);
        }
        for number in 0..10 * RANGES as u64 {
            assert!(gap.why().is_some());
            gap.written(number * 10..number * 10 + 5);
        }
        assert!(
            gap.why().is_some(),
            "what lies between the last ones counts, too"
        );
        gap.written(0..100 * RANGES as u64);
        assert!(gap.why().is_none());
    }
}
