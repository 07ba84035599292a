//! Applies a changed configuration to a running server without closing a session.

use std::sync::Arc;

use anyhow::Context as _;
use russh::keys::PrivateKey;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{Mutex, Semaphore, watch};
use tokio::task::spawn_blocking;
use tracing::{error, info};

use crate::accounts::{Accounts, Declared};
use crate::admission::Admission;
use crate::config::{Config, Difference};
use crate::observe::audit::{AccountAction, Audit, Event, Operator};
use crate::observe::log::Log;
use crate::server::jobs::live::Live;
use crate::ssh::{Context, host_keys};
use crate::values::error_chain::chain;
use crate::values::time;

/// The current configuration. New connections use the newest context; open ones keep theirs.
pub(super) struct Reload {
    /// The configuration of the start, for settings that need a restart.
    at_start: Arc<Config>,
    config: watch::Sender<Arc<Config>>,
    context: watch::Sender<Arc<Context>>,
    accounts: Accounts,
    live: Arc<Live>,
    log: Log,
    permits: Arc<Semaphore>,
    admission: Arc<Admission>,
    /// One reload at a time.
    running: Arc<Mutex<()>>,
    last: watch::Sender<LastReload>,
}

/// The outcome of the last reload; the start counts as one.
#[derive(Debug, Clone, Copy)]
pub(super) struct LastReload {
    /// Whether the last configuration was applied.
    pub(super) is_applied: bool,
    /// When a configuration was last applied: seconds since 1970-01-01 00:00 UTC.
    pub(super) applied_at: i64,
}

impl Reload {
    /// Makes it with the configuration of the start.
    pub(super) fn new(
        config: Arc<Config>,
        context: Arc<Context>,
        accounts: Accounts,
        live: Arc<Live>,
        log: Log,
        permits: Arc<Semaphore>,
        admission: Arc<Admission>,
    ) -> Self {
        Self {
            at_start: config.clone(),
            config: watch::Sender::new(config),
            context: watch::Sender::new(context),
            accounts,
            live,
            log,
            permits,
            admission,
            running: Arc::default(),
            last: watch::Sender::new(LastReload {
                is_applied: true,
                applied_at: time::now(),
            }),
        }
    }

    /// Returns the outcome of the last reload.
    pub(super) fn last(&self) -> LastReload {
        *self.last.borrow()
    }

    /// Returns the current configuration.
    pub(super) fn config(&self) -> watch::Receiver<Arc<Config>> {
        self.config.subscribe()
    }

    /// Returns the current context.
    pub(super) fn context(&self) -> watch::Receiver<Arc<Context>> {
        self.context.subscribe()
    }

    /// Reads the configuration and the host keys again, for this operator or for a signal. Applies all of
    /// it or nothing. Returns lines for the operator.
    ///
    /// # Errors
    ///
    /// All faults of the configuration or the keys.
    pub(super) async fn reload(
        self: &Arc<Self>,
        operator: Option<Operator>,
    ) -> anyhow::Result<Vec<String>> {
        let one = self.running.clone().lock_owned().await;
        let this = self.clone();
        // A task of its own completes even if the waiting command gives up.
        let reloading = tokio::spawn(async move {
            let _one = one;
            let outcome = this.reload_alone().await;
            if let Ok(lines) = &outcome {
                let reload = Event::Reload {
                    message: &lines.join("\n"),
                    operator,
                };
                this.context.borrow().audit().record(None, &reload);
            }
            outcome
        });
        reloading.await.context("the reload panicked")?
    }

    async fn reload_alone(&self) -> anyhow::Result<Vec<String>> {
        let outcome = self.prepare_and_switch().await;
        self.last.send_modify(|last| {
            last.is_applied = outcome.is_ok();
            if last.is_applied {
                last.applied_at = time::now();
            }
        });
        match &outcome {
            Ok(lines) => lines.iter().for_each(|line| info!("reload: {line}")),
            Err(failure) => {
                for line in chain(failure).to_string().lines() {
                    error!("reload refused: {line}");
                }
            }
        }
        outcome
    }

