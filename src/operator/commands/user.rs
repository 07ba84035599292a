//! `landfall user ...`

use std::net::IpAddr;

use anyhow::{Context as _, bail};

use super::view::{ListedUser, ShownKey, ShownUser, describe, json, list_keys, show};
use super::{audit, input, linked, remove_home, settings, user_list, why};
use crate::accounts::{
    Account, AccountSettings, Accounts, AuthorizedKey, GuestOptions, NewAccount, Password, PutKeys,
    UserName,
};
use crate::config::Config;
use crate::control::RunningServer;
use crate::observe::audit::AccountAction;
use crate::operator::cli::{self, PasswordSource};
use crate::operator::output;
use crate::quota::Ledgers;
use crate::rules::LoginPolicy;
use crate::session::count_home;
use crate::session::usage::AccountUsage;
use crate::values::path::VPath;

/// Runs a user command.
///
/// # Errors
/// What was refused or failed, and what to do about it.
pub async fn run(config: &Config, command: cli::UserCommand) -> anyhow::Result<()> {
    // Refuse what can be refused without the database before one is created.
    let command = CheckedCommand::new(command)?;
    let accounts = match command {
        CheckedCommand::Add(..) => Accounts::open_or_make(config.accounts()).await?,
        _ => Accounts::open(config.accounts()).await?,
    };
    let change = command.change();
    let before = login_ways(config, &accounts, &change).await?;
    let mut done = String::new();
    let result = match refuse_declared(config, &accounts, &command).await {
        Ok(()) => command.run(config, &accounts, &mut done).await,
        refused => refused,
    };
    let after = login_ways(config, &accounts, &change).await;
    // What was changed is recorded below, also if this cannot be read any more.
    if before == Some(true) && matches!(after, Ok(Some(false))) {
        warn(["this user has no credential to log in with any more".to_owned()]);
    }
    accounts.close().await;
    // A command that failed half-way may have changed something.
    if let Some((action, name)) = change {
        // A new account has no sessions, but the server may not be able to reach its home.
        let told = RunningServer::notify_changed(&config.server.data, &name).await;
        if result.is_ok() || !done.is_empty() {
            done.push_str(&told);
            let failure = result.as_ref().err();
            let failure = failure.map(|failure| format!("then failed: {failure:#}"));
            let message = done.clone() + &failure.unwrap_or_default();
            audit::record_account(config, action, &name, &message);
        }
    }
    output::print(&done)?;
    result
}

/// Returns whether the account has a credential to log in with; `None` if there is no account. A
/// certificate counts as a key.
async fn login_ways(
    config: &Config,
    accounts: &Accounts,
    change: &Option<(AccountAction, UserName)>,
) -> anyhow::Result<Option<bool>> {
    let Some((_, name)) = change else {
        return Ok(None);
    };
    let user = accounts.find_any(name).await?;
    Ok(user.map(|user| {
        let key = user.keys > 0 || config.login.user_ca_keys.is_some();
        match user.account.settings.rules.login_policy {
            LoginPolicy::Any => key || user.has_password,
            LoginPolicy::KeyOnly => key,
            LoginPolicy::KeyAndPassword => key && user.has_password,
        }
    }))
}

/// A command together with its input from files, the terminal and standard input.
enum CheckedCommand {
    Add(NewAccount, cli::UserOptions),
    Set(UserName, cli::UserSet),
    Remove(UserName, cli::UserRemove),
    Show(UserName, cli::OutputFormat),
    Why(UserName, Option<IpAddr>),
    List(cli::UserList),
    SetPassword(UserName, Option<Password>),
    AddKeys(UserName, Vec<AuthorizedKey>),
    ListKeys(UserName, cli::OutputFormat),
    RemoveKey(UserName, String),
}

