//! A session: the proof of a login, and what the session may use.

pub mod bandwidth;
pub mod descriptors;
pub mod recorder;
pub mod registry;
pub mod transfers;
pub mod usage;

use std::collections::{HashSet, VecDeque};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicI64, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError, RwLock};
use std::time::Instant;

use rustix::io::Errno;
use tracing::{info, warn};

use crate::accounts::{Account, Basis, Proof, UserName};
use crate::config;
use crate::error::Error;
use crate::hashes::Hashes;
use crate::io::pool::Threads;
use crate::observe::audit::{Event, LoginEvent, milliseconds};
use crate::quota::{Ledger, Member, Usage};
use crate::sandbox;
use crate::session::bandwidth::Share;
use crate::session::descriptors::Holdings;
use crate::session::recorder::Recorder;
use crate::session::transfers::{Totals, Transfers};
use crate::store::local::{self, LocalStore, Remains};
use crate::store::{Identity, Store};
use crate::values::label::Label as _;
use crate::values::path::VPath;

/// A logged-in session. Only a [`Proof`] creates one, and only a verified credential creates a proof:
/// holding a `Session` is permission to enter its home.
pub struct Session {
    user: UserName,
    /// The home at the login; a later change of the account does not move an open home.
    home: PathBuf,
    account: RwLock<Arc<Account>>,
    basis: Basis,
    /// Expiry of the credential: seconds since 1970-01-01 00:00 UTC.
    until: AtomicI64,
    /// The number of changes of the account.
    generation: AtomicU32,
    made: Made,
    client: ConnectedClient,
    terms: SessionTerms,
    member: Member,
    shares: Shares,
    hashes: Arc<Hashes>,
    recorder: Recorder,
    /// The time of the login.
    began: OnceLock<Instant>,
    /// Why the session ends, once known.
    end: OnceLock<String>,
    transfers: Arc<Transfers>,
}

/// The client of a session.
pub struct ConnectedClient {
    /// Its address.
    pub address: SocketAddr,
    /// Its identification string, without line end.
    pub identification: Vec<u8>,
}

/// A session's shares of common resources.
pub struct Shares {
    /// Bandwidth and request rate.
    pub speed: Share,
    /// Open files and directories.
    pub open: Holdings,
    /// Threads for work that may wait for a disk.
    pub threads: Threads,
}

/// The configuration of sessions.
pub struct SessionTerms {
    /// Limits.
    pub limits: config::SftpSettings,
    /// How files are overwritten and closed.
    pub uploads: config::UploadSettings,
}

impl Session {
    /// Starts a session.
    pub fn new(
        proof: Proof,
        client: ConnectedClient,
        terms: SessionTerms,
        member: Member,
        shares: Shares,
        hashes: Arc<Hashes>,
        recorder: Recorder,
    ) -> Self {
        let (account, basis) = proof.into_parts();
        Self {
            user: account.name.clone(),
            home: account.home.clone(),
            account: RwLock::new(Arc::new(account)),
            until: AtomicI64::new(basis.until().unwrap_or(i64::MAX)),
            basis,
            generation: AtomicU32::new(0),
            made: Made::default(),
            client,
            terms,
            member,
            shares,
            hashes,
            transfers: Arc::new(Transfers::new(recorder.metrics().clone())),
            recorder,
            began: OnceLock::new(),
            end: OnceLock::new(),
        }
    }

    /// Returns the session's number, as in the log and the audit log.
    pub fn id(&self) -> u64 {
        self.recorder.session()
    }

    /// Returns the account's name.
    pub fn user(&self) -> &str {
        self.user.as_str()
    }

