//! One channel: reads it from its opening to its end, and runs a service on it.

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
use crate::io::pipe::{Disconnected, Pipe};
use crate::observe::metrics::Metrics;
use crate::scp;
use crate::session::Session;
use crate::sftp;
use crate::sftp::engine::Engine;
use crate::vfs::Vfs;

/// SSH_EXTENDED_DATA_STDERR (RFC 4254, section 5.2).
const STDERR: u32 = 1;

/// Sent to a client whose home cannot be opened.
const NO_HOME: &str = "your home is not available now; please contact the operator";

/// A service on a channel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Service {
    /// The subsystem `sftp`.
    Sftp,
    /// The remote side of a client's `scp`.
    Scp(Result<scp::ScpRequest, scp::ScpRequestFault>),
    /// A command, and whether it has a terminal.
    Command(ExecCommand, Terminal),
}

impl Service {
    /// Returns the service that the command line of an exec request asks for.
    pub(super) fn of_line(line: &[u8], terminal: Terminal) -> Self {
        if let Some(request) = scp::request(line) {
            return Self::Scp(request);
        }
        Self::Command(ExecCommand::of_line(line), terminal)
    }
}

/// Whether the client has a terminal (RFC 4254, section 6.2). It is in raw mode, so lines need a carriage
/// return.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Terminal(pub(super) bool);

/// Runs a channel to its end, with the first service that arrives through `start`.
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
        // Without an exit status, scp in SFTP mode reports failure although every byte arrived. A
        // disconnected peer needs none.
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
        // Received requests are still carried out.
        std::future::pending::<()>().await;
    };
    tokio::select! {
        // In this order, so that a service sees received data first.
        biased;
        () = draining => {}
        () = serving => {}
    }
}

/// Drops messages that precede the request for a service (RFC 4254, section 6.4: environment and the like),
/// so that the connection never waits for this channel.
async fn wait_for_start(
    reader: &mut ChannelReadHalf,
    start: &mut mpsc::UnboundedReceiver<Option<Service>>,
) -> Option<Service> {
    loop {
        match reader.wait().await? {
            // The handler of the request runs next and decides.
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

/// Moves received data into the inbox and waits for nothing else. It must not wait for output: the window
/// adjustment that output waits for arrives on the same connection.
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

/// A channel as a service sees it.
struct ChannelPipe<'a> {
    inbox: Arc<Inbox>,
    /// Consumed bytes that are not yet granted to the peer as window.
    taken_up: u32,
    writer: &'a ChannelWriteHalf<Msg>,
    gone: watch::Receiver<bool>,
    terminal: bool,
}

/// Window is granted in steps of this size, three packets, as OpenSSH's server does. Window that is not
/// granted limits an upload over a long path.
const GRANT: u32 = 3 * PACKET;

impl Pipe for ChannelPipe<'_> {
    async fn receive(&mut self) -> Option<Bytes> {
        if self.taken_up >= GRANT {
            // There was no room for it before. A disconnected peer needs no window update.
            let _ = self.put_out(self.writer.grant_window(self.taken_up)).await;
            self.taken_up = 0;
        }
        let chunk = poll_fn(|context| self.inbox.poll_take(context)).await?;
        self.took(&chunk);
        Some(chunk)
    }

    fn try_receive(&mut self) -> Option<Bytes> {
        let chunk = self.inbox.try_take()?;
        self.took(&chunk);
        Some(chunk)
    }

    async fn send(&mut self, bytes: Bytes) -> Result<(), Disconnected> {
        let bytes = self.ends_of_lines(bytes);
        self.put_out(self.writer.data_bytes(bytes)).await
    }

    fn disconnected(&self) -> impl Future<Output = ()> + Send {
        let mut gone = self.gone.clone();
        async move {
            // If the sender is dropped, the channel has ended, too.
            let _ = gone.wait_for(|gone| *gone).await;
        }
    }

    async fn notice(&mut self, line: String) -> Result<(), Disconnected> {
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
    /// Counts a consumed chunk, and grants window for it.
    fn took(&mut self, chunk: &Bytes) {
        let length = u32::try_from(chunk.len()).unwrap_or(u32::MAX);
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

    async fn put_out<E>(
        &self,
        output: impl Future<Output = Result<(), E>>,
    ) -> Result<(), Disconnected> {
        match or_gone(output, self.gone.clone()).await {
            Some(Ok(())) => Ok(()),
            _ => Err(Disconnected),
        }
    }
}

/// Waits for output until the channel ends: russh waits for window even on a dead connection.
async fn or_gone<T>(output: impl Future<Output = T>, mut gone: watch::Receiver<bool>) -> Option<T> {
    tokio::select! {
        biased;
        done = output => Some(done),
        _ = gone.wait_for(|gone| *gone) => None,
    }
}

/// Opens the home, runs the service in it, and returns the exit status.
async fn serve(
    service: Service,
    session: Arc<Session>,
    cancelled: Arc<AtomicBool>,
    pipe: ChannelPipe<'_>,
) -> u32 {
    if service != Service::Sftp {
        // SFTP counts each of its requests, including the first.
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

/// Reports to the client that its home cannot be opened.
async fn refuse(service: &Service, mut pipe: ChannelPipe<'_>) -> u32 {
    if let Service::Scp(_) = service {
        return scp::refuse(NO_HOME, pipe).await;
    }
    // A client that has disconnected does not need it.
    let _ = pipe.notice(format!("landfall: {NO_HOME}\n")).await;
    1
}

/// Returns the operations on a session's home, or `None` after logging why it cannot be opened.
async fn open_home(session: Arc<Session>, cancelled: Arc<AtomicBool>) -> Option<Vfs> {
    let opening = session.clone();
    let threads = &session.shares().threads;
    let opened = threads.run(move || opening.open_store()).await;
    match opened {
        Ok(Ok(store)) => Some(Vfs::new(session, store, cancelled)),
        Ok(Err(failure)) => {
            let (user, home) = (session.user(), session.home().display());
            error!(user, %home, %failure, "cannot open a home");
            None
        }
        Err(failure) => {
            error!(%failure, "opening a home failed");
            None
        }
    }
}
