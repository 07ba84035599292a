//! Users as the operator sees them: tables for people, JSON for programs.

use std::path::PathBuf;

use serde::Serialize;

use super::output;
use super::settings::{self, ShownSettings, limit};
use crate::accounts::{Accounts, AuthorizedKey, Details, LastLogin};
use crate::calendar;
use crate::metrics;
use crate::quota::{Usage, figures_of, figures_of_all};
use crate::units::{show_rounded, show_size};

/// A user, and what they use.
pub(super) struct Use {
    pub(super) details: Details,
    /// As the database has it: while sessions are open, a second old. `None` if it was never counted.
    pub(super) used: Option<Usage>,
}

impl Use {
    pub(super) async fn of(accounts: &Accounts, details: Details) -> anyhow::Result<Self> {
        let name = details.account.name.as_str();
        let counted = figures_of(accounts.database(), name).await?;
        Ok(Self::new(details, counted.as_ref()))
    }

    pub(super) async fn of_all(accounts: &Accounts) -> anyhow::Result<Vec<Self>> {
        let figures = figures_of_all(accounts.database()).await?;
        let users = accounts.list().await?.into_iter();
        let user = |user: Details| {
            let counted = figures.get(user.account.name.as_str());
            Self::new(user, counted)
        };
        Ok(users.map(user).collect())
    }

    /// The figures are of the home that was counted, which may be another one by now.
    fn new(details: Details, counted: Option<&(PathBuf, Usage)>) -> Self {
        let used = counted
            .filter(|(home, _)| home.to_string_lossy() == details.account.home.to_string_lossy())
            .map(|(_, used)| *used);
        Self { details, used }
    }

    /// Bytes used and allowed, files used and allowed.
    pub(super) fn figures(&self) -> [String; 4] {
        let allowance = self.details.account.settings.allowance;
        let unknown = || "not counted".to_owned();
        [
            self.used
                .map_or_else(unknown, |used| show_rounded(used.bytes)),
            limit(allowance.bytes.map(show_size)),
            self.used
                .map_or_else(|| "-".to_owned(), |used| used.files.to_string()),
            limit(allowance.files.map(|files| files.to_string())),
        ]
    }
}

/// The last login to a user, for people.
pub(super) fn last_login(user: &Details) -> String {
    match &user.last_login {
        Some(login) => calendar::rfc3339(login.at),
        None if user.recorded_since <= user.created_at => "never".to_owned(),
        // Logins before that are not known.
        None => {
            let since = calendar::rfc3339(user.recorded_since);
            format!("none since {}", since.get(..10).unwrap_or(&since))
        }
    }
}

/// What all accounts use, for the metrics.
///
/// # Errors
/// Of the database.
pub async fn uses(accounts: &Accounts) -> anyhow::Result<Vec<metrics::Account>> {
    let users = Use::of_all(accounts).await?.into_iter();
    let told = users.map(|user| {
        let last_login = user.details.last_login.map(|login| login.at);
        let account = user.details.account;
        metrics::Account {
            name: account.name.to_string(),
            used: user.used.map(|used| (used.bytes, used.files)),
            bytes_limit: account.settings.allowance.bytes,
            files_limit: account.settings.allowance.files,
            last_login,
        }
    });
    Ok(told.collect())
}

/// Where a user is changed.
pub(super) fn origin(user: &Details) -> &'static str {
    if user.account.settings.declared {
        "config.toml"
    } else {
        "command"
    }
}

pub(super) fn show(user: &Use, keys: &[AuthorizedKey]) -> String {
    let [used, quota, files, max_files] = user.figures();
    let user = &user.details;
    let mut rows = vec![
        ["Name".to_owned(), user.account.name.to_string()],
        ["Origin".to_owned(), origin(user).to_owned()],
        ["Home".to_owned(), user.account.home.display().to_string()],
        ["Password".to_owned(), yes_or_no(user.has_password)],
        ["Used".to_owned(), format!("{used} of {quota}")],
        ["Files".to_owned(), format!("{files} of {max_files}")],
    ];
    rows.extend(settings::rows(&user.account.settings));
    let login = user.last_login.as_ref();
    let how = login.map(|login| format!(" by {} from {}", login.method, login.address));
    rows.push([
        "Last login".to_owned(),
        last_login(user) + &how.unwrap_or_default(),
    ]);
    rows.push(["Created".to_owned(), calendar::rfc3339(user.created_at)]);
    if keys.is_empty() {
        rows.push(["Keys".to_owned(), "none".to_owned()]);
    }
    for (number, key) in keys.iter().enumerate() {
        let label = if number == 0 { "Keys" } else { "" };
        rows.push([label.to_owned(), describe(key)]);
    }
    output::table(&rows)
}

