//! The door: which connections are taken while nobody is logged in on them, and which sources are
//! kept out for a while. Of SSH it knows nothing; `server` asks it, and `ssh` tells it what came of a
//! connection. What it decides by is OpenSSH's (sshd_config(5): MaxStartups, PerSourceMaxStartups,
//! PerSourceNetBlockSize, PerSourcePenalties), but for one rule: a source from which somebody has
//! logged in is never shut out (docs/adr/0014).

mod door;
mod penalties;
mod ranked;
mod settings;
#[cfg(test)]
mod tests;

use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use self::door::{Door, WaitingPlace};
use crate::rules::Network;

pub use self::penalties::{Ban, Offence, Penalties};
pub use self::settings::{AdmissionFigures, AdmissionSettings, ConnectionRefusal, Startups};

/// See the module's description.
#[derive(Debug)]
pub struct Admission {
    door: Mutex<Door>,
    /// The time of the start, since 1970; what is later goes by the clock that never jumps.
    epoch: Duration,
    began: Instant,
}

impl Admission {
    /// With nobody there, and nobody known.
    pub fn new(settings: AdmissionSettings) -> Self {
        let epoch = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
        Self {
            door: Mutex::new(Door::new(settings)),
            epoch: epoch.unwrap_or_default(),
            began: Instant::now(),
        }
    }

    fn door(&self) -> MutexGuard<'_, Door> {
        self.door.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn now(&self) -> Duration {
        self.epoch + self.began.elapsed()
    }

    /// Goes by these settings from now on.
    pub fn set(&self, settings: AdmissionSettings) {
        self.door().set(settings);
    }

    /// Does a connection from this address begin with a header that says for whom it is?
    pub fn is_proxy(&self, address: IpAddr) -> bool {
        self.door().is_proxy(address)
    }

    /// A connection has come from this address.
    ///
    /// # Errors
    /// It is to be closed, without a word of SSH.
    pub fn arrive(self: &Arc<Self>, from: IpAddr) -> Result<Ticket, ConnectionRefusal> {
        let roll = rand::random_range(0..100);
        let place = self.door().arrive(from, self.now(), roll)?;
        Ok(Ticket::new(self.clone(), from, place))
    }

    /// A balancer has connected, who has not said yet for whom.
    ///
    /// # Errors
    /// Too many are there already.
    pub fn arrive_unnamed(self: &Arc<Self>, balancer: IpAddr) -> Result<Ticket, ConnectionRefusal> {
        let place = self.door().arrive_unnamed(balancer)?;
        Ok(Ticket::new(self.clone(), balancer, place))
    }

    /// The bans that hold, the longest first.
    pub fn bans(&self) -> Vec<Ban> {
        self.door().bans(self.now())
    }

    /// Lifts the bans of what lies in this network, or around it; of all without one. Gives what was
    /// lifted.
    pub fn lift(&self, network: Option<Network>) -> Vec<Ban> {
        self.door().lift(network, self.now())
    }

    /// How it stands.
    pub fn figures(&self) -> AdmissionFigures {
        self.door().figures(self.now())
    }

    /// The sources that a login protects, and when it was, in seconds since 1970.
    pub fn known(&self) -> Vec<(Network, u64)> {
        self.door().known(self.now())
    }

    /// Takes up what [`Admission::known`] has given to an earlier server.
    pub fn recall(&self, known: impl IntoIterator<Item = (Network, u64)>) {
        let now = self.now();
        let mut door = self.door();
        for (source, last) in known {
            door.recall(source, Duration::from_secs(last).min(now));
        }
    }
}

/// A connection on which nobody is logged in: it takes a place for as long as this is there, or until
/// somebody is.
#[derive(Debug)]
pub struct Ticket {
    admission: Arc<Admission>,
    from: IpAddr,
    place: WaitingPlace,
    is_waiting: AtomicBool,
}

impl Ticket {
    fn new(admission: Arc<Admission>, from: IpAddr, place: WaitingPlace) -> Self {
        Self {
            admission,
            from,
            place,
            is_waiting: AtomicBool::new(true),
        }
    }

    /// A balancer has said for whom it connects.
    ///
    /// # Errors
    /// As [`Admission::arrive`].
    pub fn named(self, client: IpAddr) -> Result<Self, ConnectionRefusal> {
        self.admission.arrive(client)
    }

    /// Somebody is logged in. What the source had to answer for is forgiven, and it is protected; but
    /// not if everybody could have done this, as a guest.
    pub fn logged_in(&self, is_guest: bool) {
        self.give_up();
        if !is_guest {
            let now = self.admission.now();
            self.admission.door().trust(self.from, now);
        }
    }

    /// The source has to answer for this, so many times over. Gives the ban that this begins, if one
    /// does.
    pub fn fault(&self, fault: Offence, times: u32) -> Option<Ban> {
        let now = self.admission.now();
        self.admission.door().fault(self.from, fault, times, now)
    }

    fn give_up(&self) {
        if self.is_waiting.swap(false, Ordering::Relaxed) {
            self.admission.door().leave(&self.place);
        }
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        self.give_up();
    }
}
