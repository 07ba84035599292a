//! Turns: to compute is to keep a processor busy, so only a few do at the same time, piece by piece,
//! in the order in which they came. A small file does not wait for the end of a big one.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

pub(super) struct Turns {
    at_once: usize,
    queue: Mutex<Queue>,
    moved: Condvar,
}

#[derive(Default)]
struct Queue {
    /// The number that the next one draws.
    next: u64,
    /// The number whose turn it is.
    called: u64,
    busy: usize,
}

/// A turn, until it is dropped.
pub struct Turn<'a> {
    turns: &'a Turns,
}

impl Turns {
    pub(super) fn new(at_once: usize) -> Self {
        Self {
            at_once: at_once.max(1),
            queue: Mutex::default(),
            moved: Condvar::new(),
        }
    }

    pub(super) fn take(&self) -> Turn<'_> {
        let mut queue = self.lock();
        let drawn = queue.next;
        queue.next += 1;
        while queue.called != drawn || queue.busy >= self.at_once {
            queue = self
                .moved
                .wait(queue)
                .unwrap_or_else(PoisonError::into_inner);
        }
        queue.called += 1;
        queue.busy += 1;
        drop(queue);
        self.moved.notify_all();
        Turn { turns: self }
    }

    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        self.turns.lock().busy -= 1;
        self.turns.moved.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::time::Duration;

    use super::*;

    #[test]
    fn no_more_than_allowed_have_a_turn_and_all_get_theirs() {
        let turns = Turns::new(2);
        let (busy, most, done) = (
            AtomicUsize::new(0),
            AtomicUsize::new(0),
            AtomicUsize::new(0),
        );
        std::thread::scope(|scope| {
            for _ in 0..10 {
                scope.spawn(|| {
                    for _ in 0..10 {
                        let _turn = turns.take();
                        let now = busy.fetch_add(1, Ordering::SeqCst) + 1;
                        most.fetch_max(now, Ordering::SeqCst);
                        std::thread::sleep(Duration::from_micros(100));
                        busy.fetch_sub(1, Ordering::SeqCst);
                    }
                    done.fetch_add(1, Ordering::SeqCst);
                });
            }
        });
        assert_eq!(done.into_inner(), 10);
        assert_eq!(most.into_inner(), 2);
    }
}
