//! config.toml: read as it is, every fault found with its place, and only then a checked [`Config`].
//!
//! What there is to configure stands in one table ([`table`]); parsing, defaults, messages and the
//! check of the shipped config.toml follow from it.

mod fault;
mod find;
mod sections;
mod table;
mod users;
mod value;

use std::collections::HashMap;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use toml::de::{DeTable, DeValue};

pub use self::fault::{Faults, Spot};
use self::fault::{Report, nearest};
use self::find::{DEFAULT_DATA, DEFAULT_FILE, INSTALLED_FILE};
pub use self::sections::{
    Algorithms, Audit, Fences, LEGACY_IS_DEPRECATED, Log, Metrics, Server, Sftp, Ssh, Uploads,
};
use self::table::{KEYS, Key, LIVE, RULES, settle};
use crate::accounts::{
    AccountOptions, DeclaredUser, GuestOptions, LoginOptions, RefusedUsers, UserName,
};
use crate::admission;
use crate::observe::audit::{OnFailure, Policy, Rotation, Trail};
use crate::observe::log::Format;
use crate::rules::{Bandwidth, Permissions};

/// A config in which every value is valid and every path is absolute.
#[derive(Debug, Clone)]
pub struct Config {
    /// The file that it was read from; `None` if there was none and every setting has its default.
    pub file: Option<PathBuf>,
    /// The current folder is what decided: its config.toml is used, or, where there is no config at all, the
    /// defaults with the folders beside it.
    pub is_found_here: bool,
    /// Where and how to listen.
    pub server: Server,
    /// Which connections are taken, and which sources are kept out.
    pub admission: admission::Settings,
    /// Who may come in, and at what cost.
    pub login: LoginOptions,
    /// Algorithms, and how long keys are used.
    pub ssh: Ssh,
    /// What the server may touch.
    pub fences: Fences,
    /// The guest, who needs no password.
    pub guest: GuestOptions,
    /// Limits of an SFTP session.
    pub sftp: Sftp,
    /// How files are overwritten and closed.
    pub uploads: Uploads,
    /// What goes to the log.
    pub log: Log,
    /// The trail of who did what.
    pub audit: Audit,
    /// Numbers for Prometheus.
    pub metrics: Metrics,
    /// How fast files may move, all together.
    pub bandwidth: Bandwidth,
    /// The users that stand in it.
    pub users: Vec<DeclaredUser>,
    /// Where they stand.
    user_spots: HashMap<UserName, Spot>,
    /// Every key with its value as it stands in the file, or its default.
    values: HashMap<(&'static str, &'static str), String>,
}

/// A setting in which two configs differ.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// Its section and name: `login.max_attempts`.
    pub setting: String,
    /// A server that runs takes it up at a reload; otherwise when it is started again.
    pub is_live: bool,
}

