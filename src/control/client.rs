//! The client's side of the control socket.

use std::io::ErrorKind;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use tokio::net::UnixStream;
use tokio::time::{sleep, timeout};

use super::frames::Frames;
use super::{ControlReply, ControlRequest, DataFolder};
use crate::accounts::UserName;
use crate::values::error_chain::chain;

/// How long to wait for a reply: the server may have to read the database, and many connections may be
/// busy.
const PATIENCE: Duration = Duration::from_secs(30);

/// How often to ask the server whether a home is still in use.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// A connection to the server of a data folder.
pub struct RunningServer(Frames);

impl RunningServer {
    /// Connects; `None` if no server runs.
    pub async fn find(data: &Path) -> anyhow::Result<Option<Self>> {
        let Ok(folder) = DataFolder::open(data) else {
            return Ok(None);
        };
        match UnixStream::connect(folder.socket()).await {
            Ok(stream) => Ok(Some(Self(Frames::new(stream)))),
            // The socket is left over from a killed server.
            Err(failure)
                if [ErrorKind::NotFound, ErrorKind::ConnectionRefused]
                    .contains(&failure.kind()) =>
            {
                Ok(None)
            }
            Err(failure) => Err(failure)
                .with_context(|| format!("cannot talk to the server of {}", data.display())),
        }
    }

    /// Connects as [`RunningServer::find`] does; without a server it is an error.
    pub async fn need(data: &Path) -> anyhow::Result<Self> {
        match Self::find(data).await? {
            Some(server) => Ok(server),
            None => bail!(
                "no server runs on {}; start one with: landfall serve",
                data.display()
            ),
        }
    }

    /// Notifies a running server of a changed account; returns a text about the effect on open sessions. If
    /// the server cannot be reached, it notices the change later.
    pub async fn notify_changed(data: &Path, user: &UserName) -> String {
        let told = async {
            let Some(mut server) = Self::find(data).await? else {
                return Ok(String::new());
            };
            let user = user.to_string();
            let replies = server.ask(ControlRequest::Changed { user }).await?;
            anyhow::Ok(replies.iter().map(applied).collect())
        };
        match told.await {
            Ok(words) => words,
            Err(failure) => format!("Open sessions will be updated soon: {}\n", chain(&failure)),
        }
    }

    /// Waits until no session of an account uses its home any more, with a time limit; returns how many
    /// still do.
    ///
    /// # Errors
    ///
    /// The running server does not reply.
    pub async fn sessions_left(data: &Path, user: &UserName) -> anyhow::Result<usize> {
        let until = Instant::now() + PATIENCE;
        loop {
            let Some(mut server) = Self::find(data).await? else {
                return Ok(0);
            };
            let user = user.to_string();
            let replies = server.ask(ControlRequest::InUse { user }).await?;
            let left = replies.iter().map(|reply| match reply {
                ControlReply::InUse { sessions } => *sessions,
                _ => 0,
            });
            match left.sum() {
                0 => return Ok(0),
                some if Instant::now() > until => return Ok(some),
                _ => sleep(LOOK_EVERY).await,
            }
        }
    }

    /// Sends a request; returns all replies.
    pub async fn ask(&mut self, request: ControlRequest) -> anyhow::Result<Vec<ControlReply>> {
        match timeout(PATIENCE, self.converse(request)).await {
            Ok(replies) => replies,
            Err(_) => bail!("the server did not answer within {PATIENCE:?}"),
        }
    }

    async fn converse(&mut self, request: ControlRequest) -> anyhow::Result<Vec<ControlReply>> {
        self.0.send(&[request]).await.context(GONE)?;
        let mut replies = Vec::new();
        loop {
            match self.0.receive().await.context(GONE)? {
                Some(ControlReply::Done) => return Ok(replies),
                Some(ControlReply::Refused { text }) => return Err(ControlRefusal(text).into()),
                Some(reply) => replies.push(reply),
                None => bail!(GONE),
            }
        }
    }
}

fn applied(reply: &ControlReply) -> String {
    let (changed, ended) = match reply {
        ControlReply::Applied { changed, ended } => (changed, ended),
        ControlReply::Message { text } => return format!("{text}\n"),
        _ => return String::new(),
    };
    let mut words = String::new();
    match changed {
        0 => {}
        1 => words.push_str("Updated 1 open session\n"),
        several => words.push_str(&format!("Updated {several} open sessions\n")),
    }
    match ended {
        0 => {}
        1 => words.push_str("Closed 1 open session\n"),
        several => words.push_str(&format!("Closed {several} open sessions\n")),
    }
    words
}

/// The server's reason to refuse a request. It may have several lines, each starting with a position in the
/// configuration.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct ControlRefusal(String);

const GONE: &str = "the server closed the connection before it replied";
