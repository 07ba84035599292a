//! Sees what one session does: notes it in the audit trail, and counts it.

use std::sync::Arc;

use crate::observe::audit::{Actor, Audit, Event, LoginEvent};
use crate::observe::metrics::{Direction, Metrics, Presence};

/// Of one session.
pub struct Recorder {
    audit: Audit,
    who: Actor,
    metrics: Arc<Metrics>,
    _session: Presence,
}

impl Recorder {
    /// For the session of this one.
    pub fn new(audit: Audit, metrics: Arc<Metrics>, who: Actor) -> Self {
        let _session = metrics.session();
        Self {
            audit: audit.of_account(&who.user),
            who,
            metrics,
            _session,
        }
    }

    /// Notes an event, now. Never waits.
    pub fn note(&self, event: &Event<'_>) {
        match event {
            Event::Refused { reason, .. } => self.metrics.refused(*reason),
            Event::Login(LoginEvent { method, ok, .. }) => self.metrics.login(*method, *ok),
            Event::Upload(moved) => self.metrics.transferred(Direction::Upload, moved.result),
            Event::Download(moved) => self.metrics.transferred(Direction::Download, moved.result),
            _ => {}
        }
        self.audit.note(Some(&self.who), event);
    }

    /// The number of the session.
    pub fn session(&self) -> u64 {
        self.who.session.unwrap_or_default()
    }

    /// Is the hash of what was moved to be noted?
    pub fn wants_hashes(&self) -> bool {
        self.audit.wants_hashes()
    }

    /// Where things are counted.
    pub fn metrics(&self) -> &Arc<Metrics> {
        &self.metrics
    }
}
