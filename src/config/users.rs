//! Declared users in config.toml: `[user.NAME]`.

// Each setter is one assignment and returns its unit.
#![allow(clippy::unit_arg)]

use std::collections::HashMap;
use std::path::Path;

use toml::de::{DeTable, DeValue};

use super::fault::{Report, Spot, nearest};
use super::value::{self, Parsed, Value};
use crate::accounts::{DeclaredUser, UserName};

/// Their section.
pub(super) const SECTION: &str = "user";

/// The head of the example in the shipped config.toml.
#[cfg(test)]
pub(super) const EXAMPLE_HEAD: &str = "
# Users that are declared here instead of by commands, each in a section; quote a name with a dot or an \"@\":
# [user.\"a.b\"]. Changes take effect at the start and by `landfall reload`.
# [user.anna]
";

/// A key of such a section.
pub(super) struct UserKey {
    pub(super) name: &'static str,
    /// An example value as TOML, for the shipped config.toml.
    pub(super) example: &'static str,
    /// Its description, for messages and the shipped config.toml.
    pub(super) doc: &'static str,
    set: fn(&mut DeclaredUser, &Value<'_>, &Path) -> Parsed<()>,
}

/// Every key, in the order of the shipped config.toml. A missing limit means none.
pub(super) const USER_KEYS: &[UserKey] = &[
    UserKey {
        name: "home",
        example: "\"/srv/anna\"",
        doc: "Home directory; by default a folder of that name under data/homes.",
        set: |user, value, base| Ok(user.home = Some(value::home(value, base)?)),
    },
    UserKey {
        name: "password_hash",
        example: "\"$argon2id$v=19$m=19456,t=2,p=1$...\"",
        doc: "Password hash, as printed by `landfall hash-password`.",
        set: |user, value, _| Ok(user.password = Some(value::secret(value, "$argon2id$...")?)),
    },
    UserKey {
        name: "keys",
        example: "[\"ssh-ed25519 AAAA... anna@laptop\"]",
        doc: "Public keys, each a line as in authorized_keys.",
        set: |user, value, _| Ok(user.keys = value::list(value, "ssh-ed25519 AAAA...")?),
    },
    UserKey {
        name: "quota",
        example: "\"10GiB\"",
        doc: "Maximum size of all files.",
        set: |user, value, _| {
            let most = u64::try_from(i64::MAX).unwrap_or(u64::MAX);
            Ok(user.settings.allowance.bytes = Some(value::size(value, 0..=most)?))
        },
    },
    UserKey {
        name: "max_files",
        example: "50000",
        doc: "Maximum number of files, directories and links.",
        set: |user, value, _| {
            let most = u64::try_from(i64::MAX).unwrap_or(u64::MAX);
            Ok(user.settings.allowance.files = Some(value::integer(value, 0..=most)?))
        },
    },
    UserKey {
        name: "permissions",
        example: "[\"full\", \"/incoming=upload-only\"]",
        doc: "Permissions of the home and of directories in it; see `landfall user set --help`.",
        set: |user, value, _| {
            for rule in value::list(value, "read-only")? {
                user.settings.rules.permissions.set(rule);
            }
            Ok(())
        },
    },
    UserKey {
        name: "networks",
        example: "[\"10.0.0.0/8\", \"2001:db8::/32\"]",
        doc: "Networks and addresses to log in from; an empty list allows any.",
        set: |user, value, _| Ok(user.settings.rules.networks = value::list(value, "10.0.0.0/8")?),
    },
    UserKey {
        name: "expires",
        example: "\"2027-01-31\"",
        doc: "Time from which the user can no longer log in: a date (from 00:00 UTC) or a time.",
        set: |user, value, _| Ok(user.settings.rules.expires_at = Some(value::moment(value)?)),
    },
    UserKey {
        name: "disabled",
        example: "false",
        doc: "Refuse logins of the user.",
        set: |user, value, _| Ok(user.settings.rules.disabled = value::boolean(value)?),
    },
    UserKey {
        name: "max_sessions",
        example: "5",
        doc: "Maximum number of concurrent sessions.",
        set: |user, value, _| {
            let sessions = value::integer(value, 1..=u32::MAX)?;
            Ok(user.settings.rules.max_sessions = Some(sessions))
        },
    },
    UserKey {
        name: "login",
        example: "\"any\"",
        doc: "Required authentication: any (a password or a key), publickey, or publickey+password.",
        set: |user, value, _| {
            Ok(user.settings.rules.login_policy = value::parsed(value, "publickey")?)
        },
    },
    UserKey {
        name: "upload_rate",
        example: "\"10MiB/s\"",
        doc: "Upload rate of all sessions of the user together.",
        set: |user, value, _| Ok(user.settings.rules.bandwidth.up = value::rate(value)?),
    },
    UserKey {
        name: "download_rate",
        example: "\"10MiB/s\"",
        doc: "Download rate of all sessions of the user together.",
        set: |user, value, _| Ok(user.settings.rules.bandwidth.down = value::rate(value)?),
    },
    UserKey {
        name: "safe_overwrite",
        example: "true",
        doc: "Overwrite the user's files safely or not; overrides [uploads].",
        set: |user, value, _| Ok(user.settings.safe_overwrite = Some(value::boolean(value)?)),
    },
];

/// Reads all declared users with their positions; faults go to the report.
pub(super) fn read(
    users: &DeTable<'_>,
    folder: &Path,
    report: &mut Report<'_>,
) -> (Vec<DeclaredUser>, HashMap<UserName, Spot>) {
    let (mut declared, mut spots) = (Vec::new(), HashMap::new());
    for (name, keys) in users {
        let at = name.span();
        match (name.get_ref().parse(), keys.get_ref()) {
            (Ok(name), DeValue::Table(keys)) => {
                let name: UserName = name;
                spots.insert(name.clone(), report.spot(at));
                declared.push(user(name, keys, folder, report));
            }
            (Err(wrong), DeValue::Table(_)) => {
                let name = name.get_ref();
                report.fault(at, format!("{name:?} cannot be a user name: {wrong}"));
            }
            (_, _) => report.fault(at, misplaced(name.get_ref())),
        }
    }
    (declared, spots)
}

/// Returns the message for a key directly below `[user]`.
fn misplaced(name: &str) -> String {
    if USER_KEYS.iter().any(|key| key.name == name) {
        format!("{name} belongs in the section of a user: [{SECTION}.NAME]")
    } else {
        format!(
            "{name} must be a section: write [{SECTION}.{name}], with its keys on the lines below"
        )
    }
}

fn user(
    name: UserName,
    keys: &DeTable<'_>,
    folder: &Path,
    report: &mut Report<'_>,
) -> DeclaredUser {
    let mut user = DeclaredUser::new(name);
    for (name, value) in keys {
        let Some(key) = USER_KEYS.iter().find(|key| key.name == name.get_ref()) else {
            report.fault(name.span(), unknown(name.get_ref()));
            continue;
        };
        if let Err(wrong) = (key.set)(&mut user, value, folder) {
            let text = format!(
                "{} {} ({} For example: {})",
                key.name, wrong.text, key.doc, key.example
            );
            report.fault(wrong.at.unwrap_or(value.span()), text);
        }
    }
    user
}

fn unknown(name: &str) -> String {
    let names = || USER_KEYS.iter().map(|key| key.name);
    match nearest(name, names()) {
        Some(near) => format!("unknown key {name} of a user; did you mean {near}?"),
        None => {
            let names: Vec<_> = names().collect();
            format!("unknown key {name}; a user has {}", names.join(", "))
        }
    }
}
