//! Attributes of an inode, read and changed through a descriptor.

use std::os::fd::AsFd;

use rustix::fs::{
    AtFlags, CWD, Mode, RawMode, Stat, StatVfsMountFlags, StatxFlags, Timespec, Timestamps,
    chmodat, fchmod, fstat, fstatvfs, statx, utimensat,
};
use rustix::io::Errno;

use super::resolve::proc_name;
use crate::error::Error;
use crate::store::{Changes, Identity, Metadata, Space};

/// Read, write, execute and sticky bits. The setuid and setgid bits are never set: an uploaded program must
/// not run as the user who owns all homes.
const GRANTABLE: RawMode = 0o1777;

const NOT_PRIVATE: Error = Error::Refused(
    "The mode of the home itself stays 0700: other users of the server have no access",
);

/// What a descriptor allows.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Reach {
    /// Opened for reading or writing.
    Open,
    /// Opened with `O_PATH`.
    PathOnly,
}

/// What a descriptor refers to.
#[derive(Clone, Copy)]
pub(super) struct Subject {
    pub(super) reach: Reach,
    /// The home itself.
    pub(super) is_home: bool,
}

/// Returns the mode bits that a peer may set.
pub(super) fn grantable(permissions: u32) -> Mode {
    Mode::from_raw_mode(permissions & GRANTABLE)
}

pub(super) fn metadata(fd: impl AsFd) -> Result<Metadata, Error> {
    Ok(from_stat(&fstat(fd)?))
}

// The widths of these fields differ between architectures.
#[allow(clippy::useless_conversion)]
pub(super) fn from_stat(stat: &Stat) -> Metadata {
    Metadata {
        mode: stat.st_mode.into(),
        size: u64::try_from(stat.st_size).unwrap_or(0),
        links: stat.st_nlink.into(),
        uid: stat.st_uid,
        gid: stat.st_gid,
        atime: stat.st_atime.into(),
        mtime: stat.st_mtime.into(),
        mtime_nanoseconds: u64::try_from(stat.st_mtime_nsec).unwrap_or(0),
        ctime: (
            stat.st_ctime.into(),
            u64::try_from(stat.st_ctime_nsec).unwrap_or(0),
        ),
        inode: (stat.st_dev.into(), stat.st_ino.into()),
    }
}

/// See [`Store::identity`](crate::store::Store::identity).
pub(super) fn identity(fd: impl AsFd) -> Result<Identity, Error> {
    let wanted = StatxFlags::BTIME | StatxFlags::INO;
    let found = statx(&fd, c"", AtFlags::EMPTY_PATH, wanted)?;
    if found.stx_mask & StatxFlags::BTIME.bits() == 0 {
        return Err(Error::Unsupported(
            "The file system does not store birth times",
        ));
    }
    Ok(Identity {
        inode: metadata(fd)?.inode,
        born: (found.stx_btime.tv_sec, found.stx_btime.tv_nsec),
    })
}

pub(super) fn space(fd: impl AsFd) -> Result<Space, Error> {
    let found = fstatvfs(fd)?;
    Ok(Space {
        block_size: found.f_frsize,
        blocks: found.f_blocks,
        blocks_available: found.f_bavail,
        files: found.f_files,
        files_available: found.f_favail,
        id: found.f_fsid,
        read_only: found.f_flag.contains(StatVfsMountFlags::RDONLY),
        name_max: found.f_namemax,
    })
}

/// Changes owner, permissions and times. Each is tried whatever the outcome of the others, as in OpenSSH: a
/// client that sends an owner that it may not set still gets its times. Returns the first error.
pub(super) fn change(fd: impl AsFd, changes: &Changes, subject: Subject) -> Result<(), Error> {
    let fd = fd.as_fd();
    let owner = changes.owner.map_or(Ok(()), |owner| set_owner(fd, owner));
    let permissions = changes
        .permissions
        .map_or(Ok(()), |wanted| set_permissions(fd, wanted, subject));
    let times = changes.times.map_or(Ok(()), |times| set_times(fd, times));
    owner.and(permissions).and(times)
}

/// Accepts the current owner and refuses another one, even if the server is privileged: accounts, which are
/// not system users, do not change system owners.
fn set_owner(fd: impl AsFd, (uid, gid): (u32, u32)) -> Result<(), Error> {
    let now = fstat(&fd)?;
    // As in chown(2), all bits set means to keep it.
    let stays = |wanted: u32, now: u32| wanted == now || wanted == u32::MAX;
    if stays(uid, now.st_uid) && stays(gid, now.st_gid) {
        Ok(())
    } else {
        Err(Errno::PERM.into())
    }
}

fn set_permissions(fd: impl AsFd, wanted: u32, subject: Subject) -> Result<(), Error> {
    let mode = grantable(wanted);
    if subject.is_home && !keeps_private(fstat(&fd)?.st_mode, mode) {
        return Err(NOT_PRIVATE);
    }
    match subject.reach {
        Reach::Open => Ok(fchmod(fd, mode)?),
        Reach::PathOnly => set_mode(fd, mode),
    }
}

/// Returns whether the home may get this mode: it keeps the owner's rights, and others get no new ones,
/// since they could write beside the quota or swap names under the server. Bits that the operator has set
/// may stay.
fn keeps_private(now: RawMode, wanted: Mode) -> bool {
    let others = Mode::RWXG | Mode::RWXO;
    let given = Mode::from_raw_mode(now) & others;
    wanted.contains(Mode::RWXU) && given.contains(wanted & others)
}

/// Changes the mode of an `O_PATH` descriptor's inode. Through its name in /proc the kernel goes straight
/// to the inode, without walking a path or following a link.
pub(super) fn set_mode(fd: impl AsFd, mode: Mode) -> Result<(), Error> {
    match chmodat(CWD, proc_name(fd), mode, AtFlags::empty()) {
        Err(Errno::NOENT | Errno::NOTDIR) => Err(Error::Unsupported(
            "Permissions cannot be changed: /proc is not mounted on the server",
        )),
        other => Ok(other?),
    }
}

fn set_times(fd: impl AsFd, (access, modification): (u32, u32)) -> Result<(), Error> {
    let at = |seconds: u32| Timespec {
        tv_sec: seconds.into(),
        tv_nsec: 0,
    };
    let times = Timestamps {
        last_access: at(access),
        last_modification: at(modification),
    };
    match utimensat(&fd, "", &times, AtFlags::EMPTY_PATH) {
        // Linux before 5.8 does not support the flag here.
        Err(Errno::INVAL | Errno::NOENT) => {
            Ok(utimensat(CWD, proc_name(fd), &times, AtFlags::empty())?)
        }
        other => Ok(other?),
    }
}
