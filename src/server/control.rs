//! The server's side of the control socket: one task on the main runtime for each connection. A task never
//! waits longer than a deadline, for the client or for a request, and nothing in the server waits for it.

use std::collections::BTreeMap;
use std::fs::{self, Permissions};
use std::io::ErrorKind;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::sync::{Arc, mpsc};
use std::time::Duration;

use anyhow::Context as _;
use tokio::net::{UnixListener, UnixSocket, UnixStream};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use tracing::{debug, warn};

use super::reload::Reload;
use crate::accounts::{Accounts, UserName};
use crate::admission::{self, Admission};
use crate::control::{
    ActiveTransfer, BanEntry, ControlReply, ControlRequest, DataFolder, FailedLoginEntry, Frames,
    OpenSession, Status, UsedHome,
};
use crate::database::remove_if_present;
use crate::observe::audit::{Event, Operator};
use crate::observe::failed_logins::FailedLogins;
use crate::observe::log::RateLimited;
use crate::quota::Ledgers;
use crate::sandbox::Sandbox;
use crate::server::jobs::live::{Live, LiveOutcome};
use crate::session::Session;
use crate::session::registry::{RegisteredSession, Sessions};
use crate::values::error_chain::chain;
use crate::values::label::Label as _;
use crate::values::time;

/// Commands served at the same time; more wait in the kernel's queue. Each may wait for a dead disk until
/// its deadline, so there are far more than anybody runs at once.
const CONNECTIONS: usize = 256;
/// Time for a client to send its next request or to read a reply.
const DEADLINE: Duration = Duration::from_secs(10);
/// Time for a request: less than a command waits for the reply.
const LONGEST_REQUEST: Duration = Duration::from_secs(20);
/// Time for the disk to remove the socket.
const FAREWELL: Duration = Duration::from_secs(2);
/// Pause after an error of accept(2).
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// Failed logins that `landfall top` receives.
const FAILED_LOGINS: usize = 20;
/// The reason that a client receives if the operator closes its session without one.
const ENDED: &str = "The operator has closed this session";

/// What commands can see and do through the socket.
pub(super) struct Powers {
    /// The server's status, without the number of sessions.
    pub(super) status: Status,
    /// The open sessions.
    pub(super) sessions: Arc<Sessions>,
    /// The last failed logins.
    pub(super) failed_logins: Arc<FailedLogins>,
    /// Applies account changes to open sessions.
    pub(super) live: Arc<Live>,
    /// The ledgers of all homes.
    pub(super) ledgers: Arc<Ledgers>,
    /// Applies a changed configuration.
    pub(super) reload: Arc<Reload>,
    /// The accounts.
    pub(super) accounts: Accounts,
    /// The sandbox, if there is one.
    pub(super) sandbox: Option<&'static Sandbox>,
    /// Admission control, with its bans.
    pub(super) admission: Arc<Admission>,
}

/// The control socket; dropping this removes it.
pub(super) struct Control {
    folder: DataFolder,
    listener: UnixListener,
}

impl Control {
    /// Creates the socket. The caller is the only server of the data folder, so an existing socket is left
    /// over from a killed server.
    pub(super) fn open(data: &Path) -> anyhow::Result<Self> {
        let cannot = || format!("cannot create the control socket in {}", data.display());
        let folder = DataFolder::open(data).with_context(cannot)?;
        let listener = listen(&folder.socket()).with_context(cannot)?;
        Ok(Self { folder, listener })
    }

