//! Records the events of one session in the audit log and counts them in the metrics.

use std::sync::Arc;

use crate::observe::audit::{Actor, Audit, Event, LoginEvent};
use crate::observe::metrics::{Metrics, Presence};
use crate::observe::outcome::Direction;

/// The recorder of one session.
pub struct Recorder {
    audit: Audit,
    who: Actor,
    metrics: Arc<Metrics>,
    _session: Presence,
}

impl Recorder {
    /// Makes the recorder of this actor's session.
    pub fn new(audit: Audit, metrics: Arc<Metrics>, who: Actor) -> Self {
        let _session = metrics.session();
        Self {
            audit: audit.of_account(&who.user),
            who,
            metrics,
            _session,
        }
    }

    /// Records an event without waiting.
    pub fn record(&self, event: &Event<'_>) {
        match event {
            Event::Refused { reason, .. } => self.metrics.refused(*reason),
            Event::Login(LoginEvent { method, ok, .. }) => self.metrics.login(*method, *ok),
            Event::Upload(moved) => self.metrics.transferred(Direction::Upload, moved.result),
            Event::Download(moved) => self.metrics.transferred(Direction::Download, moved.result),
            _ => {}
        }
        self.audit.record(Some(&self.who), event);
    }

    /// Returns the session's number.
    pub fn session(&self) -> u64 {
        self.who.session.unwrap_or_default()
    }

    /// Returns whether to record the hashes of transferred files.
    pub fn wants_hashes(&self) -> bool {
        self.audit.wants_hashes()
    }

    /// Returns the metrics.
    pub fn metrics(&self) -> &Arc<Metrics> {
        &self.metrics
    }
}
