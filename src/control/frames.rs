//! Lines of JSON over the socket, capped before they take memory.

use std::io::{Error, ErrorKind};

use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::io::{AsyncBufReadExt as _, AsyncRead, AsyncWrite, AsyncWriteExt as _, BufReader};
use tokio::net::UnixStream;

/// The longest line: far more than any request or reply takes.
const MAX_LINE: usize = 64 * 1024;

/// A stream of lines, each one value in JSON.
pub struct Frames<S = UnixStream>(BufReader<S>);

impl<S: AsyncRead + AsyncWrite + Unpin> Frames<S> {
    /// Over a stream that nothing was read of.
    pub fn new(stream: S) -> Self {
        Self(BufReader::new(stream))
    }

    /// The next value; `None` at the end of the stream.
    ///
    /// # Errors
    /// Of the stream; `InvalidData` if a line is too long, or is no such value.
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

    /// Sends values, a line each.
    ///
    /// # Errors
    /// Of the stream.
    pub async fn send<T: Serialize>(&mut self, values: &[T]) -> std::io::Result<()> {
        let mut lines = Vec::new();
        for value in values {
            serde_json::to_writer(&mut lines, value)?;
            lines.push(b'\n');
        }
        self.0.write_all(&lines).await
    }
}
