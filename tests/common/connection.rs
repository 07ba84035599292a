//! An SSH connection controlled step by step: russh's client, driven from plain threads.

use std::borrow::Cow;
use std::future::Future;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, LazyLock, mpsc};
use std::time::Duration;

use russh::client::{self, AuthResult, KeyboardInteractiveAuthResponse};
use russh::keys::ssh_key::Certificate;
use russh::keys::{HashAlg, PrivateKeyWithHashAlg, PublicKeyOrCertificate};
use russh::{ChannelMsg, ChannelReadHalf, ChannelWriteHalf, Sig, SshId};
use tokio::net::TcpSocket;
use tokio::runtime;
use tokio::sync::Mutex;

use super::raw::{Channel, Event, Outgoing, RawSftp};
use super::{STEP, TestServer};

/// One thread drives all connections of a test program.
static RUNTIME: LazyLock<runtime::Handle> = LazyLock::new(|| {
    let (sender, receiver) = mpsc::channel();
    std::thread::spawn(move || {
        let runtime = runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        sender.send(runtime.handle().clone()).unwrap();
        runtime.block_on(std::future::pending::<()>());
    });
    receiver.recv().unwrap()
});

/// Runs a future on the connections' thread; after the deadline the test fails.
#[track_caller]
pub fn finish<F>(what: &str, deadline: Duration, future: F) -> F::Output
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
{
    let (sender, receiver) = mpsc::channel();
    RUNTIME.spawn(async move {
        let _ = sender.send(future.await);
    });
    match receiver.recv_timeout(deadline) {
        Ok(result) => result,
        Err(error) => panic!("{what}: {error} ({deadline:?})"),
    }
}

/// The client's side of a connection; it checks the server's host key.
pub struct Client {
    host_key: String,
    key_exchanges: Arc<AtomicUsize>,
}

impl client::Handler for Client {
    type Error = russh::Error;

    async fn kex_done(
        &mut self,
        _shared_secret: Option<&[u8]>,
        _names: &russh::Names,
        _session: &mut client::Session,
    ) -> Result<(), Self::Error> {
        self.key_exchanges.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }

    async fn check_server_key(
        &mut self,
        key: &PublicKeyOrCertificate,
    ) -> Result<bool, Self::Error> {
        match key {
            PublicKeyOrCertificate::PublicKey { key, .. } => {
                let offered = key.to_openssh().unwrap_or_default();
                Ok(self.host_key.starts_with(&offered) && !offered.is_empty())
            }
            PublicKeyOrCertificate::Certificate(_) => Ok(false),
        }
    }
}

/// How to connect.
pub struct Options {
    /// The client's identification.
    pub identification: &'static str,
    /// Bytes after which it exchanges keys again.
    pub rekey_after: usize,
    /// The local address, if not the usual one.
    pub from: Option<Ipv4Addr>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            identification: "SSH-2.0-LandfallTest_1.0",
            rekey_after: 1 << 30,
            from: None,
        }
    }
}

/// A connection, logged in or not.
#[derive(Clone)]
pub struct Connection {
    handle: Arc<Mutex<client::Handle<Client>>>,
    key_exchanges: Arc<AtomicUsize>,
}

impl Connection {
    /// Connects without a login.
    #[track_caller]
    pub fn open(server: &TestServer, options: &Options) -> Self {
        Self::try_open(server, options).expect("the connection failed")
    }

    #[track_caller]
    pub fn try_open(server: &TestServer, options: &Options) -> Result<Self, russh::Error> {
        let host_key =
            std::fs::read_to_string(server.path("keys/ssh_host_ed25519_key.pub")).unwrap();
        let config = client::Config {
            client_id: SshId::Standard(Cow::Borrowed(options.identification)),
            limits: russh::Limits::new(
                options.rekey_after,
                options.rekey_after,
                Duration::from_secs(3600),
            ),
            ..client::Config::default()
        };
        let (address, from) = (server.address(), options.from);
        let key_exchanges = Arc::<AtomicUsize>::default();
        let client = Client {
            host_key,
            key_exchanges: Arc::clone(&key_exchanges),
        };
        let handle = finish("connecting", STEP, async move {
            let socket = TcpSocket::new_v4()?;
            if let Some(from) = from {
                socket.bind(SocketAddr::from((from, 0)))?;
            }
            let stream = socket.connect(address).await?;
            stream.set_nodelay(true)?;
            client::connect_stream(Arc::new(config), stream, client).await
        })?;
        Ok(Self {
            handle: Arc::new(Mutex::new(handle)),
            key_exchanges,
        })
    }

    /// Connects and logs in with the account's key.
    #[track_caller]
    pub fn logged_in(server: &TestServer) -> Self {
        Self::logged_in_as(server, &Options::default())
    }

    #[track_caller]
    pub fn logged_in_as(server: &TestServer, options: &Options) -> Self {
        Self::logged_in_to(server, server.user(), options)
    }

