//! Notifications to systemd (sd_notify(3)) and sockets from it (sd_listen_fds(3)). Does nothing without
//! systemd.

use std::env;
use std::ffi::OsStr;
use std::io;
use std::net::TcpListener;
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::Context as _;
use listenfd::ListenFd;
use tokio::time::interval;
use tracing::{error, warn};

/// Returns the sockets that systemd passes; none without socket activation.
pub(super) fn sockets() -> anyhow::Result<Vec<TcpListener>> {
    let mut handed = ListenFd::from_env();
    let mut sockets = Vec::new();
    for number in 0..handed.len() {
        let socket = handed.take_tcp_listener(number);
        let socket = socket.context("systemd passed a socket that is not a TCP socket")?;
        sockets.extend(socket);
    }
    Ok(sockets)
}

/// The connection to systemd, made before the sandbox forbids to connect.
#[derive(Clone)]
pub(super) struct Supervisor(Option<Arc<UnixDatagram>>);

impl Supervisor {
    /// Connects to the socket that systemd names; without one, nothing is reported.
    pub(super) fn connect() -> Self {
        let Some(name) = env::var_os("NOTIFY_SOCKET") else {
            return Self(None);
        };
        match connected(&name) {
            Ok(socket) => Self(Some(Arc::new(socket))),
            Err(failure) => {
                warn!(%failure, "cannot notify systemd");
                Self(None)
            }
        }
    }

    /// Reports that the server is ready.
    pub(super) fn ready(&self) {
        self.tell("READY=1");
    }

    /// Reports that the server is stopping.
    pub(super) fn stopping(&self) {
        self.tell("STOPPING=1");
    }

    fn tell(&self, state: &str) {
        if let Some(socket) = &self.0
            && let Err(failure) = socket.send(state.as_bytes())
        {
            warn!(%failure, "cannot notify systemd");
        }
    }
}

/// Connects; a name that begins with @ is abstract (unix(7)).
fn connected(name: &OsStr) -> io::Result<UnixDatagram> {
    let socket = UnixDatagram::unbound()?;
    match name.as_bytes().strip_prefix(b"@") {
        Some(name) => socket.connect_addr(&SocketAddr::from_abstract_name(name)?)?,
        None => socket.connect(name)?,
    }
    Ok(socket)
}

/// The heartbeat of one shard.
#[derive(Clone, Default)]
pub(super) struct Beat(Arc<AtomicU64>);

impl Beat {
    /// Counts a heartbeat.
    pub(super) fn beat(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

/// Returns the interval of systemd's watchdog; `None` if it is off.
pub(super) fn watchdog() -> Option<Duration> {
    let number = |name| env::var(name).ok()?.parse::<u64>().ok();
    // The variable may be meant for the parent process.
    let is_other = |pid| pid != u64::from(std::process::id());
    if number("WATCHDOG_PID").is_some_and(is_other) {
        return None;
    }
    let microseconds = number("WATCHDOG_USEC").filter(|number| *number > 1);
    microseconds.map(Duration::from_micros)
}

/// Notifies systemd's watchdog while every shard has a heartbeat. Never returns.
pub(super) async fn watch(supervisor: Supervisor, patience: Duration, beats: Vec<Beat>) {
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
            supervisor.tell("WATCHDOG=1");
        } else {
            error!("a worker thread does not respond");
        }
        seen = now;
    }
}
