//! What both halves of scp have in common.

use crate::error::Error;

/// Bytes of a file that are read, or waited for before they are stored.
pub(super) const AT_ONCE: usize = 256 * 1024;
/// What waits to be sent is sent when it is so much.
pub(super) const SEND_AT: usize = 64 * 1024;

/// Directories may lie so deep in each other. Some lead back to themselves by a link.
pub(super) const DEPTH: usize = 100;
pub(super) const TOO_DEEP: Error = Error::Limit("Directories nested too deep", DEPTH as u64);

/// A half of scp that works through files and directories.
pub(super) trait Worker: Send + 'static {
    /// Returns how many of them it has begun since this was asked last.
    fn take_items(&mut self) -> usize;
}