    /// Serves commands. Never returns.
    pub(super) async fn serve(self, powers: Powers) {
        let powers = Arc::new(powers);
        let permits = Arc::new(Semaphore::new(CONNECTIONS));
        let mut serving = JoinSet::new();
        let mut failures = RateLimited::default();
        loop {
            while serving.try_join_next().is_some() {}
            let Ok(permit) = permits.clone().acquire_owned().await else {
                return;
            };
            match self.listener.accept().await {
                Ok((stream, _)) => {
                    let Some(uid) = operator(&stream) else {
                        warn!("refused another user at the control socket");
                        continue;
                    };
                    let powers = powers.clone();
                    serving.spawn(async move {
                        if let Err(failure) = converse(stream, uid, &powers).await {
                            debug!(%failure, "a command disconnected");
                        }
                        drop(permit);
                    });
                }
                Err(failure) => {
                    if let Some(times) = failures.count() {
                        warn!(%failure, times, "cannot accept a command; trying again");
                    }
                    sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }
}

impl Drop for Control {
    /// Does not wait for a disk that hangs: the socket then stays, as after a killed server.
    fn drop(&mut self) {
        let Ok(folder) = self.folder.try_clone() else {
            return;
        };
        let (told, done) = mpsc::channel();
        std::thread::spawn(move || {
            let _ = told.send(fs::remove_file(folder.socket()));
        });
        let _ = done.recv_timeout(FAREWELL);
    }
}

/// The socket does not listen, and so accepts nobody, before its mode is private to this user.
fn listen(path: &Path) -> std::io::Result<UnixListener> {
    remove_if_present(path)?;
    let socket = UnixSocket::new_stream()?;
    socket.bind(path)?;
    fs::set_permissions(path, Permissions::from_mode(0o600))?;
    socket.listen(1024)
}

/// Returns the peer's user id if it is the server's user or root. The socket's mode allows nobody else
/// either, but a file's mode is easily changed.
fn operator(stream: &UnixStream) -> Option<u32> {
    let own = rustix::process::geteuid().as_raw();
    let peer = stream.peer_cred().ok()?.uid();
    [own, 0].contains(&peer).then_some(peer)
}

/// Returns the operator for an event: the user id comes from the kernel, the names from the command, since
/// the sandbox excludes the files with user names.
fn operator_of(uid: u32, by: Operator) -> Operator {
    let name = by.name.filter(|_| by.uid == uid);
    Operator { uid, name, ..by }
}

/// Serves one connection: reads a request, replies, and reads the next.
async fn converse(stream: UnixStream, uid: u32, powers: &Powers) -> std::io::Result<()> {
    let mut frames = Frames::new(stream);
    loop {
        let replies = match timeout(DEADLINE, frames.receive()).await? {
            Ok(Some(request)) => {
                let answer = timeout(LONGEST_REQUEST, powers.answer(request, uid)).await;
                answer.unwrap_or_else(|_| vec![ControlReply::Refused { text: late() }])
            }
            Ok(None) => return Ok(()),
            Err(failure) if failure.kind() == ErrorKind::InvalidData => {
                // Another program, or another version of this one.
                let text = format!("unknown request: {failure}");
                timeout(DEADLINE, frames.send(&[ControlReply::Refused { text }])).await??;
                return Ok(());
            }
            Err(failure) => return Err(failure),
        };
        timeout(DEADLINE, frames.send(&replies)).await??;
    }
}

fn late() -> String {
    format!(
        "the server has not finished within {LONGEST_REQUEST:?} and continues: a disk may hang; see its log"
    )
}

impl Powers {
    /// Carries out a request of this user; returns all parts of the reply.
    async fn answer(&self, request: ControlRequest, uid: u32) -> Vec<ControlReply> {
        let mut replies = match request {
            ControlRequest::Sessions => {
                let open = self.sessions.all();
                open.iter()
                    .map(|open| ControlReply::Session(show(open)))
                    .collect()
            }
            ControlRequest::Top => self.top(),
            ControlRequest::Changed { user } => self.changed(&user).await,
            ControlRequest::InUse { user } => vec![ControlReply::InUse {
                sessions: self.ledgers.members(&user),
            }],
            ControlRequest::Status => vec![ControlReply::Status(Status {
                sessions: self.sessions.all().len(),
                ..self.status.clone()
            })],
            ControlRequest::Reload { by } => self.reload(operator_of(uid, by)).await,
            ControlRequest::Bans => self
                .admission
                .bans()
                .iter()
                .map(show_ban)
                .map(ControlReply::Ban)
                .collect(),
            ControlRequest::Lift { network, by } => {
                self.lift(network.as_deref(), &operator_of(uid, by))
            }
            ControlRequest::Kill {
                ids,
                user,
                reason,
                by,
            } => self.kill(&ids, user.as_deref(), reason, &operator_of(uid, by)),
        };
        if !matches!(replies.last(), Some(ControlReply::Refused { .. })) {
            replies.push(ControlReply::Done);
        }
        replies
    }

    async fn changed(&self, user: &str) -> Vec<ControlReply> {
        let outcome = match user.parse() {
            Ok(name) => {
                let applied = self.live.apply(&name).await;
                applied.map(|outcome| (name, outcome))
            }
            Err(wrong) => Err(anyhow::Error::new(wrong)),
        };
        match outcome {
            Ok((name, LiveOutcome { changed, ended })) => {
                let mut replies = vec![ControlReply::Applied { changed, ended }];
                replies.extend(self.excluded_home(&name).await);
                replies
            }
            Err(failure) => vec![ControlReply::Refused {
                text: chain(&failure).to_string(),
            }],
        }
    }

    /// Returns a warning if the sandbox excludes the home of an account.
    async fn excluded_home(&self, name: &UserName) -> Option<ControlReply> {
        let sandbox = self.sandbox?;
        // A removed account needs none.
        let home = self.accounts.find(name).await.ok()?.account.home;
        let text = format!(
            "{name} cannot use any files before the server is restarted: its sandbox excludes {} (sandbox.homes)",
            home.display()
        );
        (!sandbox.has_home(&home)).then_some(ControlReply::Message { text })
    }

    /// Records an operator's action in the audit log.
    fn record(&self, event: &Event<'_>) {
        self.reload.context().borrow().audit().record(None, event);
    }

    async fn reload(&self, by: Operator) -> Vec<ControlReply> {
        match self.reload.reload(Some(by)).await {
            Ok(lines) => {
                let told = lines.into_iter().map(|text| ControlReply::Message { text });
                told.collect()
            }
            // Configuration faults take several lines, each starting with its position.
            Err(failure) => vec![ControlReply::Refused {
                text: chain(&failure).to_string(),
            }],
        }
    }

    fn lift(&self, network: Option<&str>, by: &Operator) -> Vec<ControlReply> {
        match network.map(str::parse).transpose() {
            Ok(network) => {
                let lifted = self.admission.lift(network);
                for ban in &lifted {
                    self.record(&Event::Lift {
                        source: &ban.source.to_string(),
                        operator: by.clone(),
                    });
                }
                lifted
                    .iter()
                    .map(show_ban)
                    .map(ControlReply::Lifted)
                    .collect()
            }
            Err(wrong) => vec![ControlReply::Refused {
                text: format!("{wrong}"),
            }],
        }
    }

    fn top(&self) -> Vec<ControlReply> {
        let open = self.sessions.all();
        let mut homes = BTreeMap::new();
        for open in &open {
            let ledger = open.session.ledger();
            let home = homes.entry(open.session.user());
            home.or_insert_with(|| UsedHome {
                user: open.session.user().to_owned(),
                used: ledger.used().map(|used| used.bytes),
                quota: ledger.limits().bytes,
            });
        }
        let failed = self.failed_logins.last(FAILED_LOGINS).into_iter();
        let failed = failed.map(|failed| FailedLoginEntry {
            at: time::rfc3339(failed.at),
            user: failed.user,
            peer: failed.peer.to_string(),
            method: failed.method.name().to_owned(),
            reason: failed.reason,
        });
        let sessions = open.iter().map(|open| ControlReply::Session(show(open)));
        let homes = homes.into_values().map(ControlReply::Home);
        let replies = sessions.chain(homes);
        replies
            .chain(failed.map(ControlReply::FailedLogin))
            .collect()
    }

    fn kill(
        &self,
        ids: &[u64],
        user: Option<&str>,
        reason: Option<String>,
        by: &Operator,
    ) -> Vec<ControlReply> {
        let mut replies = Vec::new();
        let mut ending = Vec::new();
        for id in ids {
            match self.sessions.find(*id) {
                Some(open) => ending.push(open),
                None => replies.push(ControlReply::NoSession { id: *id }),
            }
        }
        ending.extend(user.map_or_else(Vec::new, |user| self.sessions.of(user)));
        let words = reason.clone().unwrap_or_else(|| ENDED.to_owned());
        for open in ending {
            open.close(&words);
            self.record(&Event::Kill {
                killed: open.id,
                name: open.session.user(),
                reason: reason.as_deref(),
                operator: by.clone(),
            });
            replies.push(ControlReply::Ended(show(&open)));
        }
        replies
    }
}

fn show_ban(ban: &admission::Ban) -> BanEntry {
    let until = i64::try_from(ban.until.as_secs()).unwrap_or(i64::MAX);
    let offences = ban.offences.iter();
    BanEntry {
        source: ban.source.to_string(),
        until: time::rfc3339(until),
        seconds_left: ban.left.as_secs(),
        faults: offences
            .map(|(offence, count)| (offence.name().to_owned(), *count))
            .collect(),
        refused: ban.refused,
    }
}

fn show(open: &RegisteredSession) -> OpenSession {
    let totals = open.session.transfers().totals();
    OpenSession {
        id: open.id,
        user: open.session.user().to_owned(),
        peer: open.session.peer().to_string(),
        client: String::from_utf8_lossy(open.session.identification()).into_owned(),
        since: time::rfc3339(open.since),
        uploaded: totals.uploads.bytes,
        downloaded: totals.downloads.bytes,
        transfers: transfers(&open.session),
    }
}

/// Returns a session's files with transferred bytes, without those that are only open.
fn transfers(session: &Session) -> Vec<ActiveTransfer> {
    let under_way = session.transfers().under_way().into_iter();
    under_way
        .filter(|transfer| transfer.bytes() > 0)
        .map(|transfer| ActiveTransfer {
            path: String::from_utf8_lossy(&transfer.path().absolute()).into_owned(),
            direction: transfer.direction(),
            offset: transfer.offset(),
            bytes: transfer.bytes(),
            expected: transfer.expected(),
            elapsed_ms: u64::try_from(transfer.elapsed().as_millis()).unwrap_or(u64::MAX),
        })
        .collect()
}
