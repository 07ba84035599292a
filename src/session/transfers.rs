//! The transfers in progress: the files that a session transfers, and their progress.
//!
//! READ and WRITE update it with relaxed atomics of their own session, without locks or allocation.

use std::collections::BTreeMap;
use std::ops::Deref;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use crate::observe::metrics::Metrics;
use crate::observe::outcome::Direction;
use crate::values::path::VPath;

/// One direction of an open file.
#[derive(Debug)]
pub struct Transfer {
    path: VPath,
    direction: Direction,
    opened_at: SystemTime,
    opened: Instant,
    expected: Option<u64>,
    bytes: AtomicU64,
    offset: AtomicU64,
}

/// The offset of a transfer without data.
const NOWHERE: u64 = u64::MAX;

impl Transfer {
    /// Returns the name the file was opened with.
    pub fn path(&self) -> &VPath {
        &self.path
    }

    /// Returns the direction.
    pub fn direction(&self) -> Direction {
        self.direction
    }

    /// Returns when the file was opened.
    pub fn opened_at(&self) -> SystemTime {
        self.opened_at
    }

    /// Returns how long the file has been open.
    pub fn elapsed(&self) -> Duration {
        self.opened.elapsed()
    }

    /// Returns the expected size of the whole file, if known: the size that the client announced for an
    /// upload, or the size at opening for a download.
    pub fn expected(&self) -> Option<u64> {
        self.expected
    }

    /// Returns the bytes transferred so far.
    pub fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }

    /// Returns the offset of the first transferred bytes: not 0 for a resumed transfer.
    pub fn offset(&self) -> u64 {
        match self.offset.load(Ordering::Relaxed) {
            NOWHERE => 0,
            offset => offset,
        }
    }
}

/// The transfers of a session.
#[derive(Debug, Default)]
pub struct Transfers {
    book: Mutex<Book>,
    metrics: Arc<Metrics>,
}

#[derive(Debug, Default)]
struct Book {
    /// By start order.
    under_way: BTreeMap<u64, Arc<Transfer>>,
    begun: u64,
    ended: Totals,
}

/// What a session has transferred in total.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Totals {
    /// From the client.
    pub uploads: Total,
    /// To the client.
    pub downloads: Total,
}

/// The total of one direction.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Total {
    /// Files with transferred bytes.
    pub files: u64,
    /// Bytes of files.
    pub bytes: u64,
}

impl Totals {
    fn add(&mut self, transfer: &Transfer) {
        let total = match transfer.direction {
            Direction::Upload => &mut self.uploads,
            Direction::Download => &mut self.downloads,
        };
        let bytes = transfer.bytes();
        total.bytes += bytes;
        total.files += u64::from(bytes > 0);
    }
}

impl Transfers {
    /// Makes the list of one session.
    pub fn new(metrics: Arc<Metrics>) -> Self {
        Self {
            book: Mutex::default(),
            metrics,
        }
    }

    fn book(&self) -> MutexGuard<'_, Book> {
        self.book.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Starts a transfer, which is in progress until the result is dropped.
    pub(crate) fn begin(
        self: &Arc<Self>,
        path: VPath,
        direction: Direction,
        expected: Option<u64>,
    ) -> UnderWay {
        let transfer = Arc::new(Transfer {
            path,
            direction,
            opened_at: SystemTime::now(),
            opened: Instant::now(),
            expected,
            bytes: AtomicU64::new(0),
            offset: AtomicU64::new(NOWHERE),
        });
        let mut book = self.book();
        book.begun += 1;
        let number = book.begun;
        book.under_way.insert(number, transfer.clone());
        UnderWay {
            transfers: self.clone(),
            number,
            transfer,
        }
    }

    /// Returns the transfers in progress, oldest first. [`Transfer::bytes`] is 0 for a file that is only
    /// open.
    pub fn under_way(&self) -> Vec<Arc<Transfer>> {
        self.book().under_way.values().cloned().collect()
    }

    /// Returns the totals of finished and current transfers.
    pub fn totals(&self) -> Totals {
        let book = self.book();
        let mut totals = book.ended;
        book.under_way
            .values()
            .for_each(|transfer| totals.add(transfer));
        totals
    }
}

/// A transfer that is in its session's list while this lives.
#[derive(Debug)]
pub(crate) struct UnderWay {
    transfers: Arc<Transfers>,
    number: u64,
    transfer: Arc<Transfer>,
}

impl UnderWay {
    /// Counts transferred bytes at an offset.
    pub(crate) fn moved(&self, offset: u64, bytes: u64) {
        let Transfer {
            offset: first,
            bytes: sum,
            ..
        } = &*self.transfer;
        if first.load(Ordering::Relaxed) == NOWHERE {
            first.store(offset, Ordering::Relaxed);
        }
        sum.fetch_add(bytes, Ordering::Relaxed);
        self.transfers.metrics.moved(self.direction, bytes);
    }
}

impl Deref for UnderWay {
    type Target = Transfer;

    fn deref(&self) -> &Transfer {
        &self.transfer
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        let mut book = self.transfers.book();
        book.under_way.remove(&self.number);
        book.ended.add(&self.transfer);
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn transfers_are_listed_while_they_last_and_counted_for_good() {
        let transfers = Arc::new(Transfers::default());
        let path = |name: &[u8]| VPath::parse(name).unwrap();
        let first = transfers.begin(path(b"a"), Direction::Download, Some(300));
        let second = transfers.begin(path(b"b"), Direction::Upload, None);
        let idle = transfers.begin(path(b"c"), Direction::Upload, None);
        assert_eq!(first.offset(), 0);
        first.moved(100, 50);
        first.moved(150, 50);
        second.moved(0, 7);
        let listed = transfers.under_way();
        let seen: Vec<_> = listed
            .iter()
            .map(|one| (one.offset(), one.bytes()))
            .collect();
        assert_eq!(seen, [(100, 100), (0, 7), (0, 0)]);
        let expected = Totals {
            uploads: Total { files: 1, bytes: 7 },
            downloads: Total {
                files: 1,
                bytes: 100,
            },
        };
        assert_eq!(transfers.totals(), expected);
        drop((first, idle));
        assert_eq!(transfers.under_way().len(), 1);
        assert_eq!(transfers.totals(), expected);
        drop(second);
        assert_eq!(transfers.totals(), expected);
    }
}
