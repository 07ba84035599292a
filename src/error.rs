//! The typed errors of the verbs. They become SSH_FX codes in one place only: `sftp::status`.

use std::fmt;

use rustix::io::Errno;

use crate::rules::{Denied, Permission};
use crate::values::path::PathError;
use crate::values::units::show_rounded;

/// Why a verb did not do what was asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The operating system said no.
    #[error("{}", describe(*.0))]
    Os(Errno),
    /// The name itself cannot be.
    #[error(transparent)]
    Path(#[from] PathError),
    /// The request is well formed, but asks for something that cannot be meant.
    #[error("{0}")]
    Invalid(&'static str),
    /// The request is understood and refused by the rules of this server.
    #[error("{0}")]
    Refused(&'static str),
    /// The rules of the account do not allow it.
    #[error("{0}")]
    NotAllowed(Denied),
    /// The handle is not one that this session holds, or not of the right kind.
    #[error("{0}")]
    Handle(&'static str),
    /// The request or the extension is unknown, or this file system cannot do it.
    #[error("{0}")]
    Unsupported(&'static str),
    /// The account may not use more.
    #[error("{0}")]
    Quota(Exceeded),
    /// A new file could not take the place of the old one.
    #[error("{0}")]
    Unfinished(UnfinishedOverwrite),
    /// A file is closed of which a part could not be written, and was not sent again.
    #[error("{0}; a part of the file is missing")]
    Missing(Cause),
    /// A limit of the server is reached; the number is the limit.
    #[error("{0} (limit {1})")]
    Limit(&'static str, u64),
}

/// Which quota of an account is in the way, and how.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exceeded {
    /// That of bytes.
    Bytes {
        /// Used now.
        used: u64,
        /// The most that may be used.
        limit: u64,
        /// So much more was wanted, if that is worth telling.
        wanted: Option<u64>,
    },
    /// That of files, directories and links.
    Files {
        /// Used now.
        used: u64,
        /// The most that may be used.
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
                    Some(wanted) => write!(f, ", {} more wanted", show_rounded(wanted)),
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
    /// The operating system said no.
    Os(Errno),
    /// The account may not use more.
    Quota(Exceeded),
    /// The rules of the account do not allow it any more.
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

/// Why an old file was not overwritten, and what became of the new one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UnfinishedOverwrite {
    /// What the operating system said; `None` if not everything had been written before.
    pub cause: Option<Errno>,
    /// What became of the new file.
    pub kept: KeptPart,
}

/// What became of a new file that did not take the place of the old one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeptPart {
    /// It lies beside it, as NAME.filepart.
    Part,
    /// It lies beside it under a hidden name.
    Hidden,
    /// There is nothing of it.
    Nothing,
}

impl UnfinishedOverwrite {
    /// From the error that was met, if it was met only now.
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
            None => f.write_str("Not all of the new file has come")?,
        }
        f.write_str("; the old one stays as it was")?;
        f.write_str(match self.kept {
            KeptPart::Part => ", and what has come is beside it with .filepart behind its name",
            KeptPart::Hidden => ", and what has come is beside it under a hidden name",
            KeptPart::Nothing => "",
        })
    }
}

impl From<Permission> for Error {
    /// It is missing.
    fn from(permission: Permission) -> Self {
        Self::NotAllowed(Denied::Lacks(permission))
    }
}

impl From<Errno> for Error {
    fn from(errno: Errno) -> Self {
        Self::Os(errno)
    }
}

/// Plain words for the errors that a user can meet; the rest in the system's own words.
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
