//! The bytes of a channel, as the services on it see them.

use std::future::Future;

use bytes::Bytes;

/// Nobody hears what is sent any more: the channel or the connection has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Gone;

/// The bytes of a channel, both ways. What has come before the peer left can still be received.
pub trait Pipe: Send {
    /// The next piece; `None` when the peer will send no more.
    fn receive(&mut self) -> impl Future<Output = Option<Bytes>> + Send;
    /// The next piece, if one is here already.
    fn try_receive(&mut self) -> Option<Bytes>;
    /// Sends; waits while the peer does not read.
    fn send(&mut self, bytes: Bytes) -> impl Future<Output = Result<(), Gone>> + Send;
    /// Waits until nobody hears any more what is sent.
    fn gone(&self) -> impl Future<Output = ()> + Send;
    /// Sends a line to the peer's stderr.
    fn notice(&mut self, line: String) -> impl Future<Output = Result<(), Gone>> + Send;
}
