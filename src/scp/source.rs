//! `scp -f`: sends files to a client (`source` and `rsource` in OpenSSH's `scp.c`). Synchronous: except for
//! data in memory it runs on the blocking pool, and never waits for the client there.

use std::collections::VecDeque;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use rustix::io::Errno;

use super::args::ScpRequest;
use super::line::{Complaint, DONE, LineFault, ScpLine};
use super::worker::{AT_ONCE, DEPTH, SEND_AT, TOO_DEEP, Worker};
use crate::error::Error;
use crate::exec::arguments::Word;
use crate::exec::glob::{Expansion, is_dots, join};
use crate::io::blocks::Block;
use crate::store::Metadata;
use crate::values::path::VPath;
use crate::vfs::{OpenDirectory, OpenFile, Vfs};

/// The message of `scp.c`.
const NOT_A_FILE: Error = Error::Refused("not a regular file");
const SHRUNK: Error = Error::Refused("The file was truncated while it was sent");

/// The mode bits that are sent.
const TOLD: u32 = 0o1777;

/// One download of any number of files.
pub(super) struct Source {
    vfs: Arc<Vfs>,
    request: ScpRequest,
    words: VecDeque<Word>,
    expansion: Expansion,
    /// The matches of the current pattern that are not sent yet.
    paths: VecDeque<Vec<u8>>,
    /// Directories that have begun, innermost last.
    walk: Vec<SourceFolder>,
    phase: SourcePhase,
    output: VecDeque<Bytes>,
    /// Files and directories begun.
    items: usize,
    has_ended: bool,
    has_failed: bool,
}

enum SourcePhase {
    /// The client must report that it is ready.
    Start,
    /// Close the finished item and find the next.
    Next(Option<Item>),
    /// The client must confirm the times of an item; its own line is next.
    Timed(ScpLine, Item),
    /// The client must confirm the line of an item.
    Announced(Item),
    /// Bytes of a file are being sent.
    Data(Outgoing),
    /// The client must confirm the end of an item.
    Finished(Option<Item>),
}

/// An item to send.
enum Item {
    File(Outgoing),
    Directory(SourceFolder),
}

impl Worker for Source {
    fn take_items(&mut self) -> usize {
        std::mem::take(&mut self.items)
    }
}

/// A file that is being sent.
struct Outgoing {
    file: OpenFile,
    path: Vec<u8>,
    sent: u64,
    missing: u64,
    /// The read error, after which the rest of the announced size is sent as zeros.
    error: Option<Error>,
}

/// A directory that is being sent.
struct SourceFolder {
    names: OpenDirectory,
    path: Vec<u8>,
}

impl Outgoing {
    /// Returns how many bytes to send next.
    fn next_length(&self) -> usize {
        usize::try_from(self.missing).map_or(AT_ONCE, |missing| missing.min(AT_ONCE))
    }

    fn was_sent(&mut self, length: usize) {
        self.sent += length as u64;
        self.missing -= length as u64;
    }
}

impl Source {
    pub(super) fn new(vfs: Arc<Vfs>, mut request: ScpRequest) -> Self {
        Self {
            vfs,
            words: std::mem::take(&mut request.paths).into(),
            request,
            expansion: Expansion::default(),
            paths: VecDeque::new(),
            walk: Vec::new(),
            phase: SourcePhase::Start,
            output: VecDeque::new(),
            items: 0,
            has_ended: false,
            has_failed: false,
        }
    }

    /// Takes the output to send.
    pub(super) fn take_output(&mut self) -> Option<Bytes> {
        self.output.pop_front()
    }

    /// Returns whether the client must answer before the transfer continues.
    pub(super) fn awaits_answer(&self) -> bool {
        !matches!(self.phase, SourcePhase::Next(_) | SourcePhase::Data(_))
    }

    pub(super) fn has_ended(&self) -> bool {
        self.has_ended
    }

    pub(super) fn has_failed(&self) -> bool {
        self.has_failed
    }

