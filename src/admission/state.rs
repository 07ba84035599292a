//! The decisions of admission control, with the time and the random number as arguments.

use std::collections::HashMap;
use std::net::IpAddr;
use std::time::Duration;

use super::penalties::{Ban, Offence, Offenders};
use super::ranked::Ranked;
use super::settings::{AdmissionSettings, AdmissionStats, ConnectionRefusal, Startups};
use crate::rules::Network;
use crate::values::label::{ByLabel, Label as _};

/// The slot of a connection without a login.
#[derive(Debug)]
pub(super) struct WaitingPlace {
    pool: ConnectionPool,
    source: Network,
}

/// The group of a connection without a login.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum ConnectionPool {
    /// Addresses without a known login.
    Unknown,
    /// Addresses that are exempt or protected by a login.
    Known,
    /// Balancers that have not sent the client address yet.
    Unnamed,
}

#[derive(Debug, Default)]
pub(super) struct AdmissionState {
    settings: AdmissionSettings,
    /// Connections without a login, by [`ConnectionPool`].
    waiting: [usize; 3],
    by_source: HashMap<Network, usize>,
    ipv4: Offenders,
    ipv6: Offenders,
    /// Source addresses with a login, and its time.
    known: Ranked<()>,
    refused: ByLabel<ConnectionRefusal, u64>,
}

impl AdmissionState {
    pub(super) fn new(settings: AdmissionSettings) -> Self {
        Self {
            settings,
            ..Self::default()
        }
    }

    pub(super) fn set(&mut self, settings: AdmissionSettings) {
        self.settings = settings;
    }

    pub(super) fn is_proxy(&self, address: IpAddr) -> bool {
        is_in(&self.settings.proxies, address)
    }

    /// Returns the source that an address belongs to.
    fn source(&self, address: IpAddr) -> Network {
        let AdmissionSettings {
            ipv4_prefix,
            ipv6_prefix,
            ..
        } = self.settings;
        let address = address.to_canonical();
        let prefix = if address.is_ipv4() {
            ipv4_prefix
        } else {
            ipv6_prefix
        };
        Network::around(address, prefix)
    }

    fn offenders(&mut self, source: &Network) -> &mut Offenders {
        if source.is_ipv4() {
            &mut self.ipv4
        } else {
            &mut self.ipv6
        }
    }

    /// Returns whether an address is exempt or protected by a login.
    fn is_known(&self, address: IpAddr, source: &Network, now: Duration) -> bool {
        let trust = self.settings.trust;
        is_in(&self.settings.exempt, address)
            || self.is_proxy(address)
            || (self.known.get(source)).is_some_and(|(last, ())| last + trust > now)
    }

    /// Decides on a new connection. `roll` is from 0 to 99.
    pub(super) fn arrive(
        &mut self,
        from: IpAddr,
        now: Duration,
        roll: u32,
    ) -> Result<WaitingPlace, ConnectionRefusal> {
        let source = self.source(from);
        let pool = if self.is_known(from, &source, now) {
            ConnectionPool::Known
        } else {
            ConnectionPool::Unknown
        };
        if pool == ConnectionPool::Unknown && self.offenders(&source).refuses(&source, now) {
            return Err(self.refuse(ConnectionRefusal::Banned));
        }
        let startups = self.settings.startups();
        let waiting = self.waiting(pool);
        let of_source = self.by_source.get(&source).copied().unwrap_or_default();
        let refusal = match pool {
            ConnectionPool::Unknown if of_source >= self.settings.per_source => {
                Some(ConnectionRefusal::Source)
            }
            ConnectionPool::Unknown if startups.drops(waiting, roll) => {
                Some(ConnectionRefusal::Startups)
            }
            // Others at a known source that misbehaves all day must leave room for the rest.
            ConnectionPool::Known if of_source >= self.most_of_known(waiting, of_source) => {
                Some(ConnectionRefusal::Source)
            }
            ConnectionPool::Known if waiting >= startups.full => Some(ConnectionRefusal::Startups),
            _ => None,
        };
        match refusal {
            Some(refusal) => Err(self.refuse(refusal)),
            None => Ok(self.take(pool, source)),
        }
    }

    /// Returns how many slots a known source may have: as many as unknown sources have before random drops
    /// begin, but in a small server at most half of what the others leave.
    fn most_of_known(&self, waiting: usize, of_source: usize) -> usize {
        let Startups { start, full, .. } = self.settings.startups();
        let others = waiting.saturating_sub(of_source);
        let half = full.saturating_sub(others).div_ceil(2).max(1);
        start.max(self.settings.per_source).min(half)
    }

