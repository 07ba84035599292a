//! Checks of several keys of config.toml together, and derived values.

use super::settings::{Algorithms, Config};
use super::table::{LEAST_HASH_MEMORY, processors};
use crate::values::units;

/// Most memory of all concurrent password hashes, in KiB.
const MOST_MEMORY_OF_ALL_HASHES: u64 = 4 << 20;

/// A check of several keys, run when each of them is valid.
pub(super) struct Rule {
    pub(super) section: &'static str,
    /// The fault is reported at the first of these in the file.
    pub(super) names: &'static [&'static str],
    /// Returns what is wrong, if anything is.
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
                .then(|| format!("the guest cannot also be [user.{}]", guest.name))
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
            is_taken.then(|| format!("listen is {listen}, which server.listen uses"))
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
                .then(|| "keys must not be inside the homes of users (data/homes)".to_owned())
        },
    },
];

/// Replaces zeros that mean "automatic", deprecated keys, and values that one section needs of another.
pub(super) fn settle(config: &mut Config) {
    config.admission.max_connections = config.server.max_connections;
    config.admission.proxies = config.server.proxies.clone();
    config.ssh.algorithms = algorithms(config);
    if config.login.parallel_hashes == 0 {
        config.login.parallel_hashes = processors().min(hashes_that_fit(config)).max(1);
    }
}

/// Applies the deprecated key `legacy`.
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
