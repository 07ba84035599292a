//! The SSH side, on russh: from a TCP stream to services on channels. Only this module knows russh.

use std::borrow::Cow;
use std::collections::HashMap;
use std::convert::Infallible;
use std::io::ErrorKind;
use std::net::SocketAddr;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use russh::keys::ssh_key::Certificate;
use russh::server::{
    Auth, ChannelOpenHandle, Handler, Msg, PublicKeyOffer, Response, Session as Transport,
    VerifiedPublicKey,
};
use russh::{Channel, ChannelId, ChannelOpenFailure, Disconnect, Names, server};
use tokio::net::TcpStream;
use tokio::sync::{mpsc, watch};
use tracing::{debug, error, warn};

mod algorithms;
mod attempts;
mod auth;
mod before_login;
mod busy_poll;
mod channel;
pub mod host_keys;
mod inbox;
mod quickack;
mod rotation;
mod stream;
mod transport;

pub use russh::keys::PrivateKey;

use auth::Login;
use before_login::Visit;
use busy_poll::Near;
use channel::{Service, Terminal};
use rotation::Rotation;
use stream::{Link, Stream};
use transport::Transports;

use crate::accounts::{Accounts, LoginOptions};
use crate::admission::Ticket;
use crate::config::{self, Config};
use crate::exec::Command;
use crate::hashes::Hashes;
use crate::io::phase::{Phase, STOPPING, reached};
use crate::io::pool::Pool;
use crate::io::portions::{Portions, UsedUp};
use crate::observe::audit::{self, Audit, Who, shown};
use crate::observe::failed_logins::FailedLogins;
use crate::observe::metrics::Metrics;
use crate::quota::{Ledgers, Limits};
use crate::session::bandwidth::Lanes;
use crate::session::descriptors::Descriptors;
use crate::session::recorder::Witness;
use crate::session::registry::{Ending, Entry, Sessions, TooMany};
use crate::session::{Client, Session, Shares, Terms};
use crate::values::error_chain::chain;

/// Time that a connection has to end by itself once it was told to.
const FAREWELL: Duration = Duration::from_secs(2);

/// What all connections share.
pub struct Context {
    transports: Transports,
    accounts: Accounts,
    ledgers: Arc<Ledgers>,
    sessions: Arc<Sessions>,
    failed_logins: Arc<FailedLogins>,
    hashes: Arc<Hashes>,
    audit: Audit,
    metrics: Arc<Metrics>,
    lanes: Arc<Lanes>,
    descriptors: Arc<Descriptors>,
    /// Connections on which somebody is logged in.
    connections: Arc<Portions>,
    pool: Arc<Pool>,
    login: LoginOptions,
    ssh: config::Ssh,
    sftp: config::Sftp,
    uploads: config::Uploads,
}

impl Context {
    /// From the config and the host keys.
    pub fn new(
        config: &Config,
        accounts: Accounts,
        ledgers: Arc<Ledgers>,
        sessions: Arc<Sessions>,
        audit: Audit,
        metrics: Arc<Metrics>,
        host_keys: Vec<PrivateKey>,
    ) -> Self {
        Self {
            transports: Transports::new(config, host_keys),
            accounts,
            ledgers,
            sessions,
            failed_logins: Arc::default(),
            hashes: Arc::default(),
            audit,
            metrics,
            lanes: Arc::new(Lanes::new(
                config.bandwidth,
                config.sftp.requests_per_second,
            )),
            descriptors: Arc::new(Descriptors::of_process()),
            connections: Arc::new(Portions::new(config.admission.room_for_accounts())),
            pool: Arc::new(Pool::new(config.server.shards)),
            login: config.login.clone(),
            ssh: config.ssh.clone(),
            sftp: config.sftp.clone(),
            uploads: config.uploads.clone(),
        }
    }

    /// The audit trail.
    pub fn audit(&self) -> &Audit {
        &self.audit
    }

    /// The logins that failed last.
    pub fn failed_logins(&self) -> &Arc<FailedLogins> {
        &self.failed_logins
    }

    /// Shares speed and connections out by this config from now on, among open sessions too.
    pub fn share_out(&self, config: &Config) {
        self.lanes
            .set(config.bandwidth, config.sftp.requests_per_second);
        let room = config.admission.room_for_accounts();
        self.connections.set_budget(room);
    }

