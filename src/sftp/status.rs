//! Where errors become SSH_FX codes: the only place.

use rustix::io::Errno;

use super::client::Client;
use crate::error::{Error, Unfinished};
use crate::rules::{Denied, Permission};

/// SSH_FX codes (draft-ietf-secsh-filexfer-02, section 7; 14 and 15 are from version 5).
pub mod code {
    #![allow(missing_docs)]
    pub const OK: u32 = 0;
    pub const EOF: u32 = 1;
    pub const NO_SUCH_FILE: u32 = 2;
    pub const PERMISSION_DENIED: u32 = 3;
    pub const FAILURE: u32 = 4;
    pub const BAD_MESSAGE: u32 = 5;
    pub const OP_UNSUPPORTED: u32 = 8;
    pub const NO_SPACE_ON_FILESYSTEM: u32 = 14;
    pub const QUOTA_EXCEEDED: u32 = 15;
}

/// The code for an error, as this client understands it best.
pub fn code_for(error: &Error, client: Client) -> u32 {
    match error {
        Error::Os(errno) => match *errno {
            Errno::NOENT | Errno::NOTDIR | Errno::LOOP => code::NO_SUCH_FILE,
            Errno::ACCESS | Errno::PERM | Errno::ROFS => code::PERMISSION_DENIED,
            Errno::NAMETOOLONG | Errno::INVAL => code::BAD_MESSAGE,
            Errno::NOSYS | Errno::OPNOTSUPP => code::OP_UNSUPPORTED,
            Errno::NOSPC if client.knows_version_5_codes() => code::NO_SPACE_ON_FILESYSTEM,
            Errno::DQUOT if client.knows_version_5_codes() => code::QUOTA_EXCEEDED,
            _ => code::FAILURE,
        },
        Error::Unfinished(Unfinished { cause, .. }) => match cause {
            Some(errno @ (Errno::NOSPC | Errno::DQUOT)) => code_for(&Error::Os(*errno), client),
            _ => code::FAILURE,
        },
        Error::Path(_) | Error::Invalid(_) => code::BAD_MESSAGE,
        Error::Refused(_) | Error::NotAllowed(_) => code::PERMISSION_DENIED,
        Error::Quota(_) if client.knows_version_5_codes() => code::QUOTA_EXCEEDED,
        Error::Handle(_) | Error::Quota(_) | Error::Missing | Error::Limit(..) => code::FAILURE,
        Error::Unsupported(_) => code::OP_UNSUPPORTED,
    }
}

/// Is this an error that a person should be told of on stderr, since OpenSSH's and PuTTY's clients
/// never show the text of a status?
///
/// That files cannot be listed is none: clients ask for them before an upload, and know what to do.
pub fn deserves_notice(error: &Error) -> bool {
    match error {
        Error::Quota(_) | Error::Unfinished(_) | Error::Missing => true,
        Error::NotAllowed(denied) => *denied != Denied::Lacks(Permission::List),
        Error::Os(errno) => {
            matches!(
                *errno,
                Errno::NOSPC | Errno::DQUOT | Errno::FBIG | Errno::IO
            )
        }
        _ => false,
    }
}
