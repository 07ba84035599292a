//! Maps errors to SSH_FX codes and status texts: the only place that does.

use std::borrow::Cow;

use rustix::io::Errno;

use super::client::ClientQuirks;
use crate::error::{Error, UnfinishedOverwrite};
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

/// OpenSSH's text of each code that this server sends (`status_messages` in its `sftp-server.c`).
const TEXTS: [(u32, &str); 6] = [
    (code::OK, "Success"),
    (code::EOF, "End of file"),
    (code::NO_SUCH_FILE, "No such file"),
    (code::PERMISSION_DENIED, "Permission denied"),
    (code::BAD_MESSAGE, "Bad message"),
    (code::OP_UNSUPPORTED, "Operation unsupported"),
];

/// Returns OpenSSH's text for a code.
pub fn standard_text(code: u32) -> &'static str {
    let found = TEXTS.iter().find(|(known, _)| *known == code);
    found.map_or("Failure", |(_, text)| text)
}

/// Returns the text for an error: OpenSSH's, which some clients compare (node-ssh), unless ours says more.
pub fn text_for(error: &Error, client: ClientQuirks) -> Cow<'static, str> {
    let says_no_more = |errno: Errno| {
        let missing = matches!(errno, Errno::NOENT | Errno::NOTDIR | Errno::LOOP);
        let refused = matches!(errno, Errno::ACCESS | Errno::PERM);
        missing || refused || matches!(errno, Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP)
    };
    match error {
        Error::Os(errno) if says_no_more(*errno) => standard_text(code_for(error, client)).into(),
        _ => error.to_string().into(),
    }
}

/// Returns the code for an error that this client handles best.
pub fn code_for(error: &Error, client: ClientQuirks) -> u32 {
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
        Error::Unfinished(UnfinishedOverwrite { cause, .. }) => match cause {
            Some(errno @ (Errno::NOSPC | Errno::DQUOT)) => code_for(&Error::Os(*errno), client),
            _ => code::FAILURE,
        },
        Error::Path(_) | Error::Invalid(_) => code::BAD_MESSAGE,
        Error::Refused(_) | Error::NotAllowed(_) => code::PERMISSION_DENIED,
        Error::Quota(_) if client.knows_version_5_codes() => code::QUOTA_EXCEEDED,
        Error::Handle(_) | Error::Quota(_) | Error::Missing(_) | Error::Limit(..) => code::FAILURE,
        Error::Unsupported(_) => code::OP_UNSUPPORTED,
    }
}

/// Returns whether to report an error on stderr as well, since OpenSSH's and PuTTY's clients never show the
/// text of a status.
///
/// A missing permission to list files is not reported: clients list files before an upload and handle the
/// error.
pub fn deserves_notice(error: &Error) -> bool {
    match error {
        Error::Quota(_) | Error::Unfinished(_) | Error::Missing(_) => true,
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Exceeded;

    #[test]
    fn texts_are_those_of_openssh_unless_ours_say_more() {
        let text = |error: Error| text_for(&error, ClientQuirks::Other);
        for (errno, expected) in [
            (Errno::NOENT, "No such file"),
            (Errno::NOTDIR, "No such file"),
            (Errno::LOOP, "No such file"),
            (Errno::PERM, "Permission denied"),
            (Errno::INVAL, "Bad message"),
            (Errno::OPNOTSUPP, "Operation unsupported"),
            (Errno::EXIST, "File already exists"),
            (Errno::ISDIR, "Is a directory"),
            (Errno::NOSPC, "No space left on the server's disk"),
        ] {
            assert_eq!(text(errno.into()), expected);
        }
        let (used, limit) = (1, 1);
        let quota = text(Error::Quota(Exceeded::Files { used, limit }));
        assert_eq!(quota, "Quota exceeded: 1 of 1 files used");
        assert_eq!(
            text(Permission::Delete.into()),
            Permission::Delete.refusal()
        );
        assert_eq!(standard_text(code::FAILURE), "Failure");
    }
}
