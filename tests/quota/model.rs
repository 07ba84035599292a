//! A plain model, without a disk, of a home after each request, and of what the quota refuses.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::ops::Range;

use super::overwrites::{PART, Pending};
use super::request::Op;
use super::request::Outcome::{self, Done, Exceeded, Failed};
use crate::common::wire::flag;
use crate::quota::scene::Use;

pub type Id = u64;
const ROOT: Id = 0;

#[derive(Debug)]
pub enum Kind {
    File(u64),
    Directory(BTreeMap<String, Id>),
    Link(String),
}

#[derive(Debug)]
pub struct Inode {
    pub kind: Kind,
    names: u64,
    pub handles: u64,
}

impl Inode {
    fn new(kind: Kind) -> Self {
        let (names, handles) = (0, 0);
        Self {
            kind,
            names,
            handles,
        }
    }
}

#[derive(Debug, Clone)]
pub struct Open {
    inode: Id,
    reads: bool,
    writes: bool,
    appends: bool,
    /// It was to replace a file and could not; CLOSE reports it.
    pub failed: bool,
    /// Refused ranges that were not written later, as the client counts, and the end of the later writes.
    refused: Vec<Range<u64>>,
    written_to: u64,
    /// Its size when it was opened.
    size: u64,
}

impl Open {
    fn forget_what_is_whole(&mut self) {
        self.refused.retain(|range| !range.is_empty());
        if self.refused.is_empty() {
            self.written_to = 0;
        }
    }
}

/// The home and its open files.
pub struct Model {
    pub inodes: HashMap<Id, Inode>,
    pub open: BTreeMap<u64, Open>,
    next: Id,
    pub limits: Use,
    /// Whether files are overwritten safely.
    pub safe: bool,
    pub pending: Vec<Pending>,
    /// How many of them have replaced a file, and how many have not.
    pub ended: [u64; 2],
}

/// What a path resolves to: a directory, a name in it, and the inode of that name.
pub struct Place {
    pub directory: Id,
    pub name: String,
    pub found: Option<Id>,
}

impl Model {
    pub fn new(limits: Use) -> Self {
        let root = Inode::new(Kind::Directory(BTreeMap::new()));
        Self {
            inodes: HashMap::from([(ROOT, root)]),
            open: BTreeMap::new(),
            next: ROOT + 1,
            limits,
            safe: false,
            pending: Vec::new(),
            ended: [0; 2],
        }
    }

    pub fn used(&self) -> Use {
        let mut used = Use::default();
        for inode in self.inodes.values() {
            used.files += inode.names;
            match &inode.kind {
                Kind::File(size) => {
                    used.bytes += size;
                    used.files += u64::from(inode.names == 0);
                }
                Kind::Link(target) => used.bytes += target.len() as u64,
                Kind::Directory(_) => {}
            }
        }
        used
    }

    pub fn size(&self, file: u64) -> u64 {
        self.open
            .get(&file)
            .map_or(0, |open| self.length(open.inode))
    }

    /// Applies a request of a session, as far as possible. `file` is the number of a file that it opens.
    pub fn apply(&mut self, op: &Op, session: usize, file: u64) -> Outcome {
        if self.remove_spoilt(op, session) {
            return Done;
        }
        if !self.finish_early(op, session) {
            return Failed;
        }
        let outcome = self.act(op, session, file);
        self.spoil(op, session, outcome);
        outcome
    }

