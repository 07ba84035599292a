//! A session: the proof of a login, and what it opens.

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

/// Somebody who is logged in. Only a [`Proof`] makes one, and only a check of a password or key
/// makes that: holding a `Session` is being allowed into its home.
pub struct Session {
    user: UserName,
    /// As the account was at the login: an open home stays the one that it is.
    home: PathBuf,
    account: RwLock<Arc<Account>>,
    basis: Basis,
    /// When what it was let in by expires: seconds since 1970-01-01 00:00 UTC.
    until: AtomicI64,
    /// How often the account was changed.
    generation: AtomicU32,
    made: Made,
    client: ConnectedClient,
    terms: SessionTerms,
    member: Member,
    shares: Shares,
    hashes: Arc<Hashes>,
    witness: Recorder,
    /// Once it is let in.
    began: OnceLock<Instant>,
    /// Why it ends, once that is known.
    end: OnceLock<String>,
    transfers: Arc<Transfers>,
}

/// Who is at the other end.
pub struct ConnectedClient {
    /// Where it is.
    pub address: SocketAddr,
    /// Its identification string, without line end.
    pub identification: Vec<u8>,
}

/// What a session has of what many share.
pub struct Shares {
    /// How fast it may be.
    pub speed: Share,
    /// Which files and directories it may hold open.
    pub open: Holdings,
    /// Threads for what may wait for a disk.
    pub threads: Threads,
}

/// What the config says of sessions.
pub struct SessionTerms {
    /// Its limits.
    pub limits: config::SftpSettings,
    /// How files are overwritten and closed.
    pub uploads: config::UploadSettings,
}

impl Session {
    /// Begins a session.
    pub fn new(
        proof: Proof,
        client: ConnectedClient,
        terms: SessionTerms,
        member: Member,
        shares: Shares,
        hashes: Arc<Hashes>,
        witness: Recorder,
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
            transfers: Arc::new(Transfers::new(witness.metrics().clone())),
            witness,
            began: OnceLock::new(),
            end: OnceLock::new(),
        }
    }

    /// The number of the session, as the log and the audit log have it.
    pub fn id(&self) -> u64 {
        self.witness.session()
    }

    /// The account's name.
    pub fn user(&self) -> &str {
        self.user.as_str()
    }

    /// The account as it is now: it may be changed while the session is open.
    pub fn account(&self) -> Arc<Account> {
        let account = self.account.read();
        account.unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// From now on the account is this, and what it was let in by expires then. What its new rules
    /// forbid is refused from the next request on, on what is open too; the home stays the one that was
    /// opened.
    pub fn change(&self, account: Account, until: Option<i64>) {
        self.until
            .store(until.unwrap_or(i64::MAX), Ordering::Relaxed);
        self.shares.speed.set(account.settings.rules.bandwidth);
        let now = self.account.write();
        *now.unwrap_or_else(PoisonError::into_inner) = Arc::new(account);
        self.generation.fetch_add(1, Ordering::Release);
    }

    /// Another number after each change of the account: who asks for it first, and then for the
    /// account, and finds the same number later, knows that what they found still holds.
    pub fn generation(&self) -> u32 {
        self.generation.load(Ordering::Acquire)
    }

    /// What the session has made.
    pub fn made(&self) -> &Made {
        &self.made
    }

    /// What it was let in by.
    pub fn basis(&self) -> &Basis {
        &self.basis
    }

    /// Has the key or certificate expired by which it was let in?
    pub fn has_expired(&self, now: i64) -> bool {
        self.until.load(Ordering::Relaxed) <= now
    }

    /// Where the client is.
    pub fn peer(&self) -> SocketAddr {
        self.client.address
    }

    /// The client's identification string (RFC 4253, section 4.2).
    pub fn identification(&self) -> &[u8] {
        &self.client.identification
    }

    /// The limits that hold for it.
    pub fn limits(&self) -> &config::SftpSettings {
        &self.terms.limits
    }

    /// Does an old file stay until the new one is there as a whole?
    pub fn overwrites_safely(&self) -> bool {
        let own = self.account().settings.safe_overwrite;
        own.unwrap_or(self.terms.uploads.safe_overwrite)
    }

    /// Must what was written be durable when a file is closed?
    pub fn syncs_on_close(&self) -> bool {
        self.terms.uploads.fsync_on_close
    }

    /// The folder on this machine that is the account's home.
    pub fn home(&self) -> &Path {
        &self.home
    }

    /// The account book of the home.
    pub fn ledger(&self) -> &Arc<Ledger> {
        self.member.ledger()
    }

    /// Records that the login is complete, or why it is refused after all.
    pub fn tell_login(&self, login: LoginEvent<'_>) {
        let (user, peer, session) = (self.user(), self.peer(), self.id());
        let (method, key) = (login.method.name(), login.key);
        if let Some(reason) = login.reason {
            warn!(user, %peer, method, key, reason, "login refused");
        } else {
            // A session is let in once.
            let _ = self.began.set(Instant::now());
            info!(user, %peer, session, method, key, "login");
        }
        self.witness.note(&Event::Login(login));
    }

    /// Records why it ends; the first reason counts.
    pub fn note_end(&self, reason: &str) {
        // Later reasons are consequences of the first.
        let _ = self.end.set(reason.to_owned());
    }

    /// Notes what it does.
    pub fn witness(&self) -> &Recorder {
        &self.witness
    }

    /// The transfers that are under way.
    pub fn transfers(&self) -> &Arc<Transfers> {
        &self.transfers
    }

    /// What it has of what many share.
    pub fn shares(&self) -> &Shares {
        &self.shares
    }

    /// The hashes that are known.
    pub fn hashes(&self) -> &Hashes {
        &self.hashes
    }

    /// Opens the home. May block: the disk may be gone or hang.
    pub fn open_store(&self) -> Result<Arc<dyn Store>, Error> {
        open_home(self.home(), self.terms.limits.umask)
    }
}

