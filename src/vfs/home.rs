//! The home of one session, as its operations see it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::io::Errno;

use super::finished_transfers::Unrecorded;
use super::open_file::Overwrites;
use crate::error::Error;
use crate::quota::Ledger;
use crate::session::Session;
use crate::store::Store;

pub(super) const EXISTS: Error = Error::Os(Errno::EXIST);

/// The home of one session, with the operations on it.
pub struct Vfs {
    pub(super) session: Arc<Session>,
    pub(super) store: Arc<dyn Store>,
    /// Does not follow links, for resolved paths; see [`super::reach`].
    pub(super) without_links: Arc<dyn Store>,
    pub(super) overwrites: Overwrites,
    pub(super) unrecorded: Unrecorded,
    /// Set when nobody waits for the result: long operations stop.
    pub(super) cancelled: Arc<AtomicBool>,
}

impl Vfs {
    /// Makes the operations of this session on this store.
    pub fn new(session: Arc<Session>, store: Arc<dyn Store>, cancelled: Arc<AtomicBool>) -> Self {
        Self {
            session,
            without_links: store.without_links(),
            store,
            overwrites: Overwrites::default(),
            unrecorded: Unrecorded::default(),
            cancelled,
        }
    }

    /// Returns the session.
    pub fn session(&self) -> &Session {
        &self.session
    }

    /// Fails if nobody waits for the result; long operations call it now and then.
    pub(super) fn check_awaited(&self) -> Result<(), Error> {
        if self.cancelled.load(Ordering::Relaxed) {
            return Err(Error::Refused("The session has ended"));
        }
        Ok(())
    }

    pub(super) fn ledger(&self) -> &Arc<Ledger> {
        self.session.ledger()
    }
}
