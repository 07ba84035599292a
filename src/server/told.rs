//! What the server tells of itself: the audit trail, and the metrics.

use std::sync::Arc;

use anyhow::Context as _;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tracing::{info, warn};

use super::cannot_listen;
use crate::accounts::Accounts;
use crate::admin;
use crate::admission::Admission;
use crate::audit::{Audit, Writer};
use crate::config::Config;
use crate::log::Log;
use crate::metrics::{Elsewhere, Metrics, http};

/// The audit trail, and what writes it, if the config has one.
pub(super) fn start_audit(config: &Config) -> anyhow::Result<(Audit, Option<Writer>)> {
    if !config.audit.enabled {
        return Ok((Audit::off(), None));
    }
    let (audit, writer) = Audit::start(config.trail(), config.audit.policy)?;
    audit.count_sources_by(config.admission.ipv4_prefix, config.admission.ipv6_prefix);
    Ok((audit, Some(writer)))
}

/// What the metrics are told from.
pub(super) struct Told {
    pub(super) metrics: Arc<Metrics>,
    pub(super) audit: Audit,
    pub(super) log: Log,
    pub(super) admission: Arc<Admission>,
    /// Those whose use is told, too.
    pub(super) accounts: Option<Accounts>,
}

impl Told {
    /// Answers Prometheus, if the config says where.
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
        let page = move || {
            let told = told.clone();
            async move { told.page().await }
        };
        Ok(Some(tokio::spawn(http::serve(listener, page))))
    }

    async fn page(&self) -> String {
        let accounts = match &self.accounts {
            Some(accounts) => admin::uses(accounts).await.unwrap_or_else(|failure| {
                warn!("the metrics lack what accounts use: {failure:#}");
                Vec::new()
            }),
            None => Vec::new(),
        };
        let door = self.admission.figures();
        self.metrics.text(&Elsewhere {
            waiting: door.waiting,
            banned: door.banned,
            refused: door.refused,
            audit_lost: self.audit.lost(),
            audit_folded: self.audit.folded(),
            log_dropped: self.log.dropped(),
            accounts,
        })
    }
}
