//! `landfall user ...`

use anyhow::{Context as _, bail};
use serde::Serialize;

use super::{input, output, remove_home};
use crate::accounts::{Accounts, AuthorizedKey, Details, NewAccount, Password, UserName};
use crate::calendar;
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
    let result = command.run(&accounts).await;
    accounts.close().await;
    output::print(&result?)?;
    Ok(())
}

/// A command with all that it needs from its files, its terminal and its standard input.
enum Checked {
    Add(NewAccount),
    SetHome(UserName, std::path::PathBuf),
    Remove(UserName, cli::Remove),
    Show(UserName, cli::Format),
    List(cli::Format),
    SetPassword(UserName, Option<Password>),
    AddKeys(UserName, Vec<AuthorizedKey>),
    ListKeys(UserName, cli::Format),
    RemoveKey(UserName, String),
}

impl Checked {
    fn new(command: cli::User) -> anyhow::Result<Self> {
        Ok(match command {
            cli::User::Add(add) => Self::Add(new_account(add)?),
            cli::User::Set(set) => Self::SetHome(user_name(&set.name)?, set.home),
            cli::User::Rm(remove) => Self::Remove(user_name(&remove.name)?, remove),
            cli::User::Show(show) => Self::Show(user_name(&show.name)?, show.format),
            cli::User::List(format) => Self::List(format),
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

    /// Does it; gives what to print.
    async fn run(self, accounts: &Accounts) -> anyhow::Result<String> {
        match self {
            Self::Add(new) => {
                let useless = new.password.is_none() && new.keys.is_empty();
                let account = accounts.add(new).await?;
                let (name, home) = (&account.name, account.home.display());
                let mut text = format!("Added {name} with the home {home}\n");
                if useless {
                    text.push_str(&format!(
                        "{name} cannot log in yet: landfall user key add {name} FILE\n"
                    ));
                }
                Ok(text)
            }
            Self::SetHome(name, home) => {
                let (before, after) = accounts.set_home(&name, &home).await?;
                Ok(if before.home == after.home {
                    format!("The home of {name} is {} already\n", after.home.display())
                } else {
                    format!(
                        "The home of {name} is now {}; the files in {} stay there\n",
                        after.home.display(),
                        before.home.display()
                    )
                })
            }
            Self::Remove(name, how) => remove(accounts, &name, &how).await,
            Self::Show(name, format) => {
                let details = accounts.find(&name).await?;
                let keys = accounts.keys(&name).await?;
                if format.json {
                    json(&ShownUser::new(&details, &keys))
                } else {
                    Ok(show(&details, &keys))
                }
            }
            Self::List(format) => {
                let users = accounts.list().await?;
                if format.json {
                    json(&users.iter().map(ListedUser::new).collect::<Vec<_>>())
                } else {
                    Ok(list(&users))
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

fn user_name(name: &str) -> anyhow::Result<UserName> {
    name.parse()
        .with_context(|| format!("{name:?} cannot be a user name"))
}

fn new_account(add: cli::Add) -> anyhow::Result<NewAccount> {
    let name = user_name(&add.name)?;
    let from_stdin = add.keys.iter().filter(|file| input::is_stdin(file)).count();
    if from_stdin + usize::from(add.password.password_stdin) > 1 {
        bail!("only one thing can be read from the standard input");
    }
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

async fn remove(accounts: &Accounts, name: &UserName, how: &cli::Remove) -> anyhow::Result<String> {
    let home = accounts.find(name).await?.account.home;
    let shown = home.display();
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
    if how.delete_home {
        remove_home::delete(&home)?;
        return Ok(format!("Removed {name} and the home {shown}\n"));
    }
    Ok(format!("Removed {name}; the files are still in {shown}\n"))
}

fn list(users: &[Details]) -> String {
    if users.is_empty() {
        return "There are no users; add one with: landfall user add NAME\n".to_owned();
    }
    let mut rows = vec![["NAME", "PASSWORD", "KEYS", "CREATED", "HOME"].map(str::to_owned)];
    rows.extend(users.iter().map(|user| {
        [
            user.account.name.to_string(),
            yes_or_no(user.has_password),
            user.keys.to_string(),
            calendar::rfc3339(user.created_at),
            user.account.home.display().to_string(),
        ]
    }));
    output::table(&rows)
}

fn show(user: &Details, keys: &[AuthorizedKey]) -> String {
    let mut rows = vec![
        ["Name".to_owned(), user.account.name.to_string()],
        ["Home".to_owned(), user.account.home.display().to_string()],
        ["Password".to_owned(), yes_or_no(user.has_password)],
        ["Created".to_owned(), calendar::rfc3339(user.created_at)],
    ];
    if keys.is_empty() {
        rows.push(["Keys".to_owned(), "none".to_owned()]);
    }
    for (number, key) in keys.iter().enumerate() {
        let label = if number == 0 { "Keys" } else { "" };
        rows.push([label.to_owned(), describe(key)]);
    }
    output::table(&rows)
}

fn list_keys(keys: &[AuthorizedKey]) -> String {
    if keys.is_empty() {
        return "There are no keys\n".to_owned();
    }
    let mut rows =
        vec![["KIND", "FINGERPRINT", "EXPIRES", "OPTIONS", "COMMENT"].map(str::to_owned)];
    rows.extend(keys.iter().map(|key| {
        let or_dash = |text: &str| {
            if text.is_empty() {
                "-".to_owned()
            } else {
                text.to_owned()
            }
        };
        [
            key.kind().to_owned(),
            key.fingerprint.clone(),
            key.expires_at
                .map_or_else(|| "never".to_owned(), calendar::rfc3339),
            or_dash(&key.options),
            or_dash(&key.comment),
        ]
    }));
    output::table(&rows)
}

fn describe(key: &AuthorizedKey) -> String {
    let mut text = format!("{} {}", key.kind(), key.fingerprint);
    if !key.comment.is_empty() {
        text.push_str(&format!(" {}", key.comment));
    }
    if let Some(time) = key.expires_at {
        text.push_str(&format!(" (expires {})", calendar::rfc3339(time)));
    }
    text
}

fn yes_or_no(yes: bool) -> String {
    if yes { "yes" } else { "no" }.to_owned()
}

/// A user in `list --json`. Programs rely on these names.
#[derive(Serialize)]
struct ListedUser {
    name: String,
    home: String,
    password: bool,
    key_count: u64,
    created: String,
}

impl ListedUser {
    fn new(user: &Details) -> Self {
        Self {
            name: user.account.name.to_string(),
            home: user.account.home.display().to_string(),
            password: user.has_password,
            key_count: user.keys,
            created: calendar::rfc3339(user.created_at),
        }
    }
}

/// A user in `show --json`. Programs rely on these names.
#[derive(Serialize)]
struct ShownUser {
    name: String,
    home: String,
    password: bool,
    keys: Vec<ShownKey>,
    created: String,
}

impl ShownUser {
    fn new(user: &Details, keys: &[AuthorizedKey]) -> Self {
        let ListedUser {
            name,
            home,
            password,
            created,
            ..
        } = ListedUser::new(user);
        let keys = keys.iter().map(ShownKey::new).collect();
        Self {
            name,
            home,
            password,
            keys,
            created,
        }
    }
}

/// A key in `show --json` and `key list --json`. Programs rely on these names.
#[derive(Serialize)]
struct ShownKey {
    kind: String,
    fingerprint: String,
    comment: String,
    options: String,
    expires: Option<String>,
    public_key: String,
}

impl ShownKey {
    fn new(key: &AuthorizedKey) -> Self {
        Self {
            kind: key.kind().to_owned(),
            fingerprint: key.fingerprint.clone(),
            comment: key.comment.clone(),
            options: key.options.clone(),
            expires: key.expires_at.map(calendar::rfc3339),
            public_key: key.public_key.clone(),
        }
    }
}

fn json(value: &impl Serialize) -> anyhow::Result<String> {
    Ok(serde_json::to_string_pretty(value)? + "\n")
}
