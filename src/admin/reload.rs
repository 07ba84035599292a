//! `landfall reload`

use std::path::Path;

use super::control::{Reply, Request, Server};
use super::{audit, output};
use crate::config::Config;

/// Has the server that runs take up its config anew. `config` is what this process has read of it, if
/// it is right.
///
/// # Errors
/// No server runs, or it refused, with all that is wrong.
pub async fn run(data: &Path, config: Option<&Config>) -> anyhow::Result<()> {
    let mut server = Server::need(data).await?;
    let mut text = String::new();
    for reply in server.ask(Request::Reload).await? {
        if let Reply::Told { text: line } = reply {
            text.push_str(&format!("{line}\n"));
        }
    }
    if let Some(config) = config {
        audit::note_reload(config, &text);
    }
    Ok(output::print(&text)?)
}
