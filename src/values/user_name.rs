//! Account names.

use std::fmt;
use std::str::FromStr;

/// A valid account name: 1 to 64 ASCII letters and digits, ".", "_", "-" and "@", starting with a letter or
/// digit. So it is safe as the name of a folder and in a log line. Case matters.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct UserName(String);

impl UserName {
    /// The longest name, in bytes.
    pub const MAX: usize = 64;

    /// Returns the name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Text that is not an account name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "a user name has 1 to {} letters (a-z, A-Z), digits, \".\", \"_\", \"-\" or \"@\", and starts with a letter or digit",
    UserName::MAX
)]
pub struct NotAName;

impl FromStr for UserName {
    type Err = NotAName;

    fn from_str(text: &str) -> Result<Self, NotAName> {
        let starts = text.starts_with(|c: char| c.is_ascii_alphanumeric());
        let allowed = |c: char| c.is_ascii_alphanumeric() || "._-@".contains(c);
        if starts && text.len() <= Self::MAX && text.chars().all(allowed) {
            Ok(Self(text.to_owned()))
        } else {
            Err(NotAName)
        }
    }
}

impl fmt::Display for UserName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
