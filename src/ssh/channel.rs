//! One channel: drained from its opening to its end, and the service that runs on it.

use std::future::poll_fn;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;
use russh::server::Msg;
use russh::{Channel, ChannelMsg, ChannelReadHalf, ChannelWriteHalf};
use tokio::sync::{mpsc, watch};
use tracing::error;

use super::inbox::Inbox;
use super::transport::PACKET;
use crate::exec::{self, ExecCommand};
use crate::io::pipe::{Gone, Pipe};
use crate::observe::metrics::Metrics;
use crate::scp;
use crate::session::Session;
use crate::sftp;
use crate::sftp::engine::Engine;
use crate::vfs::Vfs;

/// SSH_EXTENDED_DATA_STDERR (RFC 4254, section 5.2).
const STDERR: u32 = 1;

/// What a person is told whose home cannot be opened.
const NO_HOME: &str = "your home is not available now; please tell the operator";

/// What can run on a channel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Service {
    /// The subsystem `sftp`.
    Sftp,
    /// The other half of a client's `scp`.
    Scp(Result<scp::ScpRequest, scp::ScpRequestFault>),
    /// A command, for a terminal or not.
    Command(ExecCommand, Terminal),
}

impl Service {
    /// What the line of an exec request asks for.
    pub(super) fn of_line(line: &[u8], terminal: Terminal) -> Self {
        if let Some(request) = scp::request(line) {
            return Self::Scp(request);
        }
        Self::Command(ExecCommand::of_line(line), terminal)
    }
}

/// Is there a terminal at the other end (RFC 4254, section 6.2)? It is in raw mode then, so that lines
/// must end with a carriage return too.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Terminal(pub(super) bool);

/// Runs a channel to its end. The first service that arrives through `start` runs on it.
pub(super) async fn run(
    channel: Channel<Msg>,
    mut start: mpsc::UnboundedReceiver<Option<Service>>,
    session: Arc<Session>,
    metrics: Arc<Metrics>,
) {
    let (mut reader, writer) = channel.split();
    let Some(service) = wait_for_start(&mut reader, &mut start).await else {
        return;
    };
    let inbox = Arc::new(Inbox::new(metrics));
    let (left, gone) = watch::channel(false);
    let cancelled = Arc::new(AtomicBool::new(false));
    let pipe = ChannelPipe {
        inbox: inbox.clone(),
        taken_up: 0,
        writer: &writer,
        gone: gone.clone(),
        terminal: matches!(service, Service::Command(_, Terminal(true))),
    };
    let serving = async {
        let exit_status = serve(service, session, cancelled.clone(), pipe).await;
        // scp in SFTP mode reports failure without the status, although every byte is right. If
        // the peer is gone, so is its interest in how it ended.
        let farewell = async {
            let _ = writer.exit_status(exit_status).await;
            let _ = writer.eof().await;
            let _ = writer.close().await;
        };
        or_gone(farewell, gone).await;
    };
    let draining = async {
        drain(reader, &inbox).await;
        cancelled.store(true, Ordering::Relaxed);
        left.send_replace(true);
        // What was received whole is still carried out.
        std::future::pending::<()>().await;
    };
    tokio::select! {
        // In this order, so that a service that looks finds what has come.
        biased;
        () = draining => {}
        () = serving => {}
    }
}

/// Drops what comes before a service is asked for (RFC 4254, section 6.4: environment and the
/// like), so that the connection never waits for this channel.
async fn wait_for_start(
    reader: &mut ChannelReadHalf,
    start: &mut mpsc::UnboundedReceiver<Option<Service>>,
) -> Option<Service> {
    loop {
        match reader.wait().await? {
            // The request's callback, which runs next, says what becomes of it.
            ChannelMsg::RequestSubsystem { .. }
            | ChannelMsg::Exec { .. }
            | ChannelMsg::RequestShell { .. } => {
                if let Some(service) = start.recv().await? {
                    return Some(service);
                }
            }
            ChannelMsg::Close => return None,
            _ => {}
        }
    }
}

/// Moves what comes into the inbox, and never waits for anything else, least of all for output:
/// the window that output waits for arrives on the same connection.
async fn drain(mut reader: ChannelReadHalf, inbox: &Inbox) {
    while let Some(message) = reader.wait().await {
        match message {
            ChannelMsg::Data { data } => inbox.put(data),
            ChannelMsg::Eof => inbox.end(),
            ChannelMsg::Close => break,
            _ => {}
        }
    }
    inbox.end();
}

/// The bytes of a channel, as a service sees them.
struct ChannelPipe<'a> {
    inbox: Arc<Inbox>,
    /// Bytes that were taken up and for which the peer may not send others yet.
    taken_up: u32,
    writer: &'a ChannelWriteHalf<Msg>,
    gone: watch::Receiver<bool>,
    terminal: bool,
}

