//! Safe overwrites in the model: hidden files, which session sees what, and how each ends.

use super::model::{Id, Kind, Model, Place};
use super::request::Op;
use super::request::Outcome::{self, Done};
use crate::common::wire::flag;

/// The suffix of a part.
pub const PART: &str = ".filepart";
/// The model's name for a hidden file, whose real name is random.
const HIDDEN: &str = "hidden ";

/// A file that is to replace another one.
pub struct Pending {
    session: usize,
    file: u64,
    old: Id,
    new: Id,
    directory: Id,
    name: String,
    spoilt: bool,
}

impl Pending {
    fn hidden(&self) -> String {
        format!("{HIDDEN}{}", self.new)
    }

    fn hidden_place(&self) -> Place {
        self.place(self.hidden())
    }

    fn place(&self, name: String) -> Place {
        Place {
            directory: self.directory,
            name,
            found: None,
        }
    }
}

impl Model {
    /// A session starts to overwrite a file; returns the new one.
    pub fn begin(&mut self, place: Place, old: Id, (session, file): (usize, u64)) -> Id {
        let directory = place.directory;
        let name = format!("{HIDDEN}{}", self.next_id());
        let hidden = Place {
            directory,
            name,
            found: None,
        };
        let new = self.add(hidden, Kind::File(0));
        self.inodes.get_mut(&old).unwrap().handles += 1;
        self.pending.push(Pending {
            session,
            file,
            old,
            new,
            directory,
            name: place.name,
            spoilt: false,
        });
        new
    }

    /// Returns the version of a file that a session sees.
    pub fn as_written(&self, id: Id, session: usize) -> Id {
        self.of(id, session).map_or(id, |at| self.pending[at].new)
    }

    fn of(&self, id: Id, session: usize) -> Option<usize> {
        let mut pending = self.pending.iter();
        pending.position(|one| one.old == id && one.session == session)
    }

    /// Prepares for a request on a file that its session overwrites; returns false if the new file cannot
    /// take its name.
    pub fn finish_early(&mut self, op: &Op, session: usize) -> bool {
        let paths: &[(&str, bool)] = match op {
            Op::Open { flags, .. }
                if flags & flag::TRUNC != 0 && flags & (flag::WRITE | flag::APPEND) == 0 =>
            {
                &[]
            }
            Op::Open { path, .. } => &[(path, true)],
            Op::Remove(path) => &[(path, false)],
            Op::Hardlink { from, .. } => &[(from, false)],
            Op::Rename { from, to, .. } => &[(from, false), (to, false)],
            _ => &[],
        };
        paths.iter().all(|(path, follow)| {
            let found = self.find(path, *follow);
            let pending = found.and_then(|id| self.of(id, session));
            pending.is_none_or(|at| {
                let (file, spoilt) = (self.pending[at].file, self.pending[at].spoilt);
                let replaced = self.end(file, true);
                self.open.get_mut(&file).unwrap().failed = !replaced;
                // The client that spoiled it knows.
                replaced || spoilt
            })
        })
    }

    /// Removes the new file of a session whose overwrite has failed.
    pub fn remove_spoilt(&mut self, op: &Op, session: usize) -> bool {
        let Op::Remove(path) = op else { return false };
        let found = self.find(path, false);
        let pending = found.and_then(|id| self.of(id, session));
        let Some(at) = pending.filter(|at| self.pending[*at].spoilt) else {
            return false;
        };
        let pending = self.pending.remove(at);
        self.take_name(&pending.hidden_place());
        self.open.get_mut(&pending.file).unwrap().failed = true;
        self.let_go(pending.old);
        self.ended[1] += 1;
        true
    }

    /// A refused change of content spoils the new file.
    pub fn spoil(&mut self, op: &Op, session: usize, outcome: Outcome) {
        if outcome == Done {
            return;
        }
        let found = match op {
            Op::Write { file, .. } | Op::Fsetstat { file, .. } | Op::Copy { to: file, .. } => {
                let mut pending = self.pending.iter();
                pending.position(|one| one.file == *file)
            }
            Op::Setstat { path, .. } => {
                let found = self.find(path, true);
                found.and_then(|id| self.of(id, session))
            }
            _ => None,
        };
        if let Some(at) = found {
            self.pending[at].spoilt = true;
        }
    }

    /// An overwrite ends, by closing its handle or before; returns whether the new file is complete.
    pub fn end(&mut self, file: u64, closed: bool) -> bool {
        let Some(at) = self.pending.iter().position(|one| one.file == file) else {
            return true;
        };
        let pending = self.pending.remove(at);
        let replaced = closed && !pending.spoilt && self.replace(&pending);
        if !replaced {
            self.keep(&pending);
        }
        self.let_go(pending.old);
        self.ended[usize::from(!replaced)] += 1;
        replaced
    }

    fn replace(&mut self, pending: &Pending) -> bool {
        let found = self.names(pending.directory).get(&pending.name).copied();
        if let Some(id) = found {
            if matches!(self.inodes[&id].kind, Kind::Directory(_)) {
                return false;
            }
            self.take_name(&pending.place(pending.name.clone()));
        }
        self.rename_hidden(pending, pending.name.clone());
        true
    }

    fn rename_hidden(&mut self, pending: &Pending, name: String) {
        let names = self.names(pending.directory);
        names.remove(&pending.hidden());
        names.insert(name, pending.new);
    }

    fn keep(&mut self, pending: &Pending) {
        let part = format!("{}{PART}", pending.name);
        if self.length(pending.new) == 0 {
            self.take_name(&pending.hidden_place());
        } else if !self.names(pending.directory).contains_key(&part) {
            self.rename_hidden(pending, part);
        }
    }

    /// A session ends while this file is open.
    pub fn cut(&mut self, file: u64) {
        self.cut_gap(file);
        self.end(file, false);
        if let Some(open) = self.open.get_mut(&file) {
            open.failed = false;
        }
        self.apply(&Op::Close { file }, 0, 0);
    }
}