impl Config {
    /// Returns all that accounts need of it.
    pub fn accounts(&self) -> AccountOptions<'_> {
        AccountOptions {
            data: &self.server.data,
            keys: &self.server.keys,
            login: &self.login,
            guest: &self.guest,
            users: &self.users,
        }
    }

    /// Returns the place of a declared user in the file.
    pub fn spot_of(&self, user: &UserName) -> Option<&Spot> {
        self.user_spots.get(user)
    }

    /// Gives refused users their places in the file; any other error stays as it is.
    pub fn with_places(&self, failure: anyhow::Error) -> anyhow::Error {
        match failure.downcast::<RefusedUsers>() {
            Ok(RefusedUsers(refused)) => {
                let placed = refused
                    .into_iter()
                    .map(|(name, reason)| (self.user_spots.get(&name), reason));
                Faults::of(placed).into()
            }
            Err(failure) => failure,
        }
    }

    /// The audit trail, wherever the state is.
    pub fn trail(&self) -> Trail {
        Trail::new(&self.server.data, self.audit.rotation)
    }

    /// Reads a config file. Paths in it are relative to its folder.
    ///
    /// # Errors
    /// All that is wrong with it.
    pub fn load(file: &Path) -> Result<Self, Faults> {
        match std::path::absolute(file) {
            Ok(path) => Self::load_in(file, path.parent().unwrap_or(Path::new("/"))),
            Err(failure) => unusable(file.display().to_string(), failure.to_string()),
        }
    }

    /// Reads a config file that belongs into this folder: paths in it are relative to that.
    ///
    /// # Errors
    /// All that is wrong with it.
    pub fn load_in(file: &Path, folder: &Path) -> Result<Self, Faults> {
        let shown = file.display().to_string();
        let bytes = match find::read(file) {
            Ok(bytes) => bytes,
            Err(why) => return unusable(shown, why),
        };
        match str::from_utf8(&bytes) {
            Ok(text) => {
                let config = Self::read(shown, text, folder)?;
                Ok(Self {
                    file: Some(file.to_owned()),
                    ..config
                })
            }
            Err(failure) => {
                let good = bytes.get(..failure.valid_up_to()).unwrap_or_default();
                let good = str::from_utf8(good).unwrap_or_default();
                let mut report = Report::new(shown, good);
                report.fault(
                    good.len()..good.len(),
                    "this byte is not UTF-8; save the file as UTF-8",
                );
                report.finish(Self::blank())
            }
        }
    }

    /// Reads `file`, or else `config.toml` in the current folder, or else that of an installed server;
    /// without any, all defaults. What was not named is used only where nobody else can have put it there.
    ///
    /// # Errors
    /// All that is wrong with it. A file that was named must exist.
    pub fn find(file: Option<&Path>) -> Result<Self, Faults> {
        let named: Option<(&Path, bool)> = file.map(|file| (file, false));
        let usual = named.or_else(find::usual);
        let folder = match std::env::current_dir() {
            Ok(folder) => folder,
            Err(failure) if usual.is_none_or(|(_, is_here)| is_here) => {
                return unusable(DEFAULT_FILE.to_owned(), failure.to_string());
            }
            Err(_) => PathBuf::new(),
        };
        let (config, is_found_here) = match usual {
            Some((file, is_here)) => {
                if is_here && let Err(why) = find::refuse_others(DEFAULT_FILE, &folder) {
                    return unusable(DEFAULT_FILE.to_owned(), why);
                }
                (Self::load(file)?, is_here)
            }
            None => {
                let config = Self::default_in(&folder)?;
                if config.server.data.exists()
                    && let Err(why) = find::refuse_others(DEFAULT_DATA, &folder)
                {
                    return unusable(DEFAULT_DATA.to_owned(), why);
                }
                (config, true)
            }
        };
        Ok(Self {
            is_found_here,
            ..config
        })
    }

    /// Reads the config of an installed server, if there is one, and this user may read it.
    pub fn installed() -> Option<Self> {
        Self::load(Path::new(INSTALLED_FILE)).ok()
    }

    /// The config file as an absolute path; without one, that there is none.
    pub fn shown_file(&self) -> String {
        match &self.file {
            Some(file) => {
                let absolute = std::path::absolute(file);
                absolute.as_ref().unwrap_or(file).display().to_string()
            }
            None => format!("none (neither {DEFAULT_FILE} here nor {INSTALLED_FILE})"),
        }
    }

    /// All defaults, for a folder without a config.
    ///
    /// # Errors
    /// None, unless a default is wrong.
    pub fn default_in(folder: &Path) -> Result<Self, Faults> {
        Self::read(DEFAULT_FILE.to_owned(), "", folder)
    }

    /// The settings that stand otherwise here than in `old`, in the order of the shipped config.toml.
    pub fn differences(&self, old: &Self) -> Vec<Difference> {
        let differ = |key: &&Key| {
            let place = (key.section, key.name);
            self.values.get(&place) != old.values.get(&place)
        };
        let difference = |key: &Key| Difference {
            setting: format!("{}.{}", key.section, key.name),
            is_live: LIVE.contains(&(key.section, key.name)),
        };
        KEYS.iter().filter(differ).map(difference).collect()
    }

    fn read(file: String, text: &str, folder: &Path) -> Result<Self, Faults> {
        let mut reader = Reader {
            config: Self::blank(),
            folder,
            text,
            report: Report::new(file, text),
            found: HashMap::new(),
        };
        reader.document(text);
        reader.defaults();
        reader.rules();
        settle(&mut reader.config);
        let data = reader.config.server.data.clone();
        let checked = reader.report.finish(reader.config);
        checked.map_err(|faults| faults.with_data(data))
    }

    /// What stands in the fields until the defaults of the table are in them.
    fn blank() -> Self {
        Self {
            file: None,
            is_found_here: false,
            server: Server {
                listen: Vec::new(),
                data: PathBuf::new(),
                keys: PathBuf::new(),
                shards: 0,
                max_connections: 0,
                max_memory: None,
                proxies: Arc::default(),
                stop_grace: Duration::ZERO,
            },
            admission: admission::Settings::default(),
            login: LoginOptions {
                grace_time: Duration::ZERO,
                max_attempts: 0,
                argon2_memory: 0,
                argon2_passes: 0,
                argon2_lanes: 0,
                parallel_hashes: 0,
                user_ca_keys: None,
                revoked_keys: None,
            },
            ssh: Ssh {
                algorithms: Algorithms::Modern,
                legacy: false,
                post_quantum_only: false,
                rekey_bytes: 0,
                rekey_time: Duration::ZERO,
                keepalive: Duration::ZERO,
                busy_poll: false,
            },
            fences: Fences {
                landlock: false,
                seccomp: false,
                homes: Vec::new(),
            },
            guest: GuestOptions {
                enabled: false,
                name: String::new(),
                home: None,
                permissions: Permissions::default(),
                quota: (None, None),
                max_sessions: None,
            },
            sftp: Sftp {
                max_handles: 0,
                requests_per_second: None,
                max_channels: 0,
                umask: 0,
            },
            uploads: Uploads {
                safe_overwrite: false,
                fsync_on_close: false,
                sweep_after: Duration::ZERO,
            },
            log: Log {
                level: tracing::Level::INFO,
                format: Format::Text,
            },
            audit: Audit {
                enabled: false,
                rotation: Rotation {
                    size: 0,
                    age: Duration::ZERO,
                    keep: 0,
                },
                policy: Policy {
                    sha256: false,
                    on_failure: OnFailure::Continue,
                },
            },
            metrics: Metrics {
                listen: None,
                accounts: false,
            },
            bandwidth: Bandwidth::default(),
            users: Vec::new(),
            user_spots: HashMap::new(),
            values: HashMap::new(),
        }
    }
}