impl CheckedCommand {
    fn new(command: cli::UserCommand) -> anyhow::Result<Self> {
        Ok(match command {
            cli::UserCommand::Add(add) => {
                let (new, settings) = new_account(add)?;
                Self::Add(new, settings)
            }
            cli::UserCommand::Set(set) => {
                settings::check(&set.settings)?;
                Self::Set(user_name(&set.name)?, set)
            }
            cli::UserCommand::Rm(remove) => Self::Remove(user_name(&remove.name)?, remove),
            cli::UserCommand::Show(show) => Self::Show(user_name(&show.name)?, show.format),
            cli::UserCommand::Why(why) => Self::Why(user_name(&why.name)?, why.address),
            cli::UserCommand::List(list) => Self::List(list),
            cli::UserCommand::Passwd(passwd) => {
                let name = user_name(&passwd.name)?;
                Self::SetPassword(name, password(&passwd.password)?)
            }
            cli::UserCommand::Key(cli::KeyCommand::Add(add)) => {
                Self::AddKeys(user_name(&add.name)?, input::keys(&add.file)?)
            }
            cli::UserCommand::Key(cli::KeyCommand::List(show)) => {
                Self::ListKeys(user_name(&show.name)?, show.format)
            }
            cli::UserCommand::Key(cli::KeyCommand::Rm(remove)) => {
                Self::RemoveKey(user_name(&remove.name)?, remove.key)
            }
        })
    }

    /// Returns the action and the account that it changes, which open sessions may depend on.
    fn change(&self) -> Option<(AccountAction, UserName)> {
        let (action, name) = match self {
            Self::Add(new, _) => (AccountAction::Add, &new.name),
            Self::Set(name, _) => (AccountAction::Set, name),
            Self::Remove(name, _) => (AccountAction::Remove, name),
            Self::SetPassword(name, _) => (AccountAction::Password, name),
            Self::AddKeys(name, _) => (AccountAction::KeyAdd, name),
            Self::RemoveKey(name, _) => (AccountAction::KeyRemove, name),
            Self::Show(..) | Self::Why(..) | Self::List(_) | Self::ListKeys(..) => return None,
        };
        Some((action, name.clone()))
    }

    /// Runs it. `done` receives the output, also of a command that fails after changing something.
    async fn run(
        self,
        config: &Config,
        accounts: &Accounts,
        done: &mut String,
    ) -> anyhow::Result<()> {
        match self {
            Self::Add(new, given) => {
                let useless = new.password.is_none() && new.keys.is_empty();
                let account = accounts.add(new).await?;
                let (name, home) = (&account.name, account.home.display());
                done.push_str(&format!("Added {name} with the home {home}\n"));
                if useless {
                    done.push_str(&format!(
                        "{name} cannot log in yet: landfall user key add {name} FILE\n"
                    ));
                }
                let open = settings::left_open(name, &account.settings);
                let expired = settings::expired(&given, name, &account.settings);
                warn(open.into_iter().chain(expired));
                look_at_directories(config, accounts, &account, given.mkdir, done).await?;
            }
            Self::Set(name, set) => change(config, accounts, &name, set, done).await?,
            Self::Remove(name, how) => remove(config, accounts, &name, &how, done).await?,
            Self::Show(name, format) => {
                let user = AccountUsage::of(accounts, accounts.find(&name).await?).await?;
                let keys = accounts.keys(&name).await?;
                *done = match format.json {
                    true => json(&ShownUser::new(&user, &keys))?,
                    false => show(&user, &keys),
                };
            }
            Self::Why(name, address) => {
                *done = why::explain(config, accounts, &name, address).await?;
            }
            Self::List(list) => {
                let users = user_list::chosen(AccountUsage::of_all(accounts).await?, &list);
                *done = match list.format.json {
                    true => json(&users.iter().map(ListedUser::new).collect::<Vec<_>>())?,
                    false => user_list::table(&users, &list, output::terminal_width()),
                };
            }
            Self::SetPassword(name, password) => {
                let what = match password {
                    Some(_) => "has a new password",
                    None => "no longer has a password",
                };
                accounts.set_password(&name, password).await?;
                *done = format!("{name} {what}\n");
            }
            Self::AddKeys(name, keys) => {
                let given = keys.len();
                let PutKeys { added, changed } = accounts.add_keys(&name, keys).await?;
                let line = |key: &AuthorizedKey| format!("Added {} to {name}\n", describe(key));
                done.extend(added.iter().map(line));
                let line = |key: &AuthorizedKey| {
                    format!("Changed the options of {} of {name}\n", describe(key))
                };
                done.extend(changed.iter().map(line));
                let same = given - added.len() - changed.len();
                if same > 0 {
                    done.push_str(&format!("{name} already had {same} of the keys\n"));
                }
            }
            Self::ListKeys(name, format) => {
                let keys = accounts.keys(&name).await?;
                *done = match format.json {
                    true => json(&keys.iter().map(ShownKey::new).collect::<Vec<_>>())?,
                    false => list_keys(&keys),
                };
            }
            Self::RemoveKey(name, which) => {
                let fingerprint = accounts.remove_key(&name, &which).await?;
                *done = format!("Removed {fingerprint} from {name}\n");
            }
        }
        Ok(())
    }
}

