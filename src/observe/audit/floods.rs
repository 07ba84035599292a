//! Flood control of the audit log (docs/adr/0019).
//!
//! Each client address and each account has a budget of bytes for events that cost it nothing: refused
//! logins, refused requests. So have all unauthenticated clients together. Events beyond the budget are
//! combined: one line contains the first of similar events and their count. No event goes uncounted.
//! Sessions that an account opens and closes too fast go to the stream of operations.

use std::collections::HashMap;
use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher as _, Hash};
use std::time::{Duration, Instant};

use super::event::{self, Actor, AuditStream, Event};
use crate::rules::Network;

/// Client addresses and accounts with a budget at the same time.
const MOST_OWNERS: usize = 1024;
/// How often owners with a full budget are dropped.
const FORGET_EVERY: Duration = Duration::from_secs(1);

/// The limits of a budget, and how its combined lines are described.
struct FloodTerms {
    /// Bytes that may be written in a burst.
    burst: i64,
    /// Bytes per second that are added back.
    per_second: i64,
    stream: AuditStream,
    /// Kinds of events that are counted separately.
    kinds: usize,
    /// Fields that all events of a kind have in common.
    same: &'static [&'static str],
    /// Fields that all events of the budget have in common.
    in_common: &'static [&'static str],
}

/// Refused logins of one client address.
const SOURCE: FloodTerms = FloodTerms {
    burst: 16 << 10,
    per_second: 256,
    stream: AuditStream::Access,
    kinds: 4,
    same: &["source", "user", "method", "reason"],
    in_common: &["source"],
};
/// Refused logins of all client addresses.
const LOGINS: FloodTerms = FloodTerms {
    burst: 256 << 10,
    per_second: 1 << 10,
    stream: AuditStream::Access,
    kinds: 8,
    same: &["method", "reason"],
    in_common: &[],
};
/// Bans of all client addresses.
const BANS: FloodTerms = FloodTerms {
    burst: 64 << 10,
    per_second: 256,
    stream: AuditStream::Access,
    kinds: 8,
    same: &["reason"],
    in_common: &[],
};
/// Refused requests of one account.
const ACCOUNT: FloodTerms = FloodTerms {
    burst: 256 << 10,
    per_second: 4 << 10,
    stream: AuditStream::Operations,
    kinds: 8,
    same: &["user", "session", "action", "reason"],
    in_common: &["user"],
};
/// Refused requests of accounts without a budget of their own.
const OTHERS: FloodTerms = FloodTerms {
    same: &["action", "reason"],
    in_common: &[],
    ..ACCOUNT
};
/// Logins and logouts of one account.
const SESSIONS: FloodTerms = FloodTerms {
    burst: 128 << 10,
    per_second: 1 << 10,
    ..ACCOUNT
};

/// The budgets; see the module documentation.
pub(super) struct Floods {
    /// Prefix lengths that make IPv4 and IPv6 addresses one source.
    prefixes: (u8, u8),
    hasher: RandomState,
    sources: FloodTable<Network>,
    logins: FloodBudget,
    bans: FloodBudget,
    accounts: FloodTable<String>,
    others: FloodBudget,
    sessions: FloodTable<String>,
    has_folds: bool,
}

/// Identifies similar events.
#[derive(Clone, Copy)]
struct FloodKind {
    /// Within one owner's budget.
    own: u64,
    /// Within the budget of all.
    of_all: u64,
}

impl FloodKind {
    /// Returns the kind for a budget that owners share.
    fn of_all(self) -> Self {
        Self {
            own: self.of_all,
            ..self
        }
    }
}

/// Events with fewer common fields.
const MIXED: u64 = 0;
const MIXED_KIND: FloodKind = FloodKind {
    own: MIXED,
    of_all: MIXED,
};

struct Fold {
    kind: FloodKind,
    /// The line of the first event.
    first: Vec<u8>,
    count: u64,
}

struct FloodBudget {
    terms: &'static FloodTerms,
    /// Bytes; negative if the last line was longer than the rest.
    left: i64,
    /// When it was computed.
    at: Instant,
    folds: Vec<Fold>,
}

/// The budgets of owners.
struct FloodTable<K> {
    terms: &'static FloodTerms,
    budgets: HashMap<K, FloodBudget>,
    forgotten: Instant,
}

