//! `landfall user ...`

use std::net::IpAddr;

use anyhow::{Context as _, bail};

use super::control::Server;
use super::view::{ListedUser, ShownKey, ShownUser, Use, describe, json, list_keys, show};
use super::{audit, input, linked, output, remove_home, settings, user_list, why};
use crate::accounts::{Accounts, AuthorizedKey, NewAccount, Password, Settings, UserName};
use crate::cli::{self, PasswordSource};
use crate::config::Config;

/// Runs a user command.
///
/// # Errors
/// What was refused or failed, and what to do about it.
pub async fn run(config: &Config, command: cli::User) -> anyhow::Result<()> {
    // What can be refused without the database is refused before there is one.
    let command = Checked::new(command)?;
    let accounts = Accounts::open(config).await?;
    let change = command.change();
    let result = match refuse_declared(config, &accounts, &command).await {
        Ok(()) => command.run(config, &accounts).await,
        refused => refused.map(|()| String::new()),
    };
    accounts.close().await;
    // Of a command that failed half-way, something may have changed.
    let told = match &change {
        // Nobody is there whose account is new; but the server may not be able to reach its home.
        Some((_, name)) => Server::tell_changed(&config.server.data, name).await,
        None => String::new(),
    };
    let text = result? + &told;
    if let Some((action, name)) = change {
        audit::note_account(config, action, &name, &text);
    }
    output::print(&text)?;
    Ok(())
}

/// A command with all that it needs from its files, its terminal and its standard input.
enum Checked {
    Add(NewAccount),
    Set(UserName, cli::Set),
    Remove(UserName, cli::Remove),
    Show(UserName, cli::Format),
    Why(UserName, Option<IpAddr>),
    List(cli::List),
    SetPassword(UserName, Option<Password>),
    AddKeys(UserName, Vec<AuthorizedKey>),
    ListKeys(UserName, cli::Format),
    RemoveKey(UserName, String),
}

impl Checked {
    fn new(command: cli::User) -> anyhow::Result<Self> {
        Ok(match command {
            cli::User::Add(add) => Self::Add(new_account(add)?),
            cli::User::Set(set) => {
                settings::check(&set.settings)?;
                Self::Set(user_name(&set.name)?, set)
            }
            cli::User::Rm(remove) => Self::Remove(user_name(&remove.name)?, remove),
            cli::User::Show(show) => Self::Show(user_name(&show.name)?, show.format),
            cli::User::Why(why) => Self::Why(user_name(&why.name)?, why.address),
            cli::User::List(list) => Self::List(list),
            cli::User::Passwd(passwd) => {
                let name = user_name(&passwd.name)?;
                Self::SetPassword(name, password(&passwd.password)?)
            }
            cli::User::Key(cli::Key::Add(add)) => {
                Self::AddKeys(user_name(&add.name)?, input::keys(&add.file)?)
            }
            cli::User::Key(cli::Key::List(show)) => {
                Self::ListKeys(user_name(&show.name)?, show.format)
            }
            cli::User::Key(cli::Key::Rm(remove)) => {
                Self::RemoveKey(user_name(&remove.name)?, remove.key)
            }
        })
    }

    /// What it changes of which account, if it does: an open session may have to know.
    fn change(&self) -> Option<(&'static str, UserName)> {
        let (action, name) = match self {
            Self::Add(new) => ("add", &new.name),
            Self::Set(name, _) => ("set", name),
            Self::Remove(name, _) => ("remove", name),
            Self::SetPassword(name, _) => ("password", name),
            Self::AddKeys(name, _) => ("key_add", name),
            Self::RemoveKey(name, _) => ("key_remove", name),
            Self::Show(..) | Self::Why(..) | Self::List(_) | Self::ListKeys(..) => return None,
        };
        Some((action, name.clone()))
    }

    /// Does it; gives what to print.
    async fn run(self, config: &Config, accounts: &Accounts) -> anyhow::Result<String> {
        match self {
            Self::Add(new) => {
                let useless = new.password.is_none() && new.keys.is_empty();
                let account = accounts.add(new).await?;
                let open = settings::left_open(&account.name, &account.settings);
                warn(open.into_iter().chain(linked::warnings(&account).await));
                let (name, home) = (&account.name, account.home.display());
                let mut text = format!("Added {name} with the home {home}\n");
                if useless {
                    text.push_str(&format!(
                        "{name} cannot log in yet: landfall user key add {name} FILE\n"
                    ));
                }
                Ok(text)
            }
            Self::Set(name, set) => change(accounts, &name, set).await,
            Self::Remove(name, how) => remove(config, accounts, &name, &how).await,
            Self::Show(name, format) => {
                let user = Use::of(accounts, accounts.find(&name).await?).await?;
                let keys = accounts.keys(&name).await?;
                if format.json {
                    json(&ShownUser::new(&user, &keys))
                } else {
                    Ok(show(&user, &keys))
                }
            }
            Self::Why(name, address) => why::explain(config, accounts, &name, address).await,
            Self::List(list) => {
                let users = user_list::chosen(Use::of_all(accounts).await?, &list);
                if list.format.json {
                    json(&users.iter().map(ListedUser::new).collect::<Vec<_>>())
                } else {
                    Ok(user_list::table(&users, &list, output::terminal_width()))
                }
            }
            Self::SetPassword(name, password) => {
                let removed = password.is_none();
                accounts.set_password(&name, password).await?;
                let what = if removed {
                    "has no password any more"
                } else {
                    "has a new password"
                };
                Ok(format!("{name} {what}\n"))
            }
            Self::AddKeys(name, keys) => {
                let given = keys.len();
                let added = accounts.add_keys(&name, keys).await?;
                let line = |key: &AuthorizedKey| format!("Added {} to {name}\n", describe(key));
                let mut text: String = added.iter().map(line).collect();
                if added.len() < given {
                    text.push_str(&format!("{name} had {} already\n", given - added.len()));
                }
                Ok(text)
            }
            Self::ListKeys(name, format) => {
                let keys = accounts.keys(&name).await?;
                if format.json {
                    json(&keys.iter().map(ShownKey::new).collect::<Vec<_>>())
                } else {
                    Ok(list_keys(&keys))
                }
            }
            Self::RemoveKey(name, which) => {
                let fingerprint = accounts.remove_key(&name, &which).await?;
                Ok(format!("Removed {fingerprint} from {name}\n"))
            }
        }
    }
}

