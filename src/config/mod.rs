//! config.toml: read as it is, every fault found with its place, and only then a checked [`Config`].
//!
//! Everything that there is to configure stands in one table (`table`): a key has its name, default, description and
//! setter there, and whether a reload applies it. Parsing, messages and the check of the shipped config.toml follow
//! from it.

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
