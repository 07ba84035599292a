//! The settings of a user: from command-line arguments, as text, and as JSON.

use std::collections::BTreeMap;

use anyhow::bail;
use serde::Serialize;

use crate::accounts::{AccountSettings, Allowance, UserName};
use crate::operator::cli::{self, AccountState};
use crate::rules::{LoginPolicy, Permissions, Rules};
use crate::values::time;
use crate::values::units::show_size;

/// Refuses contradictory options.
pub(super) fn check(given: &cli::UserOptions) -> anyhow::Result<()> {
    let anywhere = given.networks.iter().any(|network| network.0.is_none());
    if anywhere && given.networks.len() > 1 {
        bail!("--network none allows any address: omit the other networks");
    }
    Ok(())
}

/// Applies the given options; other settings stay.
pub(super) fn apply(given: &cli::UserOptions, settings: &mut AccountSettings) {
    let AccountSettings {
        allowance,
        safe_overwrite,
        rules,
        ..
    } = settings;
    let set = |place: &mut Option<u64>, limit: Option<cli::Limit>| {
        *place = limit.map_or(*place, |limit| limit.0);
    };
    set(&mut allowance.bytes, given.quota);
    set(&mut allowance.files, given.max_files);
    set(&mut rules.bandwidth.up, given.upload_rate);
    set(&mut rules.bandwidth.down, given.download_rate);
    if let Some(choice) = given.safe_overwrite {
        *safe_overwrite = choice.own();
    }
    for rule in &given.permissions {
        rules.permissions.set(rule.clone());
    }
    if !given.networks.is_empty() {
        rules.networks = given.networks.iter().filter_map(|from| from.0).collect();
    }
    if let Some(expiry) = given.expires {
        rules.expires_at = expiry.0;
    }
    rules.disabled |= given.disabled;
    if let Some(cli::Limit(sessions)) = given.max_sessions {
        rules.max_sessions = sessions.and_then(|sessions| u32::try_from(sessions).ok());
    }
    if let Some(policy) = given.login {
        rules.login_policy = policy;
    }
}

/// Warns that a quota without `--max-files` does not limit empty files.
pub(super) fn left_open(name: &UserName, settings: &AccountSettings) -> Option<String> {
    let Allowance { bytes, files } = settings.allowance;
    (bytes.is_some() && files.is_none()).then(|| {
        format!(
            "the quota of {name} limits only bytes: empty files and directories use disk space, too; limit their number with --max-files"
        )
    })
}

/// Warns about an expiry in the past that was just set.
pub(super) fn expired(
    given: &cli::UserOptions,
    name: &UserName,
    now: &AccountSettings,
) -> Option<String> {
    let is_over = given.expires.is_some() && now.rules.has_expired(time::now());
    is_over.then(|| format!("{name} has already expired: nobody can log in"))
}

/// Returns the new values of the options given, one per line.
pub(super) fn changes(name: &UserName, set: &cli::UserSet, now: &AccountSettings) -> String {
    let given = &set.settings;
    let mut lines = Vec::new();
    if given.quota.is_some() || given.max_files.is_some() {
        let bytes = limit(now.allowance.bytes.map(show_size));
        let files = limit(now.allowance.files.map(|files| files.to_string()));
        lines.push(format!("The quota of {name} is {bytes}, and {files} files"));
    }
    if given.safe_overwrite.is_some() {
        let how = overwriting(now.safe_overwrite);
        lines.push(format!("Uploads of {name} overwrite {how}"));
    }
    let rules = &now.rules;
    if !given.permissions.is_empty() {
        let all = permissions(&rules.permissions).join("; ");
        lines.push(format!("The permissions of {name}: {all}"));
    }
    if !given.networks.is_empty() {
        lines.push(format!("{name} can log in from {}", places(rules)));
    }
    if given.expires.is_some() {
        lines.push(format!("{name} expires: {}", expiry(rules)));
    }
    if given.disabled || set.enabled {
        let state = if rules.disabled {
            "disabled: nobody can log in"
        } else {
            "enabled"
        };
        lines.push(format!("{name} is {state}"));
    }
    if given.max_sessions.is_some() {
        let sessions = limit(rules.max_sessions.map(|sessions| sessions.to_string()));
        lines.push(format!(
            "Concurrent sessions of {name}: {sessions}, from the next login on"
        ));
    }
    if given.login.is_some() {
        let takes = policy(rules.login_policy);
        lines.push(format!("To log in from now on, {name} needs {takes}"));
    }
    if given.upload_rate.is_some() || given.download_rate.is_some() {
        lines.push(format!("The bandwidth of {name}: {}", bandwidth(rules)));
    }
    lines.into_iter().map(|line| line + "\n").collect()
}

