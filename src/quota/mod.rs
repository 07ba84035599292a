//! What an account uses and may use, exact at every instant.
//!
//! Counted are the apparent sizes of regular files and the lengths of the targets of symbolic links, each
//! inode once however many names it has, until its last name is gone and its last handle is closed; and
//! every name below the home (file, directory or link), an inode that is open without a name counting as
//! one.
//!
//! Growth is reserved before it happens and settled after it: [`Ledger::begin`], then
//! [`Change::reserve`], then the verb, then [`Reservation::settle`]. The locks, in the order in
//! which they are taken:
//! 1. `gate`: every change holds it shared; a count of the home holds it alone.
//! 2. `names`: whoever adds, takes or replaces a name holds it alone; whoever opens a file by its
//!    name holds it shared until the file is [tracked](Ledger::track).
//! 3. `open`: the table of open inodes.
//! 4. the size of an open inode: held while it is written or resized.
//! 5. `books`: the figures.

mod deferred_close;
mod inodes;
mod keeper;
mod ledgers;
#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};
use std::sync::{
    Condvar, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard,
};

use tracing::{error, warn};

use crate::error::{Error, Exceeded};
use crate::values::error_chain::chain;

use self::deferred_close::SpentFiles;
use self::inodes::OpenInodes;
use self::keeper::Keeper;

pub use self::deferred_close::{Closer, SPENT_AT_MOST, Spent};
pub use self::inodes::Tracked;
pub use self::keeper::{Home, Kept, distrust_all, figures_of, figures_of_all};
pub use self::ledgers::{CountHome, Ledgers, Member};

/// Bytes and names.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Usage {
    /// Apparent sizes of regular files and of symbolic links, in bytes.
    pub bytes: u64,
    /// Names of files, directories and links.
    pub files: u64,
}

impl Usage {
    /// Nothing but this many bytes.
    pub const fn bytes(bytes: u64) -> Self {
        Self { bytes, files: 0 }
    }

    /// Nothing but this many names.
    pub const fn files(files: u64) -> Self {
        Self { bytes: 0, files }
    }

    fn plus(self, other: Self) -> Self {
        Self {
            bytes: self.bytes.saturating_add(other.bytes),
            files: self.files.saturating_add(other.files),
        }
    }

    fn minus(self, other: Self) -> Self {
        Self {
            bytes: self.bytes.saturating_sub(other.bytes),
            files: self.files.saturating_sub(other.files),
        }
    }
}

/// The most that an account may use; `None` is without limit.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Limits {
    /// In bytes.
    pub bytes: Option<u64>,
    /// In names.
    pub files: Option<u64>,
}

/// What is known of the figures.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Standing {
    /// They are in the database, too.
    Saved,
    /// The database knows that they may have changed.
    Marked,
    /// They are not known: growth waits for the count.
    Uncounted,
    /// The same, and the count has begun.
    Counting,
    /// They could not be counted: nothing grows.
    Lost,
}

struct Books {
    used: Usage,
    limits: Limits,
    standing: Standing,
    /// Sessions that are open.
    members: usize,
}

/// The account book of one home. All sessions in it share one.
pub struct Ledger {
    user: String,
    home: PathBuf,
    keeper: Keeper,
    gate: RwLock<()>,
    names: RwLock<()>,
    open: Mutex<OpenInodes>,
    spent: SpentFiles,
    books: Mutex<Books>,
    counted: Condvar,
}

impl Ledger {
    fn new(user: &str, home: &Path, keeper: Keeper, kept: Option<Kept>) -> Self {
        let saved = kept.filter(|kept| kept.clean);
        Self {
            user: user.to_owned(),
            home: home.to_owned(),
            keeper,
            gate: RwLock::default(),
            names: RwLock::default(),
            open: Mutex::default(),
            spent: SpentFiles::default(),
            books: Mutex::new(Books {
                used: saved.map_or_else(Usage::default, |kept| kept.used),
                limits: Limits::default(),
                standing: saved.map_or(Standing::Uncounted, |_| Standing::Saved),
                members: 0,
            }),
            counted: Condvar::new(),
        }
    }

    /// What is used now, what is reserved included; `None` while it is not known.
    pub fn used(&self) -> Option<Usage> {
        let books = lock(&self.books);
        matches!(books.standing, Standing::Saved | Standing::Marked).then_some(books.used)
    }

    /// The most that may be used.
    pub fn limits(&self) -> Limits {
        lock(&self.books).limits
    }

    /// From now on so much may be used. It may be less than is: then nothing grows.
    pub fn set_limits(&self, limits: Limits) {
        lock(&self.books).limits = limits;
    }