    fn act(&mut self, op: &Op, session: usize, file: u64) -> Outcome {
        match op {
            Op::Open {
                path,
                flags,
                announced,
            } => self.open(path, *flags, *announced, (session, file)),
            Op::Close { file } => self.close(*file),
            Op::Write {
                file,
                offset,
                length,
            } => self.write(*file, *offset, *length),
            Op::Fsetstat { file, size } => self.resize_open(*file, *size),
            Op::Setstat { path, size } => match self.find(path, true) {
                Some(id) => self.resize(self.as_written(id, session), *size),
                None => Failed,
            },
            Op::Copy {
                from,
                offset,
                length,
                to,
                to_offset,
            } => self.copy((*from, *offset, *length), (*to, *to_offset)),
            Op::Remove(path) => self.remove(path, false),
            Op::Rmdir(path) => self.remove(path, true),
            Op::Mkdir(path) => self.make(path, Kind::Directory(BTreeMap::new())),
            Op::Symlink { target, path } => self.make(path, Kind::Link(target.clone())),
            Op::Hardlink { from, to } => self.hardlink(from, to),
            Op::Rename { from, to, replace } => self.rename(from, to, *replace),
        }
    }

    fn fits(&self, bytes: u64, files: u64) -> bool {
        let used = self.used();
        let over = |used: u64, more: u64, limit: u64| more > 0 && used.saturating_add(more) > limit;
        !over(used.bytes, bytes, self.limits.bytes) && !over(used.files, files, self.limits.files)
    }

    pub fn length(&self, id: Id) -> u64 {
        match self.inodes[&id].kind {
            Kind::File(size) => size,
            _ => 0,
        }
    }

    pub fn names(&mut self, directory: Id) -> &mut BTreeMap<String, Id> {
        match &mut self.inodes.get_mut(&directory).unwrap().kind {
            Kind::Directory(names) => names,
            other => panic!("no directory: {other:?}"),
        }
    }

    pub fn add_name(&mut self, place: Place, id: Id) {
        self.names(place.directory).insert(place.name, id);
        self.inodes.get_mut(&id).unwrap().names += 1;
    }

    pub fn take_name(&mut self, place: &Place) {
        let id = self.names(place.directory).remove(&place.name).unwrap();
        self.inodes.get_mut(&id).unwrap().names -= 1;
        self.forget_unused(id);
    }

    fn forget_unused(&mut self, id: Id) {
        let inode = &self.inodes[&id];
        if inode.names == 0 && inode.handles == 0 {
            self.inodes.remove(&id);
        }
    }

    /// Returns `None` if it cannot be resolved.
    fn resolve(&self, path: &str, follow: bool) -> Option<Place> {
        let split = |path: &str| -> Vec<String> {
            let names = path.split('/').filter(|name| !name.is_empty());
            names.map(str::to_owned).collect()
        };
        let mut rest: VecDeque<String> = split(path).into();
        let mut directory = ROOT;
        let mut links = 0;
        while let Some(name) = rest.pop_front() {
            let Kind::Directory(names) = &self.inodes[&directory].kind else {
                return None;
            };
            let found = names.get(&name).copied();
            let link = found.and_then(|id| match &self.inodes[&id].kind {
                Kind::Link(target) => Some(target),
                _ => None,
            });
            match (link, found) {
                (Some(target), _) if follow || !rest.is_empty() => {
                    links += 1;
                    if links > 40 {
                        return None;
                    }
                    for name in split(target).into_iter().rev() {
                        rest.push_front(name);
                    }
                    directory = ROOT;
                }
                _ if rest.is_empty() => {
                    return Some(Place {
                        directory,
                        name,
                        found,
                    });
                }
                (_, Some(id)) => directory = id,
                (_, None) => return None,
            }
        }
        None
    }

    pub fn find(&self, path: &str, follow: bool) -> Option<Id> {
        self.resolve(path, follow)?.found
    }