    /// The same server under another config, with these host keys. What open sessions share stays as it
    /// is until [`Context::share_out`].
    pub fn renewed(&self, config: &Config, host_keys: Vec<PrivateKey>) -> Self {
        Self {
            failed_logins: self.failed_logins.clone(),
            hashes: self.hashes.clone(),
            lanes: self.lanes.clone(),
            descriptors: self.descriptors.clone(),
            connections: self.connections.clone(),
            pool: self.pool.clone(),
            ..Self::new(
                config,
                self.accounts.clone(),
                self.ledgers.clone(),
                self.sessions.clone(),
                self.audit.clone(),
                self.metrics.clone(),
                host_keys,
            )
        }
    }
}

/// Serves one connection to its end, or until `stop` says so.
pub async fn serve(
    tcp: TcpStream,
    peer: SocketAddr,
    ticket: Ticket,
    context: Arc<Context>,
    mut phases: watch::Receiver<Phase>,
) {
    let _present = context.metrics.connection();
    let link = Arc::<Link>::default();
    let ending = Ending::default();
    let (at_work, mut all_ended) = mpsc::channel(1);
    let visit = Arc::new(Visit::new(ticket, peer, &context.login));
    let grace_time = context.login.grace_time;
    let near = context.ssh.busy_poll.then(Near::new);
    let stream = Stream::new(tcp, link.clone(), visit.clone(), grace_time, near);
    let session = Arc::<OnceLock<Arc<Session>>>::default();
    let connection = Connection {
        login: Login::new(&context, visit.clone(), peer),
        visit: visit.clone(),
        context: context.clone(),
        peer,
        link: link.clone(),
        ending: ending.clone(),
        entry: None,
        session: session.clone(),
        rotation: Rotation::default(),
        old_algorithms: Vec::new(),
        channels: HashMap::new(),
        at_work,
    };
    let begun = tokio::select! {
        begun = server::run_stream(context.transports.usual(), stream, connection) => begun,
        () = time_to_leave(&link, phases.clone()) => return,
    };
    let mut running = match begun {
        Ok(running) => running,
        Err(failure) => {
            debug!(%peer, %failure, "connection ended before it began");
            visit.settle(Some(&failure), &context.audit);
            return;
        }
    };
    let told_to_end = async {
        tokio::select! {
            () = time_to_leave(&link, phases.clone()) => STOPPING.to_owned(),
            reason = ending.ended() => reason,
        }
    };
    let note_end = |reason: &str| {
        if let Some(session) = session.get() {
            session.note_end(reason);
        }
    };
    let outcome = tokio::select! {
        outcome = &mut running => {
            visit.settle(outcome.as_ref().err(), &context.audit);
            note_end(&reason_of_end(&outcome));
            outcome
        }
        reason = told_to_end => {
            note_end(&reason);
            let goodbye = running.handle();
            let told = goodbye.disconnect(Disconnect::ByApplication, reason, "en".into());
            let _ = tokio::time::timeout(FAREWELL, async {
                let _ = told.await;
                (&mut running).await
            }).await;
            link.cut();
            Ok(())
        }
    };
    match outcome {
        Ok(()) => debug!(%peer, "connection closed"),
        Err(failure) => debug!(%peer, %failure, "connection ended"),
    }
    // The session itself ends when the last of its channels does.
    drop(session);
    // What was received whole is still carried out, and what was open is closed. A server that stops
    // does not wait for a disk that hangs.
    tokio::select! {
        _ = all_ended.recv() => {}
        () = async {
            reached(&mut phases, Phase::Ending).await;
            tokio::time::sleep(FAREWELL).await;
        } => {}
    }
}

/// Why a connection ended by itself, for the audit log.
fn reason_of_end(outcome: &Result<(), russh::Error>) -> Cow<'static, str> {
    match outcome {
        Ok(()) => Cow::Borrowed("disconnected by the client"),
        // Also of a client that was killed: its system closes the connection.
        Err(russh::Error::IO(failure)) if failure.kind() == ErrorKind::UnexpectedEof => {
            Cow::Borrowed("connection closed by the client")
        }
        Err(russh::Error::KeepaliveTimeout) => Cow::Borrowed("no answer from the client"),
        Err(russh::Error::IO(failure)) => Cow::Owned(format!("connection lost: {failure}")),
        Err(failure) => Cow::Owned(format!("connection failed: {failure}")),
    }
}

