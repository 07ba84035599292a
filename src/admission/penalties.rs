//! Penalties of source addresses. Each offence adds time to a sum that runs down. A sum that reaches the
//! minimum bans the source until it has run down, and each ban doubles the later penalties. The rules are
//! those of OpenSSH (sshd_config(5), PerSourcePenalties; srclimit.c), except for the doubling.

use std::time::Duration;

use super::ranked::Ranked;
use crate::rules::Network;
use crate::values::label::{Label, labels};

labels! {
    /// What a source is penalized for.
    pub enum Offence {
        /// A failed login.
        FailedLogin = "failed_login",
        /// A connection that ended without an attempt to log in.
        NoLogin = "no_login",
        /// Data that is not SSH.
        Scan = "scan",
        /// No login before the deadline.
        Late = "late",
        /// A violation of the protocol, or more data than any login needs.
        Abuse = "abuse",
    }
}

/// The penalty for each offence.
#[derive(Debug, Clone, Copy, Default)]
pub struct Penalties {
    /// Whether penalties apply.
    pub enabled: bool,
    /// [`Offence::FailedLogin`]
    pub failed_login: Duration,
    /// [`Offence::NoLogin`]
    pub no_login: Duration,
    /// [`Offence::Scan`]
    pub scan: Duration,
    /// [`Offence::Late`]
    pub late: Duration,
    /// [`Offence::Abuse`]
    pub abuse: Duration,
    /// A smaller sum does not ban.
    pub least: Duration,
    /// The longest ban.
    pub most: Duration,
}

impl Penalties {
    fn of(&self, offence: Offence) -> Duration {
        match offence {
            Offence::FailedLogin => self.failed_login,
            Offence::NoLogin => self.no_login,
            Offence::Scan => self.scan,
            Offence::Late => self.late,
            Offence::Abuse => self.abuse,
        }
    }

    /// How long an ended ban is remembered: later ones are longer.
    fn memory(&self) -> Duration {
        self.most.saturating_mul(6)
    }
}

/// A banned source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ban {
    /// The source.
    pub source: Network,
    /// The end of the ban, since 1970.
    pub until: Duration,
    /// The time left.
    pub left: Duration,
    /// The offences and how often they occurred.
    pub offences: Vec<(Offence, u32)>,
    /// Connections that the ban has refused.
    pub refused: u64,
}

/// The record of a source; its time in the table is when the sum has run down.
#[derive(Debug, Default, Clone)]
struct Record {
    is_banned: bool,
    /// Number of bans.
    bans: u32,
    offences: [u32; Offence::ALL.len()],
    refused: u64,
}

/// The sources of one address family.
#[derive(Debug, Default)]
pub(super) struct Offenders(Ranked<Record>);

impl Offenders {
    /// Returns whether the source is banned, and counts the refused connection.
    pub(super) fn refuses(&mut self, source: &Network, now: Duration) -> bool {
        match self.0.get_mut(source) {
            Some((until, record)) if record.is_banned && until > now => {
                record.refused += 1;
                true
            }
            _ => false,
        }
    }

    /// Adds an offence, several times over; returns the ban that it starts.
    pub(super) fn add(
        &mut self,
        source: Network,
        (offence, times): (Offence, u32),
        penalties: &Penalties,
        most: usize,
        now: Duration,
    ) -> Option<Ban> {
        self.0.forget_before(now.saturating_sub(penalties.memory()));
        let each = penalties.of(offence);
        if !penalties.enabled || each.is_zero() || times == 0 {
            return None;
        }
        let (until, mut record) = self.0.remove(&source).unwrap_or_default();
        if until <= now {
            record.is_banned = false;
            record.refused = 0;
        }
        let doubled = 1_u32.checked_shl(record.bans).unwrap_or(u32::MAX);
        let cost = each.saturating_mul(times).saturating_mul(doubled);
        let until = (until.max(now).saturating_add(cost)).min(now + penalties.most);
        if let Some(count) = record.offences.get_mut(offence.index()) {
            *count = count.saturating_add(times);
        }
        let begins = !record.is_banned && until - now >= penalties.least;
        if begins {
            record.is_banned = true;
            record.bans = record.bans.saturating_add(1);
        }
        let ban = begins.then(|| ban(source, until, &record, now));
        self.0.put(source, until, record, most);
        ban
    }

    /// Clears a source; returns the ban that this ends.
    pub(super) fn forgive(&mut self, source: &Network, now: Duration) -> Option<Ban> {
        let (until, record) = self.0.remove(source)?;
        (record.is_banned && until > now).then(|| ban(*source, until, &record, now))
    }

    /// Returns the current bans, longest first.
    pub(super) fn bans(&self, now: Duration) -> impl Iterator<Item = Ban> {
        let held = self.0.latest_first();
        held.take_while(move |(_, until, _)| *until > now)
            .filter(|(_, _, record)| record.is_banned)
            .map(move |(source, until, record)| ban(source, until, record, now))
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }
}

fn ban(source: Network, until: Duration, record: &Record, now: Duration) -> Ban {
    let offences = Offence::ALL.iter().copied().zip(record.offences);
    Ban {
        source,
        until,
        left: until.saturating_sub(now),
        offences: offences.filter(|(_, count)| *count > 0).collect(),
        refused: record.refused,
    }
}
