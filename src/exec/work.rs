//! Common parts of the commands: exit statuses, output, and work that may block.

use std::sync::Arc;

use bytes::Bytes;
use tokio::task::JoinError;
use tracing::error;

use crate::io::pipe::{Disconnected, Pipe};
use crate::vfs::Vfs;

/// Exit status of a refused command: that of a shell for a command that is not found.
pub(super) const NOT_FOUND: u32 = 127;
/// Exit status of a command that failed, at least in part.
pub(super) const FAILED: u32 = 1;

pub(super) async fn say<P: Pipe>(
    pipe: &mut P,
    text: impl Into<Bytes>,
) -> Result<u32, Disconnected> {
    pipe.send(text.into()).await.map(|()| 0)
}

/// Runs `act` on the home, where it may block.
pub(super) async fn blocking<T: Send + 'static>(
    vfs: &Arc<Vfs>,
    act: impl FnOnce(&Vfs) -> T + Send + 'static,
) -> Result<T, Disconnected> {
    let threads = vfs.session().shares().threads.clone();
    let vfs = vfs.clone();
    threads.run(move || act(&vfs)).await.map_err(lost)
}

/// Runs a slice of heavy work, otherwise as [`blocking`].
pub(super) async fn heavy<P: Pipe, T: Send + 'static>(
    vfs: &Arc<Vfs>,
    pipe: &P,
    act: impl FnOnce(&Vfs) -> T + Send + 'static,
) -> Result<T, Disconnected> {
    let threads = vfs.session().shares().threads.clone();
    let vfs = vfs.clone();
    let slice = move || act(&vfs);
    threads
        .heavy(pipe.disconnected(), slice)
        .await
        .map_err(lost)
}

fn lost(failure: JoinError) -> Disconnected {
    error!(%failure, "a command panicked");
    Disconnected
}
