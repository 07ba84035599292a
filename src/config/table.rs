//! The one table of all keys of config.toml.

// Each setter is one assignment, and its unit is what it returns.
#![allow(clippy::unit_arg)]

use std::ops::RangeInclusive;
use std::path::Path;
use std::time::Duration;

use super::value::{self, Parsed, Value};
use super::{Algorithms, Config};
use crate::observe::audit::OnFailure;
use crate::observe::log::Format;
use crate::values::units;

/// A key of the config: all that is known about it.
pub(super) struct Key {
    pub(super) section: &'static str,
    pub(super) name: &'static str,
    /// Its default, as TOML.
    pub(super) default: &'static str,
    /// What it sets, for the messages about it and the shipped config.toml.
    pub(super) doc: &'static str,
    /// Reads a value, with paths relative to the folder, into the config.
    pub(super) set: fn(&mut Config, &Value<'_>, &Path) -> Parsed<()>,
}

/// A hash takes this much memory at least: less is no hindrance to who stole the database.
const LEAST_HASH_MEMORY: u64 = 8 << 20;
const MOST_HASH_MEMORY: u64 = 1 << 30;
/// All hashes that run at the same time take no more memory than this, in KiB.
const MOST_MEMORY_OF_ALL_HASHES: u64 = 4 << 20;

const HOUR: Duration = Duration::from_secs(3600);
/// What one fault may cost.
const PENALTY: RangeInclusive<Duration> = Duration::ZERO..=HOUR;
/// How long a ban may be.
const BAN: RangeInclusive<Duration> = Duration::from_secs(1)..=Duration::from_secs(24 * 3600);

/// Every key, in the order of the shipped config.toml.
pub(super) const KEYS: &[Key] = &[
    Key {
        section: "server",
        name: "listen",
        default: "[\"127.0.0.1:2022\"]",
        doc: "Addresses to listen on, each an IP address and a port.",
        set: |config, value, _| Ok(config.server.listen = value::addresses(value)?),
    },
    Key {
        section: "server",
        name: "data",
        default: "\"data\"",
        doc: "Folder of all state: the database and the homes.",
        set: |config, value, base| Ok(config.server.data = value::folder(value, base)?),
    },
    Key {
        section: "server",
        name: "keys",
        default: "\"keys\"",
        doc: "Folder of the host keys.",
        set: |config, value, base| Ok(config.server.keys = value::folder(value, base)?),
    },
    Key {
        section: "server",
        name: "shards",
        default: "0",
        doc: "Threads that serve connections; 0 is one for each processor.",
        set: |config, value, _| {
            let shards = value::integer(value, 0..=1024)?;
            config.server.shards = if shards == 0 { processors() } else { shards };
            Ok(())
        },
    },
    Key {
        section: "server",
        name: "max_connections",
        default: "1000",
        doc: "Connections at once, logged in or not. An account may have half of those that the others and max_startups leave.",
        set: |config, value, _| {
            Ok(config.server.max_connections = value::integer(value, 1..=1_000_000)?)
        },
    },
    Key {
        section: "server",
        name: "max_memory",
        default: "\"none\"",
        doc: "Memory beyond which one connection a second is accepted; \"none\" is near the limit of the cgroup.",
        set: |config, value, _| Ok(config.server.max_memory = value::size_or_none(value)?),
    },
    Key {
        section: "server",
        name: "proxies",
        default: "[]",
        doc: "Networks of balancers that begin each connection with PROXY protocol v2.",
        set: |config, value, _| Ok(config.server.proxies = value::networks(value)?),
    },
    Key {
        section: "server",
        name: "stop_grace",
        default: "\"30s\"",
        doc: "Time that transfers have to come to their end when the server is told to stop.",
        set: |config, value, _| {
            let range = Duration::ZERO..=HOUR;
            Ok(config.server.stop_grace = value::duration(value, range)?)
        },
    },
    Key {
        section: "admission",
        name: "max_startups",
        default: "\"100:30:300\"",
        doc: "Connections without a login from which on 30 % of the strangers are refused, and all (as sshd).",
        set: |config, value, _| Ok(config.admission.startups = value::startups(value)?),
    },
    Key {
        section: "admission",
        name: "per_source",
        default: "32",
        doc: "Connections without a login that one source may have.",
        set: |config, value, _| {
            Ok(config.admission.per_source = value::integer(value, 1..=1_000_000)?)
        },
    },
    Key {
        section: "admission",
        name: "ipv4_prefix",
        default: "32",
        doc: "Addresses with so many bits in common are one source.",
        set: |config, value, _| Ok(config.admission.ipv4_prefix = value::integer(value, 8..=32)?),
    },
    Key {
        section: "admission",
        name: "ipv6_prefix",
        default: "64",
        doc: "The same for IPv6.",
        set: |config, value, _| Ok(config.admission.ipv6_prefix = value::integer(value, 16..=128)?),
    },
    Key {
        section: "admission",
        name: "penalties",
        default: "true",
        doc: "Keep sources out for a while that fail to log in, scan, or break the protocol.",
        set: |config, value, _| Ok(config.admission.penalties.enabled = value::boolean(value)?),
    },
    Key {
        section: "admission",
        name: "failed_login",
        default: "\"5s\"",
        doc: "Penalty for each three attempts to log in that failed.",
        set: |config, value, _| {
            Ok(config.admission.penalties.failed_login = value::duration(value, PENALTY)?)
        },
    },
    Key {
        section: "admission",
        name: "no_login",
        default: "\"1s\"",
        doc: "Penalty for leaving without an attempt.",
        set: |config, value, _| {
            Ok(config.admission.penalties.no_login = value::duration(value, PENALTY)?)
        },
    },
    Key {
        section: "admission",
        name: "scan",
        default: "\"10s\"",
        doc: "Penalty for what is not SSH.",
        set: |config, value, _| {
            Ok(config.admission.penalties.scan = value::duration(value, PENALTY)?)
        },
    },
    Key {
        section: "admission",
        name: "late",
        default: "\"10s\"",
        doc: "Penalty for not being logged in by the end of login.grace_time.",
        set: |config, value, _| {
            Ok(config.admission.penalties.late = value::duration(value, PENALTY)?)
        },
    },
    Key {
        section: "admission",
        name: "abuse",
        default: "\"10s\"",
        doc: "Penalty for breaking the protocol before the login.",
        set: |config, value, _| {
            Ok(config.admission.penalties.abuse = value::duration(value, PENALTY)?)
        },
    },
    Key {
        section: "admission",
        name: "min_ban",
        default: "\"15s\"",
        doc: "A source whose penalties come to this is banned until they have run down; each ban doubles the next.",
        set: |config, value, _| Ok(config.admission.penalties.least = value::duration(value, BAN)?),
    },
    Key {
        section: "admission",
        name: "max_ban",
        default: "\"10m\"",
        doc: "The longest ban.",
        set: |config, value, _| Ok(config.admission.penalties.most = value::duration(value, BAN)?),
    },
    Key {
        section: "admission",
        name: "trust",
        default: "\"7d\"",
        doc: "Time for which a login protects its source: it is not banned, and finds room beside strangers.",
        set: |config, value, _| {
            let range = Duration::ZERO..=HOUR * 24 * 365;
            Ok(config.admission.trust = value::duration(value, range)?)
        },
    },
    Key {
        section: "admission",
        name: "max_sources",
        default: "65536",
        doc: "Sources of each family that are remembered.",
        set: |config, value, _| {
            Ok(config.admission.max_sources = value::integer(value, 1..=10_000_000)?)
        },
    },
    Key {
        section: "admission",
        name: "exempt",
        default: "[]",
        doc: "Networks that are never banned.",
        set: |config, value, _| Ok(config.admission.exempt = value::networks(value)?),
    },
    Key {
        section: "login",
        name: "grace_time",
        default: "\"60s\"",
        doc: "Time that a client has from connecting to being logged in.",
        set: |config, value, _| {
            let range = Duration::from_secs(1)..=Duration::from_secs(3600);
            Ok(config.login.grace_time = value::duration(value, range)?)
        },
    },
    Key {
        section: "login",
        name: "max_attempts",
        default: "10",
        doc: "Failed attempts to log in after which a connection ends.",
        set: |config, value, _| Ok(config.login.max_attempts = value::integer(value, 1..=1000)?),
    },
    Key {
        section: "login",
        name: "argon2_memory",
        default: "\"19MiB\"",
        doc: "Memory that the hash of one password takes (argon2id).",
        set: |config, value, _| {
            let bytes = value::size(value, LEAST_HASH_MEMORY..=MOST_HASH_MEMORY)?;
            // In range, so that it fits.
            config.login.argon2_memory = u32::try_from(bytes >> 10).unwrap_or(u32::MAX);
            Ok(())
        },
    },
    Key {
        section: "login",
        name: "argon2_passes",
        default: "2",
        doc: "Passes of the hash over its memory (argon2id).",
        set: |config, value, _| Ok(config.login.argon2_passes = value::integer(value, 1..=1000)?),
    },
    Key {
        section: "login",
        name: "argon2_lanes",
        default: "1",
        doc: "Lanes of the hash (argon2id).",
        set: |config, value, _| Ok(config.login.argon2_lanes = value::integer(value, 1..=64)?),
    },
    Key {
        section: "login",
        name: "parallel_hashes",
        default: "0",
        doc: "Passwords that are hashed at the same time; 0 is one for each processor.",
        set: |config, value, _| Ok(config.login.parallel_hashes = value::integer(value, 0..=1024)?),
    },
    Key {
        section: "login",
        name: "user_ca_keys",
        default: "\"\"",
        doc: "File of public keys: who has a certificate by one of them may log in (see PROTOCOL.md).",
        set: |config, value, base| Ok(config.login.user_ca_keys = value::file_or_none(value, base)?),
    },
    Key {
        section: "login",
        name: "revoked_keys",
        default: "\"\"",
        doc: "File of keys that are refused: of ssh-keygen -k, or public keys and fingerprints.",
        set: |config, value, base| Ok(config.login.revoked_keys = value::file_or_none(value, base)?),
    },
    Key {
        section: "ssh",
        name: "algorithms",
        default: "\"modern\"",
        doc: "\"modern\", \"compatible\" (FIPS mode, older libraries) or \"legacy\" (SHA-1, CBC): see PROTOCOL.md.",
        set: |config, value, _| {
            let choices = Algorithms::ALL.map(|setting| (setting.name(), setting));
            Ok(config.ssh.algorithms = value::one_of(value, &choices)?)
        },
    },
    Key {
        section: "ssh",
        name: "legacy",
        default: "false",
        doc: "Deprecated: true is algorithms = \"legacy\".",
        set: |config, value, _| Ok(config.ssh.legacy = value::boolean(value)?),
    },
    Key {
        section: "ssh",
        name: "post_quantum_only",
        default: "false",
        doc: "Refuse clients without mlkem768x25519-sha256, such as OpenSSH before 9.9.",
        set: |config, value, _| Ok(config.ssh.post_quantum_only = value::boolean(value)?),
    },
    Key {
        section: "ssh",
        name: "rekey_bytes",
        default: "\"1GiB\"",
        doc: "Bytes in one direction after which the keys of a connection are renewed.",
        set: |config, value, _| {
            let bytes = value::size(value, 1 << 20..=1 << 30)?;
            // In range, so that it fits.
            config.ssh.rekey_bytes = usize::try_from(bytes).unwrap_or(1 << 30);
            Ok(())
        },
    },
    Key {
        section: "ssh",
        name: "rekey_time",
        default: "\"1h\"",
        doc: "Time after which the keys of a connection are renewed.",
        set: |config, value, _| {
            let range = Duration::from_secs(1)..=HOUR * 24;
            Ok(config.ssh.rekey_time = value::duration(value, range)?)
        },
    },
    Key {
        section: "ssh",
        name: "keepalive",
        default: "\"60s\"",
        doc: "Time without a word from a client after which it is asked for one; who owes four is gone.",
        set: |config, value, _| {
            let range = Duration::from_secs(1)..=HOUR;
            Ok(config.ssh.keepalive = value::duration(value, range)?)
        },
    },
    Key {
        section: "ssh",
        name: "busy_poll",
        default: "true",
        doc: "Wait awake for a client that sends each request within 200 us of a reply, where there are processors to spare.",
        set: |config, value, _| {
            Ok(config.ssh.busy_poll = value::boolean(value)? && processors() > 1)
        },
    },
    Key {
        section: "fences",
        name: "landlock",
        default: "true",
        doc: "Have the kernel let the server touch its own files, homes and ports alone.",
        set: |config, value, _| Ok(config.fences.landlock = value::boolean(value)?),
    },
    Key {
        section: "fences",
        name: "seccomp",
        default: "true",
        doc: "Have the kernel refuse system calls that a file server does not need.",
        set: |config, value, _| Ok(config.fences.seccomp = value::boolean(value)?),
    },
    Key {
        section: "fences",
        name: "homes",
        default: "[]",
        doc: "Folders outside of data in which homes may be added while the server runs.",
        set: |config, value, base| Ok(config.fences.homes = value::homes(value, base)?),
    },
    Key {
        section: "guest",
        name: "enabled",
        default: "false",
        doc: "Let a guest in who needs no password.",
        set: |config, value, _| Ok(config.guest.enabled = value::boolean(value)?),
    },
    Key {
        section: "guest",
        name: "name",
        default: "\"guest\"",
        doc: "Name of the guest's account, which the server makes.",
        set: |config, value, _| Ok(config.guest.name = value::user_name(value)?),
    },
    Key {
        section: "guest",
        name: "home",
        default: "\"\"",
        doc: "Home of the guest; without one, a folder of that name in data/homes.",
        set: |config, value, base| Ok(config.guest.home = value::home_or_none(value, base)?),
    },
    Key {
        section: "guest",
        name: "permissions",
        default: "[\"read-only\"]",
        doc: "What the guest may do, as for `landfall user add --permissions`.",
        set: |config, value, _| Ok(config.guest.permissions = value::permissions(value)?),
    },
    Key {
        section: "guest",
        name: "quota",
        default: "\"none\"",
        doc: "Most bytes that the guest's files may have in all, such as \"10GiB\".",
        set: |config, value, _| Ok(config.guest.quota.0 = value::size_or_none(value)?),
    },
    Key {
        section: "guest",
        name: "max_files",
        default: "0",
        doc: "Most files that the guest may have; 0 is without limit.",
        set: |config, value, _| Ok(config.guest.quota.1 = value::limit(value, i64::MAX as u64)?),
    },
    Key {
        section: "guest",
        name: "max_sessions",
        default: "10",
        doc: "Sessions that guests may have at the same time; 0 is without limit.",
        set: |config, value, _| Ok(config.guest.max_sessions = value::limit(value, 1_000_000)?),
    },
    Key {
        section: "sftp",
        name: "max_handles",
        default: "16384",
        doc: "Files and folders that one SFTP session may hold open, if those of its account leave so many.",
        set: |config, value, _| Ok(config.sftp.max_handles = value::integer(value, 1..=100_000)?),
    },
    Key {
        section: "sftp",
        name: "max_channels",
        default: "10",
        doc: "SFTP sessions and commands that one connection may run at the same time.",
        set: |config, value, _| Ok(config.sftp.max_channels = value::integer(value, 1..=1000)?),
    },
    Key {
        section: "sftp",
        name: "requests_per_second",
        default: "0",
        doc: "Requests that all sessions of an account together may make in a second: those of SFTP, commands, the files that commands name, and what scp moves; 0 is without limit.",
        set: |config, value, _| {
            Ok(config.sftp.requests_per_second = value::limit(value, 1_000_000)?)
        },
    },
    Key {
        section: "sftp",
        name: "umask",
        default: "\"022\"",
        doc: "Permission bits that new files and folders do not get, in octal.",
        set: |config, value, _| Ok(config.sftp.umask = value::umask(value)?),
    },
    Key {
        section: "uploads",
        name: "safe_overwrite",
        default: "false",
        doc: "Overwrite files safely: the old one stays until the new one is whole (see PROTOCOL.md).",
        set: |config, value, _| Ok(config.uploads.safe_overwrite = value::boolean(value)?),
    },
    Key {
        section: "uploads",
        name: "fsync_on_close",
        default: "false",
        doc: "Answer that a file is closed only when it would outlive a power cut.",
        set: |config, value, _| Ok(config.uploads.fsync_on_close = value::boolean(value)?),
    },
    Key {
        section: "uploads",
        name: "sweep_after",
        default: "\"7d\"",
        doc: "Age at which what a crash left of safe overwrites is removed.",
        set: |config, value, _| {
            let range = HOUR..=HOUR * 24 * 365;
            Ok(config.uploads.sweep_after = value::duration(value, range)?)
        },
    },
    Key {
        section: "log",
        name: "level",
        default: "\"info\"",
        doc: "Least severe messages that are logged: error, warn, info, debug or trace.",
        set: |config, value, _| Ok(config.log.level = value::level(value)?),
    },
    Key {
        section: "log",
        name: "format",
        default: "\"text\"",
        doc: "\"text\" or \"json\" on standard error, or \"journald\" for systemd's journal.",
        set: |config, value, _| {
            let choices = [
                ("text", Format::Text),
                ("json", Format::Json),
                ("journald", Format::Journald),
            ];
            Ok(config.log.format = value::one_of(value, &choices)?)
        },
    },
    Key {
        section: "audit",
        name: "enabled",
        default: "true",
        doc: "Note who did what, in audit.jsonl and audit-operations.jsonl in the data folder (see docs/audit.md).",
        set: |config, value, _| Ok(config.audit.enabled = value::boolean(value)?),
    },
    Key {
        section: "audit",
        name: "file_size",
        default: "\"100MiB\"",
        doc: "Size at which each of the two continues in a new file.",
        set: |config, value, _| {
            Ok(config.audit.rotation.size = value::size(value, 4 << 10..=1 << 40)?)
        },
    },
    Key {
        section: "audit",
        name: "file_age",
        default: "\"30d\"",
        doc: "Age at which each of the two continues in a new file.",
        set: |config, value, _| {
            let range = Duration::from_secs(1)..=HOUR * 24 * 3660;
            Ok(config.audit.rotation.age = value::duration(value, range)?)
        },
    },
    Key {
        section: "audit",
        name: "keep",
        default: "24",
        doc: "Old files of each of the two that are kept.",
        set: |config, value, _| Ok(config.audit.rotation.keep = value::integer(value, 0..=100_000)?),
    },
    Key {
        section: "audit",
        name: "sha256",
        default: "false",
        doc: "Note the hash of each file that was moved as a whole; its CLOSE waits for that.",
        set: |config, value, _| Ok(config.audit.policy.sha256 = value::boolean(value)?),
    },
    Key {
        section: "audit",
        name: "on_failure",
        default: "\"continue\"",
        doc: "When the audit log cannot be written: \"continue\", or \"refuse\" all further logins.",
        set: |config, value, _| {
            let choices = [
                ("continue", OnFailure::Continue),
                ("refuse", OnFailure::Refuse),
            ];
            Ok(config.audit.policy.on_failure = value::one_of(value, &choices)?)
        },
    },
    Key {
        section: "metrics",
        name: "listen",
        default: "\"\"",
        doc: "Where Prometheus finds /metrics: a port of 127.0.0.1, or an address with one; \"\" is nowhere.",
        set: |config, value, _| Ok(config.metrics.listen = value::port_or_address(value)?),
    },
    Key {
        section: "metrics",
        name: "accounts",
        default: "false",
        doc: "Tell there by name what each account uses, too.",
        set: |config, value, _| Ok(config.metrics.accounts = value::boolean(value)?),
    },
    Key {
        section: "bandwidth",
        name: "upload",
        default: "\"none\"",
        doc: "How fast all may upload together: \"none\", or a size a second such as \"100MiB/s\".",
        set: |config, value, _| Ok(config.bandwidth.up = value::rate(value)?),
    },
    Key {
        section: "bandwidth",
        name: "download",
        default: "\"none\"",
        doc: "How fast all may download together.",
        set: |config, value, _| Ok(config.bandwidth.down = value::rate(value)?),
    },
];

/// The keys, by section and name, that a server which runs takes up at a reload. What is open when it
/// does keeps what it began with.
pub(super) const LIVE: &[(&str, &str)] = &[
    ("server", "max_connections"),
    ("server", "proxies"),
    ("server", "stop_grace"),
    ("admission", "max_startups"),
    ("admission", "per_source"),
    ("admission", "ipv4_prefix"),
    ("admission", "ipv6_prefix"),
    ("admission", "penalties"),
    ("admission", "failed_login"),
    ("admission", "no_login"),
    ("admission", "scan"),
    ("admission", "late"),
    ("admission", "abuse"),
    ("admission", "min_ban"),
    ("admission", "max_ban"),
    ("admission", "trust"),
    ("admission", "max_sources"),
    ("admission", "exempt"),
    ("login", "grace_time"),
    ("login", "max_attempts"),
    ("login", "argon2_memory"),
    ("login", "argon2_passes"),
    ("login", "argon2_lanes"),
    ("login", "parallel_hashes"),
    ("login", "user_ca_keys"),
    ("login", "revoked_keys"),
    ("ssh", "algorithms"),
    ("ssh", "legacy"),
    ("ssh", "post_quantum_only"),
    ("ssh", "rekey_bytes"),
    ("ssh", "rekey_time"),
    ("ssh", "keepalive"),
    ("ssh", "busy_poll"),
    ("guest", "enabled"),
    ("guest", "name"),
    ("guest", "home"),
    ("guest", "permissions"),
    ("guest", "quota"),
    ("guest", "max_files"),
    ("guest", "max_sessions"),
    ("sftp", "max_handles"),
    ("sftp", "max_channels"),
    ("sftp", "requests_per_second"),
    ("sftp", "umask"),
    ("uploads", "safe_overwrite"),
    ("uploads", "fsync_on_close"),
    ("uploads", "sweep_after"),
    ("log", "level"),
    ("bandwidth", "upload"),
    ("bandwidth", "download"),
];

/// A rule about several keys, looked at when each of them is right by itself.
pub(super) struct Rule {
    pub(super) section: &'static str,
    /// The fault is shown at the first of these that is in the file.
    pub(super) names: &'static [&'static str],
    /// What is wrong, if something is.
    pub(super) broken: fn(&Config) -> Option<String>,
}

