//! `landfall restore`: puts back what `landfall backup` copied. Other files in the way are kept beside the
//! restored ones, and no audit log is deleted.

use std::ffi::OsString;
use std::fs::{self, DirBuilder, File, Permissions};
use std::io::{self, ErrorKind, Read as _, Seek as _};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, PermissionsExt as _, fchown};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use rustix::process::geteuid;

use super::backup::{CONFIG, DATA, KEYS, LOGIN, MANIFEST, Manifest};
use super::data_owner::DataOwner;
use crate::config::{Config, Faults};
use crate::database::{self, Database, new_private_file, remove_if_present};
use crate::observe::audit;
use crate::operator::output;
use crate::quota;
use crate::values::time::{compact_utc, now};

/// Restores a backup to its original paths, or beside another configuration file.
///
/// # Errors
///
/// The folder is not a complete backup, a server runs, or something cannot be read or written. No existing
/// data is lost then.
pub async fn run(config: Option<&Path>, folder: &Path) -> anyhow::Result<()> {
    let manifest = read_manifest(folder)?;
    let config_file = std::path::absolute(config.unwrap_or(&manifest.config))?;
    let data = data_folder(folder, &config_file)?;

    // Opened with the rights of the user who restores: the owner of the data may lack them.
    let kept_config = RestoreSource::find(&folder.join(CONFIG), &config_file)?;
    let mut login = Vec::new();
    for (name, place) in &manifest.login {
        let place = moved(place, &manifest.config, &config_file);
        login.extend(RestoreSource::find(&folder.join(LOGIN).join(name), &place)?);
    }
    let owner = DataOwner::find(&data)?;
    let alone = {
        let _acting = owner.act()?;
        database::try_serving(&data)?
    };
    let Some(alone) = alone else {
        bail!(
            "a server is running on {}: stop it, then restore",
            data.display()
        );
    };

    let mut restore = Restore::new(owner.group());
    for source in login {
        restore.put(source)?;
    }
    // The key files that it names exist now.
    let config = read_config(folder, &config_file)?;
    let keys = sources(&folder.join(KEYS), &config.server.keys)?;
    let state = sources(&folder.join(DATA), &data)?;
    {
        let _acting = owner.act()?;
        prepare_folder(&config.server.keys)?;
        for key in keys {
            restore.put(key)?;
        }
        let (logs, state): (Vec<_>, Vec<_>) =
            (state.into_iter()).partition(|source| audit::is_log(&source.name()));
        for source in state {
            restore.put(source)?;
        }
        restore.put_logs(&data, logs)?;
        let database = Database::open_alone(&data, &alone).await?;
        // The homes may be older or newer than the backup.
        let distrusted = quota::distrust_all(&database).await;
        database.close().await;
        distrusted?;
    }
    // Last: the server can start only with it.
    if let Some(source) = kept_config {
        restore.put(source)?;
    }
    Ok(output::print(&restore.text(folder, &manifest))?)
}

/// Returns the data folder, even if the configuration names files that are not restored yet.
fn data_folder(folder: &Path, config_file: &Path) -> anyhow::Result<PathBuf> {
    match read_config(folder, config_file) {
        Ok(config) => Ok(config.server.data),
        Err(faults) => match faults.data() {
            Some(data) => Ok(data.to_owned()),
            None => Err(faults.into()),
        },
    }
}

/// Moves the path of a file in the configuration's directory along with it.
fn moved(file: &Path, from: &Path, to: &Path) -> PathBuf {
    let folders = (from.parent(), to.parent());
    if let (Some(from), Some(to)) = folders
        && let Ok(rest) = file.strip_prefix(from)
    {
        return to.join(rest);
    }
    file.to_owned()
}

fn read_manifest(folder: &Path) -> anyhow::Result<Manifest> {
    let file = folder.join(MANIFEST);
    let text = fs::read_to_string(&file).with_context(|| {
        format!(
            "{} is not a complete backup: cannot read {MANIFEST}",
            folder.display()
        )
    })?;
    serde_json::from_str(&text).with_context(|| format!("cannot understand {}", file.display()))
}

/// Reads the configuration as if it were restored.
fn read_config(folder: &Path, place: &Path) -> Result<Config, Faults> {
    let base = place.parent().unwrap_or(Path::new("/"));
    let file = folder.join(CONFIG);
    match file.exists() {
        true => Config::load_in(&file, base),
        false => Config::default_in(base),
    }
}

fn prepare_folder(folder: &Path) -> anyhow::Result<()> {
    let made = DirBuilder::new().recursive(true).mode(0o700).create(folder);
    made.with_context(|| format!("cannot create {}", folder.display()))
}

/// A file of the backup and its destination.
struct RestoreSource {
    file: File,
    target: PathBuf,
}

