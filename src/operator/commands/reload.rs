//! `landfall reload`

use std::path::Path;

use super::audit;
use crate::control::{ControlReply, ControlRequest, RunningServer};
use crate::operator::output;

/// Makes the running server reload its configuration.
///
/// # Errors
/// No server runs, or it refused, with every fault.
pub async fn run(data: &Path) -> anyhow::Result<()> {
    let mut server = RunningServer::need(data).await?;
    let mut text = String::new();
    let by = audit::operator();
    for reply in server.ask(ControlRequest::Reload { by }).await? {
        if let ControlReply::Message { text: line } = reply {
            text.push_str(&format!("{line}\n"));
        }
    }
    Ok(output::print(&text)?)
}