/// The peer is told of new window in steps of this size, three packets, as by OpenSSH's server. What was
/// not told yet is not under way, which is what limits an upload over a long way.
const GRANT: u32 = 3 * PACKET;

impl Pipe for ChannelPipe<'_> {
    async fn receive(&mut self) -> Option<Bytes> {
        if self.taken_up >= GRANT {
            // There was no room for it before. Who is gone needs no window.
            let _ = self.put_out(self.writer.grant_window(self.taken_up)).await;
            self.taken_up = 0;
        }
        let piece = poll_fn(|context| self.inbox.poll_take(context)).await?;
        self.took(&piece);
        Some(piece)
    }

    fn try_receive(&mut self) -> Option<Bytes> {
        let piece = self.inbox.try_take()?;
        self.took(&piece);
        Some(piece)
    }

    async fn send(&mut self, bytes: Bytes) -> Result<(), Gone> {
        let bytes = self.ends_of_lines(bytes);
        self.put_out(self.writer.data_bytes(bytes)).await
    }

    fn gone(&self) -> impl Future<Output = ()> + Send {
        let mut gone = self.gone.clone();
        async move {
            // If the other side is dropped, the channel has ended too.
            let _ = gone.wait_for(|gone| *gone).await;
        }
    }

    async fn notice(&mut self, line: String) -> Result<(), Gone> {
        let line = self.ends_of_lines(line.into());
        let sending = self.writer.extended_data_bytes(STDERR, line);
        self.put_out(sending).await
    }
}

impl Drop for ChannelPipe<'_> {
    fn drop(&mut self) {
        self.inbox.close();
    }
}

impl ChannelPipe<'_> {
    /// A piece was taken up: the peer may send others for it.
    fn took(&mut self, piece: &Bytes) {
        let length = u32::try_from(piece.len()).unwrap_or(u32::MAX);
        self.taken_up = self.taken_up.saturating_add(length);
        if self.taken_up >= GRANT && self.writer.try_grant_window(self.taken_up) {
            self.taken_up = 0;
        }
    }

    fn ends_of_lines(&self, text: Bytes) -> Bytes {
        if !self.terminal {
            return text;
        }
        let lines: Vec<_> = text.split(|byte| *byte == b'\n').collect();
        lines.join(&b"\r\n"[..]).into()
    }

    async fn put_out<E>(&self, output: impl Future<Output = Result<(), E>>) -> Result<(), Gone> {
        match or_gone(output, self.gone.clone()).await {
            Some(Ok(())) => Ok(()),
            _ => Err(Gone),
        }
    }
}

/// Waits for an output, but no longer than somebody is there to read it: russh waits for window
/// even when the connection is dead.
async fn or_gone<T>(output: impl Future<Output = T>, mut gone: watch::Receiver<bool>) -> Option<T> {
    tokio::select! {
        biased;
        done = output => Some(done),
        _ = gone.wait_for(|gone| *gone) => None,
    }
}

/// Opens the home and runs the service in it. Returns the exit status.
async fn serve(
    service: Service,
    session: Arc<Session>,
    cancelled: Arc<AtomicBool>,
    pipe: ChannelPipe<'_>,
) -> u32 {
    if service != Service::Sftp {
        // SFTP counts each of its requests, the first included.
        session.shares().speed.take_requests(1, &pipe).await;
    }
    let Some(vfs) = open_home(session, cancelled).await else {
        return refuse(&service, pipe).await;
    };
    let ids = (
        rustix::process::getuid().as_raw(),
        rustix::process::getgid().as_raw(),
    );
    match service {
        Service::Sftp => sftp::serve(Engine::new(vfs, ids), pipe).await,
        Service::Scp(Ok(request)) => scp::serve(vfs, request, pipe).await,
        Service::Scp(Err(fault)) => scp::refuse(fault, pipe).await,
        Service::Command(command, _) => exec::run(command, Arc::new(vfs), ids, pipe).await,
    }
}

/// Tells a client that its home cannot be opened.
async fn refuse(service: &Service, mut pipe: ChannelPipe<'_>) -> u32 {
    if let Service::Scp(_) = service {
        return scp::refuse(NO_HOME, pipe).await;
    }
    // Who has left by now does not need it.
    let _ = pipe.notice(format!("landfall: {NO_HOME}\n")).await;
    1
}

/// The verbs on the home of a session; `None`, once the operator was told, if it cannot be opened.
async fn open_home(session: Arc<Session>, cancelled: Arc<AtomicBool>) -> Option<Vfs> {
    let opening = session.clone();
    let threads = &session.shares().threads;
    let opened = threads.run(move || opening.open_store()).await;
    match opened {
        Ok(Ok(store)) => Some(Vfs::new(session, store, cancelled)),
        Ok(Err(failure)) => {
            let (user, home) = (session.user(), session.home().display());
            error!(user, %home, %failure, "the home of an account cannot be opened");
            None
        }
        Err(failure) => {
            error!(%failure, "opening a home failed");
            None
        }
    }
}
