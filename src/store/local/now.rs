//! What is answered from memory, in a thread that must not wait: the `_now` calls of
//! [`Store`](crate::store::Store).

use std::os::fd::BorrowedFd;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use rustix::fs::{FsWord, fstatfs};

/// File systems that answer for what is in memory without asking anybody (linux/magic.h): ext2 to
/// ext4, XFS, Btrfs, F2FS and tmpfs. Others ask a server or a program, even for what they know.
const SELF_RELIANT: [FsWord; 5] = [0xEF53, 0x5846_5342, 0x9123_683E, 0xF2F5_2010, 0x0102_1994];

/// Something that is in memory takes a few microseconds. If it takes this long, the thread had to make
/// room for others, which is rare, or somebody looks at what is opened (a scanner for viruses, by
/// fanotify(7)).
const LONG: Duration = Duration::from_millis(5);

/// So many quick answers make good for one that took long.
const QUICK_FOR_ONE: u32 = 100;
/// What a store begins with, and never has more of: room for two that take long, one after the other.
const CREDIT: u32 = 3 * QUICK_FOR_ONE;

/// May a store answer at once? Not where the file system does not, and not any more when the credit is
/// used up.
#[derive(Debug)]
pub(super) struct AtOnce {
    credit: AtomicU32,
}

impl AtOnce {
    /// Depends on the file system of the home.
    pub(super) fn of(home: BorrowedFd<'_>) -> Self {
        let found = fstatfs(home).map(|found| found.f_type);
        let answers = found.is_ok_and(|found| SELF_RELIANT.contains(&found));
        Self {
            credit: AtomicU32::new(if answers { CREDIT } else { 0 }),
        }
    }

    /// Asks, unless that takes long.
    pub(super) fn ask<T>(&self, ask: impl FnOnce() -> Option<T>) -> Option<T> {
        let credit = self.credit.load(Ordering::Relaxed);
        if credit == 0 {
            return None;
        }
        let began = Instant::now();
        let answer = ask();
        let credit = if began.elapsed() > LONG {
            credit.saturating_sub(QUICK_FOR_ONE)
        } else {
            CREDIT.min(credit + 1)
        };
        self.credit.store(credit, Ordering::Relaxed);
        answer
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
            assert!(at_once.ask(slowly).is_some());
        }
        for _ in 0..2 {
            assert!(at_once.ask(|| Some(())).is_none());
        }
    }

    #[test]
    fn who_is_held_up_now_and_then_goes_on() {
        let at_once = answering();
        for _ in 0..20 {
            assert!(at_once.ask(slowly).is_some());
            // More of them, since this thread may be held up, too.
            for _ in 0..5 * QUICK_FOR_ONE {
                assert!(at_once.ask(|| Some(())).is_some());
            }
        }
    }

    #[test]
    fn a_file_system_that_asks_others_is_not_asked() {
        let proc = std::fs::File::open("/proc").unwrap();
        let at_once = AtOnce::of(proc.as_fd());
        assert!(at_once.ask(|| Some(())).is_none());
    }
}
