//! Users as tables for people and as JSON for programs.

use serde::Serialize;

use super::settings::{self, ShownSettings, limit};
use crate::accounts::{AuthorizedKey, Details, LastLogin};
use crate::operator::output;
use crate::session::usage::AccountUsage;
use crate::values::time;
use crate::values::units::{show_rounded, show_size};

/// Formats usage and limits: bytes used, quota, files used, maximum.
pub(super) fn usage_cells(user: &AccountUsage) -> [String; 4] {
    let allowance = user.details.account.settings.allowance;
    let unknown = || "not counted".to_owned();
    [
        user.used
            .map_or_else(unknown, |used| show_rounded(used.bytes)),
        limit(allowance.bytes.map(show_size)),
        user.used
            .map_or_else(|| "-".to_owned(), |used| used.files.to_string()),
        limit(allowance.files.map(|files| files.to_string())),
    ]
}

/// Formats the last login of a user.
pub(super) fn last_login(user: &Details) -> String {
    match &user.last_login {
        Some(login) => time::rfc3339(login.at),
        None if user.recorded_since <= user.created_at => "never".to_owned(),
        // Earlier logins are unknown.
        None => {
            let since = time::rfc3339(user.recorded_since);
            format!("none since {}", since.get(..10).unwrap_or(&since))
        }
    }
}

/// Returns where a user is defined and changed.
pub(super) fn origin(user: &Details) -> &'static str {
    if user.account.settings.declared {
        "config.toml"
    } else {
        "command"
    }
}

pub(super) fn show(user: &AccountUsage, keys: &[AuthorizedKey]) -> String {
    let [used, quota, files, max_files] = usage_cells(user);
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
    rows.push(["Created".to_owned(), time::rfc3339(user.created_at)]);
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
        return "No keys\n".to_owned();
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
                .map_or_else(|| "never".to_owned(), time::rfc3339),
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
        text.push_str(&format!(" (expires {})", time::rfc3339(time)));
    }
    text
}

pub(super) fn yes_or_no(yes: bool) -> String {
    if yes { "yes" } else { "no" }.to_owned()
}

/// Usage and limits of a user, in JSON. Programs rely on these names.
#[derive(Serialize)]
struct ShownUsage {
    quota: Option<u64>,
    max_files: Option<u64>,
    used_bytes: Option<u64>,
    used_files: Option<u64>,
}

impl ShownUsage {
    fn new(user: &AccountUsage) -> Self {
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
    usage: ShownUsage,
}

impl UserQuota {
    pub(super) fn new(user: &AccountUsage) -> Self {
        Self {
            name: user.details.account.name.to_string(),
            usage: ShownUsage::new(user),
        }
    }
}

/// The last login of a user, in JSON. Programs rely on these names.
#[derive(Serialize)]
struct ShownLogin {
    time: String,
    method: String,
    address: String,
}

impl ShownLogin {
    fn new(login: &LastLogin) -> Self {
        Self {
            time: time::rfc3339(login.at),
            method: login.method.clone(),
            address: login.address.clone(),
        }
    }
}

/// A user in JSON, without keys. Programs rely on these names.
#[derive(Serialize)]
struct JsonUser {
    name: String,
    home: String,
    password: bool,
    #[serde(flatten)]
    usage: ShownUsage,
    #[serde(flatten)]
    settings: ShownSettings,
    state: &'static str,
    /// `None` if there was none since `logins_recorded_since`.
    last_login: Option<ShownLogin>,
    logins_recorded_since: String,
    created: String,
}

impl JsonUser {
    fn new(user: &AccountUsage) -> Self {
        let usage = ShownUsage::new(user);
        let user = &user.details;
        Self {
            name: user.account.name.to_string(),
            home: user.account.home.display().to_string(),
            password: user.has_password,
            usage,
            settings: ShownSettings::new(&user.account.settings),
            state: settings::state(&user.account.settings.rules).name(),
            last_login: user.last_login.as_ref().map(ShownLogin::new),
            logins_recorded_since: time::rfc3339(user.recorded_since),
            created: time::rfc3339(user.created_at),
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
    pub(super) fn new(user: &AccountUsage) -> Self {
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
    pub(super) fn new(user: &AccountUsage, keys: &[AuthorizedKey]) -> Self {
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
            expires: key.expires_at.map(time::rfc3339),
            public_key: key.public_key.clone(),
        }
    }
}

pub(super) fn json(value: &impl Serialize) -> anyhow::Result<String> {
    Ok(output::visible_json(&serde_json::to_string_pretty(value)?) + "\n")
}
