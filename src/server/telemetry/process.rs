//! Resource usage of the process, for the metrics (`process_*`).

use std::fs::File;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use rustix::fs::{Dir, Mode, OFlags};
use rustix::process::{Resource, getrlimit};
use rustix::time::{ClockId, clock_gettime};

use crate::observe::metrics;
use crate::server::listen::memory::{bytes, now};

/// Files of /proc, opened before the process entered its sandbox.
pub(in crate::server) struct Process {
    status: Option<File>,
    descriptors: Mutex<Option<Dir>>,
}

impl Process {
    /// Opens the files.
    pub(in crate::server) fn open() -> Self {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let descriptors = rustix::fs::open("/proc/self/fd", flags, Mode::empty());
        Self {
            status: File::open("/proc/self/status").ok(),
            descriptors: Mutex::new(descriptors.and_then(Dir::new).ok()),
        }
    }

    /// Reads the current values. With many descriptors this takes milliseconds.
    pub(in crate::server) fn look(&self) -> metrics::ProcessUsage {
        let status = self.status.as_ref().map(now).unwrap_or_default();
        let cpu = clock_gettime(ClockId::ProcessCPUTime);
        metrics::ProcessUsage {
            cpu: Duration::try_from(cpu).unwrap_or_default(),
            resident: bytes(&status, "VmRSS:"),
            virtual_memory: bytes(&status, "VmSize:"),
            open_descriptors: self.open_descriptors(),
            most_descriptors: getrlimit(Resource::Nofile).current,
        }
    }

    fn open_descriptors(&self) -> Option<u64> {
        let folder = self.descriptors.lock();
        let mut folder = folder.unwrap_or_else(PoisonError::into_inner);
        let folder = folder.as_mut()?;
        folder.rewind();
        let names = folder.filter_map(Result::ok);
        // All but "." and "..".
        let open = names.filter(|entry| !entry.file_name().to_bytes().starts_with(b"."));
        u64::try_from(open.count()).ok()
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn the_numbers_follow_the_process() {
        let process = Process::open();
        let before = process.look();
        let open = before.open_descriptors.unwrap();
        let more: Vec<_> = (0..100).map(|_| File::open("/dev/null").unwrap()).collect();
        let after = process.look();
        // Other tests open and close files meanwhile.
        assert!(after.open_descriptors.unwrap() >= open + 50);
        assert!(after.open_descriptors < after.most_descriptors);
        assert!(after.cpu > Duration::ZERO && after.cpu >= before.cpu);
        assert!(after.resident.unwrap() > 1 << 20 && after.resident <= after.virtual_memory);
        drop(more);
    }
}
