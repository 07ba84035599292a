//! `landfall backup`: all state but the homes, in one folder that `landfall restore` puts back.
//!
//! | in the folder | what it is |
//! |---|---|
//! | `backup.json` | where the configuration lies, and which version made the backup when |
//! | `config.toml` | the configuration, if there is a file |
//! | `keys/` | the host keys |
//! | `login/` | the files of `login.user_ca_keys` and `login.revoked_keys` |
//! | `data/` | the database, the known sources and the audit logs |

use std::collections::BTreeMap;
use std::fs::{self, DirBuilder, File};
use std::io::{ErrorKind, Write as _};
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use serde::{Deserialize, Serialize};

use crate::accounts::Accounts;
use crate::config::Config;
use crate::database::{self, copy_to_new, new_private_file};
use crate::observe::audit;
use crate::operator::output;
use crate::values::time::{now, rfc3339};

/// The manifest of a backup.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Manifest {
    /// The version of the program that made the backup.
    pub(super) landfall: String,
    /// When it began: RFC 3339, in UTC.
    pub(super) made: String,
    /// The absolute path of the configuration file, or, without one, where it would be: paths in the
    /// configuration are relative to its directory.
    pub(super) config: PathBuf,
    /// The original paths of the files below [`LOGIN`], by their names there.
    pub(super) login: BTreeMap<String, PathBuf>,
}

/// File names in a backup.
pub(super) const MANIFEST: &str = "backup.json";
pub(super) const CONFIG: &str = "config.toml";
pub(super) const KEYS: &str = "keys";
pub(super) const LOGIN: &str = "login";
pub(super) const DATA: &str = "data";

/// Returns the names below [`LOGIN`], each with the configured file.
fn login_files(config: &Config) -> impl Iterator<Item = (&'static str, &Path)> {
    let files = [
        ("user_ca_keys", &config.login.user_ca_keys),
        ("revoked_keys", &config.login.revoked_keys),
    ];
    (files.into_iter()).filter_map(|(name, file)| Some((name, file.as_deref()?)))
}

/// Copies all state but the homes into a new folder. A server may run meanwhile.
///
/// # Errors
///
/// The folder exists, or something cannot be read or written; files copied until then stay.
pub async fn run(config: &Config, folder: &Path) -> anyhow::Result<()> {
    let data = &config.server.data;
    make_folder(folder)?;
    let to = folder.join(DATA);
    make_folder(&to)?;
    // The database first, so that the audit log contains everything that led to it.
    let accounts = Accounts::open(config.accounts()).await?;
    let copied = accounts.database().copy_to(&to.join(database::NAME)).await;
    accounts.close().await;
    copied?;
    audit::copy_files(data, &to)
        .with_context(|| format!("cannot copy the audit logs in {}", data.display()))?;
    copy_if_present(
        &data.join(database::KNOWN_SOURCES),
        &to.join(database::KNOWN_SOURCES),
    )?;
    copy_keys(&config.server.keys, &folder.join(KEYS))?;
    let login = folder.join(LOGIN);
    make_folder(&login)?;
    for (name, file) in login_files(config) {
        copy(file, &login.join(name))?;
    }
    if let Some(file) = &config.file {
        copy(file, &folder.join(CONFIG))?;
    }
    // Last: a backup without it is incomplete and cannot be restored.
    write_manifest(config, folder)?;
    let shown = folder.display();
    Ok(output::print(&format!(
        "Backed up the configuration, host keys, accounts, known sources and audit logs to {shown}\n\
         The homes are not included: copy them like other files\n"
    ))?)
}

fn write_manifest(config: &Config, folder: &Path) -> anyhow::Result<()> {
    let login = login_files(config);
    let config = config.file.as_deref().unwrap_or(Path::new(CONFIG));
    let manifest = Manifest {
        landfall: env!("CARGO_PKG_VERSION").to_owned(),
        made: rfc3339(now()),
        config: std::path::absolute(config)?,
        login: login
            .map(|(name, file)| (name.to_owned(), file.to_owned()))
            .collect(),
    };
    let mut text = serde_json::to_string_pretty(&manifest)?;
    text.push('\n');
    let file = folder.join(MANIFEST);
    new_private_file(&file)
        .and_then(|mut new| new.write_all(text.as_bytes()).and_then(|()| new.sync_all()))
        .with_context(|| format!("cannot write {}", file.display()))
}

fn copy_keys(keys: &Path, to: &Path) -> anyhow::Result<()> {
    let shown = keys.display();
    make_folder(to)?;
    let found = fs::read_dir(keys).with_context(|| format!("cannot read {shown}"))?;
    for file in found {
        let file = file.with_context(|| format!("cannot read {shown}"))?;
        if file.file_type().is_ok_and(|kind| kind.is_file()) {
            copy(&file.path(), &to.join(file.file_name()))?;
        }
    }
    Ok(())
}

fn copy_if_present(from: &Path, to: &Path) -> anyhow::Result<()> {
    match fs::symlink_metadata(from) {
        Err(failure) if failure.kind() == ErrorKind::NotFound => Ok(()),
        _ => copy(from, to),
    }
}

fn copy(from: &Path, to: &Path) -> anyhow::Result<()> {
    let copied = File::open(from).and_then(|mut from| copy_to_new(&mut from, to));
    copied.with_context(|| format!("cannot copy {} to {}", from.display(), to.display()))
}

/// Creates a folder for this user alone.
fn make_folder(folder: &Path) -> anyhow::Result<()> {
    let made = DirBuilder::new().mode(0o700).create(folder);
    made.with_context(|| format!("cannot create the folder {}", folder.display()))
}
