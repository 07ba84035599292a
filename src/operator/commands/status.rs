//! `landfall status`

use serde::Serialize;

use super::view;
use crate::config::Config;
use crate::control::{ControlReply, ControlRequest, RunningServer, Status};
use crate::operator::cli::OutputFormat;
use crate::operator::output;

/// The configuration and data in use, and the server that runs on them. Programs rely on these names.
#[derive(Serialize)]
struct Shown {
    /// `None` without a file, when every setting has its default.
    config: Option<String>,
    data: String,
    server: Option<Status>,
}

/// Prints the configuration, the data and the running server. Returns whether one runs.
///
/// # Errors
/// The server cannot be asked.
pub async fn run(config: &Config, format: &OutputFormat) -> anyhow::Result<bool> {
    let server = match RunningServer::find(&config.server.data).await? {
        Some(mut server) => server
            .ask(ControlRequest::Status)
            .await?
            .into_iter()
            .find_map(status),
        None => None,
    };
    let shown = Shown {
        config: config.file.as_ref().map(|_| config.shown_file()),
        data: config.server.data.display().to_string(),
        server,
    };
    let text = match format.json {
        true => view::json(&shown)?,
        false => for_people(config, &shown),
    };
    output::print(&text)?;
    Ok(shown.server.is_some())
}

fn status(reply: ControlReply) -> Option<Status> {
    match reply {
        ControlReply::Status(status) => Some(status),
        _ => None,
    }
}

fn for_people(config: &Config, shown: &Shown) -> String {
    let mut rows = vec![
        ["Config".to_owned(), config.shown_file()],
        ["Data".to_owned(), shown.data.clone()],
    ];
    match &shown.server {
        Some(server) => rows.extend([
            [
                "Server".to_owned(),
                format!(
                    "landfall {}, process {}, running since {}",
                    server.version, server.pid, server.since
                ),
            ],
            ["Listening on".to_owned(), server.listen.join(", ")],
            ["Sessions".to_owned(), server.sessions.to_string()],
        ]),
        None => rows.push(["Server".to_owned(), "not running".to_owned()]),
    }
    output::table(&rows)
}
