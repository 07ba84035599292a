//! Admission control: which connections the server accepts before a login, and which source addresses it
//! bans for a while. It does not know SSH: `server` asks it, and `ssh` reports how a connection ended. Its
//! rules are those of OpenSSH (sshd_config(5): MaxStartups, PerSourceMaxStartups, PerSourceNetBlockSize,
//! PerSourcePenalties), except that an address with a successful login is never locked out (docs/adr/0014).

mod penalties;
mod ranked;
mod settings;
mod state;
#[cfg(test)]
mod tests;

use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use self::state::{AdmissionState, WaitingPlace};
use crate::rules::Network;

pub use self::penalties::{Ban, Offence, Penalties};
pub use self::settings::{AdmissionSettings, AdmissionStats, ConnectionRefusal, Startups};

/// Admission control of a server; see the module documentation.
#[derive(Debug)]
pub struct Admission {
    state: Mutex<AdmissionState>,
    /// The start time since 1970; later times use a clock that never jumps.
    epoch: Duration,
    began: Instant,
}

impl Admission {
    /// Makes it without connections and known addresses.
    pub fn new(settings: AdmissionSettings) -> Self {
        let epoch = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
        Self {
            state: Mutex::new(AdmissionState::new(settings)),
            epoch: epoch.unwrap_or_default(),
            began: Instant::now(),
        }
    }

    fn state(&self) -> MutexGuard<'_, AdmissionState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn now(&self) -> Duration {
        self.epoch + self.began.elapsed()
    }

    /// Applies other settings.
    pub fn set(&self, settings: AdmissionSettings) {
        self.state().set(settings);
    }

    /// Returns whether a connection from this address starts with a PROXY header.
    pub fn is_proxy(&self, address: IpAddr) -> bool {
        self.state().is_proxy(address)
    }

    /// Admits a connection from this address.
    ///
    /// # Errors
    ///
    /// The connection must be closed without starting SSH.
    pub fn arrive(self: &Arc<Self>, from: IpAddr) -> Result<Ticket, ConnectionRefusal> {
        let roll = rand::random_range(0..100);
        let place = self.state().arrive(from, self.now(), roll)?;
        Ok(Ticket::new(self.clone(), from, place))
    }

    /// Admits a balancer's connection before its PROXY header arrives.
    ///
    /// # Errors
    ///
    /// Too many of these are open.
    pub fn arrive_unnamed(self: &Arc<Self>, balancer: IpAddr) -> Result<Ticket, ConnectionRefusal> {
        let place = self.state().arrive_unnamed(balancer)?;
        Ok(Ticket::new(self.clone(), balancer, place))
    }

    /// Returns the current bans, longest first.
    pub fn bans(&self) -> Vec<Ban> {
        self.state().bans(self.now())
    }

    /// Lifts the bans inside or around this network, or all bans without one. Returns the lifted bans.
    pub fn lift(&self, network: Option<Network>) -> Vec<Ban> {
        self.state().lift(network, self.now())
    }

    /// Returns its counters.
    pub fn stats(&self) -> AdmissionStats {
        self.state().stats(self.now())
    }

    /// Returns the sources that a login protects, with its time in seconds since 1970.
    pub fn known(&self) -> Vec<(Network, u64)> {
        self.state().known(self.now())
    }

    /// Restores what [`Admission::known`] returned in an earlier run.
    pub fn recall(&self, known: impl IntoIterator<Item = (Network, u64)>) {
        let now = self.now();
        let mut state = self.state();
        for (source, last) in known {
            state.recall(source, Duration::from_secs(last).min(now));
        }
    }
}

/// A connection without a login. It takes a slot until it is dropped or logged in.
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

    /// Admits the client that a balancer's PROXY header names.
    ///
    /// # Errors
    ///
    /// As [`Admission::arrive`].
    pub fn named(self, client: IpAddr) -> Result<Self, ConnectionRefusal> {
        self.admission.arrive(client)
    }

    /// Records a login: it clears the source's penalties and protects it, unless the user is a guest, since
    /// anybody can log in as one.
    pub fn logged_in(&self, is_guest: bool) {
        self.give_up();
        if !is_guest {
            let now = self.admission.now();
            self.admission.state().trust(self.from, now);
        }
    }

    /// Adds the penalty of an offence, `times` times. Returns the ban that it starts, if any.
    pub fn penalize(&self, offence: Offence, times: u32) -> Option<Ban> {
        let now = self.admission.now();
        self.admission
            .state()
            .penalize(self.from, offence, times, now)
    }

    fn give_up(&self) {
        if self.is_waiting.swap(false, Ordering::Relaxed) {
            self.admission.state().leave(&self.place);
        }
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        self.give_up();
    }
}
