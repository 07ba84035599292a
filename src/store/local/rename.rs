//! Renaming without replacing.

use rustix::fs::{AtFlags, RenameFlags, linkat, renameat, renameat_with, statat, unlinkat};
use rustix::io::Errno;

use super::inode;
use super::resolve::Parent;
use crate::error::Error;
use crate::store::Kind;

/// Renames without replacing.
pub(super) fn rename_to_free_name(
    from_parent: &Parent<'_>,
    from: &[u8],
    to_parent: &Parent<'_>,
    to: &[u8],
) -> Result<(), Error> {
    match renameat_with(from_parent, from, to_parent, to, RenameFlags::NOREPLACE) {
        // Not every file system knows the flag (EINVAL, which has other reasons too).
        Err(Errno::INVAL | Errno::NOSYS) => rename_by_hand(from_parent, from, to_parent, to),
        other => Ok(other?),
    }
}

/// Renames without replacing where the kernel cannot do both in one. What is not a directory gets
/// its new name by a link, which never replaces, and then loses the old one; between the two it has
/// both. A directory, or a file system without links, is left with a look before the rename: what
/// another session makes at `to` in that instant is replaced (of a directory: if it is empty).
pub(super) fn rename_by_hand<'a>(
    from_parent: &Parent<'_>,
    from: &'a [u8],
    to_parent: &Parent<'_>,
    to: &'a [u8],
) -> Result<(), Error> {
    let of_name = AtFlags::SYMLINK_NOFOLLOW;
    // These calls would follow a link before a slash.
    let bare = |name: &'a [u8]| name.strip_suffix(b"/").unwrap_or(name);
    let must_be_directory = from.ends_with(b"/") || to.ends_with(b"/");
    let (from, to) = (bare(from), bare(to));
    let kind = inode::from_stat(&statat(from_parent, from, of_name)?).kind();
    if kind != Kind::Directory {
        if must_be_directory {
            return Err(Errno::NOTDIR.into());
        }
        match linkat(from_parent, from, to_parent, to, AtFlags::empty()) {
            Ok(()) => return Ok(unlinkat(from_parent, from, AtFlags::empty())?),
            Err(Errno::PERM | Errno::OPNOTSUPP | Errno::MLINK | Errno::NOSYS) => {}
            Err(errno) => return Err(errno.into()),
        }
    }
    match statat(to_parent, to, of_name) {
        Ok(_) => Err(Errno::EXIST.into()),
        Err(Errno::NOENT) => Ok(renameat(from_parent, from, to_parent, to)?),
        Err(errno) => Err(errno.into()),
    }
}
