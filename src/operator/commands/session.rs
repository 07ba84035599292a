//! `landfall session ...`

use anyhow::bail;

use super::audit;
use super::user::user_name;
use super::view::json;
use crate::config::Config;
use crate::control::{ActiveTransfer, ControlReply, ControlRequest, OpenSession, RunningServer};
use crate::operator::cli;
use crate::operator::output;
use crate::values::units::show_rounded;

/// Runs a session command.
///
/// # Errors
/// No server runs, or it refused.
pub async fn run(config: &Config, command: cli::SessionCommand) -> anyhow::Result<()> {
    let text = match command {
        cli::SessionCommand::List(format) => list(config, &format).await?,
        cli::SessionCommand::Kill(kill) => end(config, kill).await?,
    };
    Ok(output::print(&text)?)
}

async fn list(config: &Config, format: &cli::OutputFormat) -> anyhow::Result<String> {
    let mut server = RunningServer::need(&config.server.data).await?;
    let replies = server.ask(ControlRequest::Sessions).await?.into_iter();
    let sessions: Vec<_> = replies
        .filter_map(|reply| match reply {
            ControlReply::Session(session) => Some(session),
            _ => None,
        })
        .collect();
    if format.json {
        return json(&sessions);
    }
    if sessions.is_empty() {
        return Ok("There are no open sessions\n".to_owned());
    }
    let titles = [
        "ID", "USER", "FROM", "CLIENT", "SINCE", "FILE", "MOVED", "SPEED",
    ];
    let mut rows = vec![titles.map(str::to_owned)];
    for session in sessions {
        let mut transfers = session.transfers.iter();
        let [file, moved, speed] = transfers.next().map(progress).unwrap_or_default();
        let client = output::visible(&session.client);
        rows.push([
            session.id.to_string(),
            session.user,
            session.peer,
            client,
            session.since,
            file,
            moved,
            speed,
        ]);
        // Further files of the session follow below.
        rows.extend(transfers.map(progress).map(|[file, moved, speed]| {
            let empty = String::new;
            let no = [empty(), empty(), empty(), empty(), empty()];
            let [id, user, peer, client, since] = no;
            [id, user, peer, client, since, file, moved, speed]
        }));
    }
    Ok(output::table(&rows))
}

/// Formats a transfer: file, progress, rate.
fn progress(transfer: &ActiveTransfer) -> [String; 3] {
    let moved = show_rounded(transfer.reached());
    let percent = transfer.percent();
    [
        output::transferred_file(transfer),
        percent.map_or_else(|| moved.clone(), |percent| format!("{moved} ({percent}%)")),
        format!("{}/s", show_rounded(transfer.speed())),
    ]
}

async fn end(config: &Config, kill: cli::SessionKill) -> anyhow::Result<String> {
    if let Some(user) = &kill.user {
        user_name(user)?;
    }
    let mut server = RunningServer::need(&config.server.data).await?;
    let request = ControlRequest::Kill {
        ids: kill.ids,
        user: kill.user.clone(),
        reason: kill.reason,
        by: audit::operator(),
    };
    let mut text = String::new();
    let mut missing = Vec::new();
    for reply in server.ask(request).await? {
        match reply {
            ControlReply::Ended(OpenSession { id, user, peer, .. }) => {
                text.push_str(&format!("Closed session {id} of {user} from {peer}\n"));
            }
            ControlReply::NoSession { id } => missing.push(id.to_string()),
            _ => {}
        }
    }
    if !missing.is_empty() {
        output::print(&text)?;
        bail!(
            "there is no session {}; see: landfall session list",
            missing.join(", ")
        );
    }
    if let Some(user) = kill.user.filter(|_| text.is_empty()) {
        text = format!("{user} has no open session\n");
    }
    Ok(text)
}
