//! Permissions of an account: a set for the home, and sets of their own for directories in it.

use std::fmt;
use std::str::FromStr;

use crate::values::path::VPath;

/// A permission of an account.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Permission {
    /// List directories and see attributes of files.
    List,
    /// Read files.
    Download,
    /// Create files and write to them.
    Upload,
    /// Change or replace the contents of existing files.
    Overwrite,
    /// Remove files, directories and links.
    Delete,
    /// Rename them.
    Rename,
    /// Create directories.
    Mkdir,
    /// Create symbolic and hard links, and read symbolic ones.
    Links,
    /// Change times and modes.
    Attributes,
}

use Permission::{Attributes, Delete, Download, Links, List, Mkdir, Overwrite, Rename, Upload};

/// Each with its name for operators, and the error for an account that lacks it.
const ALL: [(Permission, &str, &str); 9] = [
    (
        List,
        "list",
        "Not allowed here: this account may not list files",
    ),
    (
        Download,
        "download",
        "Not allowed here: this account may not download",
    ),
    (
        Upload,
        "upload",
        "Not allowed here: this account may not upload",
    ),
    (
        Overwrite,
        "overwrite",
        "Not allowed here: this account may not overwrite files",
    ),
    (
        Delete,
        "delete",
        "Not allowed here: this account may not delete",
    ),
    (
        Rename,
        "rename",
        "Not allowed here: this account may not rename",
    ),
    (
        Mkdir,
        "mkdir",
        "Not allowed here: this account may not create directories",
    ),
    (
        Links,
        "links",
        "Not allowed here: this account may not use links",
    ),
    (
        Attributes,
        "attributes",
        "Not allowed here: this account may not change times or modes",
    ),
];

/// Named sets.
const PRESETS: [(&str, Granted); 5] = [
    ("full", Granted::FULL),
    ("read-only", Granted::READ_ONLY),
    // A drop box: its contents can be neither listed nor downloaded.
    ("upload-only", Granted::of(&[Upload, Mkdir])),
    ("no-delete", Granted::FULL.without(Delete)),
    ("nothing", Granted::NOTHING),
];

impl Permission {
    const fn bit(self) -> u16 {
        1 << self as u16
    }

    /// Returns its name for operators.
    pub fn name(self) -> &'static str {
        self.row().map_or("", |(_, name, _)| name)
    }

    /// Returns the error for an account that lacks it.
    pub fn refusal(self) -> &'static str {
        self.row().map_or("Not allowed here", |(_, _, words)| words)
    }

    fn row(self) -> Option<&'static (Self, &'static str, &'static str)> {
        ALL.iter().find(|(permission, ..)| *permission == self)
    }
}

/// Why an operation is not permitted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Denied {
    /// The account lacks this permission there.
    Lacks(Permission),
    /// The operation would move a directory with its own permissions, or one that contains such a
    /// directory.
    HasOwnRules,
    /// The destination permits more.
    Gains,
}

impl fmt::Display for Denied {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Lacks(permission) => permission.refusal(),
            Self::HasOwnRules => {
                "Not allowed here: a directory with its own permissions is here or below"
            }
            Self::Gains => "Not allowed here: the destination has other permissions",
        })
    }
}

/// A set of permissions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Granted(u16);

impl Granted {
    /// All permissions.
    pub const FULL: Self = Self::of(&[
        List, Download, Upload, Overwrite, Delete, Rename, Mkdir, Links, Attributes,
    ]);
    /// No permissions.
    pub const NOTHING: Self = Self::of(&[]);
    /// The default for a guest.
    pub const READ_ONLY: Self = Self::of(&[List, Download]);

    const fn of(mut permissions: &[Permission]) -> Self {
        let mut bits = 0;
        while let [first, rest @ ..] = permissions {
            bits |= first.bit();
            permissions = rest;
        }
        Self(bits)
    }

    const fn without(self, permission: Permission) -> Self {
        Self(self.0 & !permission.bit())
    }

    /// Returns whether all of these are in the set.
    pub fn has_all(self, permissions: &[Permission]) -> bool {
        permissions.iter().all(|permission| self.has(*permission))
    }

    /// Returns whether this one is in the set.
    pub const fn has(self, permission: Permission) -> bool {
        self.0 & permission.bit() != 0
    }
}

/// Why text is not a set of permissions.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotPermissions {
    /// Neither a preset nor a permission.
    #[error(
        "there is no permission {0:?}: use full, read-only, upload-only, no-delete or nothing, or some of list, download, upload, overwrite, delete, rename, mkdir, links and attributes with commas between them"
    )]
    Unknown(String),
    /// A directory that cannot have its own permissions.
    #[error(
        "{0:?} cannot have its own permissions: write it relative to the home, such as /incoming=upload-only, without \"..\""
    )]
    Place(String),
    /// The home always has permissions.
    #[error("the home itself always has permissions: give a set instead of \"none\"")]
    Home,
}

