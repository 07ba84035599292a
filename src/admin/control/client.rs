//! The side of the commands.

use std::io::ErrorKind;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, bail};
use tokio::net::UnixStream;
use tokio::time::timeout;

use super::frames::Frames;
use super::{Folder, Reply, Request};

/// How long an answer of the server may take: it may have to read the database, and many connections
/// may be busy.
const PATIENCE: Duration = Duration::from_secs(30);

/// The server that serves this data folder.
pub struct Server(Frames);

impl Server {
    /// Connects to it; `None` if no server runs.
    pub async fn find(data: &Path) -> anyhow::Result<Option<Self>> {
        let Ok(folder) = Folder::open(data) else {
            return Ok(None);
        };
        match UnixStream::connect(folder.socket()).await {
            Ok(stream) => Ok(Some(Self(Frames::new(stream)))),
            // Nobody listens at a socket that is left of a server that was killed.
            Err(failure)
                if [ErrorKind::NotFound, ErrorKind::ConnectionRefused]
                    .contains(&failure.kind()) =>
            {
                Ok(None)
            }
            Err(failure) => Err(failure)
                .with_context(|| format!("cannot speak with the server of {}", data.display())),
        }
    }

    /// As [`Server::find`], for what cannot be done without one.
    pub async fn need(data: &Path) -> anyhow::Result<Self> {
        match Self::find(data).await? {
            Some(server) => Ok(server),
            None => bail!(
                "no server runs on {}; start one with: landfall serve",
                data.display()
            ),
        }
    }

    /// Asks for something; gives all that is answered.
    pub async fn ask(&mut self, request: Request) -> anyhow::Result<Vec<Reply>> {
        match timeout(PATIENCE, self.converse(request)).await {
            Ok(replies) => replies,
            Err(_) => bail!("the server did not answer within {PATIENCE:?}"),
        }
    }

    async fn converse(&mut self, request: Request) -> anyhow::Result<Vec<Reply>> {
        self.0.send(&[request]).await.context(GONE)?;
        let mut replies = Vec::new();
        loop {
            match self.0.receive().await.context(GONE)? {
                Some(Reply::Done) => return Ok(replies),
                Some(Reply::Refused { text }) => bail!(text),
                Some(reply) => replies.push(reply),
                None => bail!(GONE),
            }
        }
    }
}

const GONE: &str = "the server went away before it had answered";