/// Waits until the server is so far on its way to its end that this connection must go too: who is not
/// logged in has nothing to bring to an end.
async fn time_to_leave(link: &Link, mut phases: watch::Receiver<Phase>) {
    reached(&mut phases, Phase::Draining).await;
    if link.is_logged_in() {
        reached(&mut phases, Phase::Ending).await;
    }
}

/// One connection: first a login, then a session with channels.
struct Connection {
    login: Login,
    visit: Arc<Visit>,
    context: Arc<Context>,
    peer: SocketAddr,
    link: Arc<Link>,
    ending: Ending,
    /// Its place among the open sessions, until the connection is gone.
    entry: Option<Entry>,
    /// Set by the login; shared with [`serve`], which records why it ends.
    session: Arc<OnceLock<Arc<Session>>>,
    rotation: Rotation,
    /// What it uses that only the permissive settings of `ssh.algorithms` offer.
    old_algorithms: Vec<algorithms::Agreed>,
    channels: HashMap<ChannelId, OpenChannel>,
    /// Held by each channel until it has ended; nothing is ever sent.
    at_work: mpsc::Sender<Infallible>,
}

/// A channel, as the connection sees it.
struct OpenChannel {
    /// Where to say what becomes of each request for a service: `None` for a refusal.
    decisions: mpsc::UnboundedSender<Option<Service>>,
    started: bool,
    terminal: Terminal,
}

impl Connection {
    /// Starts a service on a channel; false if there is none to start, or one runs there already.
    /// Until then the channel learns of a refusal too, since it waits for the decision.
    fn start(&mut self, channel: ChannelId, service: Option<Service>) -> bool {
        let Some(open) = self.channels.get_mut(&channel) else {
            return false;
        };
        if open.started {
            // Nobody reads a decision any more.
            return false;
        }
        open.started = service.is_some();
        open.decisions.send(service).is_ok() && open.started
    }

    fn terminal(&self, channel: ChannelId) -> Terminal {
        let open = self.channels.get(&channel);
        open.map_or(Terminal(false), |open| open.terminal)
    }

    /// Logs what the client uses that `ssh.algorithms = "modern"` does not offer. After the login, so that
    /// no unauthenticated client can fill the log.
    fn log_old_algorithms(&self, user: &str) {
        let mut found = self.old_algorithms.clone();
        if self.login.is_signed_by_ssh_rsa() {
            let login = "ssh-rsa as the key of the login".to_owned();
            found.push((config::Algorithms::Legacy, login));
        }
        let Some(setting) = found.iter().map(|(setting, _)| *setting).max() else {
            return;
        };
        let names: Vec<_> = found.into_iter().map(|(_, name)| name).collect();
        let (peer, setting, algorithms) = (self.peer, setting.name(), names.join(", "));
        warn!(user, %peer, setting, algorithms, "an old client");
    }

    fn forget_ended_channels(&mut self) {
        self.channels.retain(|_, open| !open.decisions.is_closed());
    }
}

impl Handler for Connection {
    type Error = russh::Error;

    fn config_for(&mut self, identification: &[u8]) -> Option<Arc<server::Config>> {
        self.visit.attempts().identified(identification);
        self.context.transports.of(identification)
    }

    async fn kex_done(
        &mut self,
        names: &Names,
        _transport: &mut Transport,
    ) -> Result<(), Self::Error> {
        self.rotation.agreed(names);
        let knows_etm = algorithms::knows_etm(self.visit.attempts().client());
        self.old_algorithms = algorithms::beyond_modern(names, knows_etm);
        Ok(())
    }

    async fn global_request(
        &mut self,
        name: &str,
        content: &[u8],
        transport: &mut Transport,
    ) -> Result<Option<Vec<u8>>, Self::Error> {
        // Nothing is signed for strangers.
        if name != rotation::PROVE || self.session.get().is_none() {
            return Ok(None);
        }
        let keys = self.context.transports.host_keys();
        let session_id = transport.session_id().unwrap_or_default();
        Ok(self.rotation.prove(keys, content, session_id))
    }

