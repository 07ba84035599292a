//! The composition root: from the configuration to a running server and to its end.

mod control;
mod first_run;
mod jobs;
pub mod listen;
mod reload;
mod stop;
mod supervisor;
mod telemetry;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{bail, ensure};
use rustix::process::{Resource, Rlimit};
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, mpsc, watch};
use tokio::task::{JoinSet, spawn_blocking};
use tokio::time::{sleep, timeout};
use tracing::{error, info, warn};

use self::control::{Control, Powers};
use self::jobs::known_sources::KnownSources;
use self::jobs::live::Live;
use self::jobs::sweep;
use self::listen::accept::Acceptor;
use self::listen::memory::MemoryWatch;
use self::listen::shard::Shard;
use self::listen::sockets::listeners;
use self::reload::{Reload, record_declared};
use self::supervisor::Supervisor;
use self::telemetry::FileSystems;
use self::telemetry::Process;
use self::telemetry::{Telemetry, start_audit};
use crate::accounts::{self, Accounts, Declared};
use crate::admission::Admission;
use crate::config::Config;
use crate::control::{RunningServer, Status};
use crate::database::{self, Alone};
use crate::io::disks;
use crate::io::phase::Phase;
use crate::io::standard_streams::print;
use crate::observe::audit::Event;
use crate::observe::log::Log;
use crate::observe::metrics::Metrics;
use crate::quota::Ledgers;
use crate::sandbox::{self, Sandbox};
use crate::session;
use crate::session::registry::Sessions;
use crate::ssh::{Context, PrivateKey, host_keys};
use crate::values::error_chain::chain;
use crate::values::time;

/// Time at the end for the disk to store what is in memory. A disk that is busy writing takes several
/// seconds; without these usage figures all homes would have to be counted again.
const FAREWELL: Duration = Duration::from_secs(20);

/// How long a start waits for a command that uses the data folder exclusively: less than systemd waits for
/// a start.
const PATIENCE: Duration = Duration::from_secs(60);
/// How often it tries again.
const LOOK_AGAIN: Duration = Duration::from_millis(100);

/// Runs the server, from a configuration to the end of the process. The calling thread must be the only
/// one.
///
/// # Errors
///
/// Why the server cannot serve, and what to do.
pub fn serve(config: Config) -> anyhow::Result<()> {
    let log = Log::start(config.log.level, config.log.format)?;
    let outcome = serve_with(config, &log);
    log.flush();
    outcome
}

fn serve_with(config: Config, log: &Log) -> anyhow::Result<()> {
    match &config.file {
        Some(file) => info!("using the configuration {}", file.display()),
        None => info!("no config.toml here: using defaults"),
    }
    prepare_process();
    disks::prepare();
    let accounts = on_a_runtime(prepare_accounts(&config))?;
    let prepared = PreparedServer {
        alone: accounts.alone,
        declared: accounts.declared,
        host_keys: host_keys::load_or_make(&config.server.keys)?,
        memory: Arc::new(MemoryWatch::new(config.server.max_memory)),
        supervisor: Supervisor::connect(),
        process: Arc::new(Process::open()),
        sandbox: sandbox::raise(&config, accounts.homes)?,
    };
    log.start_thread()?;
    on_a_runtime(run(config, log.clone(), prepared))
}

fn on_a_runtime<T>(work: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<T> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let outcome = runtime.block_on(work);
    // A call that hangs on a dead disk must not keep the process from ending.
    runtime.shutdown_background();
    outcome
}

/// Everything that is opened before the process enters the sandbox, and the sandbox.
struct PreparedServer {
    /// The lock that makes this the only server of its data.
    alone: Alone,
    declared: Declared,
    host_keys: Vec<PrivateKey>,
    memory: Arc<MemoryWatch>,
    supervisor: Supervisor,
    process: Arc<Process>,
    sandbox: Option<&'static Sandbox>,
}

struct PreparedAccounts {
    alone: Alone,
    declared: Declared,
    /// Homes outside of the data folder.
    homes: Vec<PathBuf>,
}

/// Creates or changes the declared users as configured, with their homes.
async fn prepare_accounts(config: &Config) -> anyhow::Result<PreparedAccounts> {
    let alone = become_the_server(&config.server.data).await?;
    let accounts = Accounts::open_alone(config.accounts(), &alone).await?;
    let declared = accounts.declare(config.accounts()).await;
    let declared = declared.map_err(|failure| config.with_places(failure))?;
    declared.summary().iter().for_each(|line| info!("{line}"));
    let mut homes = accounts.homes_elsewhere().await?;
    if let Some(home) = config.guest.home.as_ref().filter(|_| config.guest.enabled)
        // The guest's current home is not checked: its disk may hang.
        && !homes.contains(home)
    {
        homes.push(accounts::make_home(home).await?);
    }
    accounts.close().await;
    Ok(PreparedAccounts {
        alone,
        declared,
        homes,
    })
}

