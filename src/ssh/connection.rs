//! One connection: turns the callbacks of russh into a login, then into a session with channels.

use std::collections::HashMap;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::{Arc, OnceLock};

use russh::keys::ssh_key::Certificate;
use russh::server::{
    Auth, ChannelOpenHandle, Handler, Msg, PublicKeyOffer, Response, Session as Transport,
    VerifiedPublicKey,
};
use russh::{Channel, ChannelId, ChannelOpenFailure, Disconnect, Names, server};
use tokio::sync::mpsc;
use tracing::{error, warn};

use super::algorithms;
use super::auth::Authentication;
use super::before_login::BeforeLogin;
use super::channel::{self, Service, Terminal};
use super::context::Context;
use super::rotation::{self, KeyRotation};
use super::stream::ConnectionLink;
use crate::config;
use crate::exec::ExecCommand;
use crate::io::portions::UsedUp;
use crate::observe::audit::{self, Actor, shown};
use crate::quota::Limits;
use crate::session::recorder::Recorder;
use crate::session::registry::{RegistryEntry, SessionCloser, TooMany};
use crate::session::{ConnectedClient, Session, SessionTerms, Shares};
use crate::values::error_chain::chain;

/// One connection: a login, then a session with channels.
pub(super) struct Connection {
    pub(super) login: Authentication,
    pub(super) before_login: Arc<BeforeLogin>,
    pub(super) context: Arc<Context>,
    pub(super) peer: SocketAddr,
    pub(super) link: Arc<ConnectionLink>,
    pub(super) closer: SessionCloser,
    /// Its entry among the open sessions until the connection ends.
    pub(super) entry: Option<RegistryEntry>,
    /// Set by the login; shared with [`super::serve`], which records why the session ends.
    pub(super) session: Arc<OnceLock<Arc<Session>>>,
    pub(super) rotation: KeyRotation,
    /// Negotiated algorithms that only the permissive settings of `ssh.algorithms` offer.
    pub(super) old_algorithms: Vec<algorithms::Agreed>,
    pub(super) channels: HashMap<ChannelId, OpenChannel>,
    /// Held by each channel until it ends; carries no messages.
    pub(super) at_work: mpsc::Sender<Infallible>,
}

/// A channel as the connection sees it.
pub(super) struct OpenChannel {
    /// Receives the decision on each request for a service: `None` refuses it.
    decisions: mpsc::UnboundedSender<Option<Service>>,
    started: bool,
    terminal: Terminal,
}

impl Connection {
    /// Starts a service on a channel. Returns false if there is none to start or one runs already. A
    /// waiting channel learns of a refusal, too.
    fn start(&mut self, channel: ChannelId, service: Option<Service>) -> bool {
        let Some(open) = self.channels.get_mut(&channel) else {
            return false;
        };
        if open.started {
            // The channel reads no more decisions.
            return false;
        }
        open.started = service.is_some();
        open.decisions.send(service).is_ok() && open.started
    }

    fn terminal(&self, channel: ChannelId) -> Terminal {
        let open = self.channels.get(&channel);
        open.map_or(Terminal(false), |open| open.terminal)
    }