    fn open(
        &mut self,
        path: &str,
        flags: u32,
        announced: Option<u64>,
        (session, file): (usize, u64),
    ) -> Outcome {
        let has = |bit| flags & bit != 0;
        let writes = has(flag::WRITE) || has(flag::APPEND);
        let exclusive = has(flag::CREAT) && has(flag::EXCL);
        if has(flag::TRUNC) && !writes {
            return Failed;
        }
        let Some(place) = self.resolve(path, !exclusive) else {
            return Failed;
        };
        let inode = match place.found {
            Some(id) => {
                if exclusive || !matches!(self.inodes[&id].kind, Kind::File(_)) {
                    return Failed;
                }
                let before = self.length(id);
                if has(flag::TRUNC) && self.safe && !path.ends_with(PART) {
                    if !self.fits(announced.unwrap_or(0), 1) {
                        return Exceeded;
                    }
                    self.begin(place, id, (session, file))
                } else if has(flag::TRUNC) {
                    let growth = announced.unwrap_or(0).saturating_sub(before);
                    if !self.fits(growth, 0) {
                        return Exceeded;
                    }
                    self.resize(id, 0);
                    id
                } else {
                    id
                }
            }
            None if !has(flag::CREAT) => return Failed,
            None if !self.fits(announced.unwrap_or(0), 1) => return Exceeded,
            None => self.add(place, Kind::File(0)),
        };
        let size = self.length(inode);
        self.inodes.get_mut(&inode).unwrap().handles += 1;
        let open = Open {
            size,
            inode,
            reads: has(flag::READ) || !writes,
            writes,
            appends: has(flag::APPEND),
            failed: false,
            refused: Vec::new(),
            written_to: 0,
        };
        self.open.insert(file, open);
        Done
    }

    fn close(&mut self, file: u64) -> Outcome {
        let Some(open) = self.open.get(&file).cloned() else {
            return Failed;
        };
        self.cut_gap(file);
        let replaced = self.end(file, true);
        self.open.remove(&file);
        self.let_go(open.inode);
        if open.failed || !open.refused.is_empty() || !replaced {
            Failed
        } else {
            Done
        }
    }

    /// A client that resumes reads the size.
    pub fn cut_gap(&mut self, file: u64) {
        if let Some(open) = self.open.get(&file).cloned()
            && let Some(first) = open.refused.iter().map(|range| range.start).min()
            && !open.appends
            && (open.size..open.written_to).contains(&first)
            && first < self.length(open.inode)
        {
            self.resize(open.inode, first);
        }
    }

    pub fn let_go(&mut self, id: Id) {
        self.inodes.get_mut(&id).unwrap().handles -= 1;
        self.forget_unused(id);
    }

    fn write(&mut self, file: u64, offset: u64, length: u64) -> Outcome {
        let Some(open) = self.open.get(&file).cloned() else {
            return Failed;
        };
        if !open.writes {
            return Failed;
        }
        if length == 0 {
            return Done;
        }
        let start = self.start(&open, offset);
        let outcome = self.put(&open, start, length);
        let open = self.open.get_mut(&file).unwrap();
        let end = offset + length;
        if outcome == Done {
            if !open.refused.is_empty() {
                open.written_to = open.written_to.max(end);
            }
            let refused = std::mem::take(&mut open.refused);
            for range in refused {
                open.refused.push(range.start..range.end.min(offset));
                open.refused.push(range.start.max(end)..range.end);
            }
        } else {
            open.refused.push(offset..end);
        }
        open.forget_what_is_whole();
        outcome
    }

    fn start(&self, open: &Open, offset: u64) -> u64 {
        match open.appends {
            true => self.length(open.inode),
            false => offset,
        }
    }

    fn put(&mut self, open: &Open, start: u64, length: u64) -> Outcome {
        let end = if length == 0 { 0 } else { start + length };
        self.resize(open.inode, self.length(open.inode).max(end))
    }

    /// Changes the size of an open file.
    fn resize_open(&mut self, file: u64, size: u64) -> Outcome {
        let Some(open) = self.open.get(&file).cloned().filter(|open| open.writes) else {
            return Failed;
        };
        let outcome = self.resize(open.inode, size);
        let open = self.open.get_mut(&file).unwrap();
        if outcome == Done {
            open.written_to = open.written_to.min(size);
            open.refused
                .iter_mut()
                .for_each(|range| range.end = range.end.min(size));
            open.forget_what_is_whole();
        }
        outcome
    }

    fn resize(&mut self, id: Id, new: u64) -> Outcome {
        let before = self.length(id);
        let fits = self.fits(new.saturating_sub(before), 0);
        match &mut self.inodes.get_mut(&id).unwrap().kind {
            Kind::File(_) if !fits => Exceeded,
            Kind::File(size) => {
                *size = new;
                Done
            }
            _ => Failed,
        }
    }

