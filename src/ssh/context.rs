//! What all connections share.

use std::sync::Arc;

use russh::keys::PrivateKey;

use super::transport::Transports;
use crate::accounts::{Accounts, LoginOptions};
use crate::config::{self, Config};
use crate::hashes::Hashes;
use crate::io::pool::Pool;
use crate::io::portions::Portions;
use crate::observe::audit::Audit;
use crate::observe::failed_logins::FailedLogins;
use crate::observe::metrics::Metrics;
use crate::quota::Ledgers;
use crate::session::bandwidth::Lanes;
use crate::session::descriptors::Descriptors;
use crate::session::registry::Sessions;

/// The state that all connections share.
pub struct Context {
    pub(super) transports: Transports,
    pub(super) accounts: Accounts,
    pub(super) ledgers: Arc<Ledgers>,
    pub(super) sessions: Arc<Sessions>,
    pub(super) failed_logins: Arc<FailedLogins>,
    pub(super) hashes: Arc<Hashes>,
    pub(super) audit: Audit,
    pub(super) metrics: Arc<Metrics>,
    pub(super) lanes: Arc<Lanes>,
    pub(super) descriptors: Arc<Descriptors>,
    /// Logged-in connections of each account.
    pub(super) connections: Arc<Portions>,
    pub(super) pool: Arc<Pool>,
    pub(super) login: LoginOptions,
    pub(super) ssh: config::SshSettings,
    pub(super) sftp: config::SftpSettings,
    pub(super) uploads: config::UploadSettings,
}

impl Context {
    /// Builds it from the configuration and the host keys.
    pub fn new(
        config: &Config,
        accounts: Accounts,
        ledgers: Arc<Ledgers>,
        sessions: Arc<Sessions>,
        audit: Audit,
        metrics: Arc<Metrics>,
        host_keys: Vec<PrivateKey>,
    ) -> Self {
        Self {
            transports: Transports::new(config, host_keys),
            accounts,
            ledgers,
            sessions,
            failed_logins: Arc::default(),
            hashes: Arc::default(),
            audit,
            metrics,
            lanes: Arc::new(Lanes::new(
                config.bandwidth,
                config.sftp.requests_per_second,
            )),
            descriptors: Arc::new(Descriptors::of_process()),
            connections: Arc::new(Portions::new(config.admission.room_for_accounts())),
            pool: Arc::new(Pool::new(config.server.shards)),
            login: config.login.clone(),
            ssh: config.ssh.clone(),
            sftp: config.sftp.clone(),
            uploads: config.uploads.clone(),
        }
    }

    /// Returns the audit log.
    pub fn audit(&self) -> &Audit {
        &self.audit
    }

    /// Returns the last failed logins.
    pub fn failed_logins(&self) -> &Arc<FailedLogins> {
        &self.failed_logins
    }

    /// Applies the configuration's shares of bandwidth and connections, to open sessions as well.
    pub fn share_out(&self, config: &Config) {
        self.lanes
            .set(config.bandwidth, config.sftp.requests_per_second);
        let room = config.admission.room_for_accounts();
        self.connections.set_budget(room);
    }

    /// Returns the same server under another configuration, with these host keys. The shares of open
    /// sessions change only with [`Context::share_out`].
    pub fn renewed(&self, config: &Config, host_keys: Vec<PrivateKey>) -> Self {
        Self {
            failed_logins: self.failed_logins.clone(),
            hashes: self.hashes.clone(),
            lanes: self.lanes.clone(),
            descriptors: self.descriptors.clone(),
            connections: self.connections.clone(),
            pool: self.pool.clone(),
            ..Self::new(
                config,
                self.accounts.clone(),
                self.ledgers.clone(),
                self.sessions.clone(),
                self.audit.clone(),
                self.metrics.clone(),
                host_keys,
            )
        }
    }
}