impl FromStr for Granted {
    type Err = NotPermissions;

    fn from_str(text: &str) -> Result<Self, NotPermissions> {
        if let Some((_, preset)) = PRESETS.iter().find(|(name, _)| *name == text) {
            return Ok(*preset);
        }
        text.split(',').try_fold(Self::NOTHING, |granted, word| {
            let found = ALL.iter().find(|(_, name, _)| *name == word.trim());
            let (permission, ..) = found.ok_or_else(|| NotPermissions::Unknown(word.into()))?;
            Ok(Self(granted.0 | permission.bit()))
        })
    }
}

impl fmt::Display for Granted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some((name, _)) = PRESETS.iter().find(|(_, preset)| preset == self) {
            return f.write_str(name);
        }
        let granted = ALL.iter().filter(|(permission, ..)| self.has(*permission));
        let names: Vec<&str> = granted.map(|(_, name, _)| *name).collect();
        f.write_str(&names.join(","))
    }
}

/// The permissions of an account. For directories with their own set, the innermost applies, to everything
/// below it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Permissions {
    home: Granted,
    /// Directories with their own set, without duplicates.
    directories: Vec<(VPath, Granted)>,
}

impl Default for Permissions {
    fn default() -> Self {
        Self::from(Granted::FULL)
    }
}

impl From<Granted> for Permissions {
    fn from(home: Granted) -> Self {
        Self {
            home,
            directories: Vec::new(),
        }
    }
}

impl Permissions {
    /// Returns the permissions at a path. It must be free of links and "..", as it identifies the file that
    /// the caller acts on.
    pub fn at(&self, path: &VPath) -> Granted {
        let around = self.directories.iter();
        let around = around.filter(|(directory, _)| path.is_within(directory));
        let innermost = around.max_by_key(|(directory, _)| directory.relative().len());
        innermost.map_or(self.home, |(_, granted)| *granted)
    }

    /// Returns the set of the whole home, if there is only one.
    pub fn everywhere(&self) -> Option<Granted> {
        self.directories.is_empty().then_some(self.home)
    }

    /// Returns whether a directory with its own set is at or below this path, so that its name must stay.
    pub fn has_rules_within(&self, path: &VPath) -> bool {
        let mut directories = self.directories.iter();
        directories.any(|(directory, _)| directory.is_within(path))
    }

    /// Sets a rule, replacing an existing one.
    pub fn set(&mut self, rule: PermissionRule) {
        let PermissionRule { directory, granted } = rule;
        if directory.is_home() {
            self.home = granted.unwrap_or(self.home);
            return;
        }
        self.directories.retain(|(other, _)| *other != directory);
        if let Some(granted) = granted {
            self.directories.push((directory, granted));
            self.directories.sort_by(|(a, _), (b, _)| a.cmp(b));
        }
    }

    /// Returns the home's set, then the directories with their own, by name.
    pub fn all(&self) -> impl Iterator<Item = (VPath, Granted)> + '_ {
        let home = std::iter::once((VPath::home(), self.home));
        home.chain(self.directories.iter().cloned())
    }
}

/// The stored format: the home's set, then a line for each directory.
impl fmt::Display for Permissions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.home)?;
        for (directory, granted) in &self.directories {
            write!(f, "\n{directory}={granted}")?;
        }
        Ok(())
    }
}

/// Stored permissions that cannot be parsed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("cannot read the permissions {0:?}")]
pub struct StoredPermissionsError(String);

impl FromStr for Permissions {
    type Err = StoredPermissionsError;

    fn from_str(text: &str) -> Result<Self, StoredPermissionsError> {
        let unreadable = || StoredPermissionsError(text.to_owned());
        let mut lines = text.lines();
        let home = lines.next().and_then(|line| line.parse::<Granted>().ok());
        let mut permissions = Self::from(home.ok_or_else(unreadable)?);
        for line in lines {
            permissions.set(line.parse().map_err(|_| unreadable())?);
        }
        Ok(permissions)
    }
}

/// A set for the home (`read-only`), for a directory (`/incoming=upload-only`), or the removal of a
/// directory's set (`/incoming=none`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PermissionRule {
    directory: VPath,
    granted: Option<Granted>,
}

impl FromStr for PermissionRule {
    type Err = NotPermissions;

