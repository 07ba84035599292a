//! From a listening socket to the worker thread that serves the connection.

pub(super) mod accept;
pub(super) mod memory;
pub mod proxy;
pub(super) mod shard;
pub(super) mod sockets;
