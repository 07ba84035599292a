//! Renames without replacing.

use rustix::fs::{AtFlags, RenameFlags, linkat, renameat, renameat_with, statat, unlinkat};
use rustix::io::Errno;

use super::inode;
use super::resolve::Parent;
use crate::error::Error;
use crate::store::Kind;

/// Renames without replacing an existing name.
pub(super) fn rename_to_free_name(
    from_parent: &Parent<'_>,
    from: &[u8],
    to_parent: &Parent<'_>,
    to: &[u8],
) -> Result<(), Error> {
    match renameat_with(from_parent, from, to_parent, to, RenameFlags::NOREPLACE) {
        // Some file systems do not support the flag (EINVAL, which has other reasons, too).
        Err(Errno::INVAL | Errno::NOSYS) => rename_by_hand(from_parent, from, to_parent, to),
        other => Ok(other?),
    }
}

/// Renames where the kernel cannot refuse to replace. A file gets its new name by a link, which never
/// replaces, and then loses the old one; in between it has both. A directory, or a file without links, is
/// checked first: what another session creates at `to` in that instant is replaced (a directory only if it
/// is empty).
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
