//! Finds the configuration file, and checks that only the operator and root can have written it.

use std::fs::{self, Metadata};
use std::io::{ErrorKind, Read as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::sync::LazyLock;

use nix::unistd::{Group, Uid, User};

/// The configuration file that is read by default.
pub(super) const DEFAULT_FILE: &str = "config.toml";
/// The configuration of a server that was installed as a package, read if there is no other.
pub(super) const INSTALLED_FILE: &str = "/etc/landfall/config.toml";
/// The data folder of a configuration with default settings.
pub(super) const DEFAULT_DATA: &str = "data";

/// The group of this user alone, on systems with a group for each user.
static PRIVATE_GROUP: LazyLock<Option<u32>> = LazyLock::new(|| {
    let user = User::from_uid(Uid::effective()).ok().flatten()?;
    let group = Group::from_gid(user.gid).ok().flatten()?;
    let mut members = group.mem.iter();
    let is_private = group.name == user.name && members.all(|member| *member == user.name);
    is_private.then_some(group.gid.as_raw())
});

/// Returns the default file, if there is one; `true` if it is in the current directory.
pub(super) fn usual<'a>() -> Option<(&'a Path, bool)> {
    // A directory that this user may not enter, such as root's, has none for them.
    let is_there = |file: &&Path| {
        let nothing = [ErrorKind::NotFound, ErrorKind::PermissionDenied];
        let found = file.symlink_metadata();
        found.map_or_else(|failure| !nothing.contains(&failure.kind()), |_| true)
    };
    let usual = [DEFAULT_FILE, INSTALLED_FILE].map(Path::new);
    let found = usual.into_iter().find(is_there)?;
    Some((found, found == Path::new(DEFAULT_FILE)))
}

/// Reads a file that nobody else can write.
///
/// # Errors
///
/// Why it is not read, and what to do.
pub(super) fn read(file: &Path) -> Result<Vec<u8>, String> {
    let cannot = |failure| format!("cannot read this file: {failure}");
    let mut opened = fs::File::open(file).map_err(cannot)?;
    let metadata = opened.metadata().map_err(cannot)?;
    refuse_writable(&metadata, "this file", file)?;
    let mut bytes = Vec::new();
    opened.read_to_end(&mut bytes).map_err(cannot)?;
    Ok(bytes)
}

/// Refuses files in a directory that was not named (a configuration, or the data folder of a server without
/// one), unless only this user and root can have put them there.
///
/// # Errors
///
/// Who else can have, and what to do.
pub(super) fn refuse_others(name: &str, folder: &Path) -> Result<(), String> {
    let cannot = |failure| format!("cannot use this folder: {failure}");
    let place = folder.metadata().map_err(cannot)?;
    refuse_owner(&place, "the folder")?;
    // In a sticky directory nobody can replace another user's file.
    if place.mode() & 0o1000 == 0 {
        refuse_writable(&place, "the folder", folder)?;
    }
    match folder.join(name).metadata() {
        Ok(found) => refuse_owner(&found, "it"),
        Err(failure) => Err(format!("cannot use it: {failure}")),
    }
}

fn refuse_owner(metadata: &Metadata, what: &str) -> Result<(), String> {
    let (owner, me) = (metadata.uid(), rustix::process::geteuid().as_raw());
    if [0, me].contains(&owner) {
        return Ok(());
    }
    Err(format!(
        "{what} belongs to user id {owner}, but this is user id {me}: run landfall as its owner, or give the configuration with --config FILE"
    ))
}

fn refuse_writable(metadata: &Metadata, what: &str, path: &Path) -> Result<(), String> {
    let mode = metadata.mode() & 0o777;
    let by_group = mode & 0o020 != 0 && *PRIVATE_GROUP != Some(metadata.gid());
    if !by_group && mode & 0o002 == 0 {
        return Ok(());
    }
    Err(format!(
        "{what} is writable by others (mode {mode:03o}): run chmod go-w {}",
        path.display()
    ))
}