    /// Logs in to an account with the same key.
    #[track_caller]
    pub fn logged_in_to(server: &TestServer, user: &str, options: &Options) -> Self {
        let connection = Self::open(server, options);
        let result = connection.key(user, &server.key(), None);
        assert!(result.unwrap().success(), "the key was refused");
        connection
    }

    #[track_caller]
    pub fn none(&self, user: &str) -> Result<AuthResult, russh::Error> {
        let (handle, user) = (Arc::clone(&self.handle), user.to_owned());
        finish("asking for methods", STEP, async move {
            handle.lock().await.authenticate_none(user).await
        })
    }

    #[track_caller]
    pub fn password(&self, user: &str, password: &str) -> Result<AuthResult, russh::Error> {
        let handle = Arc::clone(&self.handle);
        let (user, password) = (user.to_owned(), password.to_owned());
        finish("logging in with a password", STEP, async move {
            handle
                .lock()
                .await
                .authenticate_password(user, password)
                .await
        })
    }

    /// Answers every prompt with the password, as a client that prompts its user each time.
    #[track_caller]
    pub fn keyboard_interactive(&self, user: &str, password: &str) -> Result<bool, russh::Error> {
        let password = password.to_owned();
        self.answer_prompts(user, move |prompts| vec![password.clone(); prompts])
    }

    /// Answers this many prompts.
    #[track_caller]
    pub fn answer_prompts(
        &self,
        user: &str,
        answers: impl Fn(usize) -> Vec<String> + Send + 'static,
    ) -> Result<bool, russh::Error> {
        let handle = Arc::clone(&self.handle);
        let user = user.to_owned();
        finish("logging in at prompts", STEP, async move {
            let mut handle = handle.lock().await;
            let mut answer = handle
                .authenticate_keyboard_interactive_start(user, None)
                .await?;
            loop {
                answer = match answer {
                    KeyboardInteractiveAuthResponse::Success => return Ok(true),
                    KeyboardInteractiveAuthResponse::Failure { .. } => return Ok(false),
                    KeyboardInteractiveAuthResponse::InfoRequest { prompts, .. } => {
                        handle
                            .authenticate_keyboard_interactive_respond(answers(prompts.len()))
                            .await?
                    }
                };
            }
        })
    }

    #[track_caller]
    pub fn key(
        &self,
        user: &str,
        key: &Path,
        hash: Option<HashAlg>,
    ) -> Result<AuthResult, russh::Error> {
        let key = russh::keys::load_secret_key(key, None).unwrap();
        let key = PrivateKeyWithHashAlg::new(Arc::new(key), hash);
        let (handle, user) = (Arc::clone(&self.handle), user.to_owned());
        finish("logging in with a key", STEP, async move {
            handle.lock().await.authenticate_publickey(user, key).await
        })
    }

    /// Logs in with a key and a certificate for it.
    #[track_caller]
    pub fn certificate(
        &self,
        user: &str,
        key: &Path,
        certificate: &Path,
    ) -> Result<AuthResult, russh::Error> {
        let key = Arc::new(russh::keys::load_secret_key(key, None).unwrap());
        let certificate = Certificate::read_file(certificate).unwrap();
        let (handle, user) = (Arc::clone(&self.handle), user.to_owned());
        finish("logging in with a certificate", STEP, async move {
            let mut handle = handle.lock().await;
            handle
                .authenticate_openssh_cert(user, key, certificate)
                .await
        })
    }

    /// Logs in with a key that other code signs with.
    #[track_caller]
    pub fn signed_by<S>(
        &self,
        user: &str,
        key: russh::keys::PublicKey,
        mut signer: S,
    ) -> Result<AuthResult, S::Error>
    where
        S: russh::Signer + Send + 'static,
        S::Error: Send,
    {
        let (handle, user) = (Arc::clone(&self.handle), user.to_owned());
        finish("logging in with a key", STEP, async move {
            handle
                .lock()
                .await
                .authenticate_publickey_with(user, key, None, &mut signer)
                .await
        })
    }

    /// Logs in with a certificate for a key that other code signs with.
    #[track_caller]
    pub fn certificate_signed_by<S>(
        &self,
        user: &str,
        certificate: &Path,
        mut signer: S,
    ) -> Result<AuthResult, S::Error>
    where
        S: russh::Signer + Send + 'static,
        S::Error: Send,
    {
        let certificate = Certificate::read_file(certificate).unwrap();
        let (handle, user) = (Arc::clone(&self.handle), user.to_owned());
        finish("logging in with a certificate", STEP, async move {
            let mut handle = handle.lock().await;
            handle
                .authenticate_certificate_with(user, certificate, None, &mut signer)
                .await
        })
    }

    /// Opens a session channel without a request.
    #[track_caller]
    pub fn channel(&self) -> Channel {
        self.try_channel().expect("no channel")
    }

