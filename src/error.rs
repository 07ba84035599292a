//! The typed errors of operations. Only `sftp::status` maps them to SSH_FX codes.

use std::fmt;

use rustix::io::Errno;

use crate::rules::{Denied, Permission};
use crate::values::path::PathError;
use crate::values::units::show_rounded;

/// Why an operation failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// An error of the operating system.
    #[error("{}", describe(*.0))]
    Os(Errno),
    /// The name is not possible.
    #[error(transparent)]
    Path(#[from] PathError),
    /// The request is well formed, but its values make no sense.
    #[error("{0}")]
    Invalid(&'static str),
    /// The rules of this server refuse the request.
    #[error("{0}")]
    Refused(&'static str),
    /// The permissions of the account refuse the request.
    #[error("{0}")]
    NotAllowed(Denied),
    /// The session has no such handle, or the handle is of another kind.
    #[error("{0}")]
    Handle(&'static str),
    /// The request or the extension is unknown, or this file system does not support it.
    #[error("{0}")]
    Unsupported(&'static str),
    /// The quota of the account is exhausted.
    #[error("{0}")]
    Quota(Exceeded),
    /// A new file could not replace the existing one.
    #[error("{0}")]
    Unfinished(UnfinishedOverwrite),
    /// A file was closed without a part that could not be written and was not sent again.
    #[error("{0}; a part of the file is missing")]
    Missing(Cause),
    /// A limit of the server is reached, with its value.
    #[error("{0} (limit {1})")]
    Limit(&'static str, u64),
}

/// The quota that is exhausted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exceeded {
    /// Bytes.
    Bytes {
        /// Current usage.
        used: u64,
        /// The quota.
        limit: u64,
        /// The additional amount, if it helps the user.
        wanted: Option<u64>,
    },
    /// Files, directories and links.
    Files {
        /// Current usage.
        used: u64,
        /// The quota.
        limit: u64,
    },
}

impl fmt::Display for Exceeded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Bytes {
                used,
                limit,
                wanted,
            } => {
                let (used, limit) = (show_rounded(used), show_rounded(limit));
                write!(f, "Quota exceeded: {used} of {limit} used")?;
                match wanted {
                    Some(wanted) => write!(f, ", {} more needed", show_rounded(wanted)),
                    None => Ok(()),
                }
            }
            Self::Files { used, limit } => {
                write!(f, "Quota exceeded: {used} of {limit} files used")
            }
        }
    }
}

/// Why a part of a file could not be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cause {
    /// An error of the operating system.
    Os(Errno),
    /// The quota of the account is exhausted.
    Quota(Exceeded),
    /// The permissions of the account have changed.
    NotAllowed(Denied),
    /// Anything else.
    Other,
}

impl From<Error> for Cause {
    fn from(error: Error) -> Self {
        match error {
            Error::Os(errno) => Self::Os(errno),
            Error::Quota(exceeded) => Self::Quota(exceeded),
            Error::NotAllowed(denied) => Self::NotAllowed(denied),
            _ => Self::Other,
        }
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Os(errno) => f.write_str(&describe(*errno)),
            Self::Quota(exceeded) => exceeded.fmt(f),
            Self::NotAllowed(denied) => denied.fmt(f),
            Self::Other => f.write_str("A WRITE was refused"),
        }
    }
}

/// Why an existing file was not overwritten, and the outcome for the new one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UnfinishedOverwrite {
    /// The error of the operating system; `None` if data was missing before.
    pub cause: Option<Errno>,
    /// The outcome for the new file.
    pub kept: KeptPart,
}

/// The outcome for a new file that did not replace the existing one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeptPart {
    /// It is kept as NAME.filepart.
    Part,
    /// It is kept under a hidden name.
    Hidden,
    /// It is removed.
    Nothing,
}

impl UnfinishedOverwrite {
    /// Makes it from the error that occurred last, if any.
    pub fn new(error: Option<Error>, kept: KeptPart) -> Self {
        let cause = match error {
            Some(Error::Os(errno)) => Some(errno),
            _ => None,
        };
        Self { cause, kept }
    }
}

impl fmt::Display for UnfinishedOverwrite {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.cause {
            Some(Errno::NOENT) => f.write_str("The new file was removed before it was closed")?,
            Some(errno) => f.write_str(&describe(errno))?,
            None => f.write_str("The new file is incomplete")?,
        }
        f.write_str("; the existing file is unchanged")?;
        f.write_str(match self.kept {
            KeptPart::Part => {
                ", and the received data is in a file of the same name with .filepart"
            }
            KeptPart::Hidden => ", and the received data is in a hidden file beside it",
            KeptPart::Nothing => "",
        })
    }
}

impl From<Permission> for Error {
    /// The permission is missing.
    fn from(permission: Permission) -> Self {
        Self::NotAllowed(Denied::Lacks(permission))
    }
}

impl From<Errno> for Error {
    fn from(errno: Errno) -> Self {
        Self::Os(errno)
    }
}

/// Describes errors that a user can meet in plain words, others in the system's.
fn describe(errno: Errno) -> String {
    match errno {
        Errno::NOENT => "No such file or directory".into(),
        Errno::NOTDIR => "Not a directory".into(),
        Errno::ISDIR => "Is a directory".into(),
        Errno::EXIST => "File already exists".into(),
        Errno::NOTEMPTY => "Directory not empty".into(),
        Errno::ACCESS | Errno::PERM => "Permission denied".into(),
        Errno::ROFS => "Read-only file system".into(),
        Errno::NOSPC => "No space left on the server's disk".into(),
        Errno::DQUOT => "Disk quota of the server exceeded".into(),
        Errno::FBIG => "File too large for the server".into(),
        Errno::LOOP => "Too many levels of symbolic links".into(),
        Errno::NAMETOOLONG => "File name too long".into(),
        Errno::XDEV => "On another file system".into(),
        Errno::IO => "Input/output error on the server's disk".into(),
        other => std::io::Error::from(other).to_string(),
    }
}
