//! Root acting as the owner of a data folder, so that it follows no link placed by that
//! user and leaves no file that the server cannot use.

use std::fs;
use std::io::ErrorKind;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use anyhow::Context as _;
use nix::unistd::{Gid, Uid, getgroups, setegid, seteuid, setgroups};

/// The owner of a data folder, if root must act as that user.
pub(super) struct DataOwner(Option<(Uid, Gid)>);

/// While this lives, the process acts as the owner.
pub(super) struct Acting(Option<Vec<Gid>>);

impl DataOwner {
    /// Finds the owner of this data folder. A folder that does not exist has none.
    pub(super) fn find(data: &Path) -> anyhow::Result<Self> {
        if !Uid::effective().is_root() {
            return Ok(Self(None));
        }
        let owner = match fs::metadata(data) {
            Ok(found) => Some((Uid::from_raw(found.uid()), Gid::from_raw(found.gid()))),
            Err(failure) if failure.kind() == ErrorKind::NotFound => None,
            Err(failure) => {
                return Err(failure).with_context(|| format!("cannot use {}", data.display()));
            }
        };
        Ok(Self(owner.filter(|(uid, _)| !uid.is_root())))
    }

    /// Returns their group.
    pub(super) fn group(&self) -> Option<u32> {
        self.0.map(|(_, gid)| gid.as_raw())
    }

    pub(super) fn act(&self) -> anyhow::Result<Acting> {
        let Some((uid, gid)) = self.0 else {
            return Ok(Acting(None));
        };
        let groups = getgroups().context("cannot read the groups of this process")?;
        // From here on they are restored in any case.
        let acting = Acting(Some(groups));
        setgroups(&[gid])
            .and_then(|()| setegid(gid))
            .and_then(|()| seteuid(uid))
            .with_context(|| format!("cannot act as user id {uid}, the owner of the data"))?;
        Ok(acting)
    }
}

impl Drop for Acting {
    fn drop(&mut self) {
        if let Some(groups) = &self.0 {
            let root = (Uid::from_raw(0), Gid::from_raw(0));
            // Root's saved ids allow it; if the kernel refuses, later steps report their own errors.
            let _ = seteuid(root.0)
                .and_then(|()| setegid(root.1))
                .and_then(|()| setgroups(groups));
        }
    }
}
