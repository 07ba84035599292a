//! `landfall quota ...`

use std::time::Duration;

use anyhow::bail;
use tokio::time::sleep;

use super::output;
use super::user::user_name;
use super::view::{Use, UserQuota, json};
use crate::accounts::{Account, Accounts};
use crate::cli;
use crate::config::Config;
use crate::database::try_serving;
use crate::quota::Ledgers;
use crate::session::count_home;
use crate::units::show_rounded;

/// How often a running server is asked whether it has counted.
const ASK_EVERY: Duration = Duration::from_millis(200);

/// Runs a quota command.
///
/// # Errors
/// What was refused or failed, and what to do about it.
pub async fn run(config: &Config, command: cli::Quota) -> anyhow::Result<()> {
    let accounts = Accounts::open(config).await?;
    let result = match command {
        cli::Quota::Show(show) => {
            let users = users(&accounts, show.name.as_deref()).await?;
            if show.format.json {
                json(&users.iter().map(UserQuota::new).collect::<Vec<_>>())
            } else {
                Ok(table(&users))
            }
        }
        cli::Quota::Recount(recount) => {
            let users = users(&accounts, recount.name.as_deref()).await?;
            let ledgers = Ledgers::new(accounts.database().clone(), count_home);
            let mut text = String::new();
            for user in users {
                text.push_str(&count(config, &ledgers, &user.details.account).await?);
            }
            Ok(text)
        }
    };
    accounts.close().await;
    output::print(&result?)?;
    Ok(())
}

/// The one of this name, or all.
async fn users(accounts: &Accounts, name: Option<&str>) -> anyhow::Result<Vec<Use>> {
    match name {
        Some(name) => {
            let user = accounts.find(&user_name(name)?).await?;
            Ok(vec![Use::of(accounts, user).await?])
        }
        None => Use::of_all(accounts).await,
    }
}

/// Counts one home: there, where nothing changes meanwhile, as long as a server runs, and else here.
async fn count(config: &Config, ledgers: &Ledgers, account: &Account) -> anyhow::Result<String> {
    let (user, home) = (account.name.as_str(), &account.home);
    let mut is_requested = false;
    let used = loop {
        if let Some(_alone) = try_serving(&config.server.data)? {
            break ledgers.count_now(user, home).await?;
        }
        if !is_requested {
            ledgers.request(user, home).await?;
            is_requested = true;
        }
        sleep(ASK_EVERY).await;
        match ledgers.kept(user, home).await? {
            Some(kept) if kept.recount => {}
            Some(kept) => break kept.used,
            None => bail!("the server could not count the files of {user}; see its log"),
        }
    };
    Ok(format!(
        "{user} uses {} ({} bytes) in {} files\n",
        show_rounded(used.bytes),
        used.bytes,
        used.files
    ))
}

fn table(users: &[Use]) -> String {
    let titles = ["NAME", "USED", "QUOTA", "FILES", "OF"];
    let mut rows = vec![titles.map(str::to_owned)];
    rows.extend(users.iter().map(|user| {
        let [used, quota, files, max_files] = user.figures();
        let name = user.details.account.name.to_string();
        [name, used, quota, files, max_files]
    }));
    output::table(&rows)
}