/// Returns the rows of `user show` for the settings.
pub(super) fn rows(settings: &AccountSettings) -> Vec<[String; 2]> {
    let rules = &settings.rules;
    let row = |title: &str, words: String| [title.to_owned(), words];
    let mut rows = vec![row(
        "Uploads",
        format!("overwrite {}", overwriting(settings.safe_overwrite)),
    )];
    let mut title = "Permissions";
    for words in permissions(&rules.permissions) {
        rows.push(row(title, words));
        title = "";
    }
    rows.extend(login_rows(rules));
    rows.extend([
        row(
            "Sessions",
            limit(rules.max_sessions.map(|sessions| sessions.to_string())),
        ),
        row("Bandwidth", bandwidth(rules)),
    ]);
    if settings.declared {
        rows.push(row("Declared", "in config.toml".to_owned()));
    }
    rows
}

/// Returns the rows about logins: networks, expiry, sessions, policy.
pub(super) fn login_rows(rules: &Rules) -> [[String; 2]; 2] {
    let mut login = format!(
        "with {}, from {}",
        policy(rules.login_policy),
        places(rules)
    );
    if rules.disabled {
        login = format!("disabled; else {login}");
    }
    [
        ["Login".to_owned(), login],
        ["Expires".to_owned(), expiry(rules)],
    ]
}

/// Returns whether the rules of the account allow logins.
pub(super) fn state(rules: &Rules) -> AccountState {
    if rules.disabled {
        AccountState::Disabled
    } else if rules.has_expired(time::now()) {
        AccountState::Expired
    } else {
        AccountState::Active
    }
}

/// Formats a limit.
pub(super) fn limit(shown: Option<String>) -> String {
    shown.unwrap_or_else(|| "unlimited".to_owned())
}

/// Formats how files of the user are overwritten.
fn overwriting(safe: Option<bool>) -> &'static str {
    match safe {
        Some(true) => "safely",
        Some(false) => "in place",
        None => "as configured",
    }
}

/// Formats the permissions of the home, then those of directories.
pub(super) fn permissions(permissions: &Permissions) -> Vec<String> {
    let all = permissions.all();
    all.map(|(directory, granted)| {
        if directory.is_home() {
            granted.to_string()
        } else {
            format!("{directory} {granted}")
        }
    })
    .collect()
}

fn places(rules: &Rules) -> String {
    if rules.networks.is_empty() {
        return "anywhere".to_owned();
    }
    let networks = rules.networks.iter().map(ToString::to_string);
    networks.collect::<Vec<_>>().join(", ")
}

fn expiry(rules: &Rules) -> String {
    rules
        .expires_at
        .map_or_else(|| "never".to_owned(), time::rfc3339)
}

fn policy(policy: LoginPolicy) -> &'static str {
    match policy {
        LoginPolicy::Any => "a password or a key",
        LoginPolicy::KeyOnly => "a key",
        LoginPolicy::KeyAndPassword => "a key and then the password",
    }
}

fn bandwidth(rules: &Rules) -> String {
    let rate = |rate: Option<u64>| limit(rate.map(|rate| show_size(rate) + " a second"));
    let (up, down) = (rate(rules.bandwidth.up), rate(rules.bandwidth.down));
    format!("{up} up, {down} down")
}

/// The settings in JSON. Programs rely on these names.
#[derive(Serialize)]
pub(super) struct ShownSettings {
    safe_overwrite: Option<bool>,
    /// By directory; "/" is the home.
    permissions: BTreeMap<String, String>,
    networks: Vec<String>,
    expires: Option<String>,
    disabled: bool,
    max_sessions: Option<u32>,
    login: String,
    upload_rate: Option<u64>,
    download_rate: Option<u64>,
    declared: bool,
}

impl ShownSettings {
    pub(super) fn new(settings: &AccountSettings) -> Self {
        let rules = &settings.rules;
        let permissions = rules.permissions.all();
        Self {
            safe_overwrite: settings.safe_overwrite,
            permissions: permissions
                .map(|(directory, granted)| (directory.to_string(), granted.to_string()))
                .collect(),
            networks: rules.networks.iter().map(ToString::to_string).collect(),
            expires: rules.expires_at.map(time::rfc3339),
            disabled: rules.disabled,
            max_sessions: rules.max_sessions,
            login: rules.login_policy.to_string(),
            upload_rate: rules.bandwidth.up,
            download_rate: rules.bandwidth.down,
            declared: settings.declared,
        }
    }
}