/// Refuses to change a declared user: the next reload would undo it.
async fn refuse_declared(
    config: &Config,
    accounts: &Accounts,
    command: &CheckedCommand,
) -> anyhow::Result<()> {
    let Some((action, name)) = command.change() else {
        return Ok(());
    };
    if action == AccountAction::Add {
        return match config.spot_of(&name) {
            Some(spot) => bail!("{name} is declared in {spot}: run landfall reload"),
            None if config.guest.enabled && config.guest.name == name.as_str() => bail!(
                "{name} is the guest of config.toml ([guest]), whose account the server creates: choose another name"
            ),
            None => Ok(()),
        };
    }
    if !accounts.find(&name).await?.account.settings.declared {
        return Ok(());
    }
    if config.guest.name == name.as_str() {
        return refuse_guests(&config.guest, &name, command);
    }
    match config.spot_of(&name) {
        Some(spot) => {
            bail!("{name} is declared in {spot}: change it there and run landfall reload")
        }
        None => {
            bail!("{name} is no longer declared in config.toml: run landfall reload")
        }
    }
}

/// Refuses to change settings of the guest that config.toml has; others can be changed here.
fn refuse_guests(
    guest: &GuestOptions,
    name: &UserName,
    command: &CheckedCommand,
) -> anyhow::Result<()> {
    let said = match command {
        CheckedCommand::Set(_, set) => {
            let given = &set.settings;
            let said = [
                (given.quota.is_some(), "quota"),
                (given.max_files.is_some(), "max_files"),
                (!given.permissions.is_empty(), "permissions"),
                (given.max_sessions.is_some(), "max_sessions"),
                (given.disabled || set.enabled, "enabled"),
                (set.home.is_some() && guest.home.is_some(), "home"),
            ];
            let said = said
                .into_iter()
                .filter_map(|(is_given, key)| is_given.then_some(key));
            said.collect::<Vec<_>>().join(", ")
        }
        CheckedCommand::Remove(..) if guest.enabled => "enabled".to_owned(),
        CheckedCommand::SetPassword(_, Some(_)) | CheckedCommand::AddKeys(..) => {
            bail!("{name} is the guest: anybody can log in without a password or key")
        }
        _ => String::new(),
    };
    if said.is_empty() {
        return Ok(());
    }
    bail!(
        "{name} is the guest: change its {said} in config.toml, section [guest], and run landfall reload"
    )
}

pub(super) fn user_name(name: &str) -> anyhow::Result<UserName> {
    name.parse()
        .with_context(|| format!("{name:?} cannot be a user name"))
}

fn new_account(add: cli::UserAdd) -> anyhow::Result<(NewAccount, cli::UserOptions)> {
    let name = user_name(&add.name)?;
    let from_stdin = add.keys.iter().filter(|file| input::is_stdin(file)).count();
    if from_stdin + usize::from(add.password.password_stdin) > 1 {
        bail!("only one argument can be read from the standard input");
    }
    let mut settings = AccountSettings::default();
    settings::check(&add.settings)?;
    settings::apply(&add.settings, &mut settings);
    let mut keys = Vec::new();
    for file in &add.keys {
        keys.extend(input::keys(file)?);
    }
    let PasswordSource { password_stdin, .. } = add.password;
    let password = if keys.is_empty() || password_stdin {
        password(&add.password)?
    } else {
        None
    };
    let new = NewAccount {
        name,
        home: add.home,
        settings,
        password,
        keys,
    };
    Ok((new, add.settings))
}