    /// Returns the current account, which may change while the session is open.
    pub fn account(&self) -> Arc<Account> {
        let account = self.account.read();
        account.unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Replaces the account and the expiry of its credential. The next request follows the new rules, on
    /// open files as well; the open home stays.
    pub fn change(&self, account: Account, until: Option<i64>) {
        self.until
            .store(until.unwrap_or(i64::MAX), Ordering::Relaxed);
        self.shares.speed.set(account.settings.rules.bandwidth);
        let now = self.account.write();
        *now.unwrap_or_else(PoisonError::into_inner) = Arc::new(account);
        self.generation.fetch_add(1, Ordering::Release);
    }

    /// Returns a number that changes with each change of the account. A caller that reads it before and
    /// after reading the account, and finds the same number, has current data.
    pub fn generation(&self) -> u32 {
        self.generation.load(Ordering::Acquire)
    }

    /// Returns what the session has created.
    pub fn made(&self) -> &Made {
        &self.made
    }

    /// Returns the credential of the login.
    pub fn basis(&self) -> &Basis {
        &self.basis
    }

    /// Returns whether the key or certificate of the login has expired.
    pub fn has_expired(&self, now: i64) -> bool {
        self.until.load(Ordering::Relaxed) <= now
    }

    /// Returns the client address.
    pub fn peer(&self) -> SocketAddr {
        self.client.address
    }

    /// Returns the client's identification string (RFC 4253, section 4.2).
    pub fn identification(&self) -> &[u8] {
        &self.client.identification
    }

    /// Returns the limits of the session.
    pub fn limits(&self) -> &config::SftpSettings {
        &self.terms.limits
    }

    /// Returns whether an existing file stays until its replacement is complete.
    pub fn overwrites_safely(&self) -> bool {
        let own = self.account().settings.safe_overwrite;
        own.unwrap_or(self.terms.uploads.safe_overwrite)
    }

    /// Returns whether data must be durable when a file is closed.
    pub fn syncs_on_close(&self) -> bool {
        self.terms.uploads.fsync_on_close
    }

    /// Returns the account's home on this machine.
    pub fn home(&self) -> &Path {
        &self.home
    }

    /// Returns the ledger of the home.
    pub fn ledger(&self) -> &Arc<Ledger> {
        self.member.ledger()
    }

    /// Records that the login is complete, or why it is refused after all.
    pub fn record_login(&self, login: LoginEvent<'_>) {
        let (user, peer, session) = (self.user(), self.peer(), self.id());
        let (method, key) = (login.method.name(), login.key);
        if let Some(reason) = login.reason {
            warn!(user, %peer, method, key, reason, "login refused");
        } else {
            // A session logs in once.
            let _ = self.began.set(Instant::now());
            info!(user, %peer, session, method, key, "login");
        }
        self.recorder.record(&Event::Login(login));
    }

    /// Records why the session ends; the first reason counts.
    pub fn record_close_reason(&self, reason: &str) {
        // Later reasons are consequences of the first.
        let _ = self.end.set(reason.to_owned());
    }

    /// Returns the recorder of its events.
    pub fn recorder(&self) -> &Recorder {
        &self.recorder
    }

    /// Returns the transfers in progress.
    pub fn transfers(&self) -> &Arc<Transfers> {
        &self.transfers
    }

    /// Returns its shares of common resources.
    pub fn shares(&self) -> &Shares {
        &self.shares
    }

    /// Returns the known hashes.
    pub fn hashes(&self) -> &Hashes {
        &self.hashes
    }

    /// Opens the home. May block: the disk may be missing or hang.
    pub fn open_store(&self) -> Result<Arc<dyn Store>, Error> {
        open_home(self.home(), self.terms.limits.umask)
    }
}

/// The latest files and directories that the session has created. An account without permission to list or
/// read can still see and continue these.
#[derive(Default)]
pub struct Made(Mutex<(HashSet<Identity>, VecDeque<Identity>)>);

impl Made {
    /// How many are remembered.
    const MOST: usize = 4096;

    /// Remembers a file.
    pub fn add(&self, identity: Identity) {
        let mut made = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (known, order) = &mut *made;
        if !known.insert(identity) {
            return;
        }
        order.push_back(identity);
        if order.len() > Self::MOST
            && let Some(oldest) = order.pop_front()
        {
            known.remove(&oldest);
        }
    }

    /// Returns whether the session has created a file.
    pub fn has(&self, identity: &Identity) -> bool {
        let made = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        made.0.contains(identity)
    }
}

/// The session ends with its last user; all its files are closed then.
impl Drop for Session {
    fn drop(&mut self) {
        let Some(began) = self.began.get() else {
            return;
        };
        let Totals { uploads, downloads } = self.transfers.totals();
        let duration_ms = milliseconds(began.elapsed());
        info!(
            user = self.user(),
            peer = %self.peer(),
            session = self.id(),
            duration_ms,
            uploaded_bytes = uploads.bytes,
            downloaded_bytes = downloads.bytes,
            reason = self.end.get().map(String::as_str),
            "logout"
        );
        self.recorder.record(&Event::Logout {
            duration_ms,
            uploaded_bytes: uploads.bytes,
            uploaded_files: uploads.files,
            downloaded_bytes: downloads.bytes,
            downloaded_files: downloads.files,
            reason: self.end.get().map(String::as_str),
        });
    }
}

/// Opens a home. The one place that chooses the kind of store. May block.
pub fn open_home(home: &Path, umask: u32) -> Result<Arc<dyn Store>, Error> {
    const OUTSIDE: &str = "the server's sandbox excludes this folder: restart the server, or add it to sandbox.homes before the start";
    let store = LocalStore::open(home, umask)?;
    // The sandbox allows opening a folder as a path, without access to its contents.
    let is_outside = || {
        let listed = store.open_directory(&VPath::home());
        matches!(listed, Err(Error::Os(Errno::ACCESS)))
    };
    if sandbox::leaves_out(home) && is_outside() {
        return Err(Error::Refused(OUTSIDE));
    }
    Ok(Arc::new(store))
}

/// Counts the contents of a home; see [`Store::count`].
pub fn count_home(home: &Path, tell: &mut dyn FnMut(u64)) -> Result<Usage, Error> {
    let counted = open_home(home, 0)?.count(tell)?;
    Ok(Usage {
        bytes: counted.bytes,
        files: counted.files,
    })
}

/// Removes a home and its contents; returns what could not be removed.
///
/// # Errors
///
/// The directory does not exist, is reached through a link, or files are still being created in it.
pub fn remove_home(home: &Path) -> Result<Remains, Error> {
    local::remove_home(home)
}