fn unusable(file: String, why: String) -> Result<Config, Faults> {
    let mut report = Report::new(file, "");
    report.whole(why);
    report.finish(Config::blank())
}

/// What became of a key.
enum Found {
    /// It is in the file, there, and right by itself.
    Right(Range<usize>),
    /// It is in the file and wrong.
    Faulty,
    /// It is not in the file.
    Default,
}

struct Reader<'a> {
    config: Config,
    folder: &'a Path,
    text: &'a str,
    report: Report<'a>,
    found: HashMap<(&'static str, &'static str), Found>,
}

impl Reader<'_> {
    fn document(&mut self, text: &str) {
        let (document, errors) = DeTable::parse_recoverable(text);
        for error in errors {
            self.report.syntax(error.span(), error.message());
        }
        for (name, value) in document.get_ref() {
            match value.get_ref() {
                DeValue::Table(keys) if is_section(name.get_ref()) => {
                    self.section(name.get_ref(), keys);
                }
                DeValue::Table(declared) if name.get_ref() == users::SECTION => {
                    let (users, spots) = users::read(declared, self.folder, &mut self.report);
                    (self.config.users, self.config.user_spots) = (users, spots);
                }
                _ => self
                    .report
                    .fault(name.span(), unknown_at_top(name.get_ref(), value.get_ref())),
            }
        }
    }

    fn section(&mut self, section: &str, keys: &DeTable<'_>) {
        for (name, value) in keys {
            let key = KEYS
                .iter()
                .find(|key| key.section == section && key.name == name.get_ref());
            match key {
                Some(key) => self.set(key, value, Some(value.span())),
                None => self
                    .report
                    .fault(name.span(), unknown_key(section, name.get_ref())),
            }
        }
    }

    /// Applies a value; `place` is where it stands in the file, if it does.
    fn set(&mut self, key: &Key, value: &value::Value<'_>, place: Option<Range<usize>>) {
        let written = place.clone().and_then(|place| self.text.get(place));
        let written = written.unwrap_or(key.default).to_owned();
        self.config.values.insert((key.section, key.name), written);
        let found = match ((key.set)(&mut self.config, value, self.folder), place) {
            (Ok(()), Some(place)) => Found::Right(place),
            (Ok(()), None) => Found::Default,
            (Err(wrong), place) => {
                let text = format!("{} {} ({})", key.name, wrong.text, key.doc);
                match place {
                    Some(place) => self.report.fault(wrong.at.unwrap_or(place), text),
                    None => self.report.whole(format!("without a value, {text}")),
                }
                Found::Faulty
            }
        };
        self.found.insert((key.section, key.name), found);
    }

    fn defaults(&mut self) {
        for key in KEYS {
            if self.found.contains_key(&(key.section, key.name)) {
                continue;
            }
            match DeValue::parse(key.default) {
                Ok(value) => self.set(key, &value, None),
                Err(error) => self.report.whole(format!("{}: {error}", key.name)),
            }
        }
    }

    fn rules(&mut self) {
        for rule in RULES {
            let found = |name: &&'static str| self.found.get(&(rule.section, *name));
            if rule
                .names
                .iter()
                .any(|name| matches!(found(name), None | Some(Found::Faulty)))
            {
                continue;
            }
            let Some(text) = (rule.broken)(&self.config) else {
                continue;
            };
            let place = rule.names.iter().find_map(|name| match found(name) {
                Some(Found::Right(place)) => Some(place.clone()),
                _ => None,
            });
            match place {
                Some(place) => self.report.fault(place, text),
                None => self.report.whole(text),
            }
        }
    }
}