    /// Handles an answer. Does not access the disk.
    pub(super) fn answered(&mut self, answer: Result<(), Complaint>) {
        let goes_on = answer.is_ok();
        self.has_failed |= !goes_on;
        self.has_ended |= answer.is_err_and(|complaint| complaint.is_fatal);
        self.phase = match std::mem::replace(&mut self.phase, SourcePhase::Start) {
            SourcePhase::Start => SourcePhase::Next(None),
            SourcePhase::Timed(line, item) if goes_on => self.announce(&line, item),
            SourcePhase::Announced(Item::File(outgoing)) if goes_on => self.go_on_with(outgoing),
            SourcePhase::Announced(Item::Directory(folder)) if goes_on => {
                self.walk.push(folder);
                SourcePhase::Next(None)
            }
            // The client rejects this item.
            SourcePhase::Timed(_, item) | SourcePhase::Announced(item) => {
                SourcePhase::Next(Some(item))
            }
            SourcePhase::Finished(item) => SourcePhase::Next(item),
            other => other,
        };
    }

    /// Handles a malformed answer.
    pub(super) fn misunderstood(&mut self, fault: LineFault) {
        self.complain(Complaint::protocol_error(fault));
        self.has_ended = true;
    }

    /// Handles a disconnected client.
    pub(super) fn lost(&mut self) {
        self.has_failed = true;
        self.has_ended = true;
    }

    /// Sends the next data of a file from memory; returns false if that takes [`go_on`](Self::go_on).
    pub(super) fn go_on_now(&mut self) -> bool {
        let SourcePhase::Data(outgoing) = &mut self.phase else {
            return false;
        };
        let length = outgoing.next_length();
        let mut block = Block::take();
        let is_there = outgoing.error.is_none()
            && block
                .room(length)
                .and_then(|room| self.vfs.read_now(&outgoing.file, outgoing.sent, room))
                == Some(length);
        if !is_there {
            return false;
        }
        block.keep(length);
        self.output.push_back(block.freeze());
        outgoing.was_sent(length);
        if outgoing.missing == 0
            && let SourcePhase::Data(outgoing) =
                std::mem::replace(&mut self.phase, SourcePhase::Start)
        {
            self.phase = self.go_on_with(outgoing);
        }
        true
    }

    /// Continues until there is enough output, `most` files and directories have begun, the client must
    /// answer, or events must be recorded.
    pub(super) fn go_on(&mut self, most: usize) {
        while !self.has_ended
            && !self.awaits_answer()
            && self.waiting() < SEND_AT
            && self.items < most
            && !self.vfs.has_unrecorded()
        {
            self.phase = match std::mem::replace(&mut self.phase, SourcePhase::Start) {
                SourcePhase::Next(done) => {
                    self.let_go(done);
                    self.next()
                }
                SourcePhase::Data(outgoing) => self.read(outgoing),
                other => other,
            };
        }
    }

    /// Ends the transfer and closes open files.
    pub(super) fn finish(&mut self) {
        let item = match std::mem::replace(&mut self.phase, SourcePhase::Start) {
            SourcePhase::Timed(_, item) | SourcePhase::Announced(item) => Some(item),
            SourcePhase::Next(item) | SourcePhase::Finished(item) => item,
            SourcePhase::Data(outgoing) => Some(Item::File(outgoing)),
            SourcePhase::Start => None,
        };
        if let Some(Item::File(outgoing)) = item {
            let _ = self.vfs.abandon(outgoing.file);
        }
        self.walk.clear();
    }

    fn let_go(&self, item: Option<Item>) {
        if let Some(Item::File(outgoing)) = item {
            // No written data can be lost.
            let _ = self.vfs.close(outgoing.file);
        }
    }

    /// Returns the number of waiting output bytes.
    fn waiting(&self) -> usize {
        self.output.iter().map(Bytes::len).sum()
    }

    fn say(&mut self, line: &ScpLine) {
        self.output.push_back(line.encode());
    }

    fn complain(&mut self, complaint: Complaint) {
        self.has_failed = true;
        self.say(&ScpLine::Complaint(complaint));
    }

    fn next(&mut self) -> SourcePhase {
        if let Some(folder) = self.walk.last_mut() {
            return match self.vfs.next_entry(&mut folder.names) {
                Ok(Some(entry)) if is_dots(&entry.name) => SourcePhase::Next(None),
                Ok(Some(entry)) => {
                    let path = join(&folder.path, &entry.name);
                    self.begin(path)
                }
                Ok(None) => self.end_folder(),
                Err(error) => {
                    let complaint = Complaint::about(&folder.path, error);
                    self.complain(complaint);
                    self.end_folder()
                }
            };
        }
        if let Some(path) = self.paths.pop_front() {
            return self.begin(path);
        }
        match self.words.pop_front() {
            Some(word) => self.expand(word),
            None => self.has_ended = true,
        }
        SourcePhase::Next(None)
    }

