//! The control socket `data/control.sock`, through which the operator's commands inspect and control the
//! running server. A client sends one JSON request per line, and receives lines, the last of which is
//! [`ControlReply::Done`] or [`ControlReply::Refused`]. Both sides belong to one program: other programs
//! use the commands with `--json`.

mod client;
mod frames;

use std::collections::BTreeMap;
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::fs::{Mode, OFlags};
use serde::{Deserialize, Serialize};

use crate::observe::audit::Operator;
use crate::observe::outcome::Direction;

pub use self::client::{ControlRefusal, RunningServer};
pub use self::frames::Frames;

/// The name of the socket in the data folder.
const SOCKET: &str = "control.sock";

/// A request of a command.
#[derive(Debug, Serialize, Deserialize)]
#[serde(tag = "request", rename_all = "snake_case", deny_unknown_fields)]
pub enum ControlRequest {
    /// List open sessions: one [`ControlReply::Session`] each.
    Sessions,
    /// An account was added, changed or removed: [`ControlReply::Applied`], and perhaps a
    /// [`ControlReply::Message`].
    Changed {
        /// Its name.
        user: String,
    },
    /// How many sessions use the home of an account: [`ControlReply::InUse`].
    InUse {
        /// Its name.
        user: String,
    },
    /// The server's status: [`ControlReply::Status`].
    Status,
    /// Reload the configuration: some [`ControlReply::Message`].
    Reload {
        /// For the audit log.
        by: Operator,
    },
    /// The data of `landfall top`: [`ControlReply::Session`], [`ControlReply::Home`] and
    /// [`ControlReply::FailedLogin`].
    Top,
    /// List banned sources: one [`ControlReply::Ban`] each.
    Bans,
    /// Lift bans: one [`ControlReply::Lifted`] each.
    Lift {
        /// Bans of, in or around this network or address; all without one.
        network: Option<String>,
        /// For the audit log.
        by: Operator,
    },
    /// Close sessions: one [`ControlReply::Ended`] each.
    Kill {
        /// The sessions with these ids.
        ids: Vec<u64>,
        /// The sessions of this user.
        user: Option<String>,
        /// The reason that the clients receive.
        reason: Option<String>,
        /// For the audit log.
        by: Operator,
    },
}

/// One line of a reply.
#[derive(Debug, Serialize, Deserialize)]
#[serde(tag = "reply", rename_all = "snake_case")]
pub enum ControlReply {
    /// The server's status.
    Status(Status),
    /// An open session.
    Session(OpenSession),
    /// Usage of the home of an account with open sessions.
    Home(UsedHome),
    /// A failed login; the newest comes first.
    FailedLogin(FailedLoginEntry),
    /// A closed session.
    Ended(OpenSession),
    /// A banned source.
    Ban(BanEntry),
    /// A source whose ban was lifted.
    Lifted(BanEntry),
    /// No session has this id.
    NoSession {
        /// The requested id.
        id: u64,
    },
    /// The open sessions of an account have been updated.
    Applied {
        /// Sessions that continue.
        changed: usize,
        /// Sessions that were closed.
        ended: usize,
    },
    /// The users of a home.
    InUse {
        /// Sessions, including closed ones that are still at work.
        sessions: usize,
    },
    /// A message for the operator.
    Message {
        /// One line.
        text: String,
    },
    /// The request has been carried out.
    Done,
    /// The request has failed, at least in part.
    Refused {
        /// Why, and what to do.
        text: String,
    },
}

/// Status of a running server, also in `status --json`. Programs rely on these names.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Status {
    /// Version of the program.
    pub version: String,
    /// Process id.
    pub pid: u32,
    /// Start of service (RFC 3339).
    pub since: String,
    /// Addresses it accepts connections on.
    pub listen: Vec<String>,
    /// Number of open sessions.
    pub sessions: usize,
}

/// An open session, also in `session list --json`. Programs rely on these names.
#[derive(Debug, Serialize, Deserialize)]
pub struct OpenSession {
    /// Id, for `session kill`.
    pub id: u64,
    /// The account.
    pub user: String,
    /// Client address.
    pub peer: String,
    /// The client's identification (RFC 4253, section 4.2).
    pub client: String,
    /// Start (RFC 3339).
    pub since: String,
    /// Bytes of files received from the client so far.
    pub uploaded: u64,
    /// Bytes of files sent to the client so far.
    pub downloaded: u64,
    /// Transfers in progress, oldest first.
    pub transfers: Vec<ActiveTransfer>,
}

/// A banned source, also in `ban list --json`. Programs rely on these names.
#[derive(Debug, Serialize, Deserialize)]
pub struct BanEntry {
    /// An address or a network.
    pub source: String,
    /// End of the ban (RFC 3339).
    pub until: String,
    /// Remaining time.
    pub seconds_left: u64,
    /// Offences and their number: "failed_login", "no_login", "scan", "late", "abuse".
    pub faults: BTreeMap<String, u32>,
    /// Connections that the ban has refused.
    pub refused: u64,
}

/// Usage of a home.
#[derive(Debug, Serialize, Deserialize)]
pub struct UsedHome {
    /// The account.
    pub user: String,
    /// Bytes; `None` while they are being counted.
    pub used: Option<u64>,
    /// Quota in bytes.
    pub quota: Option<u64>,
}

/// A failed login.
#[derive(Debug, Serialize, Deserialize)]
pub struct FailedLoginEntry {
    /// Time (RFC 3339).
    pub at: String,
    /// The user name that the client sent: anything.
    pub user: String,
    /// Client address.
    pub peer: String,
    /// Authentication method.
    pub method: String,
    /// Reason of the refusal.
    pub reason: String,
}

/// A transfer in progress. Programs rely on these names.
#[derive(Debug, Serialize, Deserialize)]
pub struct ActiveTransfer {
    /// Its path as the user sees it.
    pub path: String,
    /// Its direction.
    pub direction: Direction,
    /// Its start in the file: not 0 for a resumed transfer.
    pub offset: u64,
    /// Bytes transferred.
    pub bytes: u64,
    /// Size of the whole file, if known.
    pub expected: Option<u64>,
    /// Duration in milliseconds.
    pub elapsed_ms: u64,
}

impl ActiveTransfer {
    /// Returns the average speed in bytes per second.
    pub fn speed(&self) -> u64 {
        let speed = u128::from(self.bytes) * 1000 / u128::from(self.elapsed_ms.max(1));
        u64::try_from(speed).unwrap_or(u64::MAX)
    }

    /// Returns the position in the file.
    pub fn reached(&self) -> u64 {
        self.offset.saturating_add(self.bytes)
    }

    /// Returns the transferred part of the whole file in percent, if known.
    pub fn percent(&self) -> Option<u64> {
        let expected = self.expected.filter(|expected| *expected > 0)?;
        let there = self.reached().min(expected);
        u64::try_from(u128::from(there) * 100 / u128::from(expected)).ok()
    }
}

/// The data folder, held open: through /proc its socket has a short name, since a socket address has no
/// room for a long one (unix(7): 108 bytes).
pub(crate) struct DataFolder(OwnedFd);

impl DataFolder {
    pub(crate) fn open(data: &Path) -> rustix::io::Result<Self> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        rustix::fs::open(data, flags, Mode::empty()).map(Self)
    }

    /// Returns the same folder for another thread.
    pub(crate) fn try_clone(&self) -> std::io::Result<Self> {
        self.0.try_clone().map(Self)
    }

    pub(crate) fn socket(&self) -> PathBuf {
        format!("/proc/self/fd/{}/{SOCKET}", self.0.as_raw_fd()).into()
    }
}
