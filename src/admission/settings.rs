//! What admission goes by, why it refuses, and its figures.

use std::sync::Arc;
use std::time::Duration;

use super::penalties::Penalties;
use crate::rules::Network;
use crate::values::label::labels;

/// `[admission]`, and what else of the config it goes by.
#[derive(Debug, Clone, Default)]
pub struct AdmissionSettings {
    /// When strangers are turned away because of their number.
    pub startups: Startups,
    /// Connections of one source that may be on their way to a login.
    pub per_source: usize,
    /// Addresses with so many bits in common are one source.
    pub ipv4_prefix: u8,
    /// The same for IPv6.
    pub ipv6_prefix: u8,
    /// What faults cost a source.
    pub penalties: Penalties,
    /// How long a login protects the source that it came from.
    pub trust: Duration,
    /// Sources of each family that are remembered.
    pub max_sources: usize,
    /// Networks that are never shut out.
    pub exempt: Arc<[Network]>,
    /// `server.proxies`: what they do is done by others.
    pub proxies: Arc<[Network]>,
    /// `server.max_connections`
    pub max_connections: usize,
}

impl AdmissionSettings {
    /// What holds in a server with room for so many: unauthenticated clients get at most half of it.
    pub(super) fn startups(&self) -> Startups {
        let Startups { start, rate, full } = self.startups;
        let full = full.min(self.max_connections.div_ceil(2)).max(1);
        let start = start.min(full);
        Startups { start, rate, full }
    }

    /// Unauthenticated connections from which on all others are refused.
    pub fn max_waiting(&self) -> usize {
        self.startups().full
    }

    /// Connections that are kept free for accounts: those that unauthenticated clients never get.
    pub fn room_for_accounts(&self) -> usize {
        self.max_connections.saturating_sub(self.max_waiting())
    }
}

/// Random early drop (sshd_config(5), MaxStartups): from `start` connections without a login on, `rate`
/// percent of the newcomers are turned away, more and more of them up to `full`, and then all.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Startups {
    /// Below this all are let in.
    pub start: usize,
    /// In percent.
    pub rate: u32,
    /// From this on none is.
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
    /// What the other side is told, in place of a version: OpenSSH's words, which its users know.
    pub fn words(self) -> &'static str {
        match self {
            Self::Startups | Self::Source => "Exceeded MaxStartups\r\n",
            Self::Banned => "Not allowed at this time\r\n",
        }
    }
}

/// How it stands, in numbers.
#[derive(Debug, Default)]
pub struct AdmissionFigures {
    /// Connections on which nobody is logged in.
    pub waiting: usize,
    /// Sources that are banned.
    pub banned: usize,
    /// Connections that were turned away, and why.
    pub refused: Vec<(&'static str, u64)>,
}
