//! Free space: the lower of disk and quota.

use super::access::Last;
use super::home::Vfs;
use super::open_file::{OpenDirectory, OpenFile};
use crate::error::Error;
use crate::store::Space;
use crate::values::path::VPath;

/// The block size that is reported where a quota applies, in bytes.
const QUOTA_BLOCK: u64 = 1024;

/// Space in bytes, as in space-available (draft-ietf-secsh-filexfer-13, section 9.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Room {
    /// Size of the disk.
    pub total: u64,
    /// Free space on the disk.
    pub free: u64,
    /// The account's quota.
    pub user_total: u64,
    /// What remains of the quota.
    pub user_free: u64,
    /// Allocation unit.
    pub block: u64,
}

impl Vfs {
    /// Returns the space at a path.
    pub fn space(&self, path: &VPath) -> Result<Space, Error> {
        Ok(self.within_quota(self.space_on_disk(path)?))
    }

    /// Returns the space at an open directory.
    pub fn directory_space(&self, directory: &OpenDirectory) -> Result<Space, Error> {
        Ok(self.within_quota(directory.directory.space()?))
    }

    /// Returns the space at an open file.
    pub fn file_space(&self, file: &OpenFile) -> Result<Space, Error> {
        Ok(self.within_quota(file.file.space()?))
    }

    fn space_on_disk(&self, path: &VPath) -> Result<Space, Error> {
        self.at(path, Last::Followed, |place| {
            self.looked_at(place)?;
            place.store.space(&place.path)
        })
    }

    /// Returns the space at a path in bytes.
    pub fn room(&self, path: &VPath) -> Result<Room, Error> {
        let space = self.space_on_disk(path)?;
        let bytes = |blocks: u64| blocks.saturating_mul(space.block_size);
        let (total, free) = (bytes(space.blocks), bytes(space.blocks_available));
        let ledger = self.ledger();
        let tighter = |quota: Option<u64>, disk: u64| quota.map_or(disk, |quota| quota.min(disk));
        Ok(Room {
            total,
            free,
            user_total: tighter(ledger.limits().bytes, total),
            user_free: tighter(ledger.left().bytes, free),
            block: space.block_size,
        })
    }

    /// Returns the lower of disk and quota.
    fn within_quota(&self, space: Space) -> Space {
        let (limits, left) = (self.ledger().limits(), self.ledger().left());
        let mut space = space;
        if let (Some(limit), Some(left)) = (limits.bytes, left.bytes) {
            // Small enough for small quotas; both values are multiples of it.
            let blocks = |count: u64| count.saturating_mul(space.block_size) / QUOTA_BLOCK;
            space.blocks = blocks(space.blocks).min(limit / QUOTA_BLOCK);
            space.blocks_available = blocks(space.blocks_available).min(left / QUOTA_BLOCK);
            space.block_size = QUOTA_BLOCK;
        }
        if let (Some(limit), Some(left)) = (limits.files, left.files) {
            space.files = limit;
            space.files_available = space.files_available.min(left);
        }
        space
    }
}
