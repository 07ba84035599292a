//! The list of all settings, for the manual page.

use super::table::KEYS;
use super::users::USER_KEYS;

/// A key of config.toml.
#[derive(Debug, Clone, Copy)]
pub struct Setting {
    /// Its section.
    pub section: &'static str,
    /// Its name.
    pub name: &'static str,
    /// Its default as TOML; for a user's key an example.
    pub value: &'static str,
    /// Its description.
    pub doc: &'static str,
    /// Whether a reload applies a changed value.
    pub is_live: bool,
}

/// Returns every key of the sections, in the order of the shipped config.toml.
pub fn settings() -> impl Iterator<Item = Setting> {
    KEYS.iter().map(|key| Setting {
        section: key.section,
        name: key.name,
        value: key.default,
        doc: key.doc,
        is_live: key.live,
    })
}

/// Returns every key of a `[user.NAME]`.
pub fn user_settings() -> impl Iterator<Item = Setting> {
    USER_KEYS.iter().map(|key| Setting {
        section: super::users::SECTION,
        name: key.name,
        value: key.example,
        doc: key.doc,
        is_live: true,
    })
}
