//! A table of sources with a fixed capacity: the entry with the earliest time is dropped first.

use std::collections::{BTreeSet, HashMap};
use std::time::Duration;

use crate::rules::Network;

#[derive(Debug)]
pub(super) struct Ranked<T> {
    entries: HashMap<Network, (Duration, T)>,
    order: BTreeSet<(Duration, Network)>,
}

impl<T> Default for Ranked<T> {
    fn default() -> Self {
        Self {
            entries: HashMap::new(),
            order: BTreeSet::new(),
        }
    }
}

impl<T> Ranked<T> {
    /// Returns a source's value and time.
    pub(super) fn get(&self, source: &Network) -> Option<(Duration, &T)> {
        let (time, value) = self.entries.get(source)?;
        Some((*time, value))
    }

    /// Returns a source's value for a change that keeps its time.
    pub(super) fn get_mut(&mut self, source: &Network) -> Option<(Duration, &mut T)> {
        let (time, value) = self.entries.get_mut(source)?;
        Some((*time, value))
    }

    /// Replaces a source's value. Without room, the earliest of the others is dropped, so that a source
    /// which returns often stays known.
    pub(super) fn put(&mut self, source: Network, time: Duration, value: T, most: usize) {
        self.remove(&source);
        while self.entries.len() >= most.max(1) {
            let Some((_, earliest)) = self.order.pop_first() else {
                break;
            };
            self.entries.remove(&earliest);
        }
        self.entries.insert(source, (time, value));
        self.order.insert((time, source));
    }

    pub(super) fn remove(&mut self, source: &Network) -> Option<(Duration, T)> {
        let (time, value) = self.entries.remove(source)?;
        self.order.remove(&(time, *source));
        Some((time, value))
    }

    /// Drops all earlier entries.
    pub(super) fn forget_before(&mut self, time: Duration) {
        while let Some((earliest, source)) = self.order.first().copied() {
            if earliest >= time {
                return;
            }
            self.remove(&source);
        }
    }

    /// Returns all entries, latest first.
    pub(super) fn latest_first(&self) -> impl Iterator<Item = (Network, Duration, &T)> {
        let latest_first = self.order.iter().rev();
        latest_first.filter_map(|(time, source)| {
            let (_, value) = self.entries.get(source)?;
            Some((*source, *time, value))
        })
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        assert_eq!(self.entries.len(), self.order.len());
        self.entries.len()
    }
}
