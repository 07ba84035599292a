//! The settings of admission control, its reasons to refuse, and its counters.

use std::sync::Arc;
use std::time::Duration;

use super::penalties::Penalties;
use crate::rules::Network;
use crate::values::label::labels;

/// `[admission]`, and other settings that admission control uses.
#[derive(Debug, Clone, Default)]
pub struct AdmissionSettings {
    /// When unauthenticated clients are refused for their number.
    pub startups: Startups,
    /// Connections without a login per source.
    pub per_source: usize,
    /// Prefix length that makes IPv4 addresses one source.
    pub ipv4_prefix: u8,
    /// The same for IPv6.
    pub ipv6_prefix: u8,
    /// The penalties of a source.
    pub penalties: Penalties,
    /// How long a login protects its source.
    pub trust: Duration,
    /// Sources of each family that are remembered.
    pub max_sources: usize,
    /// Networks that are never banned.
    pub exempt: Arc<[Network]>,
    /// `server.proxies`: their clients are responsible for what arrives from them.
    pub proxies: Arc<[Network]>,
    /// `server.max_connections`
    pub max_connections: usize,
}

impl AdmissionSettings {
    /// Returns the limits that apply: unauthenticated clients get at most half of the connections.
    pub(super) fn startups(&self) -> Startups {
        let Startups { start, rate, full } = self.startups;
        let full = full.min(self.max_connections.div_ceil(2)).max(1);
        let start = start.min(full);
        Startups { start, rate, full }
    }

    /// Number of unauthenticated connections from which on all others are refused.
    pub fn max_waiting(&self) -> usize {
        self.startups().full
    }

    /// Connections reserved for accounts, which unauthenticated clients never get.
    pub fn room_for_accounts(&self) -> usize {
        self.max_connections.saturating_sub(self.max_waiting())
    }
}

/// Random early drop (sshd_config(5), MaxStartups): from `start` connections without a login on, the server
/// refuses `rate` percent of new ones, increasing up to `full`, and then all.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Startups {
    /// Below this number none is refused.
    pub start: usize,
    /// In percent.
    pub rate: u32,
    /// From this number on all are refused.
    pub full: usize,
}

labels! {
    /// Why the server refuses a connection.
    pub enum ConnectionRefusal {
        /// Too many connections are not logged in yet.
        Startups = "startups",
        /// Too many of them are from this source address.
        Source = "source",
        /// The source address is banned.
        Banned = "banned",
    }
}

impl ConnectionRefusal {
    /// Returns what the client receives instead of a version: the text of OpenSSH, which users know.
    pub fn message(self) -> &'static str {
        match self {
            Self::Startups | Self::Source => "Exceeded MaxStartups\r\n",
            Self::Banned => "Not allowed at this time\r\n",
        }
    }
}

/// Counters of admission control.
#[derive(Debug, Default)]
pub struct AdmissionStats {
    /// Connections without a login.
    pub waiting: usize,
    /// Banned sources.
    pub banned: usize,
    /// Refused connections by reason.
    pub refused: Vec<(&'static str, u64)>,
}
