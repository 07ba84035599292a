//! The composition root: listeners, shards, the limit on connections, and the way to stop.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use anyhow::Context as _;
use rustix::process::{Resource, Rlimit};
use tokio::net::{TcpListener, TcpStream};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, watch};
use tokio::task::{JoinHandle, JoinSet};
use tracing::{error, info, warn};

use crate::accounts::Accounts;
use crate::admin::{self, first_run};
use crate::audit::{Audit, Event, Writer};
use crate::config::Config;
use crate::database;
use crate::log;
use crate::metrics::{Elsewhere, Metrics, http};
use crate::quota::Ledgers;
use crate::session;
use crate::ssh::{self, Context};
use crate::sweep;

/// After an error of accept(2), as when no descriptor is free: long enough not to spin, short
/// enough not to be noticed.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Threads of one shard that may wait for disks at the same time. Every channel waits in at most
/// one, so a stalled disk does not take them from the other homes.
const BLOCKING_THREADS: usize = 1024;

/// `landfall serve`: from a config to the end of the process.
pub async fn run(config: Config) -> anyhow::Result<()> {
    log::start(&config.log)?;
    match &config.file {
        Some(file) => info!("the settings are from {}", file.display()),
        None => info!("there is no config.toml here: every setting has its default"),
    }
    prepare_process();
    let accounts = Accounts::open(&config).await?;
    let _alone = database::serve_alone(&config.server.data)?;
    let ledgers = Ledgers::new(accounts.database().clone(), session::count_home);
    let (audit, writer) = start_audit(&config)?;
    let told = Arc::new(Told {
        metrics: Arc::default(),
        audit: audit.clone(),
        accounts: config.metrics.accounts.then(|| accounts.clone()),
    });
    let context = Context::new(
        &config,
        accounts.clone(),
        ledgers.clone(),
        audit.clone(),
        told.metrics.clone(),
    )?;
    let server = Server::bind(&config, context).await?;
    let telling = tell_metrics(&config, told).await?;
    let addresses = server.addresses()?;
    let first_run = first_run::make_account(&accounts, &audit, &addresses).await?;
    let stop = stop_signal()?;
    for address in &addresses {
        admin::print(&format!("Listening on {address}\n"))?;
    }
    if let Some(text) = first_run {
        // To the operator's terminal, not to the log.
        admin::print(&text)?;
    }
    ledgers.begin_serving().await?;
    audit.note(
        None,
        &Event::Start {
            version: env!("CARGO_PKG_VERSION"),
        },
    );
    let informing = tokio::spawn(ledgers.clone().keep_informed());
    let sweeping = tokio::spawn(sweep::run(
        accounts,
        ledgers.clone(),
        config.uploads.sweep_after,
    ));
    server.run(stop).await?;
    informing.abort();
    sweeping.abort();
    if let Some(telling) = telling {
        telling.abort();
    }
    audit.note(None, &Event::Stop);
    if let Some(writer) = writer {
        writer.finish();
    }
    ledgers.end_serving().await
}

/// The audit trail, and what writes it, if the config has one.
fn start_audit(config: &Config) -> anyhow::Result<(Audit, Option<Writer>)> {
    if !config.audit.enabled {
        return Ok((Audit::off(), None));
    }
    let (audit, writer) = Audit::start(config.trail(), config.audit.policy)?;
    Ok((audit, Some(writer)))
}

/// Answers Prometheus, if the config says where.
async fn tell_metrics(config: &Config, told: Arc<Told>) -> anyhow::Result<Option<JoinHandle<()>>> {
    let Some(address) = config.metrics.listen else {
        return Ok(None);
    };
    let listener = TcpListener::bind(address).await;
    let listener = listener.with_context(|| format!("cannot tell the metrics on {address}"))?;
    info!("metrics at http://{}/metrics", listener.local_addr()?);
    let page = move || {
        let told = told.clone();
        async move { told.page().await }
    };
    Ok(Some(tokio::spawn(http::serve(listener, page))))
}

/// What the metrics are told from.
struct Told {
    metrics: Arc<Metrics>,
    audit: Audit,
    /// Those whose use is told, too.
    accounts: Option<Accounts>,
}

impl Told {
    async fn page(&self) -> String {
        let accounts = match &self.accounts {
            Some(accounts) => admin::uses(accounts).await.unwrap_or_else(|failure| {
                warn!("the metrics lack what accounts use: {failure:#}");
                Vec::new()
            }),
            None => Vec::new(),
        };
        self.metrics.text(&Elsewhere {
            audit_lost: self.audit.lost(),
            accounts,
        })
    }
}

/// What a process needs that serves many: every permission bit decided by the store alone, and as
/// many descriptors as the system allows.
fn prepare_process() {
    if rustix::process::geteuid().is_root() {
        warn!("this runs as root, and needs no privilege: better run it as a user of its own");
    }
    rustix::process::umask(rustix::fs::Mode::empty());
    let limit = rustix::process::getrlimit(Resource::Nofile);
    let raised = Rlimit {
        current: limit.maximum,
        ..limit
    };
    if let Err(failure) = rustix::process::setrlimit(Resource::Nofile, raised) {
        warn!(%failure, "the limit on open files stays as it is");
    }
}

/// A server that listens, and does not accept yet.
pub struct Server {
    listeners: Vec<TcpListener>,
    context: Arc<Context>,
    shards: usize,
    max_connections: usize,
}

impl Server {
    /// Listens.
    pub async fn bind(config: &Config, context: Context) -> anyhow::Result<Self> {
        let mut listeners = Vec::new();
        for address in &config.server.listen {
            let listener = TcpListener::bind(address).await.with_context(|| {
                format!("cannot listen on {address}: is another server running there?")
            })?;
            listeners.push(listener);
        }
        Ok(Self {
            listeners,
            context: Arc::new(context),
            shards: config.server.shards,
            max_connections: config.server.max_connections,
        })
    }

