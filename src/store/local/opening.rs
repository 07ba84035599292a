//! How files are opened.

use rustix::fs::OFlags;

use crate::error::Error;
use crate::store::OpenHow;

/// Never wait for the other end of a FIFO, never acquire a terminal.
pub(super) const AT_ONCE: OFlags = OFlags::NONBLOCK.union(OFlags::NOCTTY);

pub(super) const NOT_A_FILE: Error =
    Error::Refused("Not a regular file: FIFOs, sockets and devices cannot be opened");
pub(super) fn open_flags(how: &OpenHow) -> Result<OFlags, Error> {
    let mut flags = match (how.read, how.write || how.append) {
        (true, true) => OFlags::RDWR,
        (false, true) => OFlags::WRONLY,
        (true, false) if how.truncate => {
            return Err(Error::Invalid("To truncate, open for writing"));
        }
        (true, false) => OFlags::RDONLY,
        (false, false) => return Err(Error::Invalid("Open for reading, for writing or for both")),
    };
    if how.exclusive && !how.create {
        return Err(Error::Invalid(
            "An exclusive open must also create the file",
        ));
    }
    flags.set(OFlags::APPEND, how.append);
    flags.set(OFlags::CREATE, how.create);
    flags.set(OFlags::EXCL, how.exclusive);
    flags.set(OFlags::TRUNC, how.truncate);
    Ok(flags)
}