    #[track_caller]
    pub fn try_channel(&self) -> Result<Channel, russh::Error> {
        let handle = Arc::clone(&self.handle);
        let channel = finish("opening a channel", STEP, async move {
            handle.lock().await.channel_open_session().await
        })?;
        let (read, write) = channel.split();
        let (outgoing, to_write) = tokio::sync::mpsc::channel(16);
        let (events, to_read) = mpsc::channel();
        RUNTIME.spawn(forward_out(write, to_write));
        RUNTIME.spawn(forward_in(read, events));
        Ok(Channel::new(outgoing, to_read))
    }

    /// Opens a channel with the sftp subsystem, without INIT.
    #[track_caller]
    pub fn subsystem(&self) -> RawSftp {
        let mut channel = self.channel();
        channel.send(Outgoing::Subsystem("sftp"));
        assert!(channel.accepted(), "the sftp subsystem was refused");
        RawSftp::over(channel)
    }

    /// Opens a channel with the sftp subsystem, after INIT and VERSION.
    #[track_caller]
    pub fn sftp(&self) -> RawSftp {
        let mut sftp = self.subsystem();
        sftp.init();
        sftp
    }

    /// Opens a session of russh-sftp's client.
    #[track_caller]
    pub fn russh_sftp(&self) -> russh_sftp::client::SftpSession {
        let handle = Arc::clone(&self.handle);
        finish("starting russh-sftp", STEP, async move {
            let channel = handle.lock().await.channel_open_session().await.unwrap();
            channel.request_subsystem(true, "sftp").await.unwrap();
            russh_sftp::client::SftpSession::new(channel.into_stream())
                .await
                .unwrap()
        })
    }

    /// Asks the server to forward a connection (`ssh -L`).
    #[track_caller]
    pub fn forward_to(&self, port: u16) -> Result<(), russh::Error> {
        let handle = Arc::clone(&self.handle);
        finish("asking for a forwarding", STEP, async move {
            let handle = handle.lock().await;
            handle
                .channel_open_direct_tcpip("127.0.0.1", u32::from(port), "127.0.0.1", 1)
                .await
        })
        .map(drop)
    }

    /// Asks the server to listen (`ssh -R`).
    #[track_caller]
    pub fn listen_for_us(&self) -> Result<u32, russh::Error> {
        let handle = Arc::clone(&self.handle);
        finish("asking to listen", STEP, async move {
            handle.lock().await.tcpip_forward("127.0.0.1", 0).await
        })
    }

    /// Starts a key exchange from the client's side.
    #[track_caller]
    pub fn rekey(&self) {
        let handle = Arc::clone(&self.handle);
        finish("asking for new keys", STEP, async move {
            handle.lock().await.rekey_soon().await.unwrap();
        });
    }

    /// Returns the number of key exchanges, including the first.
    pub fn key_exchanges(&self) -> usize {
        self.key_exchanges.load(Ordering::Relaxed)
    }

    #[track_caller]
    pub fn is_closed(&self) -> bool {
        let handle = Arc::clone(&self.handle);
        finish(
            "looking",
            STEP,
            async move { handle.lock().await.is_closed() },
        )
    }
}

async fn forward_out(
    write: ChannelWriteHalf<client::Msg>,
    mut to_write: tokio::sync::mpsc::Receiver<Outgoing>,
) {
    while let Some(outgoing) = to_write.recv().await {
        let sent = match outgoing {
            Outgoing::Data(bytes) => write.data_bytes(bytes).await,
            Outgoing::Eof => write.eof().await,
            Outgoing::Subsystem(name) => write.request_subsystem(true, name).await,
            Outgoing::Exec(command) => write.exec(true, command).await,
            Outgoing::Requests(of_each) => send_requests(&write, of_each).await,
        };
        if sent.is_err() {
            break;
        }
    }
    let _ = write.close().await;
}

async fn send_requests(
    write: &ChannelWriteHalf<client::Msg>,
    of_each: usize,
) -> Result<(), russh::Error> {
    for _ in 0..of_each {
        write.exec(false, "md5sum file").await?;
        write.request_shell(false).await?;
        write.request_subsystem(false, "sftp").await?;
        write.set_env(false, "LANG", "C").await?;
        write.request_pty(false, "xterm", 80, 25, 0, 0, &[]).await?;
        write.window_change(80, 25, 0, 0).await?;
        write.signal(Sig::TERM).await?;
    }
    Ok(())
}

async fn forward_in(mut read: ChannelReadHalf, events: mpsc::Sender<Event>) {
    while let Some(message) = read.wait().await {
        let event = match message {
            ChannelMsg::Data { data } => Event::Data(data.to_vec()),
            ChannelMsg::ExtendedData { data, .. } => Event::Stderr(data.to_vec()),
            ChannelMsg::ExitStatus { exit_status } => Event::ExitStatus(exit_status),
            ChannelMsg::Eof => Event::Eof,
            ChannelMsg::Success => Event::Accepted(true),
            ChannelMsg::Failure => Event::Accepted(false),
            _ => continue,
        };
        if events.send(event).is_err() {
            break;
        }
    }
    let _ = events.send(Event::Closed);
}
