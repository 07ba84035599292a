//! Completes the names of users on the command line.

use std::ffi::OsStr;
use std::path::PathBuf;

use clap_complete::CompletionCandidate;

use super::untrusted_folder::refuse_home;
use crate::accounts::Accounts;
use crate::config::Config;

/// Names offered at once: a terminal shows no more in a useful way.
const MOST: usize = 200;

/// Returns the names of users that begin with `typed`; none if they cannot be read here.
pub fn user_names(typed: &OsStr) -> Vec<CompletionCandidate> {
    let Some(typed) = typed.to_str() else {
        return Vec::new();
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    let names = runtime.map(|runtime| runtime.block_on(names()));
    let names = names.ok().and_then(Result::ok).unwrap_or_default();
    let fitting = names.into_iter().filter(|name| name.starts_with(typed));
    fitting.take(MOST).map(CompletionCandidate::new).collect()
}

/// Reads the names with the configuration that a command without `--config` uses.
async fn names() -> anyhow::Result<Vec<String>> {
    let file = std::env::var_os("LANDFALL_CONFIG").map(PathBuf::from);
    let config = Config::find(file.as_deref())?;
    refuse_home(&config).await?;
    let Some(accounts) = Accounts::open_as_they_are(config.accounts()).await? else {
        return Ok(Vec::new());
    };
    let users = accounts.list().await;
    accounts.close().await;
    let names = users?.into_iter();
    Ok(names.map(|user| user.account.name.to_string()).collect())
}
