//! Reads config.toml by the table of keys, and reports all faults at once, with their positions.

use std::collections::HashMap;
use std::ops::Range;
use std::path::{Path, PathBuf};

use toml::de::{DeTable, DeValue};

use super::fault::{Faults, Report, nearest};
use super::find::{self, DEFAULT_DATA, DEFAULT_FILE, INSTALLED_FILE};
use super::rules::{RULES, settle};
use super::settings::Config;
use super::table::{ConfigKey, KEYS};
use super::{users, value};

/// A setting in which two configurations differ.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// Its section and name: `login.max_attempts`.
    pub setting: String,
    /// A reload applies it; otherwise only a restart does.
    pub is_live: bool,
}

impl Config {
    /// Reads a configuration file. Paths in it are relative to its directory.
    ///
    /// # Errors
    ///
    /// All its faults.
    pub fn load(file: &Path) -> Result<Self, Faults> {
        match std::path::absolute(file) {
            Ok(path) => Self::load_in(file, path.parent().unwrap_or(Path::new("/"))),
            Err(failure) => unusable(file.display().to_string(), failure.to_string()),
        }
    }

    /// Reads a configuration file as if it were in this directory: its paths are relative to that.
    ///
    /// # Errors
    ///
    /// All its faults.
    pub fn load_in(file: &Path, folder: &Path) -> Result<Self, Faults> {
        let shown = file.display().to_string();
        let bytes = match find::read(file) {
            Ok(bytes) => bytes,
            Err(why) => return unusable(shown, why),
        };
        match str::from_utf8(&bytes) {
            Ok(text) => {
                let config = Self::parse(shown, text, folder)?;
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
                report.finish(Self::default())
            }
        }
    }

    /// Reads `file`, or else `config.toml` in the current directory, or else that of an installed server;
    /// without any, uses defaults. A file that was not named must be safe from other users.
    ///
    /// # Errors
    ///
    /// All its faults. A named file must exist.
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

    /// Reads the configuration of an installed server, if there is one that this user may read.
    pub fn installed() -> Option<Self> {
        Self::load(Path::new(INSTALLED_FILE)).ok()
    }

    /// Returns all defaults, for a directory without a configuration.
    ///
    /// # Errors
    ///
    /// None, unless a default is wrong.
    pub fn default_in(folder: &Path) -> Result<Self, Faults> {
        Self::parse(DEFAULT_FILE.to_owned(), "", folder)
    }

    pub(super) fn parse(file: String, text: &str, folder: &Path) -> Result<Self, Faults> {
        let mut reader = ConfigReader {
            config: Self::default(),
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

    /// Returns the settings that differ from `old`, in the order of the shipped config.toml.
    pub fn differences(&self, old: &Self) -> Vec<Difference> {
        let differ = |key: &&ConfigKey| {
            let place = (key.section, key.name);
            self.values.get(&place) != old.values.get(&place)
        };
        let difference = |key: &ConfigKey| Difference {
            setting: format!("{}.{}", key.section, key.name),
            is_live: key.live,
        };
        KEYS.iter().filter(differ).map(difference).collect()
    }
}

fn unusable(file: String, why: String) -> Result<Config, Faults> {
    let mut report = Report::new(file, "");
    report.whole(why);
    report.finish(Config::default())
}

/// The state of a key.
enum Found {
    /// It is in the file at this position, and valid.
    Right(Range<usize>),
    /// It is in the file and invalid.
    Faulty,
    /// It is not in the file.
    Default,
}

struct ConfigReader<'a> {
    config: Config,
    folder: &'a Path,
    text: &'a str,
    report: Report<'a>,
    found: HashMap<(&'static str, &'static str), Found>,
}

impl ConfigReader<'_> {
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

    /// Applies a value; `place` is its position in the file, if it has one.
    fn set(&mut self, key: &ConfigKey, value: &value::Value<'_>, place: Option<Range<usize>>) {
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
        return format!("{name} belongs below [{}]", key.section);
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
            "[{section}] has no key {name}; it belongs below [{}]",
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