    fn copy(&mut self, from: (u64, u64, u64), to: (u64, u64)) -> Outcome {
        let (Some(source), Some(target)) = (self.open.get(&from.0), self.open.get(&to.0)) else {
            return Failed;
        };
        let (source, target) = (source.clone(), target.clone());
        if !source.reads || !target.writes {
            return Failed;
        }
        let there = self.length(source.inode).saturating_sub(from.1);
        let count = if from.2 == 0 { there } else { from.2 };
        // The test never copies beyond the end of a file or within one file.
        assert!(count <= there && source.inode != target.inode);
        self.put(&target, self.start(&target, to.1), count)
    }

    pub fn next_id(&self) -> Id {
        self.next
    }

    pub fn add(&mut self, place: Place, kind: Kind) -> Id {
        let id = self.next;
        self.next += 1;
        self.inodes.insert(id, Inode::new(kind));
        self.add_name(place, id);
        id
    }

    fn make(&mut self, path: &str, kind: Kind) -> Outcome {
        match self.resolve(path, false) {
            Some(place) if place.found.is_none() => {
                let bytes = match &kind {
                    Kind::Link(target) => target.len() as u64,
                    Kind::File(_) | Kind::Directory(_) => 0,
                };
                if !self.fits(bytes, 1) {
                    return Exceeded;
                }
                self.add(place, kind);
                Done
            }
            _ => Failed,
        }
    }

    fn remove(&mut self, path: &str, directory: bool) -> Outcome {
        let Some(place) = self.resolve(path, false) else {
            return Failed;
        };
        let Some(id) = place.found else { return Failed };
        let right = match &self.inodes[&id].kind {
            Kind::Directory(names) => directory && names.is_empty(),
            _ => !directory,
        };
        if !right {
            return Failed;
        }
        self.take_name(&place);
        Done
    }

    fn hardlink(&mut self, from: &str, to: &str) -> Outcome {
        let (Some(id), Some(place)) = (self.find(from, false), self.resolve(to, false)) else {
            return Failed;
        };
        if place.found.is_some() || matches!(self.inodes[&id].kind, Kind::Directory(_)) {
            return Failed;
        }
        if !self.fits(0, 1) {
            return Exceeded;
        }
        self.add_name(place, id);
        Done
    }

    fn rename(&mut self, from: &str, to: &str, replace: bool) -> Outcome {
        let (Some(old), Some(new)) = (self.resolve(from, false), self.resolve(to, false)) else {
            return Failed;
        };
        let Some(id) = old.found else { return Failed };
        if self.is_within(new.directory, id) {
            return Failed;
        }
        if let Some(replaced) = new.found {
            if !replace {
                return Failed;
            }
            if replaced == id {
                return Done;
            }
            let possible = match (&self.inodes[&id].kind, &self.inodes[&replaced].kind) {
                (Kind::Directory(_), Kind::Directory(names)) => names.is_empty(),
                (Kind::Directory(_), _) | (_, Kind::Directory(_)) => false,
                _ => true,
            };
            if !possible {
                return Failed;
            }
            self.take_name(&new);
        }
        self.names(old.directory).remove(&old.name);
        self.names(new.directory).insert(new.name, id);
        Done
    }

    /// Returns whether `directory` is `outer` or below it.
    fn is_within(&self, directory: Id, outer: Id) -> bool {
        match &self.inodes[&outer].kind {
            _ if directory == outer => true,
            Kind::Directory(names) => names.values().any(|id| self.is_within(directory, *id)),
            _ => false,
        }
    }

    /// Returns whether the two open files have different inodes.
    pub fn may_copy(&self, from: u64, to: u64) -> bool {
        let inode = |file| self.open.get(&file).map(|open| open.inode);
        inode(from).is_some() && inode(to).is_some() && inode(from) != inode(to)
    }
}