impl Floods {
    pub(super) fn new(now: Instant) -> Self {
        Self {
            prefixes: (32, 128),
            hasher: RandomState::new(),
            sources: FloodTable::new(&SOURCE, now),
            logins: FloodBudget::new(&LOGINS, now),
            bans: FloodBudget::new(&BANS, now),
            accounts: FloodTable::new(&ACCOUNT, now),
            others: FloodBudget::new(&OTHERS, now),
            sessions: FloodTable::new(&SESSIONS, now),
            has_folds: false,
        }
    }

    /// Sets the prefix lengths that make IPv4 and IPv6 addresses one source.
    pub(super) fn count_by(&mut self, ipv4_prefix: u8, ipv6_prefix: u8) {
        self.prefixes = (ipv4_prefix, ipv6_prefix);
    }

    /// Returns whether clients can cause any number of these events.
    pub(super) fn concern(event: &Event<'_>) -> bool {
        matches!(
            event,
            Event::Login(_)
                | Event::Logout { .. }
                | Event::Refused { .. }
                | Event::Command { refused: true, .. }
                | Event::Ban { .. }
        )
    }

    /// Returns an event's line and stream; `None` if it was combined.
    pub(super) fn take(
        &mut self,
        who: Option<&Actor>,
        event: &Event<'_>,
        now: Instant,
    ) -> Option<(AuditStream, Vec<u8>)> {
        let taken = match (who, event) {
            (Some(who), Event::Login(login)) if !login.ok => {
                let what = (login.method, login.reason);
                let kind = self.kind((&who.user, what), what);
                let (ipv4, ipv6) = self.prefixes;
                let ip = who.peer.ip().to_canonical();
                let prefix = if ip.is_ipv4() { ipv4 } else { ipv6 };
                let source = self.sources.get(Network::around(ip, prefix), now);
                // An address without a budget of its own uses that of all.
                let budgets = [
                    source.map(|own| (own, kind)),
                    Some((&mut self.logins, kind.of_all())),
                ];
                pass(budgets, Some(who), event, now)
            }
            (Some(who), Event::Login(_) | Event::Logout { .. }) => {
                let line = event::line(Some(who), event);
                let budget = self.sessions.get(who.user.clone(), now);
                let fits = budget.is_none_or(|budget| {
                    let fits = budget.has_room(now);
                    if fits {
                        budget.spend(line.len());
                    }
                    fits
                });
                let stream = if fits {
                    AuditStream::Access
                } else {
                    AuditStream::Operations
                };
                return Some((stream, line));
            }
            (_, Event::Ban { reason, .. }) => {
                let kind = self.kind(reason, reason);
                pass([Some((&mut self.bans, kind))], who, event, now)
            }
            (Some(who), Event::Refused { .. } | Event::Command { refused: true, .. }) => {
                let kind = match event {
                    Event::Refused { action, reason, .. } => {
                        self.kind((who.session, action, reason), (action, reason))
                    }
                    // The lines have only the account in common.
                    _ => MIXED_KIND,
                };
                let budget = match self.accounts.get(who.user.clone(), now) {
                    Some(account) => (account, kind),
                    None => (&mut self.others, kind.of_all()),
                };
                pass([Some(budget)], Some(who), event, now)
            }
            _ => Some(event::line(who, event)),
        };
        self.has_folds |= taken.is_none();
        taken.map(|line| (event.stream(), line))
    }

    /// Returns whether combined events wait to be written.
    pub(super) fn has_folds(&self) -> bool {
        self.has_folds
    }

    /// Returns the combined lines that the budgets allow now; at the end of the server, all of them.
    pub(super) fn due(&mut self, now: Instant, is_end: bool) -> Vec<(AuditStream, Vec<u8>)> {
        let mut lines = Vec::new();
        for account in self.accounts.budgets.values_mut() {
            account.release(now, is_end, &mut lines);
        }
        for source in self.sources.budgets.values_mut() {
            if self.logins.has_room(now) {
                let written = source.release(now, is_end, &mut lines);
                self.logins.spend(written);
            } else {
                // There is no room for a line of each source.
                for fold in source.folds.drain(..) {
                    let kind = fold.kind.of_all();
                    self.logins.fold(kind, fold.count, || fold.first);
                }
            }
        }
        let of_all = [&mut self.logins, &mut self.bans, &mut self.others];
        self.has_folds = false;
        for budget in of_all {
            budget.release(now, is_end, &mut lines);
            self.has_folds |= !budget.folds.is_empty();
        }
        let accounts = self.accounts.budgets.values();
        let mut owned = accounts.chain(self.sources.budgets.values());
        self.has_folds |= owned.any(|budget| !budget.folds.is_empty());
        lines
    }

