//! The one place where the outcome of an operation is recorded: in the log and in the audit log.

use std::fmt;
use std::sync::atomic::Ordering;

use rustix::io::Errno;
use tracing::{debug, info, warn};

use super::finished_transfers::FinishedTransfers;
use super::history::FileHistory;
use super::home::Vfs;
use super::open_file::End;
use crate::error::{Error, UnfinishedOverwrite};
use crate::observe::audit::{Event, TransferEvent, milliseconds, shown};
use crate::observe::outcome::{RefusalReason, TransferResult};
use crate::session::transfers::Transfer;
use crate::store::Changes;
use crate::values::label::Label as _;
use crate::values::path::VPath;

/// An operation to record.
#[derive(Clone, Copy)]
pub(super) enum RecordedOperation<'a> {
    Open(&'a VPath),
    List(&'a VPath),
    Write(&'a VPath),
    Close(&'a VPath),
    Sync(&'a VPath),
    Change(&'a VPath, &'a Changes),
    Remove(&'a VPath),
    RemoveDirectory(&'a VPath),
    MakeDirectory(&'a VPath),
    Link(&'a VPath, &'a VPath),
    Symlink {
        target: &'a [u8],
        link: &'a VPath,
    },
    Rename(&'a VPath, &'a VPath),
    Copy(&'a VPath, &'a VPath),
    /// Looks up the home of a user.
    FindHome(&'a VPath),
}

/// A client's file at its end.
pub(super) struct Used<'a> {
    pub(super) path: &'a VPath,
    pub(super) history: &'a FileHistory,
    /// Why data is missing or may be lost.
    pub(super) failure: Option<Error>,
    pub(super) end: End,
    pub(super) inode: (u64, u64),
}

impl Vfs {
    /// Records the outcome of an operation, and returns it.
    pub(super) fn record<T>(
        &self,
        operation: RecordedOperation<'_>,
        outcome: Result<T, Error>,
    ) -> Result<T, Error> {
        let (user, session) = (self.session.user(), self.session.id());
        match &outcome {
            Ok(_) => {
                debug!(user, session, "{operation}");
                if let Some(event) = operation.event() {
                    self.session.recorder().record(&event);
                }
            }
            Err(error) => {
                let refusal = refusal(error);
                // Of the WRITEs to a file, only the first failure comes here.
                if matches!(operation, RecordedOperation::Write(_))
                    || refusal == Some(RefusalReason::Disk)
                {
                    let (action, path) = (operation.name(), text(operation.path()));
                    let (path, reason) = (&*path, error.to_string());
                    warn!(user, session, path, reason, "{action} failed");
                } else {
                    debug!(user, session, %error, "{operation} failed");
                }
                if let Some(reason) = refusal {
                    self.session.recorder().record(&Event::Refused {
                        action: operation.name(),
                        path: text(operation.path()),
                        reason,
                        message: error.to_string(),
                    });
                }
            }
        }
        outcome
    }

    /// Records the transfers of a file.
    pub(super) fn record_transfers(&self, used: &Used<'_>) {
        let Used { path, history, .. } = used;
        let mut finished = FinishedTransfers::default();
        if let Some(upload) = history.upload.as_deref()
            && (upload.bytes() > 0 || history.is_new.load(Ordering::Relaxed))
        {
            let result = match used.end {
                End::Cut => TransferResult::Cut,
                End::Closed if used.failure.is_some() => TransferResult::Failed,
                End::Closed => TransferResult::Complete,
            };
            let upload = moved(path, upload, result);
            self.log("upload", &upload, used.failure);
            finished.upload = Some(upload);
        }
        // An empty file is transferred completely by opening it.
        let is_nothing_to_read = history.size == 0 && history.upload.is_none();
        if let Some(download) = history.download.as_deref()
            && (download.bytes() > 0 || is_nothing_to_read)
        {
            let wanted = history.size.saturating_sub(download.offset());
            let result = match used.end {
                _ if download.bytes() >= wanted => TransferResult::Complete,
                End::Closed => TransferResult::Partial,
                End::Cut => TransferResult::Cut,
            };
            let download = moved(path, download, result);
            self.log("download", &download, None);
            finished.download = Some(download);
        }
        self.record_or_hash(path, used.inode, finished);
    }

    /// Writes the log line of a transfer.
    fn log(&self, kind: &str, moved: &TransferEvent<'_>, failure: Option<Error>) {
        let (user, session) = (self.session.user(), self.session.id());
        let TransferEvent {
            bytes,
            offset,
            duration_ms,
            ..
        } = *moved;
        let (path, result) = (&*moved.path, moved.result.name());
        let reason = match moved.result {
            TransferResult::Complete | TransferResult::Partial => None,
            TransferResult::Failed => failure.map(|failure| failure.to_string()),
            TransferResult::Cut => Some("the session ended before the file was closed".to_owned()),
        };
        match reason {
            None => info!(
                user,
                session, path, bytes, offset, duration_ms, result, "{kind} {result}"
            ),
            Some(reason) => warn!(
                user,
                session, path, bytes, offset, duration_ms, result, reason, "{kind} {result}"
            ),
        }
    }
}

fn moved(path: &VPath, transfer: &Transfer, result: TransferResult) -> TransferEvent<'static> {
    TransferEvent {
        path: text(path),
        bytes: transfer.bytes(),
        offset: transfer.offset(),
        duration_ms: milliseconds(transfer.elapsed()),
        result,
        sha256: None,
    }
}

impl<'a> RecordedOperation<'a> {
    /// Returns its name in the log and the audit log.
    fn name(self) -> &'static str {
        match self {
            Self::Open(_) => "open",
            Self::List(_) => "list",
            Self::Write(_) => "write",
            Self::Close(_) => "close",
            Self::Sync(_) => "fsync",
            Self::Change(..) => "setstat",
            Self::Remove(_) => "remove",
            Self::RemoveDirectory(_) => "rmdir",
            Self::MakeDirectory(_) => "mkdir",
            Self::Link(..) => "link",
            Self::Symlink { .. } => "symlink",
            Self::Rename(..) => "rename",
            Self::Copy(..) => "copy",
            Self::FindHome(_) => "find_home",
        }
    }

    /// Returns the path concerned: of two, the new one.
    fn path(self) -> &'a VPath {
        match self {
            Self::Open(path)
            | Self::List(path)
            | Self::Write(path)
            | Self::Close(path)
            | Self::Sync(path)
            | Self::Change(path, _)
            | Self::Remove(path)
            | Self::RemoveDirectory(path)
            | Self::MakeDirectory(path)
            | Self::FindHome(path)
            | Self::Symlink { link: path, .. }
            | Self::Link(_, path)
            | Self::Rename(_, path)
            | Self::Copy(_, path) => path,
        }
    }

    /// Returns its event for the audit log after success.
    fn event(self) -> Option<Event<'a>> {
        let two = |from: &'a VPath, to: &'a VPath| (text(from), text(to));
        Some(match self {
            // The end of a transfer is recorded instead: `record_transfers`.
            Self::Open(_) | Self::Write(_) | Self::Close(_) => return None,
            Self::List(_) | Self::Sync(_) | Self::FindHome(_) => return None,
            Self::Change(path, changes) => Event::Setstat {
                path: text(path),
                size: changes.size,
                mode: changes
                    .permissions
                    .map(|mode| format!("{:04o}", mode & 0o7777)),
                mtime: changes.times.map(|(_, mtime)| mtime),
            },
            Self::Remove(path) => Event::Remove { path: text(path) },
            Self::RemoveDirectory(path) => Event::Rmdir { path: text(path) },
            Self::MakeDirectory(path) => Event::Mkdir { path: text(path) },
            Self::Link(from, to) => {
                let (from, to) = two(from, to);
                Event::Link { from, to }
            }
            Self::Symlink { target, link } => Event::Symlink {
                path: text(link),
                target: shown(target),
            },
            Self::Rename(from, to) => {
                let (from, to) = two(from, to);
                Event::Rename { from, to }
            }
            Self::Copy(from, to) => {
                let (from, to) = two(from, to);
                Event::Copy { from, to }
            }
        })
    }
}

impl fmt::Display for RecordedOperation<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Link(from, to) | Self::Rename(from, to) | Self::Copy(from, to) => {
                write!(f, "{} {from:?} {to:?}", self.name())
            }
            _ => write!(f, "{} {:?}", self.name(), self.path()),
        }
    }
}

/// Returns why an operation was refused; `None` if it failed for another reason.
fn refusal(error: &Error) -> Option<RefusalReason> {
    match error {
        Error::Refused(_)
        | Error::NotAllowed(_)
        | Error::Os(Errno::ACCESS | Errno::PERM | Errno::ROFS) => Some(RefusalReason::Permission),
        // The kernel does not follow magic links that lead out of a home.
        Error::Os(Errno::LOOP | Errno::XDEV) => Some(RefusalReason::Confinement),
        Error::Quota(_) | Error::Os(Errno::DQUOT) => Some(RefusalReason::Quota),
        Error::Os(Errno::NOSPC | Errno::IO) => Some(RefusalReason::Disk),
        Error::Unfinished(UnfinishedOverwrite {
            cause: Some(errno), ..
        }) => refusal(&Error::Os(*errno)),
        Error::Limit(..) => Some(RefusalReason::Limit),
        _ => None,
    }
}

fn text(path: &VPath) -> std::borrow::Cow<'static, str> {
    shown(&path.absolute()).into_owned().into()
}
