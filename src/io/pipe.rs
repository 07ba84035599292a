//! The byte stream of a channel, as services on it use it.

use std::future::Future;

use bytes::Bytes;

/// The channel or the connection has ended: nothing can be sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Disconnected;

/// The byte stream of a channel. Data that arrived before the peer disconnected can still be received.
pub trait Pipe: Send {
    /// Returns the next chunk; `None` when the peer sends no more.
    fn receive(&mut self) -> impl Future<Output = Option<Bytes>> + Send;
    /// Returns the next chunk if one has arrived.
    fn try_receive(&mut self) -> Option<Bytes>;
    /// Sends; waits while the peer does not read.
    fn send(&mut self, bytes: Bytes) -> impl Future<Output = Result<(), Disconnected>> + Send;
    /// Waits until the channel or the connection has ended.
    fn disconnected(&self) -> impl Future<Output = ()> + Send;
    /// Sends a line to the peer's stderr.
    fn notice(&mut self, line: String) -> impl Future<Output = Result<(), Disconnected>> + Send;
}
