//! The data folder: its locks and its private files.

use std::fs::{self, DirBuilder, File, OpenOptions, Permissions, TryLockError};
use std::io::ErrorKind;
use std::os::unix::fs::{
    DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _,
};
use std::path::Path;

use anyhow::{Context as _, bail};

/// The name of the database in its folder.
pub const NAME: &str = "landfall.db";
/// The file of addresses that logins protect.
pub const KNOWN_SOURCES: &str = "known-sources";
/// The lock of the server that uses a data folder.
const SERVING: &str = "landfall.serving";

/// O_NOFOLLOW, which fits: the server does not write through a link at one of its own paths.
pub(crate) const NO_LINK: i32 = rustix::fs::OFlags::NOFOLLOW.bits() as i32;

/// Returns whether this data folder contains a database.
///
/// # Errors
///
/// This user may not access it.
pub fn exists(data: &Path) -> anyhow::Result<bool> {
    let file = data.join(NAME);
    let found = file.try_exists();
    found.with_context(|| format!("cannot use {}", file.display()))
}

/// Proof that this process alone uses a data folder: a server keeps the usage of homes in memory.
#[must_use]
pub struct Alone {
    _lock: File,
}

/// Locks a data folder for this process, creating it if absent. `None` if another process holds the lock: a
/// server, or a command that replaces one.
///
/// # Errors
///
/// An error of the disk, or a folder that others can change, with what to do.
pub fn try_serving(data: &Path) -> anyhow::Result<Option<Alone>> {
    prepare_folder(data)?;
    let path = data.join(SERVING);
    let shown = path.display();
    let file = private_file(&path).with_context(|| format!("cannot open {shown}"))?;
    match file.try_lock() {
        Ok(()) => Ok(Some(Alone { _lock: file })),
        Err(TryLockError::WouldBlock) => Ok(None),
        Err(TryLockError::Error(failure)) => {
            Err(failure).with_context(|| format!("cannot lock {shown}"))
        }
    }
}

/// Creates the data folder for this user alone; checks that nobody else can change an existing one.
pub(super) fn prepare_folder(data: &Path) -> anyhow::Result<()> {
    let shown = data.display();
    let made = DirBuilder::new().recursive(true).mode(0o700).create(data);
    made.with_context(|| format!("cannot create the data folder {shown}"))?;
    let metadata = fs::metadata(data).with_context(|| format!("cannot use {shown}"))?;
    let (owner, me) = (metadata.uid(), rustix::process::geteuid().as_raw());
    if owner != me {
        // It would work as root, and leave files behind that the server cannot use.
        bail!(
            "the data folder {shown} belongs to user id {owner}, but this is user id {me}: run landfall as its owner"
        );
    }
    let mode = metadata.mode() & 0o777;
    if mode & 0o022 != 0 {
        bail!(
            "others can write to the data folder {shown} (mode {mode:03o}): run chmod go-w {shown}"
        );
    }
    Ok(())
}

/// Creates an empty database that only this user can read. SQLite gives its other files the same mode.
///
/// An existing one is not opened: closing it would release SQLite's locks of this process.
pub(super) fn prepare_database(file: &Path) -> anyhow::Result<()> {
    let shown = file.display();
    match fs::symlink_metadata(file) {
        Ok(metadata) if metadata.is_file() && metadata.mode() & 0o077 == 0 => Ok(()),
        Ok(metadata) if metadata.is_file() => {
            fs::set_permissions(file, Permissions::from_mode(0o600))
                .with_context(|| format!("cannot make {shown} private"))
        }
        Ok(_) => bail!("{shown} is not a file"),
        Err(failure) if failure.kind() == ErrorKind::NotFound => {
            private_file(file).with_context(|| format!("cannot create {shown}"))?;
            Ok(())
        }
        Err(failure) => Err(failure).with_context(|| format!("cannot use {shown}")),
    }
}

/// Creates a file for this user alone, and not through a link.
///
/// # Errors
///
/// An error of the disk, or an existing file.
pub(crate) fn new_private_file(file: &Path) -> std::io::Result<File> {
    OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(file)
}

/// Copies the rest of a file into a [new one](new_private_file), and syncs it.
///
/// # Errors
///
/// An error of the disk, or an existing file.
pub(crate) fn copy_to_new(from: &mut File, to: &Path) -> std::io::Result<()> {
    let mut new = new_private_file(to)?;
    std::io::copy(from, &mut new)?;
    new.sync_all()
}

/// Removes a file if it exists.
///
/// # Errors
///
/// An error of the disk.
pub(crate) fn remove_if_present(file: &Path) -> std::io::Result<()> {
    match fs::remove_file(file) {
        Err(failure) if failure.kind() == ErrorKind::NotFound => Ok(()),
        removed => removed,
    }
}

pub(super) fn private_file(file: &Path) -> std::io::Result<File> {
    OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .custom_flags(NO_LINK)
        .open(file)
}
