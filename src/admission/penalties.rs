//! What a source has to answer for. Each fault costs some time; the sum runs down as time goes by. Where
//! it reaches the least that counts, the source is banned until the sum is gone, and each ban doubles
//! what the faults after it cost. So it is in OpenSSH (sshd_config(5), PerSourcePenalties; srclimit.c),
//! but for the doubling.

use std::time::Duration;

use super::ranked::Ranked;
use crate::rules::Network;
use crate::values::label::{Label, labels};

labels! {
    /// What a source can have to answer for.
    pub enum Offence {
        /// It tried to log in, and failed.
        FailedLogin = "failed_login",
        /// It left without trying to, or without a word.
        NoLogin = "no_login",
        /// It speaks something else than SSH.
        Scan = "scan",
        /// It was not done in time.
        Late = "late",
        /// It broke the protocol, or sent more than anybody needs to log in.
        Abuse = "abuse",
    }
}

/// What faults cost.
#[derive(Debug, Clone, Copy, Default)]
pub struct Penalties {
    /// Do they cost anything?
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
    /// Less than this bans nobody.
    pub least: Duration,
    /// No ban is longer.
    pub most: Duration,
}

impl Penalties {
    fn of(&self, fault: Offence) -> Duration {
        match fault {
            Offence::FailedLogin => self.failed_login,
            Offence::NoLogin => self.no_login,
            Offence::Scan => self.scan,
            Offence::Late => self.late,
            Offence::Abuse => self.abuse,
        }
    }

    /// Bans are remembered for so long after their end: those after them are longer.
    fn memory(&self) -> Duration {
        self.most.saturating_mul(6)
    }
}

/// A source that is kept out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ban {
    /// Whom it keeps out.
    pub source: Network,
    /// Until when, since 1970.
    pub until: Duration,
    /// How much longer.
    pub left: Duration,
    /// What the source has done, and how often.
    pub faults: Vec<(Offence, u32)>,
    /// Connections that were turned away because of it.
    pub refused: u64,
}

/// What is known of a source; the time in the table is when its sum is gone.
#[derive(Debug, Default, Clone)]
struct Record {
    is_banned: bool,
    /// How many bans there were.
    bans: u32,
    faults: [u32; Offence::ALL.len()],
    refused: u64,
}

/// Those of one family of addresses.
#[derive(Debug, Default)]
pub(super) struct Offenders(Ranked<Record>);

impl Offenders {
    /// Is the source banned? It then counts as turned away.
    pub(super) fn turns_away(&mut self, source: &Network, now: Duration) -> bool {
        match self.0.get_mut(source) {
            Some((until, record)) if record.is_banned && until > now => {
                record.refused += 1;
                true
            }
            _ => false,
        }
    }

    /// Adds a fault, so many times over; gives the ban that begins with it.
    pub(super) fn add(
        &mut self,
        source: Network,
        (fault, times): (Offence, u32),
        penalties: &Penalties,
        most: usize,
        now: Duration,
    ) -> Option<Ban> {
        self.0.forget_before(now.saturating_sub(penalties.memory()));
        let each = penalties.of(fault);
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
        if let Some(count) = record.faults.get_mut(fault.index()) {
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

    /// Nothing is held against the source any more. Gives the ban that ends with it.
    pub(super) fn forgive(&mut self, source: &Network, now: Duration) -> Option<Ban> {
        let (until, record) = self.0.remove(source)?;
        (record.is_banned && until > now).then(|| ban(*source, until, &record, now))
    }

    /// The bans that hold, the longest first.
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
    let faults = Offence::ALL.iter().copied().zip(record.faults);
    Ban {
        source,
        until,
        left: until.saturating_sub(now),
        faults: faults.filter(|(_, count)| *count > 0).collect(),
        refused: record.refused,
    }
}