/// Waits for a command that uses the data folder exclusively, such as `quota recount`, but not for another
/// server.
async fn become_the_server(data: &Path) -> anyhow::Result<Alone> {
    let shown = data.display();
    let began = Instant::now();
    let mut is_told = false;
    loop {
        if let Some(alone) = database::try_serving(data)? {
            return Ok(alone);
        }
        if RunningServer::find(data).await?.is_some() {
            bail!("another landfall server already uses {shown}");
        }
        if began.elapsed() > PATIENCE {
            bail!("a landfall command still uses {shown}: start the server when it has finished");
        }
        if !is_told {
            warn!("a landfall command uses {shown}; waiting for it for at most {PATIENCE:?}");
            is_told = true;
        }
        sleep(LOOK_AGAIN).await;
    }
}

async fn run(config: Config, log: Log, prepared: PreparedServer) -> anyhow::Result<()> {
    let PreparedServer {
        alone,
        declared,
        host_keys,
        memory,
        supervisor,
        process,
        sandbox,
    } = prepared;
    let accounts = Accounts::open_alone(config.accounts(), &alone).await?;
    let ledgers = Ledgers::new(accounts.database().clone(), session::count_home);
    let sessions = Arc::<Sessions>::default();
    let live = Arc::new(Live::new(accounts.clone(), sessions.clone()));
    let config = Arc::new(config);
    let (audit, writer) = start_audit(&config)?;
    let metrics = Arc::<Metrics>::default();
    let context = Arc::new(Context::new(
        &config,
        accounts.clone(),
        ledgers.clone(),
        sessions.clone(),
        audit.clone(),
        metrics.clone(),
        host_keys,
    ));
    let permits = Arc::new(Semaphore::new(config.server.max_connections));
    let admission = Arc::new(Admission::new(config.admission.clone()));
    let reload = Arc::new(Reload::new(
        config.clone(),
        context,
        accounts.clone(),
        live.clone(),
        log.clone(),
        permits.clone(),
        admission.clone(),
    ));
    let server = ListeningServer {
        listeners: listeners(&config.server.listen).await?,
        reload: reload.clone(),
        permits,
        admission: admission.clone(),
        memory,
        sessions: sessions.clone(),
        shards: config.server.shards,
        supervisor: supervisor.clone(),
    };
    let known_sources = KnownSources::recall(&config.server.data, admission.clone());
    let known_sources = Arc::new(known_sources);
    let phases = stop::obey_signals()?;
    let told = Telemetry {
        metrics,
        admission: admission.clone(),
        audit: audit.clone(),
        log: log.clone(),
        accounts: accounts.clone(),
        tells_accounts: config.metrics.accounts,
        reload: reload.clone(),
        process,
        file_systems: FileSystems::new(&config, accounts.clone()),
        phases: phases.subscribe(),
    };
    let telling = told.tell(&config).await?;
    let control = Control::open(&config.server.data)?;
    let addresses = server.addresses()?;
    let first_run = first_run::make_account(&accounts, &audit, &addresses).await?;
    accounts.begin(config.accounts()).await?;
    for address in &addresses {
        print(&format!("Listening on {address}\n"))?;
    }
    if let Some(text) = first_run {
        // To the operator's terminal, not to the log.
        print(&text)?;
    }
    ledgers.begin_serving().await?;
    let version = env!("CARGO_PKG_VERSION");
    audit.record(None, &Event::Start { version });
    record_declared(&audit, &declared);
    let failed_logins = reload.context().borrow().failed_logins().clone();
    let mut beside = JoinSet::new();
    beside.spawn(live.clone().run());
    beside.spawn(ledgers.clone().keep_informed());
    beside.spawn(accounts.clone().keep_logins());
    beside.spawn(jobs::uncounted::run(
        accounts.clone(),
        ledgers.clone(),
        live.changes(),
    ));
    beside.spawn(sweep::run(
        accounts.clone(),
        ledgers.clone(),
        reload.config(),
    ));
    beside.spawn(known_sources.clone().keep());
    beside.spawn(reload.clone().at_hangup());
    let status = Status {
        version: version.to_owned(),
        pid: std::process::id(),
        since: time::rfc3339(time::now()),
        listen: addresses.iter().map(ToString::to_string).collect(),
        sessions: 0,
    };
    beside.spawn(control.serve(Powers {
        status,
        sessions,
        failed_logins,
        live,
        ledgers: ledgers.clone(),
        reload,
        accounts: accounts.clone(),
        sandbox,
        admission,
    }));
    supervisor.ready();
    let served = server.run(&phases).await;
    beside.shutdown().await;
    if let Some(telling) = telling {
        telling.abort();
    }
    audit.record(None, &Event::Stop);
    // At the same time, since the audit log may be on another disk.
    let (_, _, ended) = tokio::join!(
        spawn_blocking(move || writer.map(|writer| writer.finish(FAREWELL))),
        known_sources.save(FAREWELL),
        timeout(FAREWELL, save(&accounts, &ledgers)),
    );
    let Ok(ended) = ended else {
        error!("the disk of the data folder hangs: the next start counts all homes again");
        log.flush();
        // Closing the database would wait for the disk, too.
        std::process::exit(1);
    };
    served.and(ended)
}