fn is_section(name: &str) -> bool {
    KEYS.iter().any(|key| key.section == name)
}

fn unknown_at_top(name: &str, value: &DeValue<'_>) -> String {
    if is_section(name) {
        return format!(
            "{name} must be a section: write [{name}], with its keys on the lines below"
        );
    }
    if name == users::SECTION {
        return format!(
            "{name} must be sections: write [{name}.NAME], with its keys on the lines below"
        );
    }
    let is_table = matches!(value, DeValue::Table(_));
    let what = if is_table { "section" } else { "key" };
    if let Some(key) = KEYS.iter().find(|key| !is_table && key.name == name) {
        return format!("{name} must stand below [{}]", key.section);
    }
    match nearest(
        name,
        KEYS.iter()
            .map(|key| if is_table { key.section } else { key.name }),
    ) {
        Some(near) if is_table => format!("unknown {what} [{name}]; did you mean [{near}]?"),
        Some(near) => format!("unknown {what} {name}; did you mean {near}?"),
        None if is_table => {
            let mut sections: Vec<_> = KEYS
                .iter()
                .map(|key| format!("[{}]", key.section))
                .collect();
            sections.dedup();
            format!("unknown {what} [{name}]; there are {}", sections.join(", "))
        }
        None => format!("unknown {what} {name}"),
    }
}

