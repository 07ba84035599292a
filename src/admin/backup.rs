//! `landfall backup`: what an operator cannot make again, in one folder.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::Path;

use anyhow::{Context as _, bail};

use super::output;
use crate::accounts::Accounts;
use crate::config::Config;
use crate::database;

/// Copies the database, the host keys and the config into a new folder.
///
/// # Errors
/// If the folder is there already, or something cannot be read or written; then what has been copied
/// stays.
pub async fn run(config: &Config, folder: &Path) -> anyhow::Result<()> {
    let shown = folder.display();
    if !database::exists(&config.server.data) {
        bail!("there is no database in {}", config.server.data.display());
    }
    let made = DirBuilder::new().mode(0o700).create(folder);
    made.with_context(|| format!("cannot make the folder {shown}"))?;
    let accounts = Accounts::open(config).await?;
    let file = folder.join(database::NAME);
    let copied = accounts.database().copy_to(&file).await;
    accounts.close().await;
    copied?;
    copy_keys(&config.server.keys, &folder.join("keys"))?;
    if let Some(file) = &config.file {
        copy(file, &folder.join("config.toml"))?;
    }
    let text = format!(
        "Copied the accounts, the host keys and the config to {shown}; the homes are not in it\n"
    );
    Ok(output::print(&text)?)
}

fn copy_keys(keys: &Path, to: &Path) -> anyhow::Result<()> {
    let shown = keys.display();
    let made = DirBuilder::new().mode(0o700).create(to);
    made.with_context(|| format!("cannot make {}", to.display()))?;
    let found = fs::read_dir(keys).with_context(|| format!("cannot read {shown}"))?;
    for file in found {
        let file = file.with_context(|| format!("cannot read {shown}"))?;
        if file.file_type().is_ok_and(|kind| kind.is_file()) {
            copy(&file.path(), &to.join(file.file_name()))?;
        }
    }
    Ok(())
}

/// The file is new, and this user's alone from the start: no mode is changed by a name.
fn copy(from: &Path, to: &Path) -> anyhow::Result<()> {
    let mut new = OpenOptions::new();
    let copied = File::open(from).and_then(|mut from| {
        let mut to = new.write(true).create_new(true).mode(0o600).open(to)?;
        io::copy(&mut from, &mut to)
    });
    copied.with_context(|| format!("cannot copy {} to {}", from.display(), to.display()))?;
    Ok(())
}
