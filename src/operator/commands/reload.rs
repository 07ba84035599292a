//! `landfall reload`

use std::path::Path;

use super::audit;
use crate::control::{ControlReply, ControlRequest, RunningServer};
use crate::operator::output;

/// Has the server that runs take up its config anew.
///
/// # Errors
/// No server runs, or it refused, with all that is wrong.
pub async fn run(data: &Path) -> anyhow::Result<()> {
    let mut server = RunningServer::need(data).await?;
    let mut text = String::new();
    let by = audit::operator();
    for reply in server.ask(ControlRequest::Reload { by }).await? {
        if let ControlReply::Told { text: line } = reply {
            text.push_str(&format!("{line}\n"));
        }
    }
    Ok(output::print(&text)?)
}
