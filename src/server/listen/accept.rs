//! Accepts connections when a slot is free and admission control allows the source.

use std::net::SocketAddr;
use std::os::fd::AsRawFd as _;
use std::sync::Arc;
use std::time::Duration;

use rustix::process::Resource;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tracing::warn;

use super::memory::MemoryWatch;
use super::shard::{Shard, hand_over, refuse};
use crate::admission::{Admission, ConnectionRefusal};
use crate::io::phase::{Phase, reached};
use crate::observe::log::RateLimited;

/// Pause after an error of accept(2) and while descriptors are short: long enough not to spin, short enough
/// not to be noticed.
const PAUSE: Duration = Duration::from_millis(100);
/// Pause between two connections while memory is short. Clients still get in, and memory grows no faster
/// than closing connections free it.
const SLOWLY: Duration = Duration::from_secs(1);
/// Descriptors reserved for the files of logged-in clients; a quarter if there are few.
const RESERVE: u64 = 1024;

/// One listener and its state.
pub(in crate::server) struct Acceptor {
    pub(in crate::server) listener: TcpListener,
    pub(in crate::server) shards: Arc<Vec<Shard>>,
    pub(in crate::server) permits: Arc<Semaphore>,
    pub(in crate::server) admission: Arc<Admission>,
    pub(in crate::server) memory: Arc<MemoryWatch>,
}

/// Log limits for shortages.
#[derive(Default)]
struct Shortages {
    of_descriptors: RateLimited,
    of_memory: RateLimited,
}

/// Log limits for refused connections.
#[derive(Default)]
struct Refusals {
    of_crowds: RateLimited,
    of_banned: RateLimited,
}

impl Acceptor {
    /// Accepts until the server stops.
    pub(in crate::server) async fn run(self, mut phases: watch::Receiver<Phase>) {
        let (mut failures, mut refusals) = (RateLimited::default(), Refusals::default());
        let mut shortages = Shortages::default();
        loop {
            let next = async {
                // The permit comes first: a connection without a slot waits in the kernel's queue.
                let permit = self.permits.clone().acquire_owned().await;
                self.room(&mut shortages).await;
                (permit, self.listener.accept().await)
            };
            let (permit, accepted) = tokio::select! {
                next = next => next,
                () = reached(&mut phases, Phase::Draining) => return,
            };
            let Ok(permit) = permit else { return };
            match accepted {
                Ok((tcp, peer)) => self.take(tcp, peer, permit, &mut refusals),
                Err(failure) => {
                    if let Some(times) = failures.count() {
                        warn!(%failure, times, "cannot accept a connection; trying again");
                    }
                    tokio::time::sleep(PAUSE).await;
                }
            }
        }
    }

    /// Waits for free descriptors, and pauses if memory is short.
    async fn room(&self, shortages: &mut Shortages) {
        while !has_room(&self.listener) {
            if shortages.of_descriptors.count().is_some() {
                warn!("out of file descriptors: new connections wait");
            }
            tokio::time::sleep(PAUSE).await;
        }
        if self.memory.is_short() {
            if shortages.of_memory.count().is_some() {
                warn!("memory is low: accepting one connection per second");
            }
            tokio::time::sleep(SLOWLY).await;
        }
    }

    fn take(
        &self,
        tcp: TcpStream,
        peer: SocketAddr,
        permit: OwnedSemaphorePermit,
        refusals: &mut Refusals,
    ) {
        let Ok(tcp) = tcp.into_std() else { return };
        // An IPv4 client of a dual-stack socket counts as an IPv4 client from here on.
        let peer = SocketAddr::new(peer.ip().to_canonical(), peer.port());
        let is_proxied = self.admission.is_proxy(peer.ip());
        let ticket = if is_proxied {
            self.admission.arrive_unnamed(peer.ip())
        } else {
            self.admission.arrive(peer.ip())
        };
        match ticket {
            Ok(ticket) => hand_over(&self.shards, tcp, peer, is_proxied, ticket, permit),
            Err(refusal) => {
                let (limit, reason) = match refusal {
                    ConnectionRefusal::Banned => (
                        &mut refusals.of_banned,
                        "source address banned; see: landfall ban list",
                    ),
                    ConnectionRefusal::Startups | ConnectionRefusal::Source => (
                        &mut refusals.of_crowds,
                        "too many connections without a login",
                    ),
                };
                if let Some(times) = limit.count() {
                    warn!(%peer, times, "connections refused: {reason}");
                }
                refuse(tcp, peer, refusal);
            }
        }
    }
}

/// The kernel hands out the lowest free descriptor, so its number tells how many are left.
fn has_room(listener: &TcpListener) -> bool {
    let Some(limit) = rustix::process::getrlimit(Resource::Nofile).current else {
        return true;
    };
    let most = limit - RESERVE.min(limit / 4);
    let next = rustix::io::fcntl_dupfd_cloexec(listener, 0);
    next.is_ok_and(|next| u64::try_from(next.as_raw_fd()).is_ok_and(|next| next < most))
}
