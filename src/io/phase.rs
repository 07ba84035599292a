//! The phases of a stopping server, which all its connections observe.

use tokio::sync::watch;

/// A phase; phases follow in this order and never go back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Phase {
    /// Normal operation.
    Serving,
    /// No new connections; transfers may finish.
    Draining,
    /// Every connection closes.
    Ending,
}

/// The reason that a client receives when the stopping server closes its session.
pub const STOPPING: &str = "The server is stopping";

/// Waits for this phase or a later one.
pub async fn reached(phases: &mut watch::Receiver<Phase>, phase: Phase) {
    // Without a sender the process is ending anyway.
    let _ = phases.wait_for(|now| *now >= phase).await;
}
