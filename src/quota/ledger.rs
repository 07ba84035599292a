//! The ledger of one home: growth is reserved before it happens and settled after it.

use std::path::{Path, PathBuf};
use std::sync::{Condvar, Mutex, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use tracing::{error, warn};

use super::books::{Books, CountState, fits};
use super::deferred_files::DeferredFiles;
use super::inodes::OpenInodes;
use super::keeper::{Keeper, StoredUsage};
use super::locks::{lock, read};
use super::usage::{Limits, Usage};
use crate::error::Error;
use crate::values::error_chain::chain;

/// The ledger of one home, shared by all its sessions.
pub struct Ledger {
    pub(super) user: String,
    pub(super) home: PathBuf,
    pub(super) keeper: Keeper,
    pub(super) gate: RwLock<()>,
    pub(super) names: RwLock<()>,
    pub(super) open: Mutex<OpenInodes>,
    pub(super) deferred: DeferredFiles,
    pub(super) books: Mutex<Books>,
    pub(super) counted: Condvar,
}

impl Ledger {
    pub(super) fn new(user: &str, home: &Path, keeper: Keeper, kept: Option<StoredUsage>) -> Self {
        let saved = kept.filter(|kept| kept.clean);
        Self {
            user: user.to_owned(),
            home: home.to_owned(),
            keeper,
            gate: RwLock::default(),
            names: RwLock::default(),
            open: Mutex::default(),
            deferred: DeferredFiles::default(),
            books: Mutex::new(Books {
                used: saved.map_or_else(Usage::default, |kept| kept.used),
                limits: Limits::default(),
                standing: saved.map_or(CountState::Uncounted, |_| CountState::Saved),
                members: 0,
            }),
            counted: Condvar::new(),
        }
    }

    /// Returns the current usage, including reserved growth; `None` while it is unknown.
    pub fn used(&self) -> Option<Usage> {
        let books = lock(&self.books);
        matches!(books.standing, CountState::Saved | CountState::Marked).then_some(books.used)
    }

    /// Returns the limits.
    pub fn limits(&self) -> Limits {
        lock(&self.books).limits
    }

    /// Sets the limits. They may be lower than the usage: then nothing grows.
    pub fn set_limits(&self, limits: Limits) {
        lock(&self.books).limits = limits;
    }

    /// Returns what remains of the limits. Unknown usage counts as none.
    pub fn left(&self) -> Limits {
        let books = lock(&self.books);
        let left = |limit: Option<u64>, used: u64| limit.map(|limit| limit.saturating_sub(used));
        Limits {
            bytes: left(books.limits.bytes, books.used.bytes),
            files: left(books.limits.files, books.used.files),
        }
    }

    /// Begins a change of the home. Waits while the home is being counted.
    ///
    /// First marks the stored usage as outdated in the database. If that fails, nothing may grow, but
    /// shrinking is allowed: it may make room for the database.
    pub fn begin(&self) -> Change<'_> {
        loop {
            let gate = read(&self.gate);
            let books = lock(&self.books);
            let may_grow = match books.standing {
                CountState::Marked => true,
                CountState::Lost => false,
                CountState::Saved => {
                    drop(books);
                    let marked = self.mark();
                    if marked {
                        lock(&self.books).standing = CountState::Marked;
                    }
                    marked
                }
                CountState::Uncounted | CountState::Counting => {
                    drop(gate);
                    drop(self.counted.wait(books));
                    continue;
                }
            };
            return Change {
                ledger: self,
                may_grow,
                _gate: gate,
            };
        }
    }

    pub(super) fn mark(&self) -> bool {
        let marked = self.keeper.mark(&self.user, &self.home);
        if let Err(failure) = &marked {
            error!(
                user = self.user,
                "cannot mark the usage of a home as changing: {}",
                chain(failure)
            );
        }
        marked.is_ok()
    }

    /// Held while a file is opened by its name, until it is tracked.
    pub fn opening(&self) -> RwLockReadGuard<'_, ()> {
        read(&self.names)
    }

    /// Returns the guard of [`Self::opening`] if it is free.
    pub fn opening_now(&self) -> Option<RwLockReadGuard<'_, ()>> {
        self.names.try_read().ok()
    }

    /// Replaces the usage by a count. No change happens while `count` runs; reads continue.
    pub fn recount(&self, count: impl FnOnce() -> Result<Usage, Error>) -> Result<Usage, Error> {
        let gate = self.gate.write().unwrap_or_else(PoisonError::into_inner);
        let standing = lock(&self.books).standing;
        let noted = standing == CountState::Marked || self.mark();
        let counted = count();
        let mut open = lock(&self.open);
        let mut books = lock(&self.books);
        match &counted {
            Ok(on_disk) => {
                books.used = on_disk.plus(open.without_names());
                open.forget_sizes();
                // Usage that the database does not know to be outdated would not be counted after a crash.
                books.standing = if noted {
                    CountState::Marked
                } else {
                    CountState::Saved
                };
            }
            Err(failure) => {
                error!(user = self.user, %failure, "cannot count a home: no growth is allowed in it");
                books.standing = CountState::Lost;
            }
        }
        let used = books.used;
        drop((books, open, gate));
        self.counted.notify_all();
        self.save_if_idle();
        counted.map(|_| used)
    }

    /// Releases usage: reserved growth that did not happen, or removed data.
    pub(super) fn release(&self, gone: Usage) {
        let mut books = lock(&self.books);
        let short = books.used.bytes < gone.bytes || books.used.files < gone.files;
        books.used = books.used.minus(gone);
        if short && matches!(books.standing, CountState::Saved | CountState::Marked) {
            warn!(
                user = self.user,
                "more was removed than was counted; run: landfall quota recount {}", self.user
            );
        }
    }

    pub(super) fn join(&self, limits: Option<Limits>) {
        let mut books = lock(&self.books);
        books.members += 1;
        books.limits = limits.unwrap_or(books.limits);
    }

    pub(super) fn leave(&self) {
        lock(&self.books).members -= 1;
        self.save_if_idle();
    }

    /// Writes the usage to the database once nobody can change anything.
    pub(super) fn save_if_idle(&self) {
        let open = lock(&self.open);
        let mut books = lock(&self.books);
        if books.members == 0 && open.is_empty() && books.standing == CountState::Marked {
            books.standing = CountState::Saved;
            self.keeper.save(&self.user, &self.home, books.used);
        }
    }

    pub(super) fn is_idle(&self) -> bool {
        let open = lock(&self.open);
        let books = lock(&self.books);
        let settled = matches!(books.standing, CountState::Saved | CountState::Lost);
        open.is_empty() && books.members == 0 && settled
    }
}

