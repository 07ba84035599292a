//! What the operating system reports about the server's process.

use std::fs;
use std::path::Path;
use std::time::Duration;

use super::TestServer;

impl TestServer {
    /// Returns the number of open descriptors, without those of the database and the audit log, which come
    /// and go.
    pub fn open_files(&self) -> usize {
        fs::read_dir(format!("/proc/{}/fd", self.process_id()))
            .unwrap()
            .filter_map(|entry| fs::read_link(entry.ok()?.path()).ok())
            .filter(|file| {
                let name = file.to_string_lossy();
                !name.contains("/landfall.db") && !name.contains("/audit")
            })
            .count()
    }

    /// Returns a line of /proc/PID/status, in kB: VmHWM (highest resident memory), VmRSS.
    pub fn memory_kib(&self, field: &str) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.process_id())).unwrap();
        number_in(&status, field)
    }

    /// Returns the number of threads.
    pub fn threads(&self) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.process_id())).unwrap();
        number_in(&status, "Threads:")
    }

    /// Returns the CPU time used so far.
    pub fn cpu_time(&self) -> Duration {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.process_id())).unwrap();
        let (_, after) = stat.rsplit_once(')').unwrap();
        let fields: Vec<&str> = after.split_whitespace().collect();
        let ticks: u64 = fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap();
        Duration::from_millis(ticks * 1000 / rustix::param::clock_ticks_per_second())
    }
}

/// Returns the number in a line of a status file in /proc.
pub fn number_in(status: &str, field: &str) -> u64 {
    let line = status.lines().find(|line| line.starts_with(field)).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

/// Returns what each thread of a process waits for, as far as the system tells: system calls only to root.
pub fn threads_of(process: u32) -> String {
    let tasks = fs::read_dir(format!("/proc/{process}/task"));
    let tasks = tasks.into_iter().flatten().flatten();
    let told = |task: &Path, file: &str| fs::read_to_string(task.join(file)).unwrap_or_default();
    tasks
        .map(|entry| entry.path())
        .map(|task| format!("{}{}\n", told(&task, "comm"), told(&task, "stack")))
        .collect()
}
