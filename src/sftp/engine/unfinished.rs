//! What a request is answered with, and requests that are not answered yet.

use std::time::Instant;

use bytes::Bytes;

use crate::error::Error;
use crate::hashes::Algorithm;
use crate::vfs::{Copying, CopyingFile, Hashing, OpenFile};

/// What a request that did not fail is answered with.
pub(super) enum Answer {
    /// STATUS with SSH_FX_OK.
    Done,
    /// The reply is in the buffer already.
    Replied,
    /// STATUS with SSH_FX_EOF.
    Eof,
    /// It takes long, and this is still to be done.
    Later(Rest),
}

pub(super) type Outcome = Result<Answer, Error>;

/// A request that is not answered yet.
pub(super) struct UnfinishedRequest {
    pub(super) id: u32,
    pub(super) rest: Rest,
    /// Its type, and when it began.
    pub(super) began: Option<(u8, Instant)>,
}

/// What is still to be done for a request.
pub(super) enum Rest {
    /// check-file
    Check(Box<Checking>),
    /// copy-data between two handles
    Copy {
        from: Bytes,
        to: Bytes,
        copying: Copying,
    },
    /// copy-file
    CopyFile(Box<CopyingFile>),
    /// CLOSE: all is done but for the hash that the audit trail wants.
    Record(Result<(), Error>),
}

impl UnfinishedRequest {
    pub(super) fn new(id: u32, rest: Rest) -> Self {
        let began = None;
        Self { id, rest, began }
    }
}

/// A check-file that is not answered yet.
pub(super) struct Checking {
    pub(super) of: HashSubject,
    pub(super) names_itself: bool,
    pub(super) algorithm: Algorithm,
    pub(super) hashing: Hashing,
}

/// What is hashed.
pub(super) enum HashSubject {
    Handle(Bytes),
    /// Opened by the request itself.
    Opened(OpenFile),
}