/// A change of the home in progress.
pub struct Change<'a> {
    pub(super) ledger: &'a Ledger,
    pub(super) may_grow: bool,
    pub(super) _gate: RwLockReadGuard<'a, ()>,
}

impl<'a> Change<'a> {
    /// Held while names are added, removed or replaced.
    pub fn names(&self) -> RwLockWriteGuard<'a, ()> {
        let names = self.ledger.names.write();
        let names = names.unwrap_or_else(PoisonError::into_inner);
        self.ledger.deferred.close();
        names
    }

    /// Checks whether growth would fit now.
    pub fn check_room(&self, growth: Usage) -> Result<(), Error> {
        fits(&lock(&self.ledger.books), growth, Some(growth.bytes))
    }

    /// Reserves growth; the part that is neither [kept](Reservation::keep) nor settled is released.
    pub fn reserve(&self, growth: Usage) -> Result<Reservation<'a>, Error> {
        if growth != Usage::default() {
            if !self.may_grow {
                return Err(Error::Limit(
                    "The server cannot update the quota now; please contact the operator",
                    0,
                ));
            }
            let mut books = lock(&self.ledger.books);
            fits(&books, growth, None)?;
            books.used = books.used.plus(growth);
        }
        Ok(Reservation {
            ledger: self.ledger,
            growth,
        })
    }

    /// Releases the usage of removed data.
    pub fn release(&self, gone: Usage) {
        self.ledger.release(gone);
    }
}

/// Reserved growth.
#[must_use]
pub struct Reservation<'a> {
    pub(super) ledger: &'a Ledger,
    pub(super) growth: Usage,
}

impl Reservation<'_> {
    /// Keeps all of it: the growth has happened.
    pub fn keep(mut self) {
        self.growth = Usage::default();
    }

    /// Replaces it by the actual growth, which may be larger if others changed the file.
    pub fn settle(mut self, happened: Usage) {
        let reserved = std::mem::take(&mut self.growth);
        self.ledger.release(reserved.minus(happened));
        let more = happened.minus(reserved);
        let mut books = lock(&self.ledger.books);
        books.used = books.used.plus(more);
    }
}

impl Drop for Reservation<'_> {
    fn drop(&mut self) {
        if self.growth != Usage::default() {
            self.ledger.release(self.growth);
        }
    }
}
