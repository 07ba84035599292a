//! Buffers and threads for input and output, the disks behind them, and how accounts share all of it.

pub(crate) mod blocks;
pub(crate) mod by_account;
pub(crate) mod chunks;
pub(crate) mod disks;
pub mod file_size_limit;
pub mod phase;
pub mod pipe;
pub mod pool;
pub mod portions;
pub mod standard_streams;
