//! How far the server is on its way to its end: what all its connections must know.

use tokio::sync::watch;

/// A phase; each comes after the one before, and none comes back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Phase {
    /// All is as usual.
    Serving,
    /// Nobody comes in any more; files that are being moved may get to their end.
    Draining,
    /// Every connection ends.
    Ending,
}

/// What a client is told whose session the end of the server cuts off.
pub const STOPPING: &str = "The server is stopping";

/// Waits until this phase has come.
pub async fn reached(phases: &mut watch::Receiver<Phase>, phase: Phase) {
    // Without a sender the process is ending anyhow.
    let _ = phases.wait_for(|now| *now >= phase).await;
}