    fn from_str(text: &str) -> Result<Self, NotPermissions> {
        let Some((place, granted)) = text.rsplit_once('=') else {
            return Ok(Self {
                directory: VPath::home(),
                granted: Some(text.parse()?),
            });
        };
        let directory = VPath::parse(place.as_bytes()).ok().filter(|directory| {
            let mut names = directory.relative().split(|byte| *byte == b'/');
            place.starts_with('/')
                && !place.contains(char::is_control)
                && !names.any(|name| name == b"..")
        });
        let directory = directory.ok_or_else(|| NotPermissions::Place(place.to_owned()))?;
        let granted = match granted {
            "none" if directory.is_home() => return Err(NotPermissions::Home),
            "none" => None,
            set => Some(set.parse()?),
        };
        Ok(Self { directory, granted })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn permissions(rules: &[&str]) -> Permissions {
        let mut permissions = Permissions::default();
        for rule in rules {
            permissions.set(rule.parse().unwrap());
        }
        permissions
    }

    fn at(permissions: &Permissions, path: &str) -> String {
        let path = VPath::parse(path.as_bytes()).unwrap();
        permissions.at(&path).to_string()
    }

    #[test]
    fn the_innermost_directory_decides_whatever_the_order() {
        let mut rules = [
            "read-only",
            "/in=upload-only",
            "/in/done=nothing",
            "/in/done/x=full",
        ];
        for _ in 0..4 {
            rules.rotate_left(1);
            let permissions = permissions(&rules);
            for (path, expected) in [
                ("/", "read-only"),
                ("/other", "read-only"),
                ("/in", "upload-only"),
                ("/in/a/b", "upload-only"),
                ("/in2", "read-only"),
                ("/i", "read-only"),
                ("/IN", "read-only"),
                ("/in/done", "nothing"),
                ("/in/done/y", "nothing"),
                ("/in/done/x/y", "full"),
            ] {
                assert_eq!(at(&permissions, path), expected, "{path}");
            }
        }
    }

    #[test]
    fn rules_are_replaced_and_taken_away() {
        let mut permissions = permissions(&["/in=upload-only", "/in/=read-only", "full"]);
        assert_eq!(permissions.to_string(), "full\n/in=read-only");
        permissions.set("/in=none".parse().unwrap());
        assert_eq!(permissions.everywhere(), Some(Granted::FULL));
        permissions.set("/=read-only".parse().unwrap());
        assert_eq!(permissions.everywhere(), Some(Granted::READ_ONLY));
    }

    #[test]
    fn they_are_kept_as_text() {
        let permissions = permissions(&["list,mkdir", "/a=b=no-delete", "/c d=full", "/ü=nothing"]);
        let kept = permissions.to_string();
        assert_eq!(kept, "list,mkdir\n/a=b=no-delete\n/c d=full\n/ü=nothing");
        assert_eq!(kept.parse(), Ok(permissions));
        for text in ["", "no", "/a=full", "full\n\n", "full\n/a"] {
            assert!(text.parse::<Permissions>().is_err(), "{text:?}");
        }
    }

    #[test]
    fn sets_are_presets_or_lists() {
        for (text, shown) in [
            ("list,download", "read-only"),
            ("upload, mkdir", "upload-only"),
            ("delete,list,delete", "list,delete"),
            (
                "list,download,upload,overwrite,delete,rename,mkdir,links,attributes",
                "full",
            ),
        ] {
            assert_eq!(text.parse::<Granted>().unwrap().to_string(), shown);
        }
        for text in [
            "",
            "read_only",
            "list,",
            "read-only,upload",
            "none",
            "Full",
            "LIST",
        ] {
            assert!(text.parse::<PermissionRule>().is_err(), "{text}");
        }
        for text in [
            "in=full",
            "/a/../b=full",
            "=full",
            "/=none",
            "/a\nb=full",
            "/a=",
            "a=none",
        ] {
            assert!(text.parse::<PermissionRule>().is_err(), "{text}");
        }
        for (permission, name, words) in ALL {
            assert_eq!(name.parse(), Ok(Granted::of(&[permission])));
            assert_eq!((permission.name(), permission.refusal()), (name, words));
        }
    }

    #[test]
    fn what_a_rule_names_stays_where_it_is() {
        let permissions = permissions(&["/a/b=upload-only"]);
        for (path, held) in [
            ("/a/b", true),
            ("/a", true),
            ("/", true),
            ("/a/b/c", false),
            ("/a/bc", false),
        ] {
            let path = VPath::parse(path.as_bytes()).unwrap();
            assert_eq!(permissions.has_rules_within(&path), held, "{path}");
        }
    }
}