    /// Logs algorithms that `ssh.algorithms = "modern"` does not offer. Runs after the login so that an
    /// unauthenticated client cannot fill the log.
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
        self.before_login.attempts().identified(identification);
        self.context.transports.of(identification)
    }

    async fn kex_done(
        &mut self,
        names: &Names,
        _transport: &mut Transport,
    ) -> Result<(), Self::Error> {
        self.rotation.agreed(names);
        let knows_etm = algorithms::knows_etm(self.before_login.attempts().client());
        self.old_algorithms = algorithms::beyond_modern(names, knows_etm);
        Ok(())
    }

    async fn global_request(
        &mut self,
        name: &str,
        content: &[u8],
        transport: &mut Transport,
    ) -> Result<Option<Vec<u8>>, Self::Error> {
        // The server signs nothing for an unauthenticated client.
        if name != rotation::PROVE || self.session.get().is_none() {
            return Ok(None);
        }
        let keys = self.context.transports.host_keys();
        let session_id = transport.session_id().unwrap_or_default();
        Ok(self.rotation.prove(keys, content, session_id))
    }

    async fn auth_none(&mut self, user: &str) -> Result<Auth, Self::Error> {
        self.before_login.asks()?;
        let answer = self.login.none(user).await;
        Ok(self.before_login.answered(answer))
    }

    async fn auth_password(&mut self, user: &str, password: &str) -> Result<Auth, Self::Error> {
        self.before_login.asks()?;
        let answer = self.login.password(user, password).await;
        Ok(self.before_login.answered(answer))
    }

    async fn auth_keyboard_interactive<'a>(
        &'a mut self,
        user: &str,
        _submethods: &str,
        response: Option<Response<'a>>,
    ) -> Result<Auth, Self::Error> {
        self.before_login.asks()?;
        let answer = self.login.keyboard_interactive(user, response).await;
        Ok(self.before_login.answered(answer))
    }

    async fn auth_publickey_offered(
        &mut self,
        user: &str,
        offer: PublicKeyOffer<'_>,
    ) -> Result<Auth, Self::Error> {
        self.before_login.asks()?;
        let answer = self.login.offered(user, offer).await;
        Ok(self.before_login.answered(answer))
    }

    async fn auth_publickey(
        &mut self,
        user: &str,
        key: VerifiedPublicKey<'_>,
    ) -> Result<Auth, Self::Error> {
        self.before_login.asks()?;
        let answer = self.login.public_key(user, key).await;
        Ok(self.before_login.answered(answer))
    }

    async fn auth_openssh_certificate(
        &mut self,
        user: &str,
        certificate: &Certificate,
        key: VerifiedPublicKey<'_>,
    ) -> Result<Auth, Self::Error> {
        self.before_login.asks()?;
        let answer = self.login.certificate(user, certificate, key).await;
        Ok(self.before_login.answered(answer))
    }

    async fn auth_succeeded(&mut self, transport: &mut Transport) -> Result<(), Self::Error> {
        let (proof, means) = self
            .login
            .take_proof()
            .ok_or(russh::Error::NotAuthenticated)?;
        let account = proof.account();
        let is_guest = self.context.accounts.is_guest(account.name.as_str());
        self.before_login.logged_in(is_guest);
        let limits = Limits {
            bytes: account.settings.allowance.bytes,
            files: account.settings.allowance.files,
        };
        let user = account.name.as_str();
        let context = &self.context;
        let member = context.ledgers.join(user, &account.home, limits).await;
        let member = member.map_err(|failure| {
            error!(user, "cannot read the usage: {}", chain(&failure));
            russh::Error::Disconnect
        })?;
        let identification = transport.remote_sshid().to_vec();
        let id = context.sessions.next_id();
        let who = Actor {
            user: user.to_owned(),
            peer: self.peer,
            session: Some(id),
        };
        let recorder = Recorder::new(context.audit.clone(), context.metrics.clone(), who);
        let client = ConnectedClient {
            address: self.peer,
            identification,
        };
        let terms = SessionTerms {
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
            recorder,
        );
        let session = Arc::new(session);
        let entered = self.enter(id, &session);
        let refused = entered.as_ref().err().map(ToString::to_string);
        session.record_login(audit::LoginEvent {
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
                context.accounts.record_login(name, means.method, from);
            }
            Err(refused) => {
                let (user, words) = (session.user(), refused.to_string());
                let failed = &context.failed_logins;
                failed.record(user, self.peer, means.method, &words);
                // Disconnects a client that stays. The reason must be sent before the server refuses the
                // client's next request.
                self.closer.close(&words);
                return transport.disconnect(Disconnect::ByApplication, &words, "en");
            }
        }
        self.log_old_algorithms(session.user());
        // A connection logs in once.
        let _ = self.session.set(session);
        self.link.logged_in();
        let keys = self.context.transports.host_keys();
        transport.tell(rotation::ANNOUNCE, &rotation::announcement(keys))
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
        let service = Service::Command(ExecCommand::Greeting, self.terminal(channel));
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
    /// Registers the session among the connections of its account and the open sessions.
    fn enter(&self, id: u64, session: &Arc<Session>) -> Result<RegistryEntry, TooMany> {
        let place = self.context.connections.join(session.user()).take();
        let place = place.map_err(|UsedUp { most }| TooMany::Connections(most))?;
        self.link.keep(place);
        let sessions = &self.context.sessions;
        sessions.enter(id, session.clone(), self.closer.clone())
    }

    /// Grants an unknown command, too, so that its output can report the error. A certificate may force
    /// SFTP whatever the client requests.
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
