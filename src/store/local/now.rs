//! Answers from memory, on a thread that must not wait: the `_now` calls of [`Store`](crate::store::Store).

use std::collections::BTreeMap;
use std::os::fd::BorrowedFd;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use rustix::fs::{FsWord, fstat, fstatfs};

/// File systems that answer from memory without asking anybody (linux/magic.h): ext2 to ext4, XFS, Btrfs,
/// F2FS and tmpfs. Others ask a server or a program even for cached data.
const SELF_RELIANT: [FsWord; 5] = [0xEF53, 0x5846_5342, 0x9123_683E, 0xF2F5_2010, 0x0102_1994];

/// An answer from memory takes some microseconds. One that takes this long was preempted, which is rare, or
/// somebody inspects what is opened (a virus scanner, by fanotify(7)).
const LONG: Duration = Duration::from_millis(5);

/// Quick files that compensate for a slow one.
const QUICK_FOR_ONE: u32 = 1000;
/// The initial and highest credit of a file system: two slow files in a row.
const CREDIT: u32 = 3 * QUICK_FOR_ONE;

/// By the device of a home's file system. There are few.
static KNOWN: Mutex<BTreeMap<u64, Arc<AtOnce>>> = Mutex::new(BTreeMap::new());

/// Whether the stores on a file system may answer from memory.
#[derive(Debug)]
pub(super) struct AtOnce {
    answers: bool,
    /// When it is used up, no more files are opened from memory.
    credit: AtomicU32,
}

impl AtOnce {
    /// Returns that of the home's file system.
    pub(super) fn of(home: BorrowedFd<'_>) -> Arc<Self> {
        let found = fstatfs(home).map(|found| found.f_type);
        let answers = found.is_ok_and(|found| SELF_RELIANT.contains(&found));
        let new = || {
            Arc::new(Self {
                answers,
                credit: AtomicU32::new(CREDIT),
            })
        };
        let Ok(found) = fstat(home) else {
            return new();
        };
        let mut known = KNOWN.lock().unwrap_or_else(PoisonError::into_inner);
        let at_once = known.entry(found.st_dev).or_insert_with(new);
        if at_once.answers != answers {
            // Another file system has got the same device number.
            *at_once = new();
        }
        at_once.clone()
    }

    /// Looks something up that is not recorded anywhere.
    pub(super) fn look<T>(&self, look: impl FnOnce() -> Option<T>) -> Option<T> {
        if self.answers { look() } else { None }
    }

    /// Opens a file, unless that was often slow.
    pub(super) fn open<T>(&self, open: impl FnOnce() -> Option<T>) -> Option<T> {
        let credit = self.credit.load(Ordering::Relaxed);
        if !self.answers || credit == 0 {
            return None;
        }
        let began = Instant::now();
        let opened = open();
        let credit = if began.elapsed() > LONG {
            credit.saturating_sub(QUICK_FOR_ONE)
        } else {
            CREDIT.min(credit + 1)
        };
        self.credit.store(credit, Ordering::Relaxed);
        opened
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::os::fd::AsFd;
    use std::thread::sleep;

    use super::*;

    fn answering() -> AtOnce {
        AtOnce {
            answers: true,
            credit: AtomicU32::new(CREDIT),
        }
    }

    fn slowly() -> Option<()> {
        sleep(LONG + Duration::from_millis(1));
        Some(())
    }

    #[test]
    fn who_is_held_up_again_and_again_asks_no_more() {
        let at_once = answering();
        for _ in 0..3 {
            assert!(at_once.open(slowly).is_some());
        }
        for _ in 0..2 {
            assert!(at_once.open(|| Some(())).is_none());
        }
    }

    #[test]
    fn who_is_held_up_now_and_then_goes_on() {
        let at_once = answering();
        for _ in 0..5 {
            assert!(at_once.open(slowly).is_some());
            // More of them, since this thread may be preempted, too.
            for _ in 0..5 * QUICK_FOR_ONE {
                assert!(at_once.open(|| Some(())).is_some());
            }
        }
    }

    #[test]
    fn a_file_system_that_asks_others_is_not_asked() {
        let proc = std::fs::File::open("/proc").unwrap();
        let at_once = AtOnce::of(proc.as_fd());
        assert!(at_once.look(|| Some(())).is_none());
        assert!(at_once.open(|| Some(())).is_none());
    }
}