/// Writes the state in memory to the database.
async fn save(accounts: &Accounts, ledgers: &Ledgers) -> anyhow::Result<()> {
    if let Err(failure) = accounts.save_logins().await {
        warn!("cannot save the last logins: {}", chain(&failure));
    }
    ledgers.end_serving().await
}

/// Prepares the process for many clients: a umask of 0, since the store alone decides on permission bits,
/// and as many descriptors as the system allows.
fn prepare_process() {
    if rustix::process::geteuid().is_root() {
        warn!("running as root; use a dedicated user instead");
    }
    rustix::process::umask(rustix::fs::Mode::empty());
    let limit = rustix::process::getrlimit(Resource::Nofile);
    let raised = Rlimit {
        current: limit.maximum,
        ..limit
    };
    if let Err(failure) = rustix::process::setrlimit(Resource::Nofile, raised) {
        warn!(%failure, "cannot raise the limit on open files");
    }
}

/// A server that listens and does not accept yet.
struct ListeningServer {
    listeners: Vec<TcpListener>,
    reload: Arc<Reload>,
    permits: Arc<Semaphore>,
    admission: Arc<Admission>,
    memory: Arc<MemoryWatch>,
    sessions: Arc<Sessions>,
    shards: usize,
    supervisor: Supervisor,
}

impl ListeningServer {
    /// Returns the addresses that the server listens on, with the actual port for port 0.
    fn addresses(&self) -> anyhow::Result<Vec<SocketAddr>> {
        let addresses = self.listeners.iter().map(TcpListener::local_addr);
        Ok(addresses.collect::<Result<_, _>>()?)
    }

    /// Accepts connections until the server stops, lets transfers finish, then closes all connections.
    ///
    /// # Errors
    ///
    /// A shard or an accepting task has panicked. The rest cannot do everything, so a restart is better.
    async fn run(self, phases: &watch::Sender<Phase>) -> anyhow::Result<()> {
        let config = self.reload.config();
        let watchdog = supervisor::watchdog();
        let (died, mut dead) = mpsc::unbounded_channel();
        let mut shards = Vec::new();
        for number in 0..self.shards {
            shards.push(Shard::start(
                number,
                self.reload.context(),
                phases.subscribe(),
                watchdog,
                died.clone(),
            )?);
        }
        let watching = watchdog.map(|patience| {
            let beats = shards.iter().map(Shard::beat).collect();
            tokio::spawn(supervisor::watch(self.supervisor.clone(), patience, beats))
        });
        let shards = Arc::new(shards);
        let mut accepting = JoinSet::new();
        for listener in self.listeners {
            let acceptor = Acceptor {
                listener,
                shards: shards.clone(),
                permits: self.permits.clone(),
                admission: self.admission.clone(),
                memory: self.memory.clone(),
            };
            accepting.spawn(acceptor.run(phases.subscribe()));
        }
        let mut is_sound = tokio::select! {
            have_ended_well = all_ended(&mut accepting) => have_ended_well,
            Some(number) = dead.recv() => {
                error!("worker thread {number} has panicked: the server ends, so that it can be restarted");
                phases.send_replace(Phase::Draining);
                all_ended(&mut accepting).await;
                false
            }
        };
        self.supervisor.stopping();
        if let Some(watching) = watching {
            watching.abort();
        }
        let grace = config.borrow().server.stop_grace;
        stop::drain(&self.sessions, grace, phases).await;
        for shard in Arc::into_inner(shards).into_iter().flatten() {
            is_sound &= spawn_blocking(move || shard.join()).await?;
        }
        ensure!(is_sound, "a thread of the server has panicked: see the log");
        Ok(())
    }
}

/// Waits for all tasks; returns whether none panicked.
async fn all_ended(tasks: &mut JoinSet<()>) -> bool {
    let mut have_ended_well = true;
    while let Some(ended) = tasks.join_next().await {
        have_ended_well &= ended.is_ok();
    }
    have_ended_well
}