/// Every rule about several keys.
pub(super) const RULES: &[Rule] = &[
    Rule {
        section: "admission",
        names: &["max_ban", "min_ban"],
        broken: |config| {
            let penalties = &config.admission.penalties;
            (penalties.most < penalties.least)
                .then(|| "max_ban must not be shorter than min_ban".to_owned())
        },
    },
    Rule {
        section: "guest",
        names: &["name", "enabled"],
        broken: |config| {
            let guest = &config.guest;
            let is_user = config
                .users
                .iter()
                .any(|user| user.name.as_str() == guest.name);
            (guest.enabled && is_user)
                .then(|| format!("the guest cannot be [user.{}], too", guest.name))
        },
    },
    Rule {
        section: "login",
        names: &["argon2_memory", "argon2_lanes"],
        broken: |config| {
            let least = LEAST_HASH_MEMORY * u64::from(config.login.argon2_lanes);
            (u64::from(config.login.argon2_memory) << 10 < least).then(|| {
                format!(
                    "argon2_memory must be at least 8MiB for each of argon2_lanes: {}",
                    units::show_size(least)
                )
            })
        },
    },
    Rule {
        section: "login",
        names: &["parallel_hashes", "argon2_memory"],
        broken: |config| {
            let most = hashes_that_fit(config);
            (config.login.parallel_hashes > most).then(|| {
                format!(
                    "parallel_hashes times argon2_memory must not exceed {}: at most {most} parallel_hashes",
                    units::show_size(MOST_MEMORY_OF_ALL_HASHES << 10)
                )
            })
        },
    },
    Rule {
        section: "ssh",
        names: &["post_quantum_only", "algorithms", "legacy"],
        broken: |config| {
            let (ssh, setting) = (&config.ssh, algorithms(config));
            (ssh.post_quantum_only && setting > Algorithms::Modern).then(|| {
                let name = setting.name();
                format!("post_quantum_only needs algorithms = \"modern\", not \"{name}\"")
            })
        },
    },
    Rule {
        section: "ssh",
        names: &["legacy", "algorithms"],
        broken: |config| {
            let differ = config.ssh.legacy && config.ssh.algorithms == Algorithms::Compatible;
            differ.then(|| "legacy = true contradicts algorithms = \"compatible\"".to_owned())
        },
    },
    Rule {
        section: "metrics",
        names: &["listen"],
        broken: |config| {
            let listen = config.metrics.listen?;
            let is_taken = listen.port() != 0 && config.server.listen.contains(&listen);
            is_taken.then(|| format!("listen is {listen}, where the server itself listens"))
        },
    },
    Rule {
        section: "server",
        names: &["keys", "data"],
        broken: |config| {
            config
                .server
                .keys
                .starts_with(config.server.data.join("homes"))
                .then(|| "keys must not lie among the homes of the users (data/homes)".to_owned())
        },
    },
];

/// Resolves the zeros that stand for "as many as fit", deprecated keys, and what one section needs of another.
pub(super) fn settle(config: &mut Config) {
    config.admission.max_connections = config.server.max_connections;
    config.admission.proxies = config.server.proxies.clone();
    config.ssh.algorithms = algorithms(config);
    if config.login.parallel_hashes == 0 {
        config.login.parallel_hashes = processors().min(hashes_that_fit(config)).max(1);
    }
}

/// With the deprecated `legacy` taken for what it stands for.
fn algorithms(config: &Config) -> Algorithms {
    if config.ssh.legacy {
        Algorithms::Legacy
    } else {
        config.ssh.algorithms
    }
}

fn hashes_that_fit(config: &Config) -> usize {
    let fit = MOST_MEMORY_OF_ALL_HASHES / u64::from(config.login.argon2_memory.max(1));
    usize::try_from(fit).unwrap_or(usize::MAX)
}

fn processors() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}