    /// Does everything that can fail first, then applies all of it.
    async fn prepare_and_switch(&self) -> anyhow::Result<Vec<String>> {
        let old = self.config.borrow().clone();
        let (new, keys) = {
            let at_start = self.at_start.clone();
            let reading = spawn_blocking(move || read(&at_start));
            reading.await.context("cannot reload the configuration")??
        };
        let prepared = self.accounts.prepare(new.accounts()).await;
        let prepared = prepared.map_err(|failure| new.with_places(failure))?;
        let context = self.context.borrow().renewed(&new, keys);
        let declared = prepared.commit().await?;
        // Nothing fails from here on.
        record_declared(context.audit(), &declared);
        context.share_out(&new);
        let (ipv4, ipv6) = (new.admission.ipv4_prefix, new.admission.ipv6_prefix);
        context.audit().count_sources_by(ipv4, ipv6);
        self.context.send_replace(Arc::new(context));
        self.log.set(new.log.level);
        self.admission.set(new.admission.clone());
        self.allow(old.server.max_connections, new.server.max_connections);
        let mut lines = self.tell(&old, &new);
        lines.extend(declared.summary());
        self.config.send_replace(Arc::new(new));
        self.live.apply_all(declared.affected()).await;
        Ok(lines)
    }

    /// Changes the limit on connections. No open connection is closed.
    fn allow(&self, before: usize, now: usize) {
        self.permits.add_permits(now.saturating_sub(before));
        let fewer = u32::try_from(before.saturating_sub(now)).unwrap_or(u32::MAX);
        if fewer > 0 {
            let permits = self.permits.clone();
            tokio::spawn(async move {
                if let Ok(taken) = permits.acquire_many_owned(fewer).await {
                    taken.forget();
                }
            });
        }
    }

    fn tell(&self, old: &Config, new: &Config) -> Vec<String> {
        let names = |differences: Vec<Difference>, live: bool| {
            let of_kind = differences.into_iter().filter(|one| one.is_live == live);
            of_kind
                .map(|one| one.setting)
                .collect::<Vec<_>>()
                .join(", ")
        };
        let changed = names(new.differences(old), true);
        let waiting = names(new.differences(&self.at_start), false);
        let mut lines = vec![match changed.as_str() {
            "" => "no live setting has changed".to_owned(),
            changed => format!("changed: {changed}"),
        }];
        if !waiting.is_empty() {
            lines.push(format!("changed, takes effect at a restart: {waiting}"));
        }
        lines
    }

    /// Reloads at each SIGHUP. Never returns.
    pub(super) async fn at_hangup(self: Arc<Self>) {
        let mut hangup = match signal(SignalKind::hangup()) {
            Ok(hangup) => hangup,
            Err(failure) => return error!(%failure, "cannot handle SIGHUP"),
        };
        while hangup.recv().await.is_some() {
            // The outcome is in the log.
            let _ = self.reload(None).await;
        }
    }
}

/// Records changes of declared users in the audit log.
pub(super) fn record_declared(audit: &Audit, declared: &Declared) {
    for (action, users, message) in [
        (
            AccountAction::Add,
            &declared.added,
            "Added: declared in config.toml",
        ),
        (
            AccountAction::Set,
            &declared.changed,
            "Changed: declared in config.toml",
        ),
        (
            AccountAction::Remove,
            &declared.removed,
            "Removed: no longer declared in config.toml; its files stay",
        ),
    ] {
        for user in users {
            let account = Event::Account {
                action,
                name: user.as_str(),
                message,
                operator: None,
            };
            audit.record(None, &account);
        }
    }
}

fn read(at_start: &Config) -> anyhow::Result<(Config, Vec<PrivateKey>)> {
    let config = Config::find(at_start.file.as_deref())?;
    let keys = host_keys::load(&at_start.server.keys)?;
    Ok((config, keys))
}
