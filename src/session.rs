//! A session: the proof of a login, and what it opens.

use std::collections::{HashSet, VecDeque};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use crate::accounts::{Account, Basis, Proof, UserName};
use crate::config;
use crate::error::Error;
use crate::hashes::Hashes;
use crate::quota::{Ledger, Member, Usage};
use crate::store::local::LocalStore;
use crate::store::{Identity, Store};
use crate::transfers::Transfers;

/// Somebody who is logged in. Only a [`Proof`] makes one, and only a check of a password or key
/// makes that: holding a `Session` is being allowed into its home.
pub struct Session {
    user: UserName,
    /// As the account was at the login: an open home stays the one that it is.
    home: PathBuf,
    account: RwLock<Arc<Account>>,
    /// How often the account was changed.
    generation: AtomicU32,
    made: Made,
    basis: Basis,
    peer: SocketAddr,
    /// The client's identification string, without line end.
    identification: Vec<u8>,
    limits: config::Sftp,
    uploads: config::Uploads,
    member: Member,
    hashes: Arc<Hashes>,
    transfers: Arc<Transfers>,
}

impl Session {
    /// Begins a session.
    pub fn new(
        proof: Proof,
        peer: SocketAddr,
        identification: Vec<u8>,
        limits: config::Sftp,
        uploads: config::Uploads,
        member: Member,
        hashes: Arc<Hashes>,
    ) -> Self {
        let (account, basis) = proof.into_parts();
        Self {
            user: account.name.clone(),
            home: account.home.clone(),
            account: RwLock::new(Arc::new(account)),
            generation: AtomicU32::new(0),
            made: Made::default(),
            basis,
            peer,
            identification,
            limits,
            uploads,
            member,
            hashes,
            transfers: Arc::default(),
        }
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

    /// From now on the account is this. What its new rules forbid is refused from the next request
    /// on, on what is open too; the home stays the one that was opened.
    pub fn change(&self, account: Account) {
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

    /// Where the client is.
    pub fn peer(&self) -> SocketAddr {
        self.peer
    }

    /// The client's identification string (RFC 4253, section 4.2).
    pub fn identification(&self) -> &[u8] {
        &self.identification
    }

    /// The limits that hold for it.
    pub fn limits(&self) -> &config::Sftp {
        &self.limits
    }

    /// Does an old file stay until the new one is there as a whole?
    pub fn overwrites_safely(&self) -> bool {
        let own = self.account().settings.safe_overwrite;
        own.unwrap_or(self.uploads.safe_overwrite)
    }

    /// Must what was written be durable when a file is closed?
    pub fn syncs_on_close(&self) -> bool {
        self.uploads.fsync_on_close
    }

    /// The folder on this machine that is the account's home.
    pub fn home(&self) -> &Path {
        &self.home
    }

    /// The account book of the home.
    pub fn ledger(&self) -> &Arc<Ledger> {
        self.member.ledger()
    }

    /// The transfers that are under way.
    pub fn transfers(&self) -> &Arc<Transfers> {
        &self.transfers
    }

    /// The hashes that are known.
    pub fn hashes(&self) -> &Hashes {
        &self.hashes
    }

    /// Opens the home. May block: the disk may be gone or hang.
    pub fn open_store(&self) -> Result<Arc<dyn Store>, Error> {
        open_home(self.home(), self.limits.umask)
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

/// Opens a home: the one place that says what kind of store it is. May block.
pub fn open_home(home: &Path, umask: u32) -> Result<Arc<dyn Store>, Error> {
    Ok(Arc::new(LocalStore::open(home, umask)?))
}

/// Counts what lies in a home; see [`Store::count`].
pub fn count_home(home: &Path, tell: &mut dyn FnMut(u64)) -> Result<Usage, Error> {
    let counted = open_home(home, 0)?.count(tell)?;
    Ok(Usage {
        bytes: counted.bytes,
        files: counted.files,
    })
}