    pub(super) fn arrive_unnamed(
        &mut self,
        balancer: IpAddr,
    ) -> Result<WaitingPlace, ConnectionRefusal> {
        if self.waiting(ConnectionPool::Unnamed) >= self.settings.startups().full {
            return Err(self.refuse(ConnectionRefusal::Startups));
        }
        let source = self.source(balancer);
        Ok(self.take(ConnectionPool::Unnamed, source))
    }

    fn waiting(&self, pool: ConnectionPool) -> usize {
        self.waiting.get(pool as usize).copied().unwrap_or_default()
    }

    fn take(&mut self, pool: ConnectionPool, source: Network) -> WaitingPlace {
        if let Some(waiting) = self.waiting.get_mut(pool as usize) {
            *waiting += 1;
        }
        if pool != ConnectionPool::Unnamed {
            *self.by_source.entry(source).or_default() += 1;
        }
        WaitingPlace { pool, source }
    }

    pub(super) fn leave(&mut self, place: &WaitingPlace) {
        if let Some(waiting) = self.waiting.get_mut(place.pool as usize) {
            *waiting -= 1;
        }
        if place.pool == ConnectionPool::Unnamed {
            return;
        }
        if let Some(of_source) = self.by_source.get_mut(&place.source) {
            *of_source -= 1;
            if *of_source == 0 {
                self.by_source.remove(&place.source);
            }
        }
    }

    fn refuse(&mut self, refusal: ConnectionRefusal) -> ConnectionRefusal {
        self.refused[refusal] += 1;
        refusal
    }

    /// Records a login from an address.
    pub(super) fn trust(&mut self, from: IpAddr, now: Duration) {
        let source = self.source(from);
        self.offenders(&source).forgive(&source, now);
        self.recall(source, now);
    }

    /// Records an earlier login from a source.
    pub(super) fn recall(&mut self, source: Network, last: Duration) {
        self.known.put(source, last, (), self.settings.max_sources);
    }

    /// Returns the sources that a login protects, with its time.
    pub(super) fn known(&mut self, now: Duration) -> Vec<(Network, u64)> {
        self.known
            .forget_before(now.saturating_sub(self.settings.trust));
        let known = self.known.latest_first();
        known
            .map(|(source, last, ())| (source, last.as_secs()))
            .collect()
    }

    pub(super) fn penalize(
        &mut self,
        from: IpAddr,
        offence: Offence,
        times: u32,
        now: Duration,
    ) -> Option<Ban> {
        let source = self.source(from);
        if self.is_known(from, &source, now) {
            return None;
        }
        let (penalties, most) = (self.settings.penalties, self.settings.max_sources);
        self.offenders(&source)
            .add(source, (offence, times), &penalties, most, now)
    }

    pub(super) fn bans(&self, now: Duration) -> Vec<Ban> {
        let mut bans: Vec<_> = self.ipv4.bans(now).chain(self.ipv6.bans(now)).collect();
        bans.sort_by_key(|ban| std::cmp::Reverse(ban.until));
        bans
    }

    pub(super) fn lift(&mut self, network: Option<Network>, now: Duration) -> Vec<Ban> {
        let is_meant = |ban: &Ban| network.is_none_or(|network| network.overlaps(&ban.source));
        let mut bans = self.bans(now);
        bans.retain(is_meant);
        for ban in &bans {
            self.offenders(&ban.source).forgive(&ban.source, now);
        }
        bans
    }

    pub(super) fn stats(&self, now: Duration) -> AdmissionStats {
        AdmissionStats {
            waiting: self.waiting.iter().sum(),
            banned: self.ipv4.bans(now).chain(self.ipv6.bans(now)).count(),
            refused: self
                .refused
                .iter()
                .map(|(refusal, count)| (refusal.name(), *count))
                .collect(),
        }
    }

    #[cfg(test)]
    pub(super) fn remembered(&self) -> usize {
        self.ipv4.len() + self.ipv6.len() + self.known.len()
    }
}

impl Startups {
    /// Decides as drop_connection() in sshd.c does.
    pub(super) fn drops(self, waiting: usize, roll: u32) -> bool {
        let Self { start, rate, full } = self;
        if waiting < start {
            return false;
        }
        if waiting >= full || rate >= 100 {
            return true;
        }
        let (beyond, width) = ((waiting - start) as u64, (full - start) as u64);
        let percent = u64::from(rate) + u64::from(100 - rate) * beyond / width;
        u64::from(roll) < percent
    }
}

fn is_in(networks: &[Network], address: IpAddr) -> bool {
    networks.iter().any(|network| network.contains(address))
}
