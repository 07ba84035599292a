//! The configuration of russh.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use russh::keys::PrivateKey;
use russh::{Limits, SshId, server};
use tracing::warn;

use super::algorithms::{knows_etm, preferred};
use super::methods::methods;
use crate::accounts::LoginOptions;
use crate::config::{self, Algorithms, Config};

/// Window of a channel, in bytes. Consumed data restores it, so it bounds the requests that wait. The same
/// as OpenSSH's.
const WINDOW: u32 = 2 * 1024 * 1024;

/// Largest channel data in one packet, in bytes.
pub(super) const PACKET: u32 = 32 * 1024;

/// The configuration for nearly all clients, and for those that need other MACs.
pub(super) struct Transports {
    usual: Arc<server::Config>,
    without_etm: Arc<server::Config>,
}

impl Transports {
    pub(super) fn new(config: &Config, keys: Vec<PrivateKey>) -> Self {
        if config.ssh.legacy {
            warn!("{}", config::LEGACY_IS_DEPRECATED);
        }
        if config.ssh.algorithms == Algorithms::Legacy {
            warn!("ssh.algorithms is \"legacy\": SHA-1 and CBC are offered to all clients");
        }
        let made =
            |keys, knows_etm| Arc::new(transport(&config.login, &config.ssh, keys, knows_etm));
        Self {
            usual: made(keys.clone(), true),
            without_etm: made(keys, false),
        }
    }

    /// Returns the configuration that a connection starts with.
    pub(super) fn usual(&self) -> Arc<server::Config> {
        self.usual.clone()
    }

    /// Returns the configuration to continue with for this identification, if it differs.
    pub(super) fn of(&self, identification: &[u8]) -> Option<Arc<server::Config>> {
        (!knows_etm(identification)).then(|| self.without_etm.clone())
    }

    /// Returns the host keys in the order of presentation.
    pub(super) fn host_keys(&self) -> &[PrivateKey] {
        &self.usual.keys
    }
}

fn transport(
    login: &LoginOptions,
    ssh: &config::SshSettings,
    keys: Vec<PrivateKey>,
    knows_etm: bool,
) -> server::Config {
    server::Config {
        server_id: SshId::Standard(Cow::Borrowed(concat!(
            "SSH-2.0-Landfall_",
            env!("CARGO_PKG_VERSION")
        ))),
        methods: methods(),
        keys,
        preferred: preferred(ssh, knows_etm),
        limits: Limits::new(ssh.rekey_bytes, ssh.rekey_bytes, ssh.rekey_time),
        // Every refusal takes this long to hide small differences in time. It is short because each
        // rejected key of an agent costs it, too. The first "none" only requests the methods and is not
        // delayed.
        auth_rejection_time: Duration::from_millis(50),
        auth_rejection_time_initial: Some(Duration::ZERO),
        max_auth_attempts: login.max_attempts,
        window_size: WINDOW,
        grant_window_on_receipt: false,
        maximum_packet_size: PACKET,
        // Packets that wait for the socket: enough for one write of 256 KiB while another is prepared.
        event_buffer_size: 16,
        // A peer that answers keepalives is never inactive. A peer that does not, or does not read its
        // socket, is disconnected.
        keepalive_interval: Some(ssh.keepalive),
        keepalive_max: 3,
        inactivity_timeout: Some(10 * ssh.keepalive),
        ..server::Config::default()
    }
}
