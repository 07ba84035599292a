//! `landfall session ...`

use anyhow::bail;

use super::control::{OpenSession, Reply, Request, Server};
use super::output;
use super::user::user_name;
use super::view::json;
use crate::cli;
use crate::config::Config;

/// Runs a session command.
///
/// # Errors
/// No server runs, or it refused.
pub async fn run(config: &Config, command: cli::Session) -> anyhow::Result<()> {
    let text = match command {
        cli::Session::List(format) => list(config, &format).await?,
        cli::Session::Kill(kill) => end(config, kill).await?,
    };
    Ok(output::print(&text)?)
}

async fn list(config: &Config, format: &cli::Format) -> anyhow::Result<String> {
    let mut server = Server::need(&config.server.data).await?;
    let replies = server.ask(Request::Sessions).await?.into_iter();
    let sessions: Vec<_> = replies
        .filter_map(|reply| match reply {
            Reply::Session(session) => Some(session),
            _ => None,
        })
        .collect();
    if format.json {
        return json(&sessions);
    }
    if sessions.is_empty() {
        return Ok("There are no open sessions\n".to_owned());
    }
    let mut rows = vec![["ID", "USER", "FROM", "CLIENT", "SINCE"].map(str::to_owned)];
    rows.extend(sessions.into_iter().map(|session| {
        let OpenSession {
            id,
            user,
            peer,
            client,
            since,
        } = session;
        [id.to_string(), user, peer, output::visible(&client), since]
    }));
    Ok(output::table(&rows))
}

async fn end(config: &Config, kill: cli::Kill) -> anyhow::Result<String> {
    if let Some(user) = &kill.user {
        user_name(user)?;
    }
    let mut server = Server::need(&config.server.data).await?;
    let request = Request::Kill {
        ids: kill.ids,
        user: kill.user.clone(),
        reason: kill.reason,
    };
    let mut text = String::new();
    let mut missing = Vec::new();
    for reply in server.ask(request).await? {
        match reply {
            Reply::Ended(OpenSession { id, user, peer, .. }) => {
                text.push_str(&format!("Ended session {id} of {user} from {peer}\n"));
            }
            Reply::NoSession { id } => missing.push(id.to_string()),
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
