//! Canonical paths, as far as the account may read links.

use rustix::io::Errno;

use super::access::Operation;
use super::home::Vfs;
use crate::error::Error;
use crate::rules::{Granted, Permissions};
use crate::store::Kind;
use crate::values::path::VPath;

/// The most links that the kernel follows in one path (path_resolution(7)).
const MOST_LINKS: u32 = 40;

impl Vfs {
    /// Returns the canonical form of a path; its last component may be missing. If the path contains a link
    /// that the account may not read, returns the path with its ".." resolved by text, so that the reply
    /// does not reveal the link's target.
    pub fn canonical(&self, path: &VPath) -> Result<VPath, Error> {
        self.settled(|permissions, _| {
            if permissions.all().all(|(_, granted)| reads_links(granted)) {
                return self.store.canonical(path);
            }
            let found = self.through_readable_links(permissions, path)?;
            Ok(found.unwrap_or_else(|| path.without_dotdot()))
        })
    }

    /// Resolves a path component by component; `None` at a link that the account may not read.
    fn through_readable_links(
        &self,
        permissions: &Permissions,
        path: &VPath,
    ) -> Result<Option<VPath>, Error> {
        let mut rest = Vec::new();
        push_names(&mut rest, path.relative());
        let mut names: Vec<Vec<u8>> = Vec::new();
        let mut last_link = None;
        let mut links = 0;
        while let Some(name) = rest.pop() {
            if name == b".." {
                names.pop();
                continue;
            }
            names.push(name);
            let place = VPath::parse(&names.join(&b'/'))?;
            let found = match self.without_links.metadata(&place, false) {
                Err(Error::Os(Errno::NOENT)) if last_link.is_some() => return Ok(last_link),
                Err(Error::Os(Errno::NOENT)) if rest.is_empty() => return Ok(Some(place)),
                other => other?,
            };
            match found.kind() {
                Kind::Symlink if !reads_links(permissions.at(&place)) => return Ok(None),
                Kind::Symlink => {
                    links += 1;
                    if links > MOST_LINKS {
                        return Err(Errno::LOOP.into());
                    }
                    let target = self.without_links.read_link(&place)?;
                    if target.starts_with(b"/") {
                        names.clear();
                    } else {
                        names.pop();
                    }
                    if rest.is_empty() {
                        // A broken link stays as it is.
                        last_link.get_or_insert(place);
                    }
                    push_names(&mut rest, &target);
                }
                Kind::Directory => {}
                Kind::File | Kind::Other if rest.is_empty() => {}
                Kind::File | Kind::Other => return Err(Errno::NOTDIR.into()),
            }
        }
        Ok(Some(VPath::parse(&names.join(&b'/'))?))
    }
}

fn reads_links(granted: Granted) -> bool {
    Operation::ReadLink.check(granted, || false).is_ok()
}

/// Pushes the components of a path, the first one on top.
fn push_names(rest: &mut Vec<Vec<u8>>, path: &[u8]) {
    let names = path.split(|byte| *byte == b'/').rev();
    let names = names.filter(|name| !name.is_empty() && *name != b".");
    rest.extend(names.map(<[u8]>::to_vec));
}
