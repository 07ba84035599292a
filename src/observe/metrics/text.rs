//! The text of the metrics: Prometheus's exposition format, version 0.0.4.

use std::fmt::{Display, Write as _};
use std::time::Duration;

use super::{BUCKETS, Counter, Histogram, Metrics};
use crate::io::pool;
use crate::values::label::Label as _;

/// Values that other modules count.
#[derive(Debug, Default)]
pub struct ExternalMetrics {
    /// Resources of the process.
    pub process: ProcessUsage,
    /// The file systems of the data folder and the homes.
    pub file_systems: Vec<FileSystem>,
    /// Whether the last configuration was applied.
    pub is_reloaded: bool,
    /// When a configuration was last applied: seconds since 1970.
    pub reloaded_at: i64,
    /// Maximum number of connections.
    pub max_connections: usize,
    /// Connections without a login from which on all others are refused.
    pub max_waiting: usize,
    /// Connections without a login.
    pub waiting: usize,
    /// Banned sources.
    pub banned: usize,
    /// Refused connections by reason.
    pub refused: Vec<(&'static str, u64)>,
    /// Lost events of the audit log since the start.
    pub audit_lost: u64,
    /// Events that were combined into one line.
    pub audit_folded: u64,
    /// Dropped lines of the log.
    pub log_dropped: u64,
    /// Usage of accounts, if configured.
    pub accounts: Vec<AccountMetrics>,
}

/// Resources that the process uses; `None` is unknown.
#[derive(Debug, Default)]
pub struct ProcessUsage {
    /// CPU time in user and kernel mode.
    pub cpu: Duration,
    /// Resident memory in bytes.
    pub resident: Option<u64>,
    /// Address space in bytes.
    pub virtual_memory: Option<u64>,
    /// Open descriptors.
    pub open_descriptors: Option<u64>,
    /// Maximum number of open descriptors.
    pub most_descriptors: Option<u64>,
}

/// A file system.
#[derive(Debug)]
pub struct FileSystem {
    /// A folder on it.
    pub folder: String,
    /// `None` if it does not answer.
    pub space: Option<DiskSpace>,
}

/// Space on a file system.
#[derive(Debug)]
pub struct DiskSpace {
    /// In bytes.
    pub size: u64,
    /// In bytes, for a user other than root.
    pub available: u64,
    /// Inodes; 0 without a limit.
    pub files: u64,
    /// Free inodes.
    pub files_free: u64,
}

/// Usage and quota of an account.
#[derive(Debug)]
pub struct AccountMetrics {
    /// Its name.
    pub name: String,
    /// Bytes and files, if they were ever counted.
    pub used: Option<(u64, u64)>,
    /// Quota of bytes.
    pub bytes_limit: Option<u64>,
    /// Quota of files.
    pub files_limit: Option<u64>,
    /// Last login: seconds since 1970.
    pub last_login: Option<i64>,
}

impl Metrics {
    /// Returns all metrics as text.
    pub fn text(&self, external: &ExternalMetrics) -> String {
        let mut page = MetricsPage::default();
        page.head("build_info", "gauge", "Version of the running server.");
        page.value("build_info", &[("version", env!("CARGO_PKG_VERSION"))], 1);
        page.process(&external.process, self.began);
        page.head(
            "connections",
            "gauge",
            "Open connections, logged in or not.",
        );
        page.value("connections", &[], self.connections.get());
        page.head("max_connections", "gauge", "Maximum number of connections.");
        page.value("max_connections", &[], external.max_connections);
        page.head(
            "connections_total",
            "counter",
            "Accepted connections since the start.",
        );
        page.value("connections_total", &[], self.accepted.get());
        page.head(
            "waiting_connections",
            "gauge",
            "Connections without a login.",
        );
        page.value("waiting_connections", &[], external.waiting);
        page.head(
            "max_waiting_connections",
            "gauge",
            "Connections without a login from which on all others are refused.",
        );
        page.value("max_waiting_connections", &[], external.max_waiting);
        page.head(
            "refused_connections_total",
            "counter",
            "Connections refused by admission control.",
        );
        for (reason, count) in &external.refused {
            page.value("refused_connections_total", &[("reason", reason)], count);
        }
        page.head("banned_sources", "gauge", "Banned source addresses.");
        page.value("banned_sources", &[], external.banned);
        page.head("sessions", "gauge", "Open sessions.");
        page.value("sessions", &[], self.sessions.get());

        page.head("logins_total", "counter", "Logins and refused attempts.");
        for (outcome, logins) in self.logins.iter() {
            for (method, count) in logins.iter() {
                let labels = [("method", method.name()), ("result", outcome.name())];
                page.value("logins_total", &labels, count.get());
            }
        }
        page.head("file_bytes_total", "counter", "Bytes of transferred files.");
        for (direction, bytes) in self.bytes.iter() {
            let labels = [("direction", direction.name())];
            page.value("file_bytes_total", &labels, bytes.get());
        }
        page.head(
            "transfers_total",
            "counter",
            "Uploads and downloads, by result.",
        );
        for (direction, transfers) in self.transfers.iter() {
            for (result, count) in transfers.iter() {
                let labels = [("direction", direction.name()), ("result", result.name())];
                page.value("transfers_total", &labels, count.get());
            }
        }
        page.head(
            "refusals_total",
            "counter",
            "Refused operations, by reason.",
        );
        for (reason, count) in self.refusals.iter() {
            page.value("refusals_total", &[("reason", reason.name())], count.get());
        }
        page.head(
            "request_duration_seconds",
            "histogram",
            "Duration of SFTP requests in seconds.",
        );
        for (request, histogram) in self.requests.iter() {
            let label = ("request", request.name());
            page.histogram("request_duration_seconds", label, histogram);
        }
        page.head("backlog_bytes", "gauge", "Bytes of waiting requests.");
        page.value("backlog_bytes", &[], self.backlog.get());
        page.head(
            "blocking_tasks",
            "gauge",
            "Running and waiting work that may wait for a disk.",
        );
        page.value("blocking_tasks", &[], pool::at_work());
        page.head(
            "audit_lost_total",
            "counter",
            "Lost events of the audit log.",
        );
        page.value("audit_lost_total", &[], external.audit_lost);
        page.head(
            "audit_folded_total",
            "counter",
            "Events of the audit log that were combined into one line.",
        );
        page.value("audit_folded_total", &[], external.audit_folded);
        page.head(
            "log_dropped_total",
            "counter",
            "Dropped log lines, which the reader did not read in time.",
        );
        page.value("log_dropped_total", &[], external.log_dropped);
        page.head(
            "config_last_reload_successful",
            "gauge",
            "Whether the last configuration was applied.",
        );
        let applied = u8::from(external.is_reloaded);
        page.value("config_last_reload_successful", &[], applied);
        page.head(
            "config_last_reload_success_timestamp_seconds",
            "gauge",
            "When a configuration was last applied, since 1970.",
        );
        page.value(
            "config_last_reload_success_timestamp_seconds",
            &[],
            external.reloaded_at,
        );
        page.file_systems(&external.file_systems);
        page.accounts(&external.accounts);
        page.0
    }
}

#[derive(Default)]
struct MetricsPage(String);

impl MetricsPage {
    fn head(&mut self, name: &str, kind: &str, help: &str) {
        self.full_head(&format!("landfall_{name}"), kind, help);
    }

