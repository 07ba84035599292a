//! The account commands.

use std::fmt::Write;
use std::fs;
use std::io::{self, Read};
use std::path::Path;

use anyhow::{Context, bail, ensure};
use serde::Serialize;
use zeroize::Zeroizing;

use super::{default_home, make_home, print, print_json, prompt};
use crate::accounts::keys::AuthorizedKey;
use crate::accounts::{Account, Accounts, NewAccount, UserName};
use crate::cli::{PasswordSource, User, UserAdd, UserKey};
use crate::config::Config;

/// A file with keys is a few lines: more is not one.
const KEY_FILE_MAX: u64 = 1024 * 1024;

/// Carries out an account command.
pub async fn run(command: User, config: &Config, accounts: &Accounts) -> anyhow::Result<()> {
    match command {
        User::Add(new) => add(new, config, accounts).await,
        User::Set { name, home } => {
            let name = existing(accounts, &name).await?.name;
            let home = make_home(&home)?;
            accounts.set_home(&name, &home).await?;
            print(&format!("The home of {name} is now {}\n", home.display()))
        }
        User::Rm { name } => {
            let Account { name, home, .. } = existing(accounts, &name).await?;
            accounts.remove(&name).await?;
            print(&format!(
                "Removed {name}; the files are kept in {}\n",
                home.display()
            ))
        }
        User::Show { name, json } => show(&existing(accounts, &name).await?, json, accounts).await,
        User::List { json } => list(json, accounts).await,
        User::Passwd { name, source } => {
            let name = existing(accounts, &name).await?.name;
            let password = password(&source, &name)?;
            let said = if password.is_some() {
                "has a new password"
            } else {
                "has no password now"
            };
            accounts.set_password(&name, password).await?;
            print(&format!("{name} {said}\n"))
        }
        User::Key(command) => key(command, accounts).await,
    }
}

async fn add(new: UserAdd, config: &Config, accounts: &Accounts) -> anyhow::Result<()> {
    let name = UserName::parse(&new.name)?;
    // All that can be wrong is found before anything is made.
    ensure!(
        accounts.get(&name).await?.is_none(),
        "there is an account {name} already"
    );
    let mut keys = Vec::new();
    for file in &new.keys {
        keys.extend(read_keys(file)?);
    }
    let only_keys = !keys.is_empty() && !new.source.password_stdin;
    let password = if only_keys {
        None
    } else {
        password(&new.source, &name)?
    };
    ensure!(
        password.is_some() || !keys.is_empty() || new.source.no_password,
        "an account needs a password or a key"
    );
    let home = new
        .home
        .unwrap_or_else(|| default_home(config, name.as_str()));
    let was_there = home.exists();
    let home = make_home(&home)?;
    let new = NewAccount {
        name: name.clone(),
        home: home.clone(),
        password,
        keys,
    };
    if let Err(refused) = accounts.add(new).await {
        if !was_there {
            // Only an empty folder goes; if even that cannot be, it harms nobody.
            let _ = fs::remove_dir(&home);
        }
        return Err(refused);
    }
    print(&format!("Added {name}, at home in {}\n", home.display()))
}

fn password(source: &PasswordSource, name: &UserName) -> anyhow::Result<Option<Zeroizing<String>>> {
    Ok(match source {
        PasswordSource {
            no_password: true, ..
        } => None,
        PasswordSource {
            password_stdin: true,
            ..
        } => Some(prompt::from_stdin()?),
        _ => Some(prompt::ask(name.as_str())?),
    })
}

async fn existing(accounts: &Accounts, name: &str) -> anyhow::Result<Account> {
    let found = match UserName::parse(name) {
        Ok(name) => accounts.get(&name).await?,
        Err(_) => None,
    };
    found.with_context(|| format!("there is no account {name:?}: `landfall user list` shows all"))
}

fn read_keys(file: &Path) -> anyhow::Result<Vec<AuthorizedKey>> {
    let cannot_read = || format!("cannot read the keys in {}", file.display());
    let mut text = String::new();
    let source: Box<dyn Read> = if file == Path::new("-") {
        Box::new(io::stdin())
    } else {
        Box::new(fs::File::open(file).with_context(cannot_read)?)
    };
    source
        .take(KEY_FILE_MAX)
        .read_to_string(&mut text)
        .with_context(cannot_read)?;
    AuthorizedKey::parse_all(&text).with_context(|| file.display().to_string())
}

