//! The data folder: its locks, and files in it that only this user can read.

use std::fs::{self, DirBuilder, File, OpenOptions, Permissions, TryLockError};
use std::io::ErrorKind;
use std::os::unix::fs::{
    DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _,
};
use std::path::Path;

use anyhow::{Context as _, bail};

/// The name of the database in its folder.
pub const NAME: &str = "landfall.db";
/// The addresses that logins protect, beside the database.
pub const KNOWN_SOURCES: &str = "known-sources";
/// Held by the one server of a data folder.
const SERVING: &str = "landfall.serving";

/// What the server writes to, it does not write to through a link that somebody has put there. The value
/// of O_NOFOLLOW fits.
pub(crate) const NO_LINK: i32 = rustix::fs::OFlags::NOFOLLOW.bits() as i32;

/// Is there a database in this data folder?
///
/// # Errors
/// This user may not look there.
pub fn exists(data: &Path) -> anyhow::Result<bool> {
    let file = data.join(NAME);
    let found = file.try_exists();
    found.with_context(|| format!("cannot use {}", file.display()))
}

/// Shows that this process alone serves a data folder, for as long as this lives: a server keeps account
/// of the homes in its memory.
#[must_use]
pub struct Alone {
    _lock: File,
}

/// Makes this process the one of a data folder, which is made if there is none: `None` if another is that,
/// a server or a command that does its work while no server runs.
///
/// # Errors
/// One of the disk, or a folder that others can change, with what to do.
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

/// Makes the data folder for this user alone; of one that exists, checks that nobody else can change
/// what is in it.
pub(super) fn prepare_folder(data: &Path) -> anyhow::Result<()> {
    let shown = data.display();
    let made = DirBuilder::new().recursive(true).mode(0o700).create(data);
    made.with_context(|| format!("cannot make the data folder {shown}"))?;
    let metadata = fs::metadata(data).with_context(|| format!("cannot use {shown}"))?;
    let (owner, me) = (metadata.uid(), rustix::process::geteuid().as_raw());
    if owner != me {
        // As root it would work, and leave files behind that the server cannot use.
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

/// Makes an empty database that only this user can read. SQLite gives its other files the same mode.
///
/// One that exists is not opened: closing it would take SQLite's locks from this process.
pub(super) fn prepare_database(file: &Path) -> anyhow::Result<()> {
    let shown = file.display();
    match fs::symlink_metadata(file) {
        Ok(metadata) if metadata.is_file() && metadata.mode() & 0o077 == 0 => Ok(()),
        Ok(metadata) if metadata.is_file() => {
            fs::set_permissions(file, Permissions::from_mode(0o600))
                .with_context(|| format!("cannot keep others from reading {shown}"))
        }
        Ok(_) => bail!("{shown} is not a file"),
        Err(failure) if failure.kind() == ErrorKind::NotFound => {
            private_file(file).with_context(|| format!("cannot make {shown}"))?;
            Ok(())
        }
        Err(failure) => Err(failure).with_context(|| format!("cannot use {shown}")),
    }
}

/// Makes a file for this user alone, and so not through a link that leads elsewhere.
///
/// # Errors
/// Of the disk, or if there is something of this name.
pub(crate) fn new_private_file(file: &Path) -> std::io::Result<File> {
    OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(file)
}

/// Copies what is left to be read of a file into a [new one](new_private_file), and waits until the disk has
/// it.
///
/// # Errors
/// Of the disk, or if there is something of this name.
pub(crate) fn copy_to_new(from: &mut File, to: &Path) -> std::io::Result<()> {
    let mut new = new_private_file(to)?;
    std::io::copy(from, &mut new)?;
    new.sync_all()
}

/// Removes a file that may be there.
///
/// # Errors
/// Of the disk.
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