    fn expand(&mut self, word: Word) {
        let text = word.text.clone();
        match self.expansion.paths(&self.vfs, word) {
            Ok(paths) => self.paths = paths.into(),
            Err(error) => self.complain(Complaint::about(&text, error)),
        }
    }

    fn end_folder(&mut self) -> SourcePhase {
        self.walk.pop();
        self.say(&ScpLine::End);
        SourcePhase::Finished(None)
    }

    fn begin(&mut self, path: Vec<u8>) -> SourcePhase {
        self.items += 1;
        let (item, found) = match self.open(&path) {
            Ok(opened) => opened,
            Err(error) => {
                self.complain(Complaint::about(&path, error));
                return SourcePhase::Next(None);
            }
        };
        let (mode, name) = (found.mode & TOLD, self.name_of(&path));
        let line = match &item {
            Item::File(_) => ScpLine::File {
                mode,
                size: found.size,
                name,
            },
            Item::Directory(_) => ScpLine::Directory { mode, name },
        };
        if self.request.preserve {
            let since_1970 = |time| u64::try_from(time).unwrap_or(0);
            self.say(&ScpLine::Times {
                mtime: since_1970(found.mtime),
                atime: since_1970(found.atime),
            });
            SourcePhase::Timed(line, item)
        } else {
            self.announce(&line, item)
        }
    }

    fn announce(&mut self, line: &ScpLine, item: Item) -> SourcePhase {
        self.say(line);
        SourcePhase::Announced(item)
    }

    fn open(&self, path: &[u8]) -> Result<(Item, Metadata), Error> {
        let at = VPath::parse(path)?;
        match self.vfs.open_to_send(&at) {
            Ok(file) => {
                let found = self.vfs.file_metadata(&file)?;
                let outgoing = Outgoing {
                    file,
                    path: path.to_vec(),
                    sent: 0,
                    missing: found.size,
                    error: None,
                };
                Ok((Item::File(outgoing), found))
            }
            Err(Error::Os(Errno::ISDIR)) if self.request.recursive => {
                if self.walk.len() >= DEPTH {
                    return Err(TOO_DEEP);
                }
                let names = self.vfs.open_directory(&at)?;
                let found = self.vfs.directory_metadata(&names)?;
                let path = path.to_vec();
                Ok((Item::Directory(SourceFolder { names, path }), found))
            }
            Err(Error::Os(Errno::ISDIR) | Error::Refused(_)) => Err(NOT_A_FILE),
            Err(error) => Err(error),
        }
    }

    /// Returns the name to send for a path. Clients reject `.`, `..` and an empty name: the directory's
    /// real name replaces them, and the account's name that of the home.
    fn name_of(&self, path: &[u8]) -> Vec<u8> {
        let mut names = path.rsplit(|byte| *byte == b'/');
        let last = names.find(|name| !name.is_empty()).unwrap_or_default();
        if !last.is_empty() && !is_dots(last) {
            return last.to_vec();
        }
        let real = VPath::parse(path)
            .map_err(Error::from)
            .and_then(|path| self.vfs.canonical(&path))
            .unwrap_or_default();
        if real.is_home() {
            self.vfs.session().user().into()
        } else {
            real.split_last().1.to_vec()
        }
    }

    fn read(&mut self, mut outgoing: Outgoing) -> SourcePhase {
        let length = outgoing.next_length();
        let mut data = BytesMut::new();
        if outgoing.error.is_none() {
            let (file, offset) = (&mut outgoing.file, outgoing.sent);
            outgoing.error = match self.vfs.read(file, offset, length, &mut data) {
                Ok(read) if read == length => None,
                Ok(_) => Some(SHRUNK),
                Err(error) => Some(error),
            };
        }
        // The client expects as many bytes as were announced.
        data.resize(length, 0);
        self.output.push_back(data.freeze());
        outgoing.was_sent(length);
        self.go_on_with(outgoing)
    }

    /// Sends the bytes of a file, then its result.
    fn go_on_with(&mut self, mut outgoing: Outgoing) -> SourcePhase {
        if outgoing.missing > 0 {
            return SourcePhase::Data(outgoing);
        }
        match outgoing.error.take() {
            Some(error) => self.complain(Complaint::about(&outgoing.path, error)),
            None => self.output.push_back(Bytes::from_static(&[DONE])),
        }
        SourcePhase::Finished(Some(Item::File(outgoing)))
    }
}
