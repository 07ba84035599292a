//! Detects a memory shortage, from this process's limit and from the memory that the system has left.
//!
//! A process that runs out of memory ends with all its sessions. So during a shortage existing sessions
//! continue and new connections are accepted slowly.

use std::fs::{self, File};
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use tracing::debug;

/// How long a result is reused: connections may arrive by the thousand.
const FRESH: Duration = Duration::from_millis(100);
/// The longest file that is read.
const LONGEST: usize = 8192;
/// The system is short of memory below this much available memory, in bytes, however much it has in all.
const LITTLE: u64 = 256 << 20;

/// Watches the memory of the process and of the system.
pub(in crate::server) struct MemoryWatch {
    /// The files were opened before the process entered its sandbox.
    process: Option<File>,
    system: Option<File>,
    /// The limit of this process, in bytes.
    most: Option<u64>,
    last: Mutex<Option<(Instant, bool)>>,
}

impl MemoryWatch {
    /// `most` is the configured limit. Without it the limit is slightly below that of the kernel
    /// (memory.max and memory.high of the cgroup and those around it).
    pub(in crate::server) fn new(most: Option<u64>) -> Self {
        let most = most.or_else(|| of_cgroup().map(|most| most - most / 8));
        debug!(?most, "memory beyond which connections are accepted slowly");
        Self {
            process: File::open("/proc/self/status").ok(),
            system: File::open("/proc/meminfo").ok(),
            most,
            last: Mutex::default(),
        }
    }

    /// Returns whether memory is short; false if that is unknown.
    pub(in crate::server) fn is_short(&self) -> bool {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        match *last {
            Some((asked, answer)) if asked.elapsed() < FRESH => answer,
            _ => {
                let answer = self.holds_too_much() || self.has_little_left();
                *last = Some((Instant::now(), answer));
                answer
            }
        }
    }

    fn holds_too_much(&self) -> bool {
        let Some((process, most)) = self.process.as_ref().zip(self.most) else {
            return false;
        };
        // The kernel reclaims pages mapped from files by itself.
        bytes(&now(process), "RssAnon:").is_some_and(|held| held > most)
    }

    fn has_little_left(&self) -> bool {
        let Some(system) = &self.system else {
            return false;
        };
        let text = now(system);
        let (all, left) = (bytes(&text, "MemTotal:"), bytes(&text, "MemAvailable:"));
        all.zip(left)
            .is_some_and(|(all, left)| left < LITTLE.min(all / 32))
    }
}

/// Reads the current content of a file in /proc.
pub(in crate::server) fn now(file: &File) -> String {
    let mut text = vec![0; LONGEST];
    let length = file.read_at(&mut text, 0).unwrap_or(0);
    text.truncate(length);
    String::from_utf8_lossy(&text).into_owned()
}

/// Returns the value of a line such as `MemTotal:  8000 kB` (proc_meminfo(5), proc_pid_status(5)).
pub(in crate::server) fn bytes(text: &str, name: &str) -> Option<u64> {
    let value = text.lines().find_map(|line| line.strip_prefix(name))?;
    let kibibytes: u64 = value.trim().strip_suffix("kB")?.trim().parse().ok()?;
    kibibytes.checked_mul(1024)
}

/// Returns the smallest limit of this process's cgroup and those around it; version 2 or 1 (cgroups(7)).
fn of_cgroup() -> Option<u64> {
    const ROOT: &str = "/sys/fs/cgroup";
    let groups = fs::read_to_string("/proc/self/cgroup").ok()?;
    groups
        .lines()
        .filter_map(|line| {
            let mut fields = line.splitn(3, ':').skip(1);
            let (controllers, path) = (fields.next()?, fields.next()?.trim_start_matches('/'));
            match controllers {
                "" => least(Path::new(ROOT), path, &["memory.max", "memory.high"]),
                "memory" => {
                    let root = Path::new(ROOT).join("memory");
                    least(&root, path, &["memory.limit_in_bytes"])
                }
                _ => None,
            }
        })
        .min()
}

/// Returns the smallest number in files of these names, in a group and in those around it.
fn least(root: &Path, group: &str, names: &[&str]) -> Option<u64> {
    root.join(group)
        .ancestors()
        .take_while(|group| group.starts_with(root))
        .flat_map(|group| names.iter().map(|name| group.join(name)))
        // "max" means no limit.
        .filter_map(|file| fs::read_to_string(file).ok()?.trim().parse().ok())
        .min()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_proc_are_read() {
        let text =
            "MemTotal:       24000000 kB\nMemFree: 1 kB\nMemAvailable:\t 5 kB\nVmPin: x kB\n";
        assert_eq!(bytes(text, "MemTotal:"), Some(24_000_000 * 1024));
        assert_eq!(bytes(text, "MemAvailable:"), Some(5 * 1024));
        assert_eq!(bytes(text, "VmPin:"), None);
        assert_eq!(bytes(text, "RssAnon:"), None);
    }

    #[test]
    fn the_narrowest_group_counts_and_max_is_no_limit() {
        let root = tempfile::tempdir().unwrap();
        let unit = root.path().join("system.slice/landfall.service");
        fs::create_dir_all(&unit).unwrap();
        let found = || {
            let names = ["memory.max", "memory.high"];
            least(root.path(), "system.slice/landfall.service", &names)
        };
        fs::write(unit.join("memory.max"), "max\n").unwrap();
        assert_eq!(found(), None);
        fs::write(unit.join("memory.max"), "5000\n").unwrap();
        fs::write(unit.join("memory.high"), "4000\n").unwrap();
        assert_eq!(found(), Some(4000));
        fs::write(root.path().join("system.slice/memory.max"), "3000").unwrap();
        assert_eq!(found(), Some(3000));
    }

    #[test]
    fn this_process_holds_more_than_a_byte_and_less_than_a_tebibyte() {
        assert!(MemoryWatch::new(Some(1)).is_short());
        assert!(!MemoryWatch::new(Some(1 << 40)).holds_too_much());
    }
}
