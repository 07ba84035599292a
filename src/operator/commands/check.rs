//! `landfall check`: compares a valid configuration with the existing accounts.

use super::data_owner::DataOwner;
use crate::accounts::Accounts;
use crate::config::{Config, LEGACY_IS_DEPRECATED};
use crate::operator::output;

/// Reports what a start or a reload would refuse; changes nothing.
///
/// # Errors
/// The guest or the declared users conflict with accounts in the database, or it cannot be read.
pub async fn run(config: &Config) -> anyhow::Result<()> {
    let compared = compare(config).await?;
    let listen = config.server.listen.iter().map(ToString::to_string);
    let listen = listen.collect::<Vec<_>>().join(", ");
    let mut text = format!("config OK: landfall will listen on {listen}\n");
    if config.file.is_none() {
        text.push_str("No config.toml here: using defaults\n");
    }
    if config.ssh.legacy {
        text.push_str(&format!("{LEGACY_IS_DEPRECATED}\n"));
    }
    if !compared {
        text.push_str("Not compared with the database: its schema is older\n");
    }
    Ok(output::print(&text)?)
}

/// Returns `false` if the schema is older than this program. Without a database there is nothing to compare.
async fn compare(config: &Config) -> anyhow::Result<bool> {
    let data = &config.server.data;
    // Root may check another user's configuration, and must leave no file of its own in the data folder.
    let _acting = DataOwner::find(data)?.act()?;
    if !crate::database::exists(data)? {
        return Ok(true);
    }
    let Some(accounts) = Accounts::open_as_they_are(config.accounts()).await? else {
        return Ok(false);
    };
    let compared = accounts.compare(config.accounts()).await;
    accounts.close().await;
    compared.map_err(|failure| config.with_places(failure))?;
    Ok(true)
}
