//! The disks of the homes: work on a disk that hangs delays nothing on others.
//!
//! A disk is a mounted file system. The mount table tells which one holds a home, not the disk itself,
//! since a call to one that hangs does not return.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::ffi::OsString;
use std::fs::File;
use std::ops::Bound;
use std::os::unix::ffi::OsStringExt as _;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::sync::{LazyLock, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::io::by_account::ByAccount;

/// Homes of one disk that are worked on at the same time.
const AT_ONCE: usize = 4;

/// Time for all disks together to answer questions about folders.
const PATIENCE: Duration = Duration::from_secs(10);
/// Time for each disk that is asked after [`PATIENCE`].
const LEAST_PATIENCE: Duration = Duration::from_millis(100);

/// The mount table. It stays open because the sandbox forbids opening it later.
static MOUNTINFO: LazyLock<Option<File>> =
    LazyLock::new(|| File::open("/proc/self/mountinfo").ok());

/// Opens the mount table before the process enters its sandbox.
pub(crate) fn prepare() {
    LazyLock::force(&MOUNTINFO);
}

/// A mounted file system, or a folder that contains mount points.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Disk(String);

/// The mounts at one moment: the device of each mount point.
#[derive(Debug)]
pub(crate) struct Mounts(BTreeMap<PathBuf, String>);

impl Mounts {
    /// Reads the mount table.
    pub(crate) fn now() -> Self {
        let mut table = Vec::new();
        if let Some(file) = &*MOUNTINFO {
            let mut block = vec![0; 64 << 10];
            while let Ok(count @ 1..) = file.read_at(&mut block, table.len() as u64) {
                table.extend_from_slice(block.get(..count).unwrap_or_default());
            }
        }
        Self::parse(&table)
    }

    /// Parses lines of proc_pid_mountinfo(5). Of several mounts on one folder, the last one is visible.
    fn parse(table: &[u8]) -> Self {
        let mount = |line: &[u8]| {
            let mut fields = line.split(|byte| *byte == b' ').skip(2);
            let device = String::from_utf8_lossy(fields.next()?).into_owned();
            let folder = PathBuf::from(OsString::from_vec(unescaped(fields.nth(1)?)));
            Some((folder, device))
        };
        Self(
            table
                .split(|byte| *byte == b'\n')
                .filter_map(mount)
                .collect(),
        )
    }

    /// Returns the disk of a folder. A folder that contains mount points counts as a disk of its own, since
    /// any of them can hang.
    pub(crate) fn disk_of(&self, folder: &Path) -> Disk {
        let holds_mounts = self.within(folder).any(|mounted| mounted != folder);
        let device = folder.ancestors().find_map(|above| self.0.get(above));
        match device {
            Some(device) if !holds_mounts => Disk(device.clone()),
            _ => Disk(folder.to_string_lossy().into_owned()),
        }
    }

    /// Returns the mount points at and below a folder.
    pub(crate) fn within(&self, folder: &Path) -> impl Iterator<Item = &Path> {
        // In path order the contents of a folder follow it directly.
        let from = (Bound::Included(folder), Bound::Unbounded);
        let mounts = self.0.range::<Path, _>(from);
        mounts
            .map(|(mounted, _)| mounted.as_path())
            .take_while(move |mounted| mounted.starts_with(folder))
    }
}

/// Decodes the octal escapes of the mount table for blanks and the like.
fn unescaped(mut field: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(field.len());
    while let [first, after @ ..] = field {
        let (byte, rest) = match field {
            [
                b'\\',
                a @ b'0'..=b'3',
                b @ b'0'..=b'7',
                c @ b'0'..=b'7',
                rest @ ..,
            ] => ((a - b'0') << 6 | (b - b'0') << 3 | (c - b'0'), rest),
            _ => (*first, after),
        };
        out.push(byte);
        field = rest;
    }
    out
}

/// Limits how many homes of each disk are worked on at once. Waiting for a turn costs no thread.
#[derive(Debug, Default)]
pub(crate) struct Turns(ByAccount<Semaphore>);

/// A turn to work on a home, until it is dropped.
#[derive(Debug)]
pub(crate) struct DiskTurn {
    _permit: Option<OwnedSemaphorePermit>,
}

impl Turns {
    /// Waits for a turn on this disk.
    pub(crate) async fn take(&self, disk: &Disk) -> DiskTurn {
        let turns = self.0.join(&disk.0, || Semaphore::new(AT_ONCE));
        // It is never closed.
        DiskTurn {
            _permit: turns.acquire_owned().await.ok(),
        }
    }
}

/// Asks a question about folders, and returns the answers that arrive in time. A thread stays behind for
/// each missing one until its disk answers. Once [`AT_ONCE`] folders of a disk do not answer, its others
/// are skipped. Blocks for at most [`PATIENCE`], and a little more for each silent folder.
pub(crate) fn ask<T: Send + 'static>(
    folders: impl IntoIterator<Item = PathBuf>,
    question: impl Fn(&Path) -> T + Clone + Send + 'static,
) -> HashMap<PathBuf, T> {
    let mounts = Mounts::now();
    let until = Instant::now() + PATIENCE;
    let mut answers = HashMap::new();
    let mut silent: HashMap<Disk, usize> = HashMap::new();
    let mut left: VecDeque<PathBuf> = folders.into_iter().collect();
    while !left.is_empty() {
        let (answer, answered) = mpsc::channel();
        let asked: Vec<_> = left.iter().cloned().collect();
        let question = question.clone();
        thread::spawn(move || {
            for folder in asked {
                // Nobody waits for it after the deadline.
                if answer.send(question(&folder)).is_err() {
                    break;
                }
            }
        });
        while let Some(folder) = left.pop_front() {
            let wait = until.saturating_duration_since(Instant::now());
            match answered.recv_timeout(wait.max(LEAST_PATIENCE)) {
                Ok(answer) => {
                    answers.insert(folder, answer);
                }
                Err(_) => {
                    let disk = mounts.disk_of(&folder);
                    let silences = silent.entry(disk.clone()).or_default();
                    *silences += 1;
                    if *silences >= AT_ONCE {
                        left.retain(|other| mounts.disk_of(other) != disk);
                    }
                    break;
                }
            }
        }
    }
    answers
}