    fn value(&mut self, name: &str, labels: &[(&str, &str)], value: impl Display) {
        self.full_value(&format!("landfall_{name}"), labels, value);
    }

    /// Appends the head of a metric without Landfall's prefix.
    fn full_head(&mut self, name: &str, kind: &str, help: &str) {
        // Writing to a string does not fail.
        let _ = writeln!(self.0, "# HELP {name} {help}\n# TYPE {name} {kind}");
    }

    fn full_value(&mut self, name: &str, labels: &[(&str, &str)], value: impl Display) {
        let _ = write!(self.0, "{name}");
        for (number, (label, text)) in labels.iter().enumerate() {
            let before = if number == 0 { '{' } else { ',' };
            let text = escape(text);
            let _ = write!(self.0, "{before}{label}=\"{text}\"");
        }
        let after = if labels.is_empty() { "" } else { "}" };
        let _ = writeln!(self.0, "{after} {value}");
    }

    fn histogram(&mut self, name: &str, label: (&str, &str), histogram: &Histogram) {
        let ends = BUCKETS.iter().map(|(end, _)| *end).chain(["+Inf"]);
        let counts: Vec<_> = histogram.buckets.iter().map(Counter::get).collect();
        let mut count = 0;
        for (end, in_bucket) in ends.zip(counts) {
            count += in_bucket;
            self.value(&format!("{name}_bucket"), &[label, ("le", end)], count);
        }
        let seconds = histogram.nanoseconds.get() as f64 / 1e9;
        self.value(&format!("{name}_sum"), &[label], seconds);
        self.value(&format!("{name}_count"), &[label], count);
    }

