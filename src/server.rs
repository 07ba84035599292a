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
use tokio::task::JoinSet;
use tracing::{error, info, warn};

mod control;
mod log;
mod reload;

use self::control::{Control, Powers};
use self::log::LogLevel;
use self::reload::Reload;

use crate::accounts::Accounts;
use crate::admin::{self, first_run};
use crate::config::Config;
use crate::database;
use crate::live::Live;
use crate::quota::Ledgers;
use crate::session;
use crate::sessions::Sessions;
use crate::ssh::{self, Context, host_keys};
use crate::sweep;

/// After an error of accept(2), as when no descriptor is free: long enough not to spin, short
/// enough not to be noticed.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Threads of one shard that may wait for disks at the same time. Every channel waits in at most
/// one, so a stalled disk does not take them from the other homes.
const BLOCKING_THREADS: usize = 1024;

/// `landfall serve`: from a config to the end of the process.
pub async fn run(config: Config) -> anyhow::Result<()> {
    let log = LogLevel::start(config.log.level);
    match &config.file {
        Some(file) => info!("the settings are from {}", file.display()),
        None => info!("there is no config.toml here: every setting has its default"),
    }
    prepare_process();
    let accounts = Accounts::open(&config).await?;
    let _alone = database::serve_alone(&config.server.data)?;
    let ledgers = Ledgers::new(accounts.database().clone(), session::count_home);
    let sessions = Arc::<Sessions>::default();
    let config = Arc::new(config);
    let server = Server::bind(
        config.clone(),
        accounts.clone(),
        ledgers.clone(),
        sessions.clone(),
        log,
    )
    .await?;
    let reload = server.reload.clone();
    let control = Control::open(&config.server.data)?;
    let addresses = server.addresses()?;
    let first_run = first_run::make_account(&accounts, &addresses).await?;
    accounts.adopt(&config).await?;
    let stop = stop_signal()?;
    for address in &addresses {
        admin::print(&format!("Listening on {address}\n"))?;
    }
    if let Some(text) = first_run {
        // To the operator's terminal, not to the log.
        admin::print(&text)?;
    }
    ledgers.begin_serving().await?;
    let live = Arc::new(Live::new(accounts.clone(), sessions.clone()));
    let mut beside = JoinSet::new();
    beside.spawn(live.clone().run());
    beside.spawn(ledgers.clone().keep_informed());
    beside.spawn(sweep::run(accounts, ledgers.clone(), reload.config()));
    beside.spawn(reload.clone().at_hangup());
    beside.spawn(control.serve(Powers {
        sessions,
        live,
        reload,
    }));
    server.run(stop).await?;
    beside.shutdown().await;
    ledgers.end_serving().await
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
struct Server {
    listeners: Vec<TcpListener>,
    reload: Arc<Reload>,
    permits: Arc<Semaphore>,
    shards: usize,
}

impl Server {
    /// Reads or makes the host keys, and listens.
    async fn bind(
        config: Arc<Config>,
        accounts: Accounts,
        ledgers: Arc<Ledgers>,
        sessions: Arc<Sessions>,
        log: LogLevel,
    ) -> anyhow::Result<Self> {
        let keys = host_keys::load_or_make(&config.server.keys)?;
        let mut listeners = Vec::new();
        for address in &config.server.listen {
            let listener = TcpListener::bind(address).await.with_context(|| {
                format!("cannot listen on {address}: is another server running there?")
            })?;
            listeners.push(listener);
        }
        let context = Context::new(&config, accounts.clone(), ledgers, sessions, keys);
        let permits = Arc::new(Semaphore::new(config.server.max_connections));
        let shards = config.server.shards;
        let reload = Reload::new(config, Arc::new(context), accounts, log, permits.clone());
        Ok(Self {
            listeners,
            reload: Arc::new(reload),
            permits,
            shards,
        })
    }

    /// The addresses that it really has: port 0 in the config is a real port here.
    fn addresses(&self) -> anyhow::Result<Vec<SocketAddr>> {
        let addresses = self.listeners.iter().map(TcpListener::local_addr);
        Ok(addresses.collect::<Result<_, _>>()?)
    }

    /// Accepts until `stop` becomes true, then ends all connections.
    async fn run(self, stop: watch::Receiver<bool>) -> anyhow::Result<()> {
        let mut shards = Vec::new();
        for number in 0..self.shards {
            shards.push(Shard::start(number, self.reload.context(), stop.clone())?);
        }
        let shards = Arc::new(shards);
        let mut accepting = JoinSet::new();
        for listener in self.listeners {
            accepting.spawn(accept(
                listener,
                shards.clone(),
                self.permits.clone(),
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
fn stop_signal() -> anyhow::Result<watch::Receiver<bool>> {
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
        context: watch::Receiver<Arc<Context>>,
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
    context: watch::Receiver<Arc<Context>>,
    stop: watch::Receiver<bool>,
) {
    let mut connections = JoinSet::new();
    loop {
        let newcomer = tokio::select! {
            newcomer = arriving.recv() => newcomer,
            Some(_) = connections.join_next() => continue,
        };
        let Some(newcomer) = newcomer else { break };
        let (context, stop) = (context.borrow().clone(), stop.clone());
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
