//! What the server reports of itself: the audit log and the metrics.

mod file_systems;
mod process;

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, anyhow};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::{JoinHandle, spawn_blocking};
use tokio::time::timeout;
use tracing::{info, warn};

pub(super) use self::file_systems::FileSystems;
pub(super) use self::process::Process;
use super::listen::sockets::cannot_listen;
use super::reload::Reload;
use crate::accounts::Accounts;
use crate::admission::Admission;
use crate::config::Config;
use crate::io::phase::Phase;
use crate::observe::audit::{Audit, Writer};
use crate::observe::log::Log;
use crate::observe::metrics::http::{self, HttpPage, Text};
use crate::observe::metrics::{self, ExternalMetrics, Metrics};
use crate::session::usage::AccountUsage;
use crate::values::error_chain::chain;

/// Opens the audit log and its writer, if configured.
pub(super) fn start_audit(config: &Config) -> anyhow::Result<(Audit, Option<Writer>)> {
    if !config.audit.enabled {
        return Ok((Audit::off(), None));
    }
    let (audit, writer) = Audit::start(config.audit_log(), config.audit.policy)?;
    audit.count_sources_by(config.admission.ipv4_prefix, config.admission.ipv6_prefix);
    Ok((audit, Some(writer)))
}

/// The sources of the metrics.
pub(super) struct Telemetry {
    pub(super) metrics: Arc<Metrics>,
    pub(super) audit: Audit,
    pub(super) log: Log,
    pub(super) admission: Arc<Admission>,
    pub(super) accounts: Accounts,
    /// Whether the usage of each account is reported.
    pub(super) tells_accounts: bool,
    pub(super) reload: Arc<Reload>,
    pub(super) process: Arc<Process>,
    pub(super) file_systems: FileSystems,
    pub(super) phases: watch::Receiver<Phase>,
}

/// Time for the database to answer, within the deadline of a request.
const PATIENCE: Duration = Duration::from_secs(4);

impl Telemetry {
    /// Serves the metrics to Prometheus, if configured.
    pub(super) async fn tell(self, config: &Config) -> anyhow::Result<Option<JoinHandle<()>>> {
        let Some(address) = config.metrics.listen else {
            return Ok(None);
        };
        let listener = TcpListener::bind(address).await;
        let listener = listener
            .map_err(|failure| cannot_listen(address, failure))
            .context("metrics.listen")?;
        info!("metrics at http://{}/metrics", listener.local_addr()?);
        let told = Arc::new(self);
        let page = move |page| {
            let told = told.clone();
            async move {
                match page {
                    HttpPage::Metrics => Ok(told.page().await),
                    HttpPage::Health => told.health().await,
                }
            }
        };
        Ok(Some(tokio::spawn(http::serve(listener, page))))
    }

    async fn page(&self) -> String {
        let accounts = match self.tells_accounts {
            true => self.uses().await,
            false => Vec::new(),
        };
        let file_systems = self.file_systems.look().await;
        let process = self.process.clone();
        let process = spawn_blocking(move || process.look()).await;
        let admission = self.admission.stats();
        let reloaded = self.reload.last();
        let config = self.reload.config().borrow().clone();
        self.metrics.text(&ExternalMetrics {
            waiting: admission.waiting,
            banned: admission.banned,
            refused: admission.refused,
            audit_lost: self.audit.lost(),
            audit_folded: self.audit.folded(),
            log_dropped: self.log.dropped(),
            accounts,
            process: process.unwrap_or_default(),
            file_systems,
            is_reloaded: reloaded.is_applied,
            reloaded_at: reloaded.applied_at,
            max_connections: config.server.max_connections,
            max_waiting: config.admission.max_waiting(),
        })
    }

    async fn uses(&self) -> Vec<metrics::AccountMetrics> {
        let uses = match timeout(PATIENCE, AccountUsage::of_all(&self.accounts)).await {
            Ok(uses) => uses,
            Err(_) => Err(anyhow!("the database does not answer")),
        };
        let uses = uses.unwrap_or_else(|failure| {
            warn!(
                "the metrics omit the usage of accounts: {}",
                chain(&failure)
            );
            Vec::new()
        });
        uses.into_iter().map(shown_usage).collect()
    }

    /// Returns whether logins are possible, and if not, why.
    async fn health(&self) -> Text {
        if *self.phases.borrow() != Phase::Serving {
            return Err("the server is stopping\n".to_owned());
        }
        if self.audit.refuses_logins() {
            return Err("the audit log cannot be written: logins are refused\n".to_owned());
        }
        match timeout(PATIENCE, self.accounts.last_change()).await {
            Ok(Ok(_)) => Ok("ok\n".to_owned()),
            Ok(Err(failure)) => {
                warn!("the database cannot be read: {}", chain(&failure));
                Err("the database cannot be read: see the log of the server\n".to_owned())
            }
            Err(_) => Err("the database does not answer\n".to_owned()),
        }
    }
}

fn shown_usage(user: AccountUsage) -> metrics::AccountMetrics {
    let account = user.details.account;
    metrics::AccountMetrics {
        name: account.name.to_string(),
        used: user.used.map(|used| (used.bytes, used.files)),
        bytes_limit: account.settings.allowance.bytes,
        files_limit: account.settings.allowance.files,
        last_login: user.details.last_login.map(|login| login.at),
    }
}
