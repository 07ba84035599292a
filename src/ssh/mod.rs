//! The adapter to russh: from a TCP stream to services on channels. Only this room imports russh.

use std::borrow::Cow;
use std::collections::HashMap;
use std::io::ErrorKind;
use std::net::SocketAddr;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use russh::{Disconnect, server};
use tokio::net::TcpStream;
use tokio::sync::{mpsc, watch};
use tracing::debug;

mod algorithms;
mod attempts;
mod auth;
mod before_login;
mod busy_poll;
mod channel;
mod connection;
mod context;
pub mod host_keys;
mod inbox;
mod means;
mod methods;
mod quickack;
mod rotation;
mod stream;
mod transport;

pub use russh::keys::PrivateKey;

pub use self::context::Context;

use self::auth::Authentication;
use self::before_login::BeforeLogin;
use self::busy_poll::BusyPoll;
use self::connection::Connection;
use self::rotation::KeyRotation;
use self::stream::{ConnectionLink, Stream};
use crate::admission::Ticket;
use crate::io::phase::{Phase, STOPPING, reached};
use crate::session::Session;
use crate::session::registry::SessionCloser;

/// Time for a connection to close after the server has asked it to.
const FAREWELL: Duration = Duration::from_secs(2);

/// Serves one connection until it ends or `stop` ends it.
pub async fn serve(
    tcp: TcpStream,
    peer: SocketAddr,
    ticket: Ticket,
    context: Arc<Context>,
    mut phases: watch::Receiver<Phase>,
) {
    let _present = context.metrics.connection();
    let link = Arc::<ConnectionLink>::default();
    let closer = SessionCloser::default();
    let (at_work, mut all_ended) = mpsc::channel(1);
    let before_login = Arc::new(BeforeLogin::new(ticket, peer, &context.login));
    let grace_time = context.login.grace_time;
    let busy_poll = context.ssh.busy_poll.then(BusyPoll::new);
    let stream = Stream::new(
        tcp,
        link.clone(),
        before_login.clone(),
        grace_time,
        busy_poll,
    );
    let session = Arc::<OnceLock<Arc<Session>>>::default();
    let connection = Connection {
        login: Authentication::new(&context, before_login.clone(), peer),
        before_login: before_login.clone(),
        context: context.clone(),
        peer,
        link: link.clone(),
        closer: closer.clone(),
        entry: None,
        session: session.clone(),
        rotation: KeyRotation::default(),
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
            debug!(%peer, %failure, "connection closed before it was set up");
            before_login.settle(Some(&failure), &context.audit);
            return;
        }
    };
    let told_to_end = async {
        tokio::select! {
            () = time_to_leave(&link, phases.clone()) => STOPPING.to_owned(),
            reason = closer.closed() => reason,
        }
    };
    let record_close_reason = |reason: &str| {
        if let Some(session) = session.get() {
            session.record_close_reason(reason);
        }
    };
    let outcome = tokio::select! {
        outcome = &mut running => {
            before_login.settle(outcome.as_ref().err(), &context.audit);
            record_close_reason(&reason_of_end(&outcome));
            outcome
        }
        reason = told_to_end => {
            record_close_reason(&reason);
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
        Err(failure) => debug!(%peer, %failure, "connection failed"),
    }
    // The session ends with the last of its channels.
    drop(session);
    // Received requests are still carried out, and open files are closed. A stopping server does not wait
    // for a disk that hangs.
    tokio::select! {
        _ = all_ended.recv() => {}
        () = async {
            reached(&mut phases, Phase::Ending).await;
            tokio::time::sleep(FAREWELL).await;
        } => {}
    }
}

/// Returns why a connection ended, for the audit log.
fn reason_of_end(outcome: &Result<(), russh::Error>) -> Cow<'static, str> {
    match outcome {
        Ok(()) => Cow::Borrowed("disconnected by the client"),
        // A killed client ends this way as well: its system closes the connection.
        Err(russh::Error::IO(failure)) if failure.kind() == ErrorKind::UnexpectedEof => {
            Cow::Borrowed("connection closed by the client")
        }
        Err(russh::Error::KeepaliveTimeout) => Cow::Borrowed("no answer from the client"),
        Err(russh::Error::IO(failure)) => Cow::Owned(format!("connection lost: {failure}")),
        Err(failure) => Cow::Owned(format!("connection failed: {failure}")),
    }
}

/// Waits until the stopping server must close this connection. A connection without a login has nothing to
/// finish.
async fn time_to_leave(link: &ConnectionLink, mut phases: watch::Receiver<Phase>) {
    reached(&mut phases, Phase::Draining).await;
    if link.is_logged_in() {
        reached(&mut phases, Phase::Ending).await;
    }
}