    async fn auth_none(&mut self, user: &str) -> Result<Auth, Self::Error> {
        self.visit.asks()?;
        let answer = self.login.none(user).await;
        Ok(self.visit.answered(answer))
    }

    async fn auth_password(&mut self, user: &str, password: &str) -> Result<Auth, Self::Error> {
        self.visit.asks()?;
        let answer = self.login.password(user, password).await;
        Ok(self.visit.answered(answer))
    }

    async fn auth_keyboard_interactive<'a>(
        &'a mut self,
        user: &str,
        _submethods: &str,
        response: Option<Response<'a>>,
    ) -> Result<Auth, Self::Error> {
        self.visit.asks()?;
        let answer = self.login.keyboard_interactive(user, response).await;
        Ok(self.visit.answered(answer))
    }

    async fn auth_publickey_offered(
        &mut self,
        user: &str,
        offer: PublicKeyOffer<'_>,
    ) -> Result<Auth, Self::Error> {
        self.visit.asks()?;
        let answer = self.login.offered(user, offer).await;
        Ok(self.visit.answered(answer))
    }

    async fn auth_publickey(
        &mut self,
        user: &str,
        key: VerifiedPublicKey<'_>,
    ) -> Result<Auth, Self::Error> {
        self.visit.asks()?;
        let answer = self.login.public_key(user, key).await;
        Ok(self.visit.answered(answer))
    }

    async fn auth_openssh_certificate(
        &mut self,
        user: &str,
        certificate: &Certificate,
        key: VerifiedPublicKey<'_>,
    ) -> Result<Auth, Self::Error> {
        self.visit.asks()?;
        let answer = self.login.certificate(user, certificate, key).await;
        Ok(self.visit.answered(answer))
    }

    async fn auth_succeeded(&mut self, transport: &mut Transport) -> Result<(), Self::Error> {
        let (proof, means) = self
            .login
            .take_proof()
            .ok_or(russh::Error::NotAuthenticated)?;
        let account = proof.account();
        let is_guest = self.context.accounts.is_guest(account.name.as_str());
        self.visit.logged_in(is_guest);
        let limits = Limits {
            bytes: account.settings.allowance.bytes,
            files: account.settings.allowance.files,
        };
        let user = account.name.as_str();
        let context = &self.context;
        let member = context.ledgers.join(user, &account.home, limits).await;
        let member = member.map_err(|failure| {
            error!(user, "cannot read what is used: {}", chain(&failure));
            russh::Error::Disconnect
        })?;
        let identification = transport.remote_sshid().to_vec();
        let id = context.sessions.next_id();
        let who = Who {
            user: user.to_owned(),
            peer: self.peer,
            session: Some(id),
        };
        let witness = Witness::new(context.audit.clone(), context.metrics.clone(), who);
        let client = Client {
            address: self.peer,
            identification,
        };
        let terms = Terms {
            limits: context.sftp.clone(),
            uploads: context.uploads.clone(),
        };
        let shares = Shares {
            speed: context.lanes.join(user, account.settings.rules.bandwidth),
            open: context.descriptors.join(user),
            threads: context.pool.join(user),
        };
        let session = Session::new(
            proof,
            client,
            terms,
            member,
            shares,
            context.hashes.clone(),
            witness,
        );
        let session = Arc::new(session);
        let entered = self.enter(id, &session);
        let refused = entered.as_ref().err().map(ToString::to_string);
        session.tell_login(audit::Login {
            ok: refused.is_none(),
            method: means.method,
            reason: refused.as_deref(),
            key: means.key.as_deref(),
            client: shown(session.identification()),
        });
        match entered {
            Ok(entry) => {
                self.entry = Some(entry);
                let (name, from) = (&session.account().name, self.peer.ip());
                context.accounts.note_login(name, means.method, from);
            }
            Err(refused) => {
                let (user, words) = (session.user(), refused.to_string());
                let failed = &context.failed_logins;
                failed.note(user, self.peer, means.method, &words);
                // Cuts the connection of a client that stays; and here the words go out before
                // anything that it asks for next can be refused without them.
                self.ending.end(&words);
                return transport.disconnect(Disconnect::ByApplication, &words, "en");
            }
        }
        self.log_old_algorithms(session.user());
        // A connection is logged in once.
        let _ = self.session.set(session);
        self.link.logged_in();
        let keys = self.context.transports.host_keys();
        transport.tell(rotation::TOLD, &rotation::told(keys))
    }

    async fn channel_open_session(
        &mut self,
        channel: Channel<Msg>,
        reply: ChannelOpenHandle,
        _transport: &mut Transport,
    ) -> Result<(), Self::Error> {
        self.forget_ended_channels();
        let Some(session) = self.session.get().cloned() else {
            return Err(russh::Error::NotAuthenticated);
        };
        if self.channels.len() >= self.context.sftp.max_channels {
            reply.reject(ChannelOpenFailure::ResourceShortage).await;
            return Ok(());
        }
        reply.accept().await;
        let (decisions, services) = mpsc::unbounded_channel();
        let open = OpenChannel {
            decisions,
            started: false,
            terminal: Terminal(false),
        };
        self.channels.insert(channel.id(), open);
        let (metrics, at_work) = (self.context.metrics.clone(), self.at_work.clone());
        tokio::spawn(async move {
            channel::run(channel, services, session, metrics).await;
            drop(at_work);
        });
        Ok(())
    }

    async fn subsystem_request(
        &mut self,
        channel: ChannelId,
        name: &str,
        transport: &mut Transport,
    ) -> Result<(), Self::Error> {
        if self.start(channel, (name == "sftp").then_some(Service::Sftp)) {
            transport.channel_success(channel)
        } else {
            transport.channel_failure(channel)
        }
    }

    async fn exec_request(
        &mut self,
        channel: ChannelId,
        command: &[u8],
        transport: &mut Transport,
    ) -> Result<(), Self::Error> {
        let service = Service::of_line(command, self.terminal(channel));
        self.grant(channel, service, transport)
    }

    async fn shell_request(
        &mut self,
        channel: ChannelId,
        transport: &mut Transport,
    ) -> Result<(), Self::Error> {
        let service = Service::Command(Command::Greeting, self.terminal(channel));
        self.grant(channel, service, transport)
    }

    async fn pty_request(
        &mut self,
        channel: ChannelId,
        _term: &str,
        _columns: u32,
        _rows: u32,
        _width: u32,
        _height: u32,
        _modes: &[(russh::Pty, u32)],
        transport: &mut Transport,
    ) -> Result<(), Self::Error> {
        match self.channels.get_mut(&channel) {
            Some(open) => {
                open.terminal = Terminal(true);
                transport.channel_success(channel)
            }
            None => transport.channel_failure(channel),
        }
    }

    async fn env_request(
        &mut self,
        channel: ChannelId,
        _name: &str,
        _value: &str,
        transport: &mut Transport,
    ) -> Result<(), Self::Error> {
        transport.channel_failure(channel)
    }

    async fn x11_request(
        &mut self,
        channel: ChannelId,
        _single: bool,
        _protocol: &str,
        _cookie: &str,
        _screen: u32,
        transport: &mut Transport,
    ) -> Result<(), Self::Error> {
        transport.channel_failure(channel)
    }
}

impl Connection {
    /// Finds the session a place among the connections of its account, and among the open sessions.
    fn enter(&self, id: u64, session: &Arc<Session>) -> Result<Entry, TooMany> {
        let place = self.context.connections.join(session.user()).take();
        let place = place.map_err(|UsedUp { most }| TooMany::Connections(most))?;
        self.link.keep(place);
        let sessions = &self.context.sessions;
        sessions.enter(id, session.clone(), self.ending.clone())
    }

    /// A command that does not exist is granted too, so that the person is told so in words. A
    /// certificate may allow SFTP only: then it is that, whatever was asked for.
    fn grant(
        &mut self,
        channel: ChannelId,
        service: Service,
        transport: &mut Transport,
    ) -> Result<(), russh::Error> {
        let only_sftp = |session: &Arc<Session>| session.basis().only_sftp();
        let service = match self.session.get() {
            Some(session) if only_sftp(session) => Service::Sftp,
            _ => service,
        };
        if self.start(channel, Some(service)) {
            transport.channel_success(channel)
        } else {
            transport.channel_failure(channel)
        }
    }
}