#[cfg(test)]
mod tests {
    use super::*;

    const TABLE: &[u8] = b"\
22 1 8:1 / / rw,relatime - ext4 /dev/sda1 rw
30 22 8:2 / /srv rw,relatime shared:1 - ext4 /dev/sdb1 rw
31 22 0:50 / /srv/nfs rw - nfs4 server:/x rw
32 22 0:51 / /with\\040blank rw - tmpfs none rw
33 22 0:52 / /srv/nfs rw - nfs4 server:/y rw
";

    fn disk_of(folder: &str) -> String {
        Mounts::parse(TABLE).disk_of(Path::new(folder)).0
    }

    #[test]
    fn a_folder_is_on_the_disk_that_is_mounted_nearest_above_it() {
        for (folder, disk) in [
            ("/home/anna", "8:1"),
            ("/srv/anna", "8:2"),
            ("/srv2/anna", "8:1"),
            ("/srv/nfs/anna", "0:52"),
            ("/srv/nfs", "0:52"),
            ("/srv/nfs2", "8:2"),
            ("/with blank/anna", "0:51"),
            // It contains mount points.
            ("/srv", "/srv"),
        ] {
            assert_eq!(disk_of(folder), disk, "{folder}");
        }
        let none = Mounts::parse(b"").disk_of(Path::new("/srv/anna"));
        assert_eq!(none.0, "/srv/anna");
        assert!(!Mounts::now().0.is_empty());
    }

    #[test]
    fn mounts_within_a_folder_are_found() {
        let mounts = Mounts::parse(TABLE);
        for (folder, within) in [
            ("/srv", &["/srv", "/srv/nfs"][..]),
            ("/srv/nfs", &["/srv/nfs"]),
            ("/srv/nf", &[]),
            ("/srv/nfs/anna", &[]),
            ("/with", &[]),
            ("/with blank", &["/with blank"]),
        ] {
            let found: Vec<_> = mounts.within(Path::new(folder)).collect();
            assert_eq!(found, within.iter().map(Path::new).collect::<Vec<_>>());
        }
    }

    #[test]
    fn paths_with_octal_digits_are_those_of_the_disk() {
        for (field, path) in [
            (&br"/mnt/a\040b\134"[..], &br"/mnt/a b\"[..]),
            (br"\012\303\244", b"\n\xc3\xa4"),
            (br"/a\04", br"/a\04"),
            (br"/a\999", br"/a\999"),
        ] {
            assert_eq!(unescaped(field), path);
        }
    }

    #[tokio::test]
    async fn each_disk_has_turns_of_its_own() {
        let turns = Turns::default();
        let (one, other) = (Disk("one".into()), Disk("other".into()));
        let mut held = Vec::new();
        for _ in 0..AT_ONCE {
            held.push(turns.take(&one).await);
        }
        turns.take(&other).await;
        let next = tokio::time::timeout(Duration::from_millis(50), turns.take(&one));
        assert!(next.await.is_err());
        held.pop();
        turns.take(&one).await;
    }

    #[test]
    fn who_answers_is_heard() {
        let folders = ["/", "/proc"].map(PathBuf::from);
        let answers = ask(folders.clone(), |folder| folder.is_dir());
        assert_eq!(answers, folders.map(|folder| (folder, true)).into());
    }
}
