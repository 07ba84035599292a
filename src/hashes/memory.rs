//! Remembered hashes of whole files.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use super::algorithm::{Algorithm, Hash};

/// Least number of remembered hashes; the most is twice as many, about 20 MB.
const CAPACITY: usize = 50_000;

/// File systems count time in ticks, some in steps of two seconds: a file that has just changed may change
/// again without a new time.
const TICK: Duration = Duration::from_secs(3);

/// The identity of a file's content, from its attributes: while none of them changes, the content is the
/// same. No client can set the change time of an inode.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Content {
    /// Device and inode.
    pub inode: (u64, u64),
    /// In bytes.
    pub size: u64,
    /// Last modification: seconds since 1970, and nanoseconds.
    pub modified: (i64, u64),
    /// Last change of the inode, in the same form.
    pub changed: (i64, u64),
}

impl Content {
    /// Returns whether a later change must show in the times.
    fn is_settled(&self) -> bool {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
        let seconds = now.map_or(0, |now| now.saturating_sub(TICK).as_secs());
        self.changed.0 < i64::try_from(seconds).unwrap_or(0)
    }
}

/// Two generations: when the young one is full, the old one is dropped.
#[derive(Default)]
pub(super) struct KnownHashes {
    generations: Mutex<Generations>,
}

type Known = HashMap<(Content, Algorithm), Hash>;

#[derive(Default)]
struct Generations {
    young: Known,
    old: Known,
}

impl KnownHashes {
    pub(super) fn get(&self, content: &Content, algorithm: Algorithm) -> Option<Hash> {
        let key = (*content, algorithm);
        let mut known = self.lock();
        if let Some(hash) = known.young.get(&key) {
            return Some(*hash);
        }
        let hash = known.old.remove(&key)?;
        known.put(key, hash);
        Some(hash)
    }

    /// Remembers a hash, unless the file may have changed after it was read.
    pub(super) fn put(&self, content: Content, algorithm: Algorithm, hash: Hash) {
        if content.is_settled() {
            self.lock().put((content, algorithm), hash);
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Generations> {
        self.generations
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

impl Generations {
    fn put(&mut self, key: (Content, Algorithm), hash: Hash) {
        if self.young.len() >= CAPACITY {
            self.old = std::mem::take(&mut self.young);
        }
        self.young.insert(key, hash);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hash() -> Hash {
        Hash::new(&[7; 4])
    }

    fn content(inode: u64, changed: i64) -> Content {
        Content {
            inode: (1, inode),
            size: 10,
            modified: (5, 5),
            changed: (changed, 0),
        }
    }

    fn now() -> i64 {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
        now.map_or(0, |now| i64::try_from(now.as_secs()).unwrap_or(0))
    }

    #[test]
    fn only_what_can_no_longer_change_unseen_is_remembered() {
        let memory = KnownHashes::default();
        for (changed, remembered) in [(now() - 10, true), (now(), false), (now() + 10, false)] {
            let content = content(1, changed);
            memory.put(content, Algorithm::Md5, hash());
            let known = memory.get(&content, Algorithm::Md5);
            assert_eq!(known.is_some(), remembered, "{}", changed - now());
        }
    }

    #[test]
    fn another_time_size_or_algorithm_is_another_content() {
        let memory = KnownHashes::default();
        let known = content(1, 100);
        memory.put(known, Algorithm::Md5, hash());
        assert_eq!(memory.get(&known, Algorithm::Md5), Some(hash()));
        assert_eq!(memory.get(&known, Algorithm::Sha1), None);
        for other in [
            Content { size: 11, ..known },
            content(2, 100),
            Content {
                modified: (5, 6),
                ..known
            },
            Content {
                changed: (100, 1),
                ..known
            },
        ] {
            assert_eq!(memory.get(&other, Algorithm::Md5), None);
        }
    }

    #[test]
    fn what_is_asked_for_stays_and_the_rest_is_forgotten_in_time() {
        let memory = KnownHashes::default();
        let count = CAPACITY as u64;
        for inode in 0..4 * count {
            memory.put(content(inode, 100), Algorithm::Md5, hash());
            // This one is used now and then.
            let first = memory.get(&content(0, 100), Algorithm::Md5);
            assert!(first.is_some(), "after {inode}");
        }
        let known = memory.lock();
        assert!(known.young.len() + known.old.len() <= 2 * CAPACITY + 1);
        drop(known);
        assert_eq!(memory.get(&content(1, 100), Algorithm::Md5), None);
        let last = content(4 * count - 1, 100);
        assert!(memory.get(&last, Algorithm::Md5).is_some());
    }
}