fn password(source: &PasswordSource) -> anyhow::Result<Option<Password>> {
    match source {
        PasswordSource {
            no_password: true, ..
        } => Ok(None),
        PasswordSource {
            password_stdin: true,
            ..
        } => input::password_from_stdin().map(Some),
        _ if input::is_interactive() => input::password_from_prompt().map(Some),
        _ => bail!("no terminal to ask for a password: use --password-stdin or --no-password"),
    }
}

async fn remove(
    config: &Config,
    accounts: &Accounts,
    name: &UserName,
    how: &cli::UserRemove,
    done: &mut String,
) -> anyhow::Result<()> {
    let home = accounts.find(name).await?.account.home;
    let shown = home.display().to_string();
    if how.delete_home {
        remove_home::check(&home)?;
    }
    // An account is easy to create again; its files are not.
    if how.delete_home && !how.yes {
        if !input::is_interactive() {
            bail!("no terminal to confirm the deletion of all files in {shown}: use --yes");
        }
        if !input::confirmed(&format!("Remove {name} and DELETE all files in {shown}?"))? {
            bail!("nothing was removed");
        }
    }
    accounts.remove(name).await?;
    if !how.delete_home {
        *done = format!("Removed {name}; the files are still in {shown}\n");
        return Ok(());
    }
    let data = &config.server.data;
    let told = RunningServer::notify_changed(data, name).await;
    *done = format!("Removed {name}\n{told}");
    remove_home::delete(data, name, home).await?;
    *done = format!("Removed {name} and the home {shown}\n{told}");
    Ok(())
}

/// Warns about a change that is made but may be unintended.
fn warn(warnings: impl IntoIterator<Item = String>) {
    for warning in warnings {
        output::complain(&format!("landfall: {warning}"));
    }
}

async fn change(
    config: &Config,
    accounts: &Accounts,
    name: &UserName,
    set: cli::UserSet,
    done: &mut String,
) -> anyhow::Result<()> {
    let now = accounts
        .set(name, |settings| {
            settings.rules.disabled &= !set.enabled;
            settings::apply(&set.settings, settings);
        })
        .await?;
    done.push_str(&settings::changes(name, &set, &now));
    if set.settings.quota.is_some() || set.settings.max_files.is_some() {
        warn(settings::left_open(name, &now));
    }
    warn(settings::expired(&set.settings, name, &now));
    let relinked = !set.settings.permissions.is_empty() || set.home.is_some();
    if let Some(home) = set.home {
        let (before, after) = accounts.set_home(name, &home).await?;
        let (before, after) = (before.home.display(), after.home.display());
        done.push_str(&if before.to_string() == after.to_string() {
            format!("The home of {name} is already {after}\n")
        } else {
            format!("The home of {name} is now {after}; the files in {before} stay there\n")
        });
    }
    if relinked {
        let account = accounts.find(name).await?.account;
        look_at_directories(config, accounts, &account, set.settings.mkdir, done).await?;
    }
    Ok(())
}

/// Creates the directories with their own permissions if asked to, and warns about problems with them.
async fn look_at_directories(
    config: &Config,
    accounts: &Accounts,
    account: &Account,
    mkdir: bool,
    done: &mut String,
) -> anyhow::Result<()> {
    if mkdir {
        let made = linked::make(account, config.sftp.umask).await?;
        let line = |place: &VPath| format!("Created {place} in the home of {}\n", account.name);
        done.extend(made.iter().map(line));
        if !made.is_empty() {
            // They count for the quota, and the running server did not create them.
            let ledgers = Ledgers::new(accounts.database().clone(), count_home);
            ledgers
                .request(account.name.as_str(), &account.home)
                .await?;
        }
    }
    warn(linked::warnings(account).await);
    Ok(())
}