/// What config.toml declares is changed there: here, the next reload would undo it.
async fn refuse_declared(
    config: &Config,
    accounts: &Accounts,
    command: &Checked,
) -> anyhow::Result<()> {
    let declares = |name: &UserName| config.users.iter().find(|user| user.name == *name);
    let Some((action, name)) = command.change() else {
        return Ok(());
    };
    if action == "add" {
        return match declares(&name) {
            Some(user) => bail!("{name} is declared in {}: run landfall reload", user.spot),
            None => Ok(()),
        };
    }
    // Of the guest, config.toml does not say everything.
    if config.guest.name == name.as_str() {
        return Ok(());
    }
    if !accounts.find(&name).await?.account.settings.declared {
        return Ok(());
    }
    match declares(&name) {
        Some(user) => bail!(
            "{name} is declared in {}: change it there and run landfall reload",
            user.spot
        ),
        None => {
            bail!("{name} was declared in config.toml, and is not any more: run landfall reload")
        }
    }
}

pub(super) fn user_name(name: &str) -> anyhow::Result<UserName> {
    name.parse()
        .with_context(|| format!("{name:?} cannot be a user name"))
}

fn new_account(add: cli::Add) -> anyhow::Result<NewAccount> {
    let name = user_name(&add.name)?;
    let from_stdin = add.keys.iter().filter(|file| input::is_stdin(file)).count();
    if from_stdin + usize::from(add.password.password_stdin) > 1 {
        bail!("only one thing can be read from the standard input");
    }
    let mut settings = Settings::default();
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
    Ok(NewAccount {
        name,
        home: add.home,
        settings,
        password,
        keys,
    })
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
        _ => bail!(
            "there is no terminal to ask for a password at: give it with --password-stdin, or use --no-password"
        ),
    }
}

async fn remove(
    config: &Config,
    accounts: &Accounts,
    name: &UserName,
    how: &cli::Remove,
) -> anyhow::Result<String> {
    let home = accounts.find(name).await?.account.home;
    let shown = home.display().to_string();
    if how.delete_home {
        remove_home::check(&home)?;
    }
    // Without the files an account is made again in a moment; the files are not.
    if how.delete_home && !how.yes {
        if !input::is_interactive() {
            bail!(
                "there is no terminal to ask at whether all files in {shown} shall be deleted: say --yes"
            );
        }
        if !input::confirmed(&format!("Remove {name} and DELETE all files in {shown}?"))? {
            bail!("nothing was removed");
        }
    }
    accounts.remove(name).await?;
    if !how.delete_home {
        return Ok(format!("Removed {name}; the files are still in {shown}\n"));
    }
    let data = &config.server.data;
    let told = Server::tell_changed(data, name).await;
    remove_home::delete(data, name, home).await?;
    Ok(format!("Removed {name} and the home {shown}\n{told}"))
}

/// Tells the operator what is done, and may not be meant so.
fn warn(warnings: impl IntoIterator<Item = String>) {
    for warning in warnings {
        eprintln!("landfall: {warning}");
    }
}

async fn change(accounts: &Accounts, name: &UserName, set: cli::Set) -> anyhow::Result<String> {
    let now = accounts
        .set(name, |settings| {
            settings.rules.disabled &= !set.enabled;
            settings::apply(&set.settings, settings);
        })
        .await?;
    let mut text = settings::changes(name, &set, &now);
    if set.settings.quota.is_some() || set.settings.max_files.is_some() {
        warn(settings::left_open(name, &now));
    }
    let relinked = !set.settings.permissions.is_empty() || set.home.is_some();
    if let Some(home) = set.home {
        let (before, after) = accounts.set_home(name, &home).await?;
        let (before, after) = (before.home.display(), after.home.display());
        text.push_str(&if before.to_string() == after.to_string() {
            format!("The home of {name} is {after} already\n")
        } else {
            format!("The home of {name} is now {after}; the files in {before} stay there\n")
        });
    }
    if relinked {
        let account = accounts.find(name).await?.account;
        warn(linked::warnings(&account).await);
    }
    Ok(text)
}
