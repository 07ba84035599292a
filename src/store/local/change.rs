//! SETSTAT on descriptors: the inode is the one that was resolved, whatever its name is by now.

use std::os::fd::{AsFd, OwnedFd};

use rustix::fs::{self, AtFlags, Gid, Mode, Timespec, Timestamps, Uid};
use rustix::io::Errno;

use super::PERMISSIONS;
use super::resolve::proc_link;
use crate::error::Error;
use crate::store::Changes;

/// Changes owner, permissions and times of an open file or directory.
pub(super) fn opened(fd: &OwnedFd, changes: &Changes) -> Result<(), Error> {
    owner(fd, changes)?;
    if let Some(permissions) = changes.permissions {
        fs::fchmod(fd, Mode::from_raw_mode(permissions & PERMISSIONS))?;
    }
    if let Some(times) = changes.times {
        fs::futimens(fd, &timestamps(times))?;
    }
    Ok(())
}

/// The same for an `O_PATH` descriptor, for which the kernel has no such calls.
pub(super) fn pinned(fd: &OwnedFd, changes: &Changes) -> Result<(), Error> {
    owner(fd, changes)?;
    if let Some(permissions) = changes.permissions {
        let mode = Mode::from_raw_mode(permissions & PERMISSIONS);
        match fs::chmod(proc_link(fd), mode) {
            Err(Errno::LOOP | Errno::OPNOTSUPP) => {
                return Err(Error::Unsupported(
                    "The permissions of a link cannot be changed",
                ));
            }
            outcome => outcome?,
        }
    }
    if let Some(times) = changes.times {
        fs::utimensat(fd, "", &timestamps(times), AtFlags::EMPTY_PATH)?;
    }
    Ok(())
}

/// All files belong to the server's one user: what stays as it is, is granted; for the rest the
/// kernel decides.
fn owner(fd: impl AsFd, changes: &Changes) -> Result<(), Error> {
    let Some((uid, gid)) = changes.owner else {
        return Ok(());
    };
    let stat = fs::fstat(&fd)?;
    if (stat.st_uid, stat.st_gid) == (uid, gid) {
        return Ok(());
    }
    let (uid, gid) = (Uid::from_raw(uid), Gid::from_raw(gid));
    Ok(fs::chownat(
        fd,
        "",
        Some(uid),
        Some(gid),
        AtFlags::EMPTY_PATH,
    )?)
}

fn timestamps((atime, mtime): (u32, u32)) -> Timestamps {
    let at = |seconds: u32| Timespec {
        tv_sec: seconds.into(),
        tv_nsec: 0,
    };
    Timestamps {
        last_access: at(atime),
        last_modification: at(mtime),
    }
}
