//! Finished transfers whose hash the audit log requires. Each is recorded once its hash is computed, which
//! is heavy work in slices.

use super::access::{Last, Location};
use super::finished_transfers::{FinishedTransfers, Transferred};
use super::hashing::Hashing;
use super::home::Vfs;
use super::open_file::OpenFile;
use crate::hashes::{Algorithm, Hash};
use crate::observe::audit::Event;
use crate::store::READING;
use crate::values::path::VPath;

impl Vfs {
    /// Returns whether transfers must be recorded before other work.
    pub fn has_unrecorded(&self) -> bool {
        !self.unrecorded.lock().is_empty()
    }

    /// Computes a slice of a transfer's hash, and records the transfer once it is complete.
    pub fn record_on(&self) {
        let Some(mut first) = self.unrecorded.lock().pop_front() else {
            return;
        };
        let computed = self.hash_on(&first.file, &mut first.hashing);
        let hash = first.hashing.done().map(Hash::new);
        if computed.is_ok() && hash.is_none() {
            self.unrecorded.lock().push_front(first);
        } else {
            self.record_finished(first.finished, hash);
        }
    }

    /// Records the transfers of a file, immediately unless an unknown hash is required.
    pub(super) fn record_or_hash(
        &self,
        path: &VPath,
        inode: (u64, u64),
        mut finished: FinishedTransfers,
    ) {
        let wants_hashes = self.session.recorder().wants_hashes();
        let is_hashed = wants_hashes && finished.complete().next().is_some();
        let hashing = is_hashed.then(|| self.open_to_record(path, inode));
        match hashing.flatten() {
            Some((file, hashing)) if hashing.done().is_none() => {
                self.unrecorded.lock().push_back(Transferred {
                    file,
                    hashing,
                    finished,
                });
            }
            known => {
                let hash = known.and_then(|(_, hashing)| hashing.done().map(Hash::new));
                self.record_finished(finished, hash);
            }
        }
    }

    /// Opens a closed file if it still has its name. The hash is for the operator, whatever its owner may
    /// read.
    fn open_to_record(&self, path: &VPath, inode: (u64, u64)) -> Option<(OpenFile, Hashing)> {
        let open = |place: &Location<'_>| self.open_counted(place, &READING, None);
        let file = self.at(path, Last::Followed, open).ok()?;
        if file.tracked.inode() != inode {
            return None;
        }
        let hashing = self.hash_whole(&file, Algorithm::Sha256).ok()?;
        Some((file, hashing))
    }

    fn record_finished(&self, mut finished: FinishedTransfers, hash: Option<Hash>) {
        if let Some(hash) = hash {
            let sha256 = hash.to_string();
            finished
                .complete()
                .for_each(|moved| moved.sha256 = Some(sha256.clone()));
        }
        let upload = finished.upload.map(Event::Upload);
        let download = finished.download.map(Event::Download);
        for event in [upload, download].into_iter().flatten() {
            self.session.recorder().record(&event);
        }
    }
}
