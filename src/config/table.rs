//! The table of all keys of config.toml.

// Each setter is one assignment and returns its unit.
#![allow(clippy::unit_arg)]

use std::ops::RangeInclusive;
use std::path::Path;
use std::time::Duration;

use super::settings::{Algorithms, Config};
use super::value::{self, Parsed, Value};
use crate::observe::audit::OnFailure;
use crate::observe::log::LogFormat;

/// A key of the configuration.
pub(super) struct ConfigKey {
    pub(super) section: &'static str,
    pub(super) name: &'static str,
    /// Whether a reload applies a changed value, to new sessions at least.
    pub(super) live: bool,
    /// Its default, as TOML.
    pub(super) default: &'static str,
    /// Its description, for messages and the shipped config.toml.
    pub(super) doc: &'static str,
    /// Parses a value into the configuration, with paths relative to the directory.
    pub(super) set: fn(&mut Config, &Value<'_>, &Path) -> Parsed<()>,
}

/// Least memory of a password hash: less does not slow down an attacker with a stolen database.
pub(super) const LEAST_HASH_MEMORY: u64 = 8 << 20;
const MOST_HASH_MEMORY: u64 = 1 << 30;

const HOUR: Duration = Duration::from_secs(3600);
/// Range of a penalty.
const PENALTY: RangeInclusive<Duration> = Duration::ZERO..=HOUR;
/// Range of a ban.
const BAN: RangeInclusive<Duration> = Duration::from_secs(1)..=Duration::from_secs(24 * 3600);

/// Every key, in the order of the shipped config.toml.
pub(super) const KEYS: &[ConfigKey] = &[
    ConfigKey {
        section: "server",
        name: "listen",
        live: false,
        default: "[\"127.0.0.1:2022\"]",
        doc: "Addresses to listen on, each an IP address with a port.",
        set: |config, value, _| Ok(config.server.listen = value::addresses(value)?),
    },
    ConfigKey {
        section: "server",
        name: "data",
        live: false,
        default: "\"data\"",
        doc: "Folder of all state: the database and the homes.",
        set: |config, value, base| Ok(config.server.data = value::folder(value, base)?),
    },
    ConfigKey {
        section: "server",
        name: "keys",
        live: false,
        default: "\"keys\"",
        doc: "Folder of the host keys.",
        set: |config, value, base| Ok(config.server.keys = value::folder(value, base)?),
    },
    ConfigKey {
        section: "server",
        name: "shards",
        live: false,
        default: "0",
        doc: "Worker threads that serve connections; 0 is one per processor.",
        set: |config, value, _| {
            let shards = value::integer(value, 0..=1024)?;
            config.server.shards = if shards == 0 { processors() } else { shards };
            Ok(())
        },
    },
    ConfigKey {
        section: "server",
        name: "max_connections",
        live: true,
        default: "1000",
        doc: "Maximum number of connections. An account may have half of those that other accounts and max_startups leave.",
        set: |config, value, _| {
            Ok(config.server.max_connections = value::integer(value, 1..=1_000_000)?)
        },
    },
    ConfigKey {
        section: "server",
        name: "max_memory",
        live: false,
        default: "\"none\"",
        doc: "Memory above which only one connection per second is accepted; \"none\" is slightly below the cgroup's limit.",
        set: |config, value, _| Ok(config.server.max_memory = value::size_or_none(value)?),
    },
    ConfigKey {
        section: "server",
        name: "proxies",
        live: true,
        default: "[]",
        doc: "Networks of load balancers, which start each connection with a PROXY protocol v2 header.",
        set: |config, value, _| Ok(config.server.proxies = value::networks(value)?),
    },
    ConfigKey {
        section: "server",
        name: "stop_grace",
        live: true,
        default: "\"30s\"",
        doc: "Time for transfers to finish when the server stops.",
        set: |config, value, _| {
            let range = Duration::ZERO..=HOUR;
            Ok(config.server.stop_grace = value::duration(value, range)?)
        },
    },
    ConfigKey {
        section: "admission",
        name: "max_startups",
        live: true,
        default: "\"100:30:300\"",
        doc: "Limits unauthenticated connections like sshd's MaxStartups: start:percent:full.",
        set: |config, value, _| Ok(config.admission.startups = value::startups(value)?),
    },
    ConfigKey {
        section: "admission",
        name: "per_source",
        live: true,
        default: "32",
        doc: "Maximum number of unauthenticated connections from one source address.",
        set: |config, value, _| {
            Ok(config.admission.per_source = value::integer(value, 1..=1_000_000)?)
        },
    },
    ConfigKey {
        section: "admission",
        name: "ipv4_prefix",
        live: true,
        default: "32",
        doc: "Prefix length of IPv4 addresses that count as one source.",
        set: |config, value, _| Ok(config.admission.ipv4_prefix = value::integer(value, 8..=32)?),
    },
    ConfigKey {
        section: "admission",
        name: "ipv6_prefix",
        live: true,
        default: "64",
        doc: "Prefix length of IPv6 addresses that count as one source.",
        set: |config, value, _| Ok(config.admission.ipv6_prefix = value::integer(value, 16..=128)?),
    },
    ConfigKey {
        section: "admission",
        name: "penalties",
        live: true,
        default: "true",
        doc: "Ban source addresses for a while that fail to log in, scan, or violate the protocol.",
        set: |config, value, _| Ok(config.admission.penalties.enabled = value::boolean(value)?),
    },
    ConfigKey {
        section: "admission",
        name: "failed_login",
        live: true,
        default: "\"5s\"",
        doc: "Penalty for every three failed attempts to log in.",
        set: |config, value, _| {
            Ok(config.admission.penalties.failed_login = value::duration(value, PENALTY)?)
        },
    },
    ConfigKey {
        section: "admission",
        name: "no_login",
        live: true,
        default: "\"1s\"",
        doc: "Penalty for a connection without an attempt to log in.",
        set: |config, value, _| {
            Ok(config.admission.penalties.no_login = value::duration(value, PENALTY)?)
        },
    },
    ConfigKey {
        section: "admission",
        name: "scan",
        live: true,
        default: "\"10s\"",
        doc: "Penalty for data that is not SSH.",
        set: |config, value, _| {
            Ok(config.admission.penalties.scan = value::duration(value, PENALTY)?)
        },
    },
    ConfigKey {
        section: "admission",
        name: "late",
        live: true,
        default: "\"10s\"",
        doc: "Penalty for no login within login.grace_time.",
        set: |config, value, _| {
            Ok(config.admission.penalties.late = value::duration(value, PENALTY)?)
        },
    },
    ConfigKey {
        section: "admission",
        name: "abuse",
        live: true,
        default: "\"10s\"",
        doc: "Penalty for violating the protocol before the login.",
        set: |config, value, _| {
            Ok(config.admission.penalties.abuse = value::duration(value, PENALTY)?)
        },
    },
    ConfigKey {
        section: "admission",
        name: "min_ban",
        live: true,
        default: "\"15s\"",
        doc: "Penalties that ban a source; the ban lasts until they have run down. Each ban doubles later penalties.",
        set: |config, value, _| Ok(config.admission.penalties.least = value::duration(value, BAN)?),
    },
    ConfigKey {
        section: "admission",
        name: "max_ban",
        live: true,
        default: "\"10m\"",
        doc: "The longest ban.",
        set: |config, value, _| Ok(config.admission.penalties.most = value::duration(value, BAN)?),
    },
    ConfigKey {
        section: "admission",
        name: "trust",
        live: true,
        default: "\"7d\"",
        doc: "Time for which a login protects its source address from bans and from max_startups.",
        set: |config, value, _| {
            let range = Duration::ZERO..=HOUR * 24 * 365;
            Ok(config.admission.trust = value::duration(value, range)?)
        },
    },
    ConfigKey {
        section: "admission",
        name: "max_sources",
        live: true,
        default: "65536",
        doc: "Number of IPv4 and of IPv6 sources that are remembered.",
        set: |config, value, _| {
            Ok(config.admission.max_sources = value::integer(value, 1..=10_000_000)?)
        },
    },
    ConfigKey {
        section: "admission",
        name: "exempt",
        live: true,
        default: "[]",
        doc: "Networks that are never banned.",
        set: |config, value, _| Ok(config.admission.exempt = value::networks(value)?),
    },
    ConfigKey {
        section: "login",
        name: "grace_time",
        live: true,
        default: "\"60s\"",
        doc: "Time from the connection to the login.",
        set: |config, value, _| {
            let range = Duration::from_secs(1)..=Duration::from_secs(3600);
            Ok(config.login.grace_time = value::duration(value, range)?)
        },
    },
    ConfigKey {
        section: "login",
        name: "max_attempts",
        live: true,
        default: "10",
        doc: "Failed attempts to log in after which a connection is closed.",
        set: |config, value, _| Ok(config.login.max_attempts = value::integer(value, 1..=1000)?),
    },
    ConfigKey {
        section: "login",
        name: "argon2_memory",
        live: true,
        default: "\"19MiB\"",
        doc: "Memory of a password hash (argon2id).",
        set: |config, value, _| {
            let bytes = value::size(value, LEAST_HASH_MEMORY..=MOST_HASH_MEMORY)?;
            // In range, so it fits.
            config.login.argon2_memory = u32::try_from(bytes >> 10).unwrap_or(u32::MAX);
            Ok(())
        },
    },
    ConfigKey {
        section: "login",
        name: "argon2_passes",
        live: true,
        default: "2",
        doc: "Passes over the memory (argon2id).",
        set: |config, value, _| Ok(config.login.argon2_passes = value::integer(value, 1..=1000)?),
    },
    ConfigKey {
        section: "login",
        name: "argon2_lanes",
        live: true,
        default: "1",
        doc: "Lanes (argon2id).",
        set: |config, value, _| Ok(config.login.argon2_lanes = value::integer(value, 1..=64)?),
    },
    ConfigKey {
        section: "login",
        name: "parallel_hashes",
        live: true,
        default: "0",
        doc: "Passwords that are hashed at the same time; 0 is one per processor.",
        set: |config, value, _| Ok(config.login.parallel_hashes = value::integer(value, 0..=1024)?),
    },
    ConfigKey {
        section: "login",
        name: "user_ca_keys",
        live: true,
        default: "\"\"",
        doc: "File of public keys of certificate authorities; certificates by them can log in (see PROTOCOL.md).",
        set: |config, value, base| Ok(config.login.user_ca_keys = value::file_or_none(value, base)?),
    },
    ConfigKey {
        section: "login",
        name: "revoked_keys",
        live: true,
        default: "\"\"",
        doc: "File of revoked keys: made by ssh-keygen -k, or a list of public keys and fingerprints.",
        set: |config, value, base| Ok(config.login.revoked_keys = value::file_or_none(value, base)?),
    },
    ConfigKey {
        section: "ssh",
        name: "algorithms",
        live: true,
        default: "\"modern\"",
        doc: "\"modern\", \"compatible\" (FIPS mode, older libraries) or \"legacy\" (SHA-1, CBC): see PROTOCOL.md.",
        set: |config, value, _| {
            let choices = Algorithms::ALL.map(|setting| (setting.name(), setting));
            Ok(config.ssh.algorithms = value::one_of(value, &choices)?)
        },
    },
    ConfigKey {
        section: "ssh",
        name: "legacy",
        live: true,
        default: "false",
        doc: "Deprecated; true means algorithms = \"legacy\".",
        set: |config, value, _| Ok(config.ssh.legacy = value::boolean(value)?),
    },
    ConfigKey {
        section: "ssh",
        name: "post_quantum_only",
        live: true,
        default: "false",
        doc: "Refuse clients without mlkem768x25519-sha256, such as OpenSSH before 9.9.",
        set: |config, value, _| Ok(config.ssh.post_quantum_only = value::boolean(value)?),
    },
    ConfigKey {
        section: "ssh",
        name: "rekey_bytes",
        live: true,
        default: "\"1GiB\"",
        doc: "Bytes in one direction after which a connection exchanges keys again.",
        set: |config, value, _| {
            let bytes = value::size(value, 1 << 20..=1 << 30)?;
            // In range, so it fits.
            config.ssh.rekey_bytes = usize::try_from(bytes).unwrap_or(1 << 30);
            Ok(())
        },
    },
    ConfigKey {
        section: "ssh",
        name: "rekey_time",
        live: true,
        default: "\"1h\"",
        doc: "Time after which a connection exchanges keys again.",
        set: |config, value, _| {
            let range = Duration::from_secs(1)..=HOUR * 24;
            Ok(config.ssh.rekey_time = value::duration(value, range)?)
        },
    },
    ConfigKey {
        section: "ssh",
        name: "keepalive",
        live: true,
        default: "\"60s\"",
        doc: "Send a keepalive after this much silence; disconnect after four go unanswered.",
        set: |config, value, _| {
            let range = Duration::from_secs(1)..=HOUR;
            Ok(config.ssh.keepalive = value::duration(value, range)?)
        },
    },
    ConfigKey {
        section: "ssh",
        name: "busy_poll",
        live: true,
        default: "true",
        doc: "Busy-poll for clients that send each request within 200 us of a reply, while a processor is idle.",
        set: |config, value, _| {
            Ok(config.ssh.busy_poll = value::boolean(value)? && processors() > 1)
        },
    },
    ConfigKey {
        section: "sandbox",
        name: "landlock",
        live: false,
        default: "true",
        doc: "Let the kernel restrict the server to its own files, homes and ports (Landlock).",
        set: |config, value, _| Ok(config.sandbox.landlock = value::boolean(value)?),
    },
    ConfigKey {
        section: "sandbox",
        name: "seccomp",
        live: false,
        default: "true",
        doc: "Let the kernel refuse system calls that a file server does not need (seccomp).",
        set: |config, value, _| Ok(config.sandbox.seccomp = value::boolean(value)?),
    },
    ConfigKey {
        section: "sandbox",
        name: "homes",
        live: false,
        default: "[]",
        doc: "Folders outside of data in which homes may be added while the server runs.",
        set: |config, value, base| Ok(config.sandbox.homes = value::homes(value, base)?),
    },
    ConfigKey {
        section: "guest",
        name: "enabled",
        live: true,
        default: "false",
        doc: "Let anybody log in as guest, without a password.",
        set: |config, value, _| Ok(config.guest.enabled = value::boolean(value)?),
    },
    ConfigKey {
        section: "guest",
        name: "name",
        live: true,
        default: "\"guest\"",
        doc: "Name of the guest account, which the server creates.",
        set: |config, value, _| Ok(config.guest.name = value::user_name(value)?),
    },
    ConfigKey {
        section: "guest",
        name: "home",
        live: true,
        default: "\"\"",
        doc: "Home of the guest; \"\" is a folder of that name in data/homes.",
        set: |config, value, base| Ok(config.guest.home = value::home_or_none(value, base)?),
    },
    ConfigKey {
        section: "guest",
        name: "permissions",
        live: true,
        default: "[\"read-only\"]",
        doc: "Permissions of the guest, as for `landfall user add --permissions`.",
        set: |config, value, _| Ok(config.guest.permissions = value::permissions(value)?),
    },
    ConfigKey {
        section: "guest",
        name: "quota",
        live: true,
        default: "\"none\"",
        doc: "Maximum size of all files of the guest, such as \"10GiB\".",
        set: |config, value, _| Ok(config.guest.quota.0 = value::size_or_none(value)?),
    },
    ConfigKey {
        section: "guest",
        name: "max_files",
        live: true,
        default: "0",
        doc: "Maximum number of files of the guest; 0 is no limit.",
        set: |config, value, _| Ok(config.guest.quota.1 = value::limit(value, i64::MAX as u64)?),
    },
    ConfigKey {
        section: "guest",
        name: "max_sessions",
        live: true,
        default: "10",
        doc: "Maximum number of concurrent guest sessions; 0 is no limit.",
        set: |config, value, _| Ok(config.guest.max_sessions = value::limit(value, 1_000_000)?),
    },
    ConfigKey {
        section: "sftp",
        name: "max_handles",
        live: true,
        default: "16384",
        doc: "Files and directories that one SFTP session may hold open, within the share of its account.",
        set: |config, value, _| Ok(config.sftp.max_handles = value::integer(value, 1..=100_000)?),
    },
    ConfigKey {
        section: "sftp",
        name: "max_channels",
        live: true,
        default: "10",
        doc: "Concurrent SFTP sessions and commands of one connection.",
        set: |config, value, _| Ok(config.sftp.max_channels = value::integer(value, 1..=1000)?),
    },
    ConfigKey {
        section: "sftp",
        name: "requests_per_second",
        live: true,
        default: "0",
        doc: "Requests per second of an account: SFTP requests, commands and their files, and files of scp; 0 is no limit.",
        set: |config, value, _| {
            Ok(config.sftp.requests_per_second = value::limit(value, 1_000_000)?)
        },
    },
    ConfigKey {
        section: "sftp",
        name: "umask",
        live: true,
        default: "\"022\"",
        doc: "umask for new files and directories, in octal.",
        set: |config, value, _| Ok(config.sftp.umask = value::umask(value)?),
    },
    ConfigKey {
        section: "uploads",
        name: "safe_overwrite",
        live: true,
        default: "false",
        doc: "Overwrite files safely: the existing file stays until the new one is complete (see PROTOCOL.md).",
        set: |config, value, _| Ok(config.uploads.safe_overwrite = value::boolean(value)?),
    },
    ConfigKey {
        section: "uploads",
        name: "fsync_on_close",
        live: true,
        default: "false",
        doc: "Reply to a CLOSE only when the file would survive a power failure.",
        set: |config, value, _| Ok(config.uploads.fsync_on_close = value::boolean(value)?),
    },
    ConfigKey {
        section: "uploads",
        name: "sweep_after",
        live: true,
        default: "\"7d\"",
        doc: "Age at which leftover temporary files of safe overwrites are removed.",
        set: |config, value, _| {
            let range = HOUR..=HOUR * 24 * 365;
            Ok(config.uploads.sweep_after = value::duration(value, range)?)
        },
    },
    ConfigKey {
        section: "log",
        name: "level",
        live: true,
        default: "\"info\"",
        doc: "Least severe messages that are logged: error, warn, info, debug or trace.",
        set: |config, value, _| Ok(config.log.level = value::level(value)?),
    },
    ConfigKey {
        section: "log",
        name: "format",
        live: false,
        default: "\"text\"",
        doc: "\"text\" or \"json\" on standard error, or \"journald\" for systemd's journal.",
        set: |config, value, _| {
            let choices = [
                ("text", LogFormat::Text),
                ("json", LogFormat::Json),
                ("journald", LogFormat::Journald),
            ];
            Ok(config.log.format = value::one_of(value, &choices)?)
        },
    },
    ConfigKey {
        section: "audit",
        name: "enabled",
        live: false,
        default: "true",
        doc: "Record who did what, in audit.jsonl and audit-operations.jsonl in the data folder (see docs/audit.md).",
        set: |config, value, _| Ok(config.audit.enabled = value::boolean(value)?),
    },
    ConfigKey {
        section: "audit",
        name: "file_size",
        live: false,
        default: "\"100MiB\"",
        doc: "Size at which each of the two files is rotated.",
        set: |config, value, _| {
            Ok(config.audit.rotation.size = value::size(value, 4 << 10..=1 << 40)?)
        },
    },
    ConfigKey {
        section: "audit",
        name: "file_age",
        live: false,
        default: "\"30d\"",
        doc: "Age at which each of the two files is rotated.",
        set: |config, value, _| {
            let range = Duration::from_secs(1)..=HOUR * 24 * 3660;
            Ok(config.audit.rotation.age = value::duration(value, range)?)
        },
    },
    ConfigKey {
        section: "audit",
        name: "keep",
        live: false,
        default: "24",
        doc: "Number of old files that are kept of each.",
        set: |config, value, _| Ok(config.audit.rotation.keep = value::integer(value, 0..=100_000)?),
    },
    ConfigKey {
        section: "audit",
        name: "sha256",
        live: false,
        default: "false",
        doc: "Record the SHA-256 of each completely transferred file; its CLOSE waits for that.",
        set: |config, value, _| Ok(config.audit.policy.sha256 = value::boolean(value)?),
    },
    ConfigKey {
        section: "audit",
        name: "on_failure",
        live: false,
        default: "\"continue\"",
        doc: "If the audit log cannot be written: \"continue\", or \"refuse\" logins.",
        set: |config, value, _| {
            let choices = [
                ("continue", OnFailure::Continue),
                ("refuse", OnFailure::Refuse),
            ];
            Ok(config.audit.policy.on_failure = value::one_of(value, &choices)?)
        },
    },
    ConfigKey {
        section: "metrics",
        name: "listen",
        live: false,
        default: "\"\"",
        doc: "Where to serve /metrics for Prometheus: a port of 127.0.0.1, or an address with a port; \"\" is off.",
        set: |config, value, _| Ok(config.metrics.listen = value::port_or_address(value)?),
    },
    ConfigKey {
        section: "metrics",
        name: "accounts",
        live: false,
        default: "false",
        doc: "Include the usage of each account, by name.",
        set: |config, value, _| Ok(config.metrics.accounts = value::boolean(value)?),
    },
    ConfigKey {
        section: "bandwidth",
        name: "upload",
        live: true,
        default: "\"none\"",
        doc: "Upload rate of all accounts together: \"none\", or a size per second such as \"100MiB/s\".",
        set: |config, value, _| Ok(config.bandwidth.up = value::rate(value)?),
    },
    ConfigKey {
        section: "bandwidth",
        name: "download",
        live: true,
        default: "\"none\"",
        doc: "Download rate of all accounts together.",
        set: |config, value, _| Ok(config.bandwidth.down = value::rate(value)?),
    },
];

pub(super) fn processors() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}
