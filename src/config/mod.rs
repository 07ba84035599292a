//! config.toml: parsed completely, with the position of every fault, and then turned into a checked
//! [`Config`].
//!
//! One table (`table`) contains every key with its name, default, description and setter, and whether a
//! reload applies it. Parsing, messages and the check of the shipped config.toml follow from it.

mod fault;
mod find;
mod read;
mod reference;
mod rules;
mod settings;
mod table;
#[cfg(test)]
mod tests;
mod users;
mod value;

pub use self::fault::{Faults, Spot};
pub use self::read::Difference;
pub use self::reference::{Setting, settings, user_settings};
pub use self::settings::{
    Algorithms, AuditSettings, Config, LEGACY_IS_DEPRECATED, LogSettings, MetricsSettings,
    SandboxSettings, ServerSettings, SftpSettings, SshSettings, UploadSettings,
};
