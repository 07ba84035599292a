//! Common parts of the two directions of scp.

use crate::error::Error;

/// Bytes of a file that are read at a time, or collected before they are stored.
pub(super) const AT_ONCE: usize = 256 * 1024;
/// Waiting output bytes at which they are sent.
pub(super) const SEND_AT: usize = 64 * 1024;

/// Maximum depth of nested directories. A link may lead back to its own parent.
pub(super) const DEPTH: usize = 100;
pub(super) const TOO_DEEP: Error = Error::Limit("Directories nested too deep", DEPTH as u64);

/// One direction of scp, working through files and directories.
pub(super) trait Worker: Send + 'static {
    /// Returns how many of them have begun since the last call.
    fn take_items(&mut self) -> usize;
}