fn unknown_key(section: &str, name: &str) -> String {
    let here = || {
        KEYS.iter()
            .filter(|key| key.section == section)
            .map(|key| key.name)
    };
    if let Some(key) = KEYS.iter().find(|key| key.name == name) {
        return format!(
            "{name} is no key of [{section}]; it belongs below [{}]",
            key.section
        );
    }
    match nearest(name, here()) {
        Some(near) => format!("unknown key {name} in [{section}]; did you mean {near}?"),
        None => {
            let keys: Vec<_> = here().collect();
            format!("unknown key {name}; [{section}] has {}", keys.join(", "))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::users::USER_KEYS;
    use super::*;

    const SHIPPED: &str = include_str!("../../config.toml");

    fn faults(text: &str) -> Vec<String> {
        let folder = std::env::temp_dir();
        match Config::read("c.toml".to_owned(), text, &folder) {
            Ok(_) => Vec::new(),
            Err(faults) => faults.to_string().lines().map(str::to_owned).collect(),
        }
    }

    #[test]
    fn the_shipped_config_holds_every_key_with_its_default_and_its_comment() {
        let mut expected = String::new();
        let mut section = "";
        for key in KEYS {
            if key.section != section {
                section = key.section;
                expected.push_str(&format!("\n[{section}]\n"));
            }
            expected.push_str(&format!("# {}\n{} = {}\n", key.doc, key.name, key.default));
        }
        expected.push_str(users::EXAMPLE_HEAD);
        for key in USER_KEYS {
            expected.push_str(&format!(
                "# # {}\n# {} = {}\n",
                key.doc, key.name, key.example
            ));
        }
        let (_, keys) = SHIPPED.split_at(SHIPPED.find("\n[").unwrap());
        assert_eq!(keys, expected);
        assert_eq!(faults(SHIPPED), [""; 0]);
    }

    #[test]
    fn all_faults_are_told_at_once_each_with_its_place() {
        let text = "[server]\nlisten = [\"127.0.0.1\"]\nlisen = 1\n\n[login]\nmax_attempts = 0\nargon2_memory = \"1KiB\"\n[sftp]\numask = 22\n[nonsense]\nx = 1\n";
        let faults = faults(text);
        let starts = [
            "c.toml:2:11: ",
            "c.toml:3:1: ",
            "c.toml:6:16: ",
            "c.toml:7:17: ",
            "c.toml:9:9: ",
            "c.toml:10:2: ",
        ];
        assert_eq!(faults.len(), starts.len(), "{faults:#?}");
        for (fault, start) in faults.iter().zip(starts) {
            assert!(fault.starts_with(start), "{fault} at {start}");
        }
        assert!(
            faults.iter().any(|f| f.contains("did you mean listen?")),
            "{faults:#?}"
        );
    }

    #[test]
    fn a_syntax_error_does_not_hide_the_other_faults() {
        let faults = faults("[server]\nshards = = 3\n[sftp]\nmax_handles = 0\n");
        assert_eq!(faults.len(), 2, "{faults:#?}");
        assert!(faults[0].starts_with("c.toml:2:"), "{faults:#?}");
        assert!(
            faults[1].starts_with("c.toml:4:15: max_handles"),
            "{faults:#?}"
        );
    }

    #[test]
    fn rules_about_several_keys_are_checked() {
        let lanes = faults("[login]\nargon2_lanes = 4\n");
        assert_eq!(lanes.len(), 1, "{lanes:#?}");
        assert!(
            lanes[0].starts_with("c.toml:2:16: argon2_memory must be at least 8MiB"),
            "{lanes:#?}"
        );
        let memory = faults("[login]\nargon2_memory = \"1GiB\"\nparallel_hashes = 5\n");
        assert!(
            memory[0].contains("at most 4 parallel_hashes"),
            "{memory:#?}"
        );
    }

    #[test]
    fn paths_come_out_absolute() {
        let folder = std::env::temp_dir();
        let config = Config::read("c".into(), "[server]\ndata = \"d\"\n", &folder).unwrap();
        assert_eq!(config.server.data, folder.join("d"));
        assert_eq!(config.server.keys, folder.join("keys"));
    }
}