    /// The addresses that it really has: port 0 in the config is a real port here.
    pub fn addresses(&self) -> anyhow::Result<Vec<SocketAddr>> {
        let addresses = self.listeners.iter().map(TcpListener::local_addr);
        Ok(addresses.collect::<Result<_, _>>()?)
    }

    /// Accepts until `stop` becomes true, then ends all connections.
    pub async fn run(self, stop: watch::Receiver<bool>) -> anyhow::Result<()> {
        let permits = Arc::new(Semaphore::new(self.max_connections));
        let mut shards = Vec::new();
        for number in 0..self.shards {
            shards.push(Shard::start(number, self.context.clone(), stop.clone())?);
        }
        let shards = Arc::new(shards);
        let mut accepting = JoinSet::new();
        for listener in self.listeners {
            accepting.spawn(accept(
                listener,
                shards.clone(),
                permits.clone(),
                stop.clone(),
            ));
        }
        while accepting.join_next().await.is_some() {}
        if let Some(shards) = Arc::into_inner(shards) {
            for shard in shards {
                tokio::task::spawn_blocking(move || shard.join()).await?;
            }
        }
        Ok(())
    }
}

/// Becomes true when the process is told to stop (SIGTERM, SIGINT).
pub fn stop_signal() -> anyhow::Result<watch::Receiver<bool>> {
    let (stop, stopped) = watch::channel(false);
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    tokio::spawn(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        info!("stopping");
        stop.send_replace(true);
    });
    Ok(stopped)
}

async fn accept(
    listener: TcpListener,
    shards: Arc<Vec<Shard>>,
    permits: Arc<Semaphore>,
    mut stop: watch::Receiver<bool>,
) {
    loop {
        let next = async {
            // The permit comes first: who finds no room waits in the system's queue, not in ours.
            let permit = permits.clone().acquire_owned().await;
            (permit, listener.accept().await)
        };
        let (permit, accepted) = tokio::select! {
            next = next => next,
            _ = stop.wait_for(|stop| *stop) => return,
        };
        let Ok(permit) = permit else { return };
        match accepted {
            Ok((tcp, peer)) => hand_over(&shards, tcp, peer, permit),
            Err(failure) => {
                warn!(%failure, "cannot accept a connection; trying again");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

/// Gives the connection to the shard that has the fewest.
fn hand_over(shards: &[Shard], tcp: TcpStream, peer: SocketAddr, permit: OwnedSemaphorePermit) {
    let Ok(tcp) = tcp.into_std() else { return };
    let least = shards
        .iter()
        .min_by_key(|shard| shard.load.load(Ordering::Relaxed));
    if let Some(shard) = least {
        shard.load.fetch_add(1, Ordering::Relaxed);
        let newcomer = Newcomer {
            tcp,
            peer,
            _permit: permit,
            load: Load(shard.load.clone()),
        };
        if shard.newcomers.send(newcomer).is_err() {
            error!(%peer, "a shard is gone; its connection is dropped");
        }
    }
}

/// A connection on its way to a shard.
struct Newcomer {
    tcp: std::net::TcpStream,
    peer: SocketAddr,
    _permit: OwnedSemaphorePermit,
    load: Load,
}

/// Counts a connection of a shard for as long as it lives.
struct Load(Arc<AtomicUsize>);

impl Drop for Load {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// A thread with a runtime of its own, on which a connection and all its channels live: they wake
/// each other without crossing to another core.
struct Shard {
    newcomers: mpsc::UnboundedSender<Newcomer>,
    load: Arc<AtomicUsize>,
    thread: thread::JoinHandle<()>,
}

impl Shard {
    fn start(
        number: usize,
        context: Arc<Context>,
        stop: watch::Receiver<bool>,
    ) -> anyhow::Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .max_blocking_threads(BLOCKING_THREADS)
            .thread_name(format!("shard-{number}-io"))
            .build()?;
        let (newcomers, arriving) = mpsc::unbounded_channel();
        let thread = thread::Builder::new()
            .name(format!("shard-{number}"))
            .spawn(move || {
                runtime.block_on(live(arriving, context, stop));
                // A call that hangs on a dead disk must not keep the process from ending.
                runtime.shutdown_timeout(Duration::from_secs(2));
            })?;
        Ok(Self {
            newcomers,
            load: Arc::default(),
            thread,
        })
    }

    fn join(self) {
        drop(self.newcomers);
        if self.thread.join().is_err() {
            error!("a shard ended in a panic");
        }
    }
}

/// The life of a shard: takes connections until there are no more to come, then waits for the last.
async fn live(
    mut arriving: mpsc::UnboundedReceiver<Newcomer>,
    context: Arc<Context>,
    stop: watch::Receiver<bool>,
) {
    let mut connections = JoinSet::new();
    loop {
        let newcomer = tokio::select! {
            newcomer = arriving.recv() => newcomer,
            Some(_) = connections.join_next() => continue,
        };
        let Some(newcomer) = newcomer else { break };
        let (context, stop) = (context.clone(), stop.clone());
        connections.spawn(async move {
            let Newcomer {
                tcp,
                peer,
                _permit,
                load,
            } = newcomer;
            let ready = tcp
                .set_nodelay(true)
                .and_then(|()| TcpStream::from_std(tcp));
            match ready {
                Ok(tcp) => ssh::serve(tcp, peer, context, stop).await,
                Err(failure) => warn!(%peer, %failure, "a connection was gone at once"),
            }
            drop(load);
        });
    }
    while connections.join_next().await.is_some() {}
}