async fn key(command: UserKey, accounts: &Accounts) -> anyhow::Result<()> {
    match command {
        UserKey::Add { name, file } => {
            let name = existing(accounts, &name).await?.name;
            let keys = read_keys(&file)?;
            let added = accounts.add_keys(&name, &keys).await?;
            let known = keys.len() as u64 - added;
            print(&format!(
                "Added {added} to the keys of {name}; {known} were there already\n"
            ))
        }
        UserKey::List { name, json } => {
            let name = existing(accounts, &name).await?.name;
            let keys = key_rows(accounts, &name).await?;
            if json {
                print_json(&keys)
            } else {
                print(&key_lines(&keys))
            }
        }
        UserKey::Rm { name, fingerprint } => {
            let name = existing(accounts, &name).await?.name;
            if !accounts.remove_key(&name, &fingerprint).await? {
                bail!("{name} has no key {fingerprint}: `landfall user key list {name}` shows all");
            }
            print(&format!("Removed {fingerprint} from the keys of {name}\n"))
        }
    }
}

/// An account as scripts see it.
#[derive(Serialize)]
struct AccountRow {
    name: String,
    home: String,
    password: bool,
    /// Seconds since 1970.
    created: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    keys: Option<Vec<KeyRow>>,
}

/// A key as scripts see it.
#[derive(Serialize)]
struct KeyRow {
    fingerprint: String,
    kind: String,
    comment: String,
}

fn account_row(account: &Account, keys: Option<Vec<KeyRow>>) -> AccountRow {
    AccountRow {
        name: account.name.to_string(),
        home: account.home.display().to_string(),
        password: account.has_password,
        created: account.created,
        keys,
    }
}

async fn key_rows(accounts: &Accounts, name: &UserName) -> anyhow::Result<Vec<KeyRow>> {
    let keys = accounts.keys(name).await?;
    let row = |key: &AuthorizedKey| KeyRow {
        fingerprint: key.fingerprint(),
        kind: key.kind(),
        comment: key.comment().to_owned(),
    };
    Ok(keys.iter().map(row).collect())
}

fn key_lines(keys: &[KeyRow]) -> String {
    let line = |key: &KeyRow| {
        // A comment is the key owner's text: nothing in it may reach the terminal as a command.
        let comment = key.comment.escape_debug();
        format!("{}  {:<36} {comment}\n", key.fingerprint, key.kind)
    };
    keys.iter().map(line).collect()
}

async fn show(account: &Account, json: bool, accounts: &Accounts) -> anyhow::Result<()> {
    let keys = key_rows(accounts, &account.name).await?;
    if json {
        return print_json(&account_row(account, Some(keys)));
    }
    let mut out = String::new();
    writeln!(out, "name      {}", account.name)?;
    writeln!(out, "home      {}", account.home.display())?;
    writeln!(
        out,
        "password  {}",
        if account.has_password { "yes" } else { "no" }
    )?;
    writeln!(out, "keys      {}", keys.len())?;
    for line in key_lines(&keys).lines() {
        writeln!(out, "          {line}")?;
    }
    print(&out)
}

async fn list(json: bool, accounts: &Accounts) -> anyhow::Result<()> {
    let all = accounts.list().await?;
    if json {
        let rows: Vec<_> = all
            .iter()
            .map(|account| account_row(account, None))
            .collect();
        return print_json(&rows);
    }
    let width = all
        .iter()
        .map(|account| account.name.as_str().len())
        .max()
        .unwrap_or(0)
        .max(4);
    let mut out = format!("{:<width$}  PASSWORD  HOME\n", "NAME");
    for account in &all {
        let password = if account.has_password { "yes" } else { "no" };
        let (name, home) = (account.name.as_str(), account.home.display());
        writeln!(out, "{name:<width$}  {password:<8}  {home}")?;
    }
    print(&out)
}