    fn kind(&self, own: impl Hash, of_all: impl Hash) -> FloodKind {
        // Zero is the mixed kind.
        let hash = |hash: u64| hash.max(1);
        FloodKind {
            own: hash(self.hasher.hash_one(own)),
            of_all: hash(self.hasher.hash_one(of_all)),
        }
    }
}

/// Returns the line of an event if all budgets have room; otherwise the first full one combines it.
fn pass<const COUNT: usize>(
    mut budgets: [Option<(&mut FloodBudget, FloodKind)>; COUNT],
    who: Option<&Actor>,
    event: &Event<'_>,
    now: Instant,
) -> Option<Vec<u8>> {
    for (budget, kind) in budgets.iter_mut().flatten() {
        if !budget.has_room(now) {
            budget.fold(*kind, 1, || event::brief_line(who, event));
            return None;
        }
    }
    let line = event::line(who, event);
    for (budget, _) in budgets.iter_mut().flatten() {
        budget.spend(line.len());
    }
    Some(line)
}

impl FloodBudget {
    fn new(terms: &'static FloodTerms, now: Instant) -> Self {
        Self {
            terms,
            left: terms.burst,
            at: now,
            folds: Vec::new(),
        }
    }

    fn refill(&mut self, now: Instant) {
        let passed = now.saturating_duration_since(self.at).as_millis();
        let passed = i64::try_from(passed).unwrap_or(i64::MAX);
        let back = passed.saturating_mul(self.terms.per_second) / 1000;
        // Time too short for a byte is not lost.
        if back > 0 {
            self.left = self.left.saturating_add(back).min(self.terms.burst);
            self.at = now;
        }
    }

    /// Returns whether a line may be written: not before combined ones, so that they do not wait forever.
    fn has_room(&mut self, now: Instant) -> bool {
        self.refill(now);
        self.folds.is_empty() && self.left > 0
    }

    fn spend(&mut self, bytes: usize) {
        let bytes = i64::try_from(bytes).unwrap_or(i64::MAX);
        self.left = self.left.saturating_sub(bytes);
    }

    /// Adds to the events of this kind; with too many kinds, to the mixed one.
    fn fold(&mut self, kind: FloodKind, count: u64, first: impl FnOnce() -> Vec<u8>) {
        let is_full = self.folds.len() >= self.terms.kinds;
        if let Some(fold) = self.folds.iter_mut().find(|fold| fold.kind.own == kind.own) {
            fold.count += count;
        } else if let Some(last) = self.folds.last_mut().filter(|_| is_full) {
            last.count += count;
            last.kind = MIXED_KIND;
        } else {
            self.folds.push(Fold {
                kind,
                first: first(),
                count,
            });
        }
    }

    /// Appends the combined lines, if there is room for one or they must not wait. Returns their bytes.
    fn release(
        &mut self,
        now: Instant,
        is_end: bool,
        lines: &mut Vec<(AuditStream, Vec<u8>)>,
    ) -> usize {
        self.refill(now);
        if self.left <= 0 && !is_end {
            return 0;
        }
        let mut written = 0;
        for fold in self.folds.drain(..) {
            let same = if fold.kind.own == MIXED {
                self.terms.in_common
            } else {
                self.terms.same
            };
            let line = event::folded(&fold.first, fold.count, same);
            written += line.len();
            lines.push((self.terms.stream, line));
        }
        self.spend(written);
        written
    }

    fn is_whole(&mut self, now: Instant) -> bool {
        self.refill(now);
        self.folds.is_empty() && self.left >= self.terms.burst
    }
}

impl<K: Hash + Eq> FloodTable<K> {
    fn new(terms: &'static FloodTerms, now: Instant) -> Self {
        Self {
            terms,
            budgets: HashMap::new(),
            forgotten: now,
        }
    }

    /// Returns the budget of this owner; `None` if there is no room for one.
    fn get(&mut self, owner: K, now: Instant) -> Option<&mut FloodBudget> {
        let is_full = |table: &Self| table.budgets.len() >= MOST_OWNERS;
        let is_new = !self.budgets.contains_key(&owner);
        if is_new && is_full(self) && now.saturating_duration_since(self.forgotten) > FORGET_EVERY {
            self.forgotten = now;
            self.budgets.retain(|_, budget| !budget.is_whole(now));
        }
        if is_new && is_full(self) {
            return None;
        }
        let budget = self.budgets.entry(owner);
        Some(budget.or_insert_with(|| FloodBudget::new(self.terms, now)))
    }
}

#[cfg(test)]
mod tests;
