//! File attributes on the wire (draft-ietf-secsh-filexfer-02, section 5).

use bytes::{BufMut as _, BytesMut};

use super::wire::{Frame, Truncated};
use crate::store::{Changes, Metadata, unsigned_seconds};

/// Flags of ATTRS (section 5).
mod attr_flag {
    pub(super) const SIZE: u32 = 0x01;
    pub(super) const UIDGID: u32 = 0x02;
    pub(super) const PERMISSIONS: u32 = 0x04;
    pub(super) const ACMODTIME: u32 = 0x08;
    pub(super) const EXTENDED: u32 = 0x8000_0000;
}

/// Decodes ATTRS (section 5): the changes that a client requests. Extended attributes are skipped.
pub(super) fn attrs(frame: &mut Frame) -> Result<Changes, Truncated> {
    let flags = frame.uint32()?;
    let mut changes = Changes::default();
    if flags & attr_flag::SIZE != 0 {
        changes.size = Some(frame.uint64()?);
    }
    if flags & attr_flag::UIDGID != 0 {
        changes.owner = Some((frame.uint32()?, frame.uint32()?));
    }
    if flags & attr_flag::PERMISSIONS != 0 {
        changes.permissions = Some(frame.uint32()?);
    }
    if flags & attr_flag::ACMODTIME != 0 {
        changes.times = Some((frame.uint32()?, frame.uint32()?));
    }
    if flags & attr_flag::EXTENDED != 0 {
        // The count may be wrong: every round takes at least eight bytes or ends the loop.
        for _ in 0..frame.uint32()? {
            frame.string_chunks()?;
            frame.string_chunks()?;
        }
    }
    Ok(changes)
}

/// Encodes ATTRS with every field of version 3.
pub fn put_attrs(out: &mut BytesMut, metadata: &Metadata) {
    use attr_flag::{ACMODTIME, PERMISSIONS, SIZE, UIDGID};
    out.put_u32(SIZE | UIDGID | PERMISSIONS | ACMODTIME);
    out.put_u64(metadata.size);
    out.put_u32(metadata.uid);
    out.put_u32(metadata.gid);
    out.put_u32(metadata.mode);
    out.put_u32(unsigned_seconds(metadata.atime));
    out.put_u32(unsigned_seconds(metadata.mtime));
}
