//! What there is to tell of a file at its end.

use std::sync::OnceLock;
use std::sync::atomic::AtomicBool;

use super::gap::Gap;
use crate::error::Error;
use crate::session::transfers::UnderWay;

/// What there is to tell of a file at its end.
#[derive(Default)]
pub(super) struct Story {
    /// When it was opened.
    pub(super) size: u64,
    /// Opening it has made or cut it, and nothing was copied into it.
    pub(super) is_new: AtomicBool,
    /// Why something that should have been written to it was not, the first time.
    pub(super) failure: OnceLock<Error>,
    /// Where that was, as its client counts.
    pub(super) gap: Gap,
    /// What its client reads; `None` where the server uses it for itself.
    pub(super) download: Option<UnderWay>,
    /// What its client writes.
    pub(super) upload: Option<UnderWay>,
}