    /// Uses the names that all client libraries of Prometheus use.
    fn process(&mut self, process: &ProcessUsage, began: i64) {
        let cpu = "process_cpu_seconds_total";
        self.full_head(cpu, "counter", "CPU time, in user and kernel mode.");
        self.full_value(cpu, &[], process.cpu.as_secs_f64());
        for (name, help, value) in [
            (
                "process_resident_memory_bytes",
                "Resident memory.",
                process.resident,
            ),
            (
                "process_virtual_memory_bytes",
                "Address space.",
                process.virtual_memory,
            ),
            (
                "process_open_fds",
                "Open file descriptors.",
                process.open_descriptors,
            ),
            (
                "process_max_fds",
                "Maximum number of open file descriptors.",
                process.most_descriptors,
            ),
            (
                "process_start_time_seconds",
                "Start time of the server, since 1970.",
                u64::try_from(began).ok(),
            ),
        ] {
            if let Some(value) = value {
                self.full_head(name, "gauge", help);
                self.full_value(name, &[], value);
            }
        }
    }

    fn file_systems(&mut self, all: &[FileSystem]) {
        self.head(
            "filesystem_device_error",
            "gauge",
            "Whether the file system of a folder does not answer.",
        );
        for one in all {
            let labels = [("folder", one.folder.as_str())];
            let hangs = u8::from(one.space.is_none());
            self.value("filesystem_device_error", &labels, hangs);
        }
        type Figure = fn(&DiskSpace) -> u64;
        let figures: [(&str, &str, Figure); 4] = [
            ("filesystem_size_bytes", "Size in bytes.", |space| {
                space.size
            }),
            ("filesystem_avail_bytes", "Free bytes.", |space| {
                space.available
            }),
            ("filesystem_files", "Inodes.", |space| space.files),
            ("filesystem_files_free", "Free inodes.", |space| {
                space.files_free
            }),
        ];
        for (name, help, figure) in figures {
            self.head(name, "gauge", help);
            for one in all {
                if let Some(space) = &one.space {
                    let labels = [("folder", one.folder.as_str())];
                    self.value(name, &labels, figure(space));
                }
            }
        }
    }

    fn accounts(&mut self, accounts: &[AccountMetrics]) {
        if accounts.is_empty() {
            return;
        }
        type AccountFigure = fn(&AccountMetrics) -> Option<u64>;
        let figures: [(&str, &str, AccountFigure); 5] = [
            (
                "account_used_bytes",
                "Bytes used by an account.",
                |account| account.used.map(|(bytes, _)| bytes),
            ),
            (
                "account_used_files",
                "Files used by an account.",
                |account| account.used.map(|(_, files)| files),
            ),
            ("account_quota_bytes", "Quota of bytes.", |account| {
                account.bytes_limit
            }),
            ("account_quota_files", "Quota of files.", |account| {
                account.files_limit
            }),
            (
                "account_last_login_timestamp_seconds",
                "Time of the last login, since 1970.",
                |account| account.last_login.and_then(|at| u64::try_from(at).ok()),
            ),
        ];
        for (name, help, figure) in figures {
            self.head(name, "gauge", help);
            for account in accounts {
                if let Some(value) = figure(account) {
                    self.value(name, &[("account", &account.name)], value);
                }
            }
        }
    }
}

fn escape(text: &str) -> String {
    text.replace('\\', "\\\\")
        .replace('"', "\\\"")
        .replace('\n', "\\n")
}
