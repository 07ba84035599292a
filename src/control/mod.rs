//! The control socket `data/control.sock`: how the operator's commands see and steer the server that
//! runs. A client sends one request a line, in JSON, and gets lines back, the last of which is
//! [`ControlReply::Done`] or [`ControlReply::Refused`]. Both sides are of one program: this is no interface for
//! others, who have the commands with `--json`.

mod client;
mod frames;

use std::collections::BTreeMap;
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::fs::{Mode, OFlags};
use serde::{Deserialize, Serialize};

use crate::observe::audit::Operator;

pub use self::client::{ControlRefusal, RunningServer};
pub use self::frames::Frames;

/// The name of the socket in the data folder.
const SOCKET: &str = "control.sock";

/// What a command asks of the server.
#[derive(Debug, Serialize, Deserialize)]
#[serde(tag = "request", rename_all = "snake_case", deny_unknown_fields)]
pub enum ControlRequest {
    /// The sessions that are open: one [`ControlReply::Session`] each.
    Sessions,
    /// An account was added, changed or removed: [`ControlReply::Applied`], and perhaps a [`ControlReply::Told`].
    Changed {
        /// Its name.
        user: String,
    },
    /// Who still uses the home of an account: [`ControlReply::InUse`].
    InUse {
        /// Its name.
        user: String,
    },
    /// What the server is: [`ControlReply::Status`].
    Status,
    /// Take up a changed config: some [`ControlReply::Told`].
    Reload {
        /// For the audit log.
        by: Operator,
    },
    /// What `landfall top` shows: [`ControlReply::Session`], [`ControlReply::Home`] and [`ControlReply::FailedLogin`].
    Top,
    /// The sources that are banned: one [`ControlReply::Ban`] each.
    Bans,
    /// Lift bans: one [`ControlReply::Lifted`] each.
    Lift {
        /// Those in this network or address, or around it; all without one.
        network: Option<String>,
        /// For the audit log.
        by: Operator,
    },
    /// End sessions: one [`ControlReply::Ended`] each.
    Kill {
        /// Those of these ids.
        ids: Vec<u64>,
        /// Those of this user.
        user: Option<String>,
        /// What the clients are told.
        reason: Option<String>,
        /// For the audit log.
        by: Operator,
    },
}

/// One line of an answer.
#[derive(Debug, Serialize, Deserialize)]
#[serde(tag = "reply", rename_all = "snake_case")]
pub enum ControlReply {
    /// What the server is.
    Status(Status),
    /// A session that is open.
    Session(OpenSession),
    /// What is used of the home of an account that has open sessions.
    Home(UsedHome),
    /// A login that failed; the newest comes first.
    FailedLogin(FailedLoginEntry),
    /// A session that was ended.
    Ended(OpenSession),
    /// A source that is banned.
    Ban(BanEntry),
    /// One that was.
    Lifted(BanEntry),
    /// No session has this id.
    NoSession {
        /// The id that was asked for.
        id: u64,
    },
    /// The open sessions of an account are as it is now.
    Applied {
        /// How many go on.
        changed: usize,
        /// How many were ended.
        ended: usize,
    },
    /// The home of an account is used by so many.
    InUse {
        /// Sessions, also such as have ended and are still at work.
        sessions: usize,
    },
    /// What an operator should know.
    Told {
        /// One line.
        text: String,
    },
    /// The request has been carried out.
    Done,
    /// It has not, or not wholly.
    Refused {
        /// Why, and what to do.
        text: String,
    },
}

/// A server that runs, as it goes over the socket, and into `status --json`. Programs rely on these names.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Status {
    /// The version of the program.
    pub version: String,
    /// Its process.
    pub pid: u32,
    /// When it began to serve (RFC 3339).
    pub since: String,
    /// Where it accepts connections.
    pub listen: Vec<String>,
    /// How many sessions are open.
    pub sessions: usize,
}