impl RestoreSource {
    /// Finds a file; `None` if the backup does not have it.
    fn find(file: &Path, target: &Path) -> anyhow::Result<Option<Self>> {
        match File::open(file) {
            Ok(opened) => Ok(Some(Self {
                file: opened,
                target: target.to_owned(),
            })),
            Err(failure) if failure.kind() == ErrorKind::NotFound => Ok(None),
            Err(failure) => Err(failure).with_context(|| format!("cannot read {}", file.display())),
        }
    }

    fn name(&self) -> String {
        let name = self.target.file_name().unwrap_or_default();
        name.to_string_lossy().into_owned()
    }
}

/// Returns the files of a folder in the backup, by name.
fn sources(folder: &Path, target: &Path) -> anyhow::Result<Vec<RestoreSource>> {
    let shown = folder.display();
    let entries = fs::read_dir(folder).with_context(|| format!("cannot read {shown}"))?;
    let mut found = Vec::new();
    for entry in entries {
        let name = entry
            .with_context(|| format!("cannot read {shown}"))?
            .file_name();
        found.extend(RestoreSource::find(
            &folder.join(&name),
            &target.join(&name),
        )?);
    }
    found.sort_by(|one, other| one.target.cmp(&other.target));
    Ok(found)
}

/// The progress of a restore.
struct Restore {
    /// The group that reads root's files, if root restores for another user.
    group: Option<u32>,
    /// Suffix for files that were there before.
    suffix: String,
    restored: usize,
    kept: Vec<PathBuf>,
}

impl Restore {
    fn new(group: Option<u32>) -> Self {
        Self {
            group,
            suffix: format!(".before-restore-{}", compact_utc(now())),
            restored: 0,
            kept: Vec::new(),
        }
    }

    fn put(&mut self, source: RestoreSource) -> anyhow::Result<()> {
        let RestoreSource { file, target } = source;
        self.put_file(file, &target)
            .with_context(|| format!("cannot restore {}", target.display()))
    }

    fn put_file(&mut self, mut source: File, target: &Path) -> io::Result<()> {
        self.restored += 1;
        // Part of a database's content may be in its journal.
        if !target.ends_with(database::NAME) && is_same(&mut source, target)? {
            return Ok(());
        }
        let new = with_suffix(target, ".restoring");
        remove_if_present(&new)?;
        let mut written = new_private_file(&new)?;
        io::copy(&mut source, &mut written)?;
        self.set_access(&written, target)?;
        written.sync_all()?;
        self.keep(target)?;
        fs::rename(&new, target)
    }

    /// Gives the new file the readers of the old one. The configuration may belong to root and be readable
    /// by the server's group.
    fn set_access(&self, new: &File, target: &Path) -> io::Result<()> {
        let is_root = geteuid().is_root();
        match (fs::symlink_metadata(target), self.group) {
            (Ok(old), _) => {
                new.set_permissions(Permissions::from_mode(old.mode() & 0o777))?;
                if is_root {
                    fchown(new, Some(old.uid()), Some(old.gid()))?;
                }
            }
            (Err(_), Some(group)) if is_root => {
                new.set_permissions(Permissions::from_mode(0o640))?;
                fchown(new, None, Some(group))?;
            }
            _ => {}
        }
        Ok(())
    }

    /// Renames the existing file, and the journal of a database with it.
    fn keep(&mut self, target: &Path) -> io::Result<()> {
        let kept = with_suffix(target, &self.suffix);
        for end in ["", "-wal", "-shm"] {
            match fs::rename(with_suffix(target, end), with_suffix(&kept, end)) {
                Ok(()) if end.is_empty() => self.kept.push(kept.clone()),
                Err(failure) if failure.kind() != ErrorKind::NotFound => return Err(failure),
                _ => {}
            }
        }
        Ok(())
    }

    fn put_logs(&mut self, data: &Path, logs: Vec<RestoreSource>) -> anyhow::Result<()> {
        self.restored += logs.len();
        let named = logs.into_iter().map(|log| (log.name(), log.file));
        audit::restore_files(data, named.collect())
            .with_context(|| format!("cannot restore the audit logs in {}", data.display()))
    }

    fn text(&self, folder: &Path, manifest: &Manifest) -> String {
        let mut text = format!(
            "Restored {} files from {}, made on {} by landfall {}\n",
            self.restored,
            folder.display(),
            manifest.made,
            manifest.landfall
        );
        for kept in &self.kept {
            text.push_str(&format!("Kept the old file as {}\n", kept.display()));
        }
        text.push_str("The next start counts the files in all homes again\n");
        text
    }
}

/// Returns whether the file has this content. Rewinds the source.
fn is_same(source: &mut File, target: &Path) -> io::Result<bool> {
    let found = match fs::read(target) {
        Ok(found) => found,
        Err(failure) if failure.kind() == ErrorKind::NotFound => return Ok(false),
        Err(failure) => return Err(failure),
    };
    let mut content = Vec::new();
    source.read_to_end(&mut content)?;
    source.rewind()?;
    Ok(content == found)
}

fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(suffix);
    name.into()
}
