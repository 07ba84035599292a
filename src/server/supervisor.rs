//! What systemd is told (sd_notify(3)), and what it hands over (sd_listen_fds(3)). Without it nothing
//! happens here.

use std::net::TcpListener;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::Context as _;
use listenfd::ListenFd;
use sd_notify::NotifyState;
use tokio::time::interval;
use tracing::{error, warn};

/// The sockets that systemd listens on for us; none if it does not.
pub(super) fn sockets() -> anyhow::Result<Vec<TcpListener>> {
    let mut handed = ListenFd::from_env();
    let mut sockets = Vec::new();
    for number in 0..handed.len() {
        let socket = handed.take_tcp_listener(number);
        let socket = socket.context("systemd handed over a socket that is none of TCP")?;
        sockets.extend(socket);
    }
    Ok(sockets)
}

/// It serves.
pub(super) fn ready() {
    tell(&[NotifyState::Ready]);
}

/// It is on its way to its end.
pub(super) fn stopping() {
    tell(&[NotifyState::Stopping]);
}

fn tell(states: &[NotifyState<'_>]) {
    if let Err(failure) = sd_notify::notify(states) {
        warn!(%failure, "systemd cannot be told");
    }
}

/// The sign of life of one shard.
#[derive(Clone, Default)]
pub(super) struct Beat(Arc<AtomicU64>);

impl Beat {
    /// It is alive.
    pub(super) fn beat(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

/// How long systemd waits for a sign of life before it starts us anew; `None` if it does not.
pub(super) fn watchdog() -> Option<Duration> {
    sd_notify::watchdog_enabled()
}

/// Gives systemd a sign of life for as long as every shard gives one. Never ends.
pub(super) async fn watch(patience: Duration, beats: Vec<Beat>) {
    let mut ticks = interval(patience / 2);
    let mut seen = vec![0; beats.len()];
    ticks.tick().await;
    loop {
        ticks.tick().await;
        let now: Vec<u64> = beats
            .iter()
            .map(|beat| beat.0.load(Ordering::Relaxed))
            .collect();
        if now.iter().zip(&seen).all(|(now, seen)| now != seen) {
            tell(&[NotifyState::Watchdog]);
        } else {
            error!("a shard gives no sign of life");
        }
        seen = now;
    }
}