pub(super) fn list_keys(keys: &[AuthorizedKey]) -> String {
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

pub(super) fn describe(key: &AuthorizedKey) -> String {
    let mut text = format!("{} {}", key.kind(), key.fingerprint);
    if !key.comment.is_empty() {
        text.push_str(&format!(" {}", key.comment));
    }
    if let Some(time) = key.expires_at {
        text.push_str(&format!(" (expires {})", calendar::rfc3339(time)));
    }
    text
}

pub(super) fn yes_or_no(yes: bool) -> String {
    if yes { "yes" } else { "no" }.to_owned()
}

/// What a user uses and may use, in JSON. Programs rely on these names.
#[derive(Serialize)]
struct Figures {
    quota: Option<u64>,
    max_files: Option<u64>,
    used_bytes: Option<u64>,
    used_files: Option<u64>,
}

impl Figures {
    fn new(user: &Use) -> Self {
        let allowance = user.details.account.settings.allowance;
        Self {
            quota: allowance.bytes,
            max_files: allowance.files,
            used_bytes: user.used.map(|used| used.bytes),
            used_files: user.used.map(|used| used.files),
        }
    }
}

/// A user in `quota show --json`. Programs rely on these names.
#[derive(Serialize)]
pub(super) struct UserQuota {
    name: String,
    #[serde(flatten)]
    figures: Figures,
}

impl UserQuota {
    pub(super) fn new(user: &Use) -> Self {
        Self {
            name: user.details.account.name.to_string(),
            figures: Figures::new(user),
        }
    }
}

/// The last login to a user, in JSON. Programs rely on these names.
#[derive(Serialize)]
struct ShownLogin {
    time: String,
    method: String,
    address: String,
}

impl ShownLogin {
    fn new(login: &LastLogin) -> Self {
        Self {
            time: calendar::rfc3339(login.at),
            method: login.method.clone(),
            address: login.address.clone(),
        }
    }
}

/// A user in JSON, but for the keys. Programs rely on these names.
#[derive(Serialize)]
struct JsonUser {
    name: String,
    home: String,
    password: bool,
    #[serde(flatten)]
    figures: Figures,
    #[serde(flatten)]
    settings: ShownSettings,
    state: &'static str,
    /// `None` if there was none since `logins_recorded_since`.
    last_login: Option<ShownLogin>,
    logins_recorded_since: String,
    created: String,
}

impl JsonUser {
    fn new(user: &Use) -> Self {
        let figures = Figures::new(user);
        let user = &user.details;
        Self {
            name: user.account.name.to_string(),
            home: user.account.home.display().to_string(),
            password: user.has_password,
            figures,
            settings: ShownSettings::new(&user.account.settings),
            state: settings::state(&user.account.settings.rules).name(),
            last_login: user.last_login.as_ref().map(ShownLogin::new),
            logins_recorded_since: calendar::rfc3339(user.recorded_since),
            created: calendar::rfc3339(user.created_at),
        }
    }
}

/// A user in `list --json`. Programs rely on these names.
#[derive(Serialize)]
pub(super) struct ListedUser {
    #[serde(flatten)]
    user: JsonUser,
    key_count: u64,
}

impl ListedUser {
    pub(super) fn new(user: &Use) -> Self {
        Self {
            user: JsonUser::new(user),
            key_count: user.details.keys,
        }
    }
}

/// A user in `show --json`. Programs rely on these names.
#[derive(Serialize)]
pub(super) struct ShownUser {
    #[serde(flatten)]
    user: JsonUser,
    keys: Vec<ShownKey>,
}

impl ShownUser {
    pub(super) fn new(user: &Use, keys: &[AuthorizedKey]) -> Self {
        Self {
            user: JsonUser::new(user),
            keys: keys.iter().map(ShownKey::new).collect(),
        }
    }
}

/// A key in `show --json` and `key list --json`. Programs rely on these names.
#[derive(Serialize)]
pub(super) struct ShownKey {
    kind: String,
    fingerprint: String,
    comment: String,
    options: String,
    expires: Option<String>,
    public_key: String,
}

impl ShownKey {
    pub(super) fn new(key: &AuthorizedKey) -> Self {
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

pub(super) fn json(value: &impl Serialize) -> anyhow::Result<String> {
    Ok(output::visible_json(&serde_json::to_string_pretty(value)?) + "\n")
}