/// A session as it goes over the socket, and into `session list --json`. Programs rely on these names.
#[derive(Debug, Serialize, Deserialize)]
pub struct OpenSession {
    /// Its id, for `session kill`.
    pub id: u64,
    /// The account.
    pub user: String,
    /// Where the client is.
    pub peer: String,
    /// What the client calls itself (RFC 4253, section 4.2).
    pub client: String,
    /// When it began (RFC 3339).
    pub since: String,
    /// Bytes of files that it has sent to the server until now.
    pub uploaded: u64,
    /// Bytes of files that it has got from the server until now.
    pub downloaded: u64,
    /// The files that are being moved, the oldest first.
    pub transfers: Vec<Moving>,
}

/// A source that is banned, as it goes over the socket, and into `ban list --json`. Programs rely on
/// these names.
#[derive(Debug, Serialize, Deserialize)]
pub struct BanEntry {
    /// An address, or a network.
    pub source: String,
    /// Until when (RFC 3339).
    pub until: String,
    /// How long that is.
    pub seconds_left: u64,
    /// What it has done, and how often: "failed_login", "no_login", "scan", "late", "abuse".
    pub faults: BTreeMap<String, u32>,
    /// Connections that were turned away because of it.
    pub refused: u64,
}

/// What is used of a home.
#[derive(Debug, Serialize, Deserialize)]
pub struct UsedHome {
    /// The account.
    pub user: String,
    /// Bytes; `None` while they are counted.
    pub used: Option<u64>,
    /// Bytes that may be used.
    pub quota: Option<u64>,
}

/// A login that failed.
#[derive(Debug, Serialize, Deserialize)]
pub struct FailedLoginEntry {
    /// When (RFC 3339).
    pub at: String,
    /// What the client called itself: anything.
    pub user: String,
    /// Where it was.
    pub peer: String,
    /// What it tried.
    pub method: String,
    /// Why it was refused.
    pub reason: String,
}

/// A file that is being moved. Programs rely on these names.
#[derive(Debug, Serialize, Deserialize)]
pub struct Moving {
    /// Its path, as the user sees it.
    pub path: String,
    /// Which way.
    pub direction: Way,
    /// Where in the file it began: not 0 if an earlier transfer is resumed.
    pub offset: u64,
    /// How many bytes were moved.
    pub bytes: u64,
    /// The size that the whole file will have, if that is known.
    pub expected: Option<u64>,
    /// How long it has been going on, in milliseconds.
    pub elapsed_ms: u64,
}

/// Which way bytes go.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Way {
    /// From the client.
    Upload,
    /// To the client.
    Download,
}

impl Moving {
    /// Bytes a second since it began.
    pub fn speed(&self) -> u64 {
        let speed = u128::from(self.bytes) * 1000 / u128::from(self.elapsed_ms.max(1));
        u64::try_from(speed).unwrap_or(u64::MAX)
    }

    /// How much of the whole file is there, in percent, if that is known.
    pub fn percent(&self) -> Option<u64> {
        let expected = self.expected.filter(|expected| *expected > 0)?;
        let there = self.offset.saturating_add(self.bytes).min(expected);
        u64::try_from(u128::from(there) * 100 / u128::from(expected)).ok()
    }
}

/// The data folder, held open: the socket in it has a short name through /proc then, since an address
/// of a socket has no room for a long one (unix(7): 108 bytes).
pub(crate) struct DataFolder(OwnedFd);

impl DataFolder {
    pub(crate) fn open(data: &Path) -> rustix::io::Result<Self> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        rustix::fs::open(data, flags, Mode::empty()).map(Self)
    }

    /// The same folder, for another thread.
    pub(crate) fn try_clone(&self) -> std::io::Result<Self> {
        self.0.try_clone().map(Self)
    }

    pub(crate) fn socket(&self) -> PathBuf {
        format!("/proc/self/fd/{}/{SOCKET}", self.0.as_raw_fd()).into()
    }
}
