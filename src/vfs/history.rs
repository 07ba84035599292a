//! The history of an open file, from which its end is recorded.

use std::sync::OnceLock;
use std::sync::atomic::AtomicBool;

use super::gap::Gap;
use crate::error::Error;
use crate::session::transfers::UnderWay;

/// The history of an open file.
#[derive(Default)]
pub(super) struct FileHistory {
    /// Its size when it was opened.
    pub(super) size: u64,
    /// Opening it has created or truncated it, and nothing was copied into it.
    pub(super) is_new: AtomicBool,
    /// Why data is missing: the first reason.
    pub(super) failure: OnceLock<Error>,
    /// Missing ranges, by the client's offsets.
    pub(super) gap: Gap,
    /// The client's download; `None` where the server itself uses the file.
    pub(super) download: Option<UnderWay>,
    /// The client's upload.
    pub(super) upload: Option<UnderWay>,
}
