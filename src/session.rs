//! A session: the proof of a login, and what it opens.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Instant;

use crate::accounts::{Account, Proof, UserName};
use crate::audit::{Event, milliseconds};
use crate::bandwidth::Share;
use crate::config;
use crate::error::Error;
use crate::hashes::Hashes;
use crate::quota::{Ledger, Member, Usage};
use crate::store::Store;
use crate::store::local::LocalStore;
use crate::transfers::Transfers;
use crate::witness::Witness;

/// Somebody who is logged in. Only a [`Proof`] makes one, and only a check of a password or key
/// makes that: holding a `Session` is being allowed into its home.
pub struct Session {
    user: UserName,
    /// As the account was at the login: an open home stays the one that it is.
    home: PathBuf,
    account: RwLock<Arc<Account>>,
    client: Client,
    terms: Terms,
    member: Member,
    share: Share,
    hashes: Arc<Hashes>,
    witness: Witness,
    began: Instant,
    transfers: Arc<Transfers>,
}

/// Who is at the other end.
pub struct Client {
    /// Where it is.
    pub address: SocketAddr,
    /// Its identification string, without line end.
    pub identification: Vec<u8>,
}

/// What the config says of sessions.
pub struct Terms {
    /// Its limits.
    pub limits: config::Sftp,
    /// How files are overwritten and closed.
    pub uploads: config::Uploads,
}

impl Session {
    /// Begins a session.
    pub fn new(
        proof: Proof,
        client: Client,
        terms: Terms,
        member: Member,
        share: Share,
        hashes: Arc<Hashes>,
        witness: Witness,
    ) -> Self {
        let account = proof.into_account();
        Self {
            user: account.name.clone(),
            home: account.home.clone(),
            account: RwLock::new(Arc::new(account)),
            client,
            terms,
            member,
            share,
            hashes,
            transfers: Arc::new(Transfers::new(witness.metrics().clone())),
            witness,
            began: Instant::now(),
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
        self.share.set(account.settings.rules.bandwidth);
        let now = self.account.write();
        *now.unwrap_or_else(PoisonError::into_inner) = Arc::new(account);
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
    pub fn limits(&self) -> &config::Sftp {
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

    /// Notes what it does.
    pub fn witness(&self) -> &Witness {
        &self.witness
    }

    /// The transfers that are under way.
    pub fn transfers(&self) -> &Arc<Transfers> {
        &self.transfers
    }

    /// How fast it may move files.
    pub fn share(&self) -> &Share {
        &self.share
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

/// It ends when nothing of it is at work any more: then all its files are closed.
impl Drop for Session {
    fn drop(&mut self) {
        let totals = self.transfers.totals();
        self.witness.note(&Event::Logout {
            duration_ms: milliseconds(self.began.elapsed()),
            uploaded_bytes: totals.uploads.bytes,
            uploaded_files: totals.uploads.files,
            downloaded_bytes: totals.downloads.bytes,
            downloaded_files: totals.downloads.files,
        });
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
