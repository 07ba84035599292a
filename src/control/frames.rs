//! JSON lines over the socket, with a limit on their length.

use std::io::{Error, ErrorKind};

use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::io::{AsyncBufReadExt as _, AsyncRead, AsyncWrite, AsyncWriteExt as _, BufReader};
use tokio::net::UnixStream;

/// The longest line: far more than any request or reply takes.
const MAX_LINE: usize = 64 * 1024;

/// A stream of lines, each with one JSON value.
pub struct Frames<S = UnixStream>(BufReader<S>);

impl<S: AsyncRead + AsyncWrite + Unpin> Frames<S> {
    /// Makes it from a fresh stream.
    pub fn new(stream: S) -> Self {
        Self(BufReader::new(stream))
    }

    /// Returns the next value; `None` at the end of the stream.
    ///
    /// # Errors
    ///
    /// Errors of the stream; `InvalidData` for a line that is too long or malformed.
    pub async fn receive<T: DeserializeOwned>(&mut self) -> std::io::Result<Option<T>> {
        let mut line = Vec::new();
        loop {
            let ready = self.0.fill_buf().await?;
            if ready.is_empty() {
                return match line.is_empty() {
                    true => Ok(None),
                    false => Err(ErrorKind::UnexpectedEof.into()),
                };
            }
            let end = ready.iter().position(|byte| *byte == b'\n');
            let taken = ready.get(..end.unwrap_or(ready.len())).unwrap_or_default();
            if line.len() + taken.len() > MAX_LINE {
                return Err(Error::new(ErrorKind::InvalidData, "a line is too long"));
            }
            line.extend_from_slice(taken);
            let used = taken.len() + usize::from(end.is_some());
            self.0.consume(used);
            if end.is_some() {
                let value = serde_json::from_slice(&line);
                return value.map_err(|wrong| Error::new(ErrorKind::InvalidData, wrong));
            }
        }
    }

    /// Sends values, one per line.
    ///
    /// # Errors
    ///
    /// Errors of the stream.
    pub async fn send<T: Serialize>(&mut self, values: &[T]) -> std::io::Result<()> {
        let mut lines = Vec::new();
        for value in values {
            serde_json::to_writer(&mut lines, value)?;
            lines.push(b'\n');
        }
        self.0.write_all(&lines).await
    }
}
