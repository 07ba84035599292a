//! Replies to requests, and requests without a reply so far.

use std::time::Instant;

use bytes::Bytes;

use crate::error::Error;
use crate::hashes::Algorithm;
use crate::vfs::{Copying, CopyingFile, Hashing, OpenFile};

/// The reply to a successful request.
pub(super) enum Answer {
    /// STATUS with SSH_FX_OK.
    Done,
    /// The reply is already queued.
    Replied,
    /// STATUS with SSH_FX_EOF.
    Eof,
    /// The request runs long; the rest of its work.
    Later(Rest),
}

pub(super) type Outcome = Result<Answer, Error>;

/// A request without a reply so far.
pub(super) struct UnfinishedRequest {
    pub(super) id: u32,
    pub(super) rest: Rest,
    /// Its type and start time.
    pub(super) began: Option<(u8, Instant)>,
}

/// The remaining work of a request.
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
    /// CLOSE: only the hash for the audit log remains.
    Record(Result<(), Error>),
}

impl UnfinishedRequest {
    pub(super) fn new(id: u32, rest: Rest) -> Self {
        let began = None;
        Self { id, rest, began }
    }
}

/// A check-file without a reply so far.
pub(super) struct Checking {
    pub(super) of: HashSubject,
    pub(super) names_itself: bool,
    pub(super) algorithm: Algorithm,
    pub(super) hashing: Hashing,
}

/// The file to hash.
pub(super) enum HashSubject {
    Handle(Bytes),
    /// The request has opened it.
    Opened(OpenFile),
}