    /// What may still be used. While it is not known what is used, that is taken for nothing.
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
    /// The database is told first that the figures it has are no longer right. When that cannot be,
    /// nothing may grow, but shrinking goes on: it may be what makes room for the database.
    pub fn begin(&self) -> Change<'_> {
        loop {
            let gate = read(&self.gate);
            let books = lock(&self.books);
            let may_grow = match books.standing {
                Standing::Marked => true,
                Standing::Lost => false,
                Standing::Saved => {
                    drop(books);
                    let marked = self.mark();
                    if marked {
                        lock(&self.books).standing = Standing::Marked;
                    }
                    marked
                }
                Standing::Uncounted | Standing::Counting => {
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

    fn mark(&self) -> bool {
        let marked = self.keeper.mark(&self.user, &self.home);
        if let Err(failure) = &marked {
            error!(
                user = self.user,
                "cannot note that files change: {}",
                chain(failure)
            );
        }
        marked.is_ok()
    }

    /// Held while a file is opened by its name, until it is tracked.
    pub fn opening(&self) -> RwLockReadGuard<'_, ()> {
        read(&self.names)
    }

    /// The same, if nobody is in the way.
    pub fn opening_now(&self) -> Option<RwLockReadGuard<'_, ()>> {
        self.names.try_read().ok()
    }

    /// Takes what was counted for what is used. `count` runs while nothing changes; reading goes on.
    pub fn recount(&self, count: impl FnOnce() -> Result<Usage, Error>) -> Result<Usage, Error> {
        let gate = self.gate.write().unwrap_or_else(PoisonError::into_inner);
        let standing = lock(&self.books).standing;
        let noted = standing == Standing::Marked || self.mark();
        let counted = count();
        let mut open = lock(&self.open);
        let mut books = lock(&self.books);
        match &counted {
            Ok(on_disk) => {
                books.used = on_disk.plus(open.without_names());
                open.forget_sizes();
                // What the database does not know of would not be counted after a crash.
                books.standing = if noted {
                    Standing::Marked
                } else {
                    Standing::Saved
                };
            }
            Err(failure) => {
                error!(user = self.user, %failure, "the home cannot be counted: nothing grows");
                books.standing = Standing::Lost;
            }
        }
        let used = books.used;
        drop((books, open, gate));
        self.counted.notify_all();
        self.save_if_idle();
        counted.map(|_| used)
    }

    /// Growth that has been given back, or that went: something is gone.
    fn release(&self, gone: Usage) {
        let mut books = lock(&self.books);
        let short = books.used.bytes < gone.bytes || books.used.files < gone.files;
        books.used = books.used.minus(gone);
        if short && matches!(books.standing, Standing::Saved | Standing::Marked) {
            warn!(
                user = self.user,
                "more was removed than was counted: run landfall quota recount {}", self.user
            );
        }
    }

    fn join(&self, limits: Option<Limits>) {
        let mut books = lock(&self.books);
        books.members += 1;
        books.limits = limits.unwrap_or(books.limits);
    }

    fn leave(&self) {
        lock(&self.books).members -= 1;
        self.save_if_idle();
    }

    /// When nobody can change anything, the figures go to the database.
    fn save_if_idle(&self) {
        let open = lock(&self.open);
        let mut books = lock(&self.books);
        if books.members == 0 && open.is_empty() && books.standing == Standing::Marked {
            books.standing = Standing::Saved;
            self.keeper.save(&self.user, &self.home, books.used);
        }
    }

    fn is_idle(&self) -> bool {
        let open = lock(&self.open);
        let books = lock(&self.books);
        let settled = matches!(books.standing, Standing::Saved | Standing::Lost);
        open.is_empty() && books.members == 0 && settled
    }
}

/// A change of the home that is under way.
pub struct Change<'a> {
    ledger: &'a Ledger,
    may_grow: bool,
    _gate: RwLockReadGuard<'a, ()>,
}

impl<'a> Change<'a> {
    /// Held while names are added, taken or replaced.
    pub fn names(&self) -> RwLockWriteGuard<'a, ()> {
        let names = self.ledger.names.write();
        let names = names.unwrap_or_else(PoisonError::into_inner);
        self.ledger.spent.close();
        names
    }

    /// Would so much more fit now?
    pub fn check_room(&self, growth: Usage) -> Result<(), Error> {
        fits(&lock(&self.ledger.books), growth, Some(growth.bytes))
    }

    /// Reserves growth; what is not [kept](Reservation::keep) or settled is given back.
    pub fn reserve(&self, growth: Usage) -> Result<Reservation<'a>, Error> {
        if growth != Usage::default() {
            if !self.may_grow {
                return Err(Error::Limit(
                    "The server cannot keep account of new files now; please tell the operator",
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

    /// Something is gone.
    pub fn release(&self, gone: Usage) {
        self.ledger.release(gone);
    }
}

/// Growth that is spoken for.
#[must_use]
pub struct Reservation<'a> {
    ledger: &'a Ledger,
    growth: Usage,
}

impl Reservation<'_> {
    /// All of it has happened.
    pub fn keep(mut self) {
        self.growth = Usage::default();
    }

    /// So much has really happened; it may be more, if others changed the file.
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

fn fits(books: &Books, growth: Usage, wanted: Option<u64>) -> Result<(), Error> {
    let over = |growth: u64, used: u64, limit: Option<u64>| {
        limit.filter(|limit| growth > 0 && used.saturating_add(growth) > *limit)
    };
    if let Some(limit) = over(growth.bytes, books.used.bytes, books.limits.bytes) {
        let used = books.used.bytes;
        return Err(Error::Quota(Exceeded::Bytes {
            used,
            limit,
            wanted,
        }));
    }
    match over(growth.files, books.used.files, books.limits.files) {
        Some(limit) => Err(Error::Quota(Exceeded::Files {
            used: books.used.files,
            limit,
        })),
        None => Ok(()),
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn read(lock: &RwLock<()>) -> RwLockReadGuard<'_, ()> {
    lock.read().unwrap_or_else(PoisonError::into_inner)
}
