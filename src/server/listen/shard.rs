//! Worker threads ("shards"), each with a runtime of its own and a share of the connections.

use std::future::pending;
use std::io::Write as _;
use std::net::SocketAddr;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::sync::{OwnedSemaphorePermit, mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::{Interval, interval};
use tracing::{debug, error, warn};

use super::proxy;
use crate::admission::{ConnectionRefusal, Ticket};
use crate::io::phase::Phase;
use crate::server::supervisor::Beat;
use crate::ssh::{self, Context};

/// Threads of one shard that may wait for disks. Each account uses only its share of them (`pool`), so a
/// disk that hangs does not take them from other homes.
const BLOCKING_THREADS: usize = 1024;

/// Hands a connection to the running shard with the fewest connections.
pub(in crate::server) fn hand_over(
    shards: &[Shard],
    tcp: std::net::TcpStream,
    peer: SocketAddr,
    is_proxied: bool,
    ticket: Ticket,
    permit: OwnedSemaphorePermit,
) {
    let least = shards
        .iter()
        .filter(|shard| !shard.newcomers.is_closed())
        .min_by_key(|shard| shard.load.load(Ordering::Relaxed));
    if let Some(shard) = least {
        shard.load.fetch_add(1, Ordering::Relaxed);
        let connection = NewConnection {
            tcp,
            peer,
            is_proxied,
            ticket,
            _permit: permit,
            _load: Load(shard.load.clone()),
        };
        if shard.newcomers.send(connection).is_err() {
            error!(%peer, "a worker thread has ended; its connection is dropped");
        }
    }
}

/// A connection on its way to a shard.
struct NewConnection {
    tcp: std::net::TcpStream,
    peer: SocketAddr,
    /// Whether it starts with a PROXY header.
    is_proxied: bool,
    ticket: Ticket,
    _permit: OwnedSemaphorePermit,
    _load: Load,
}

/// Counts a connection of a shard while it is open.
struct Load(Arc<AtomicUsize>);

impl Drop for Load {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// A thread with a runtime. A connection and all its channels stay on one thread and wake each other
/// without crossing to another core.
pub(in crate::server) struct Shard {
    newcomers: mpsc::UnboundedSender<NewConnection>,
    load: Arc<AtomicUsize>,
    beat: Beat,
    /// Returns whether the shard ended normally.
    thread: thread::JoinHandle<bool>,
}

impl Shard {
    /// `watchdog` is the interval of the watchdog, if there is one. `died` receives the shard's number if
    /// it panics. (A panic in one connection ends only that connection.)
    pub(in crate::server) fn start(
        number: usize,
        context: watch::Receiver<Arc<Context>>,
        phases: watch::Receiver<Phase>,
        watchdog: Option<Duration>,
        died: mpsc::UnboundedSender<usize>,
    ) -> anyhow::Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .max_blocking_threads(BLOCKING_THREADS)
            .thread_name(format!("shard-{number}-io"))
            .build()?;
        let (newcomers, arriving) = mpsc::unbounded_channel();
        let beat = Beat::default();
        let life = Life {
            context,
            phases,
            beat: beat.clone(),
            pause: watchdog.map(|patience| patience / 4),
        };
        let thread = thread::Builder::new()
            .name(format!("shard-{number}"))
            .spawn(move || {
                let living = || runtime.block_on(life.live(arriving));
                let has_lived = catch_unwind(AssertUnwindSafe(living)).is_ok();
                if !has_lived {
                    // The receiver may be gone when the server stops.
                    let _ = died.send(number);
                }
                // A call that hangs on a dead disk must not keep the process from ending.
                runtime.shutdown_timeout(Duration::from_secs(2));
                has_lived
            })?;
        Ok(Self {
            newcomers,
            load: Arc::default(),
            beat,
            thread,
        })
    }

    pub(in crate::server) fn beat(&self) -> Beat {
        self.beat.clone()
    }

    /// Waits for its end; returns whether it ended normally.
    pub(in crate::server) fn join(self) -> bool {
        drop(self.newcomers);
        self.thread.join().unwrap_or(false)
    }
}

/// The state of a running shard.
struct Life {
    context: watch::Receiver<Arc<Context>>,
    phases: watch::Receiver<Phase>,
    /// The watchdog's counter and interval, if there is a watchdog.
    beat: Beat,
    pause: Option<Duration>,
}

impl Life {
    /// Serves connections until no more arrive, then waits for the last one to end.
    async fn live(self, mut arriving: mpsc::UnboundedReceiver<NewConnection>) {
        let mut connections = JoinSet::new();
        let mut ticks = self.pause.map(interval);
        loop {
            let connection = tokio::select! {
                connection = arriving.recv() => connection,
                Some(_) = connections.join_next() => continue,
                () = pulse(&self.beat, ticks.as_mut()) => continue,
            };
            let Some(connection) = connection else { break };
            let (context, phases) = (self.context.borrow().clone(), self.phases.clone());
            connections.spawn(connection.serve(context, phases));
        }
        while connections.join_next().await.is_some() {}
    }
}

/// Reports to the watchdog when the interval is over.
async fn pulse(beat: &Beat, ticks: Option<&mut Interval>) {
    match ticks {
        Some(ticks) => {
            ticks.tick().await;
            beat.beat();
        }
        None => pending().await,
    }
}

impl NewConnection {
    async fn serve(self, context: Arc<Context>, phases: watch::Receiver<Phase>) {
        let Self {
            tcp, peer, ticket, ..
        } = self;
        let ready = tcp
            .set_nodelay(true)
            .and_then(|()| TcpStream::from_std(tcp));
        let tcp = match ready {
            Ok(tcp) => tcp,
            Err(failure) => return warn!(%peer, %failure, "connection closed before it was served"),
        };
        if !self.is_proxied {
            return ssh::serve(tcp, peer, ticket, context, phases).await;
        }
        if let Some((tcp, client, ticket)) = unpack(tcp, peer, ticket).await {
            ssh::serve(tcp, client, ticket, context, phases).await;
        }
    }
}

/// Reads a balancer's header and asks admission control about the client.
async fn unpack(
    mut tcp: TcpStream,
    balancer: SocketAddr,
    unnamed: Ticket,
) -> Option<(TcpStream, SocketAddr, Ticket)> {
    let client = match proxy::client(&mut tcp).await {
        Ok(client) => client.unwrap_or(balancer),
        Err(failure) => {
            warn!(peer = %balancer, %failure, "connection from a balancer refused");
            return None;
        }
    };
    match unnamed.named(client.ip()) {
        Ok(ticket) => Some((tcp, client, ticket)),
        Err(refusal) => {
            refuse(tcp.into_std().ok()?, client, refusal);
            None
        }
    }
}

/// Closes a refused connection, with a message if the socket accepts it without waiting. Logs once a
/// minute: a line for each would flood the log.
pub(super) fn refuse(mut tcp: std::net::TcpStream, peer: SocketAddr, refusal: ConnectionRefusal) {
    debug!(%peer, ?refusal, "connection refused");
    let _ = tcp.write(refusal.message().as_bytes());
}
