//! `landfall quota ...`

use std::time::Duration;

use anyhow::bail;
use tokio::time::sleep;

use super::user::user_name;
use super::view::{UserQuota, json, usage_cells};
use crate::accounts::{Account, Accounts};
use crate::config::Config;
use crate::database::try_serving;
use crate::operator::cli;
use crate::operator::output;
use crate::quota::{Ledgers, Usage};
use crate::session::count_home;
use crate::session::usage::AccountUsage;
use crate::values::units::show_rounded;

/// Interval at which the running server is asked whether it has counted.
const ASK_EVERY: Duration = Duration::from_millis(200);

/// Runs a quota command.
///
/// # Errors
/// What was refused or failed, and what to do about it.
pub async fn run(config: &Config, command: cli::QuotaCommand) -> anyhow::Result<()> {
    let accounts = Accounts::open(config.accounts()).await?;
    let result = match command {
        cli::QuotaCommand::Show(show) => {
            let users = users(&accounts, show.name.as_deref()).await?;
            if show.format.json {
                json(&users.iter().map(UserQuota::new).collect::<Vec<_>>())
            } else {
                Ok(table(&users))
            }
        }
        cli::QuotaCommand::Recount(recount) => {
            let users = users(&accounts, recount.name.as_deref()).await?;
            let ledgers = Ledgers::new(accounts.database().clone(), count_home);
            let homes = users.into_iter().map(|user| user.details.account);
            count(config, &ledgers, homes.collect()).await
        }
    };
    accounts.close().await;
    output::print(&result?)?;
    Ok(())
}

/// Returns the user of this name, or all.
async fn users(accounts: &Accounts, name: Option<&str>) -> anyhow::Result<Vec<AccountUsage>> {
    match name {
        Some(name) => {
            let user = accounts.find(&user_name(name)?).await?;
            Ok(vec![AccountUsage::of(accounts, user).await?])
        }
        None => AccountUsage::of_all(accounts).await,
    }
}

/// Counts homes: in the running server, which can delay changes meanwhile, or else here. Prints each result
/// immediately: a disk that hangs must not hide the others.
async fn count(
    config: &Config,
    ledgers: &Ledgers,
    mut waiting: Vec<Account>,
) -> anyhow::Result<String> {
    let mut is_requested = false;
    let mut uncounted = Vec::new();
    while !waiting.is_empty() {
        if let Some(_alone) = try_serving(&config.server.data)? {
            for account in waiting.drain(..) {
                let used = ledgers.count_now(account.name.as_str(), &account.home);
                print_use(&account, used.await?)?;
            }
            break;
        }
        if !is_requested {
            for account in &waiting {
                let user = account.name.as_str();
                ledgers.request(user, &account.home).await?;
            }
            is_requested = true;
        }
        sleep(ASK_EVERY).await;
        let requested = ledgers.requested().await?;
        let is_counted = |account: &mut Account| !requested.contains(&account.home);
        for account in waiting.extract_if(.., is_counted) {
            let user = account.name.as_str();
            match ledgers.kept(user, &account.home).await? {
                Some(kept) => print_use(&account, kept.used)?,
                None => uncounted.push(user.to_owned()),
            }
        }
    }
    if !uncounted.is_empty() {
        bail!(
            "the server could not count the files of {}; see its log",
            uncounted.join(", ")
        );
    }
    Ok(String::new())
}

fn print_use(account: &Account, used: Usage) -> std::io::Result<()> {
    output::print(&format!(
        "{} uses {} ({} bytes) in {} files\n",
        account.name,
        show_rounded(used.bytes),
        used.bytes,
        used.files
    ))
}

fn table(users: &[AccountUsage]) -> String {
    let titles = ["NAME", "USED", "QUOTA", "FILES", "OF"];
    let mut rows = vec![titles.map(str::to_owned)];
    rows.extend(users.iter().map(|user| {
        let [used, quota, files, max_files] = usage_cells(user);
        let name = user.details.account.name.to_string();
        [name, used, quota, files, max_files]
    }));
    output::table(&rows)
}