/// Files and directories that a session has made, the last of them: an account that may see nothing may
/// still see these, and go on with them.
#[derive(Default)]
pub struct Made(Mutex<(HashSet<Identity>, VecDeque<Identity>)>);

impl Made {
    /// So many are remembered.
    const MOST: usize = 4096;

    /// Remembers one.
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

    /// Is it one of them?
    pub fn has(&self, identity: &Identity) -> bool {
        let made = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        made.0.contains(identity)
    }
}

/// It ends when nothing of it is at work any more: then all its files are closed.
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
        self.witness.note(&Event::Logout {
            duration_ms,
            uploaded_bytes: uploads.bytes,
            uploaded_files: uploads.files,
            downloaded_bytes: downloads.bytes,
            downloaded_files: downloads.files,
            reason: self.end.get().map(String::as_str),
        });
    }
}

/// Opens a home: the one place that says what kind of store it is. May block.
pub fn open_home(home: &Path, umask: u32) -> Result<Arc<dyn Store>, Error> {
    const OUTSIDE: &str = "the server's sandbox leaves this folder out: restart the server, or name it in sandbox.homes before";
    let store = LocalStore::open(home, umask)?;
    // The sandbox lets a folder be opened as a place, and nothing be done in it.
    let is_outside = || {
        let listed = store.open_directory(&VPath::home());
        matches!(listed, Err(Error::Os(Errno::ACCESS)))
    };
    if sandbox::leaves_out(home) && is_outside() {
        return Err(Error::Refused(OUTSIDE));
    }
    Ok(Arc::new(store))
}

/// Counts what lies in a home; see [`Store::count`].
pub fn count_home(home: &Path, tell: &mut dyn FnMut(u64)) -> Result<Usage, Error> {
    let counted = open_home(home, 0)?.count(tell)?;
    Ok(Usage {
        bytes: counted.bytes,
        files: counted.files,
    })
}

/// Removes a home with all that is in it; returns what could not be removed.
///
/// # Errors
/// There is no such directory, a link leads to it, or files are still being made in it.
pub fn remove_home(home: &Path) -> Result<Remains, Error> {
    local::remove_home(home)
}
