//! `landfall ban ...`

use super::audit;
use super::view::json;
use crate::config::Config;
use crate::control::{BanEntry, ControlReply, ControlRequest, RunningServer};
use crate::operator::cli;
use crate::operator::output;

/// Runs a ban command.
///
/// # Errors
/// No server runs, or it refused.
pub async fn run(config: &Config, command: cli::BanCommand) -> anyhow::Result<()> {
    let text = match command {
        cli::BanCommand::List(format) => list(config, &format).await?,
        cli::BanCommand::Lift(lift) => end(config, &lift).await?,
    };
    Ok(output::print(&text)?)
}

async fn list(config: &Config, format: &cli::OutputFormat) -> anyhow::Result<String> {
    let mut server = RunningServer::need(&config.server.data).await?;
    let replies = server.ask(ControlRequest::Bans).await?.into_iter();
    let bans: Vec<_> = replies
        .filter_map(|reply| match reply {
            ControlReply::Ban(ban) => Some(ban),
            _ => None,
        })
        .collect();
    if format.json {
        return json(&bans);
    }
    if bans.is_empty() {
        return Ok("No address is banned\n".to_owned());
    }
    let titles = ["SOURCE", "UNTIL", "LEFT", "WHY", "REFUSED"];
    let mut rows = vec![titles.map(str::to_owned)];
    rows.extend(bans.into_iter().map(row));
    Ok(output::table(&rows))
}

fn row(ban: BanEntry) -> [String; 5] {
    let faults = ban.faults.iter();
    let why: Vec<_> = faults
        .map(|(fault, count)| format!("{count} {fault}"))
        .collect();
    [
        ban.source,
        ban.until,
        format!("{} s", ban.seconds_left),
        why.join(", "),
        ban.refused.to_string(),
    ]
}

async fn end(config: &Config, lift: &cli::BanLift) -> anyhow::Result<String> {
    let mut server = RunningServer::need(&config.server.data).await?;
    let network = lift.network.map(|network| network.to_string());
    let mut text = String::new();
    let by = audit::operator();
    for reply in server.ask(ControlRequest::Lift { network, by }).await? {
        if let ControlReply::Lifted(ban) = reply {
            text.push_str(&format!("Lifted the ban of {}\n", ban.source));
        }
    }
    if text.is_empty() {
        text.push_str("No such address is banned\n");
    }
    Ok(text)
}
