//! `scp -t`: stores files from a client (`sink` in OpenSSH's `scp.c`). Synchronous: it runs on the blocking
//! pool with the received data, and never waits for the client there.

use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use rustix::io::Errno;

use super::args::{self, ScpRequest};
use super::line::{Complaint, DONE, LineFault, LineReader, ScpLine};
use super::worker::{AT_ONCE, DEPTH, SEND_AT, TOO_DEEP, Worker};
use crate::error::Error;
use crate::exec::glob::{Expansion, join};
use crate::io::chunks::Chunks;
use crate::store::{Changes, Kind, OpenHow};
use crate::values::path::VPath;
use crate::vfs::{OpenFile, Vfs};

/// A file that is being written must be writable for its owner, and a directory accessible.
const OWNER_WRITES: u32 = 0o200;
const OWNER_ENTERS: u32 = 0o700;
/// The mode bits that apply without `-p`.
const PLAIN_MODE: u32 = 0o777;

/// One upload of any number of files.
pub(super) struct Sink {
    vfs: Arc<Vfs>,
    request: ScpRequest,
    reader: LineReader,
    /// The target and the directories inside it that have begun, innermost last.
    places: Vec<Destination>,
    /// The times of the next file or directory.
    times: Option<(u32, u32)>,
    phase: SinkPhase,
    replies: BytesMut,
    /// Lines read: files, directories and their ends, and times.
    items: usize,
    has_failed: bool,
}

impl Worker for Sink {
    fn take_items(&mut self) -> usize {
        std::mem::take(&mut self.items)
    }
}

/// The destination of files.
struct Destination {
    /// As the client sent it.
    path: Vec<u8>,
    /// Otherwise it is the path of the file itself.
    is_directory: bool,
    /// Attributes to set once it is complete.
    at_its_end: Changes,
}

enum SinkPhase {
    /// A line is next.
    Line,
    /// Bytes of a file are next.
    Data(Box<Incoming>),
    /// The client's result of sending is next; the reply is the result of storing.
    Verdict(Option<Complaint>),
    Ended,
}

/// A file that is being received.
struct Incoming {
    file: OpenFile,
    path: Vec<u8>,
    received: u64,
    missing: u64,
    /// Attributes to set at its end.
    at_its_end: Changes,
    /// The first error; later data is dropped.
    error: Option<Error>,
}

impl Sink {
    pub(super) fn new(vfs: Arc<Vfs>, request: ScpRequest) -> Self {
        Self {
            vfs,
            request,
            reader: LineReader::default(),
            places: Vec::new(),
            times: None,
            phase: SinkPhase::Line,
            replies: BytesMut::new(),
            items: 0,
            has_failed: false,
        }
    }

    /// Checks the target, and lets the client begin.
    pub(super) fn begin(&mut self) {
        match self.target() {
            Ok(target) => {
                self.places.push(target);
                self.done();
            }
            Err(complaint) => self.end(complaint),
        }
    }

    fn target(&mut self) -> Result<Destination, Complaint> {
        let words = std::mem::take(&mut self.request.paths);
        let mut paths = Vec::new();
        let mut expansion = Expansion::default();
        for word in words {
            let text = word.text.clone();
            let found = expansion.paths(&self.vfs, word);
            paths.append(&mut found.map_err(|error| fatal(&text, error))?);
        }
        let (Some(path), None) = (paths.pop(), paths.pop()) else {
            return Err(Complaint::fatal(args::ScpRequestFault::Target));
        };
        let found = self.metadata(&path);
        let is_directory = found == Ok(Kind::Directory);
        if self.request.into_directory && !is_directory {
            let error = found.err().unwrap_or(Errno::NOTDIR.into());
            return Err(fatal(&path, error));
        }
        Ok(Destination {
            path,
            is_directory,
            at_its_end: Changes::default(),
        })
    }

    /// Returns how many bytes must arrive before there is work to do. The client sends the bytes of a file,
    /// and its result after them, without waiting for an answer.
    pub(super) fn wants(&self) -> usize {
        match &self.phase {
            SinkPhase::Data(incoming) => usize::try_from(incoming.missing)
                .map_or(AT_ONCE, |missing| missing.saturating_add(1).min(AT_ONCE)),
            _ => 1,
        }
    }

    /// Takes the replies to send.
    pub(super) fn take_replies(&mut self) -> Option<Bytes> {
        (!self.replies.is_empty()).then(|| self.replies.split().freeze())
    }

    pub(super) fn has_ended(&self) -> bool {
        matches!(self.phase, SinkPhase::Ended)
    }

    pub(super) fn has_failed(&self) -> bool {
        self.has_failed
    }

    /// Consumes received data, up to `most` lines, until there are replies to send or events to record.
    pub(super) fn take(&mut self, input: &mut Chunks, most: usize) {
        while input.len() > 0
            && self.replies.len() < SEND_AT
            && self.items < most
            && !self.vfs.has_unrecorded()
            && !self.has_ended()
        {
            let next = match std::mem::replace(&mut self.phase, SinkPhase::Ended) {
                SinkPhase::Line => self.line(input),
                SinkPhase::Data(incoming) => Ok(self.store(incoming, input)),
                SinkPhase::Verdict(verdict) => self.verdict(verdict, input),
                SinkPhase::Ended => return,
            };
            match next {
                Ok(phase) => self.phase = phase,
                Err(fault) => self.end(Complaint::protocol_error(fault)),
            }
        }
    }

    /// Ends the input. Stored data stays.
    pub(super) fn input_ended(&mut self) {
        match std::mem::replace(&mut self.phase, SinkPhase::Ended) {
            SinkPhase::Line if self.reader.is_inside() => {
                self.end(Complaint::protocol_error(LineFault::Lost))
            }
            SinkPhase::Line | SinkPhase::Ended => {}
            SinkPhase::Data(incoming) => {
                // The client has disconnected; the error is in the log.
                let _ = self.vfs.abandon(incoming.file);
                self.end(Complaint::protocol_error(LineFault::Lost));
            }
            // libssh2 sends no result after the bytes.
            SinkPhase::Verdict(verdict) => self.answer(verdict),
        }
    }

    fn done(&mut self) {
        self.replies.extend_from_slice(&[DONE]);
    }

    fn complain(&mut self, complaint: Complaint) {
        self.has_failed = true;
        self.replies
            .extend_from_slice(&ScpLine::Complaint(complaint).encode());
    }

    fn answer(&mut self, complaint: Option<Complaint>) {
        match complaint {
            Some(complaint) => self.complain(complaint),
            None => self.done(),
        }
    }

    fn end(&mut self, complaint: Complaint) {
        self.complain(complaint);
        self.phase = SinkPhase::Ended;
    }

    fn line(&mut self, input: &mut Chunks) -> Result<SinkPhase, LineFault> {
        let Some(line) = input.read(|chunk| self.reader.line(chunk))? else {
            return Ok(SinkPhase::Line);
        };
        self.items += 1;
        let times = self.times.take();
        match line {
            // Times must precede a file or a directory.
            ScpLine::Times { .. } | ScpLine::End if times.is_some() => {
                return Err(LineFault::NoRecord);
            }
            ScpLine::Times { mtime, atime } => {
                // Times after 2106 become 2106, as everywhere here.
                let time = |seconds| u32::try_from(seconds).unwrap_or(u32::MAX);
                self.times = Some((time(atime), time(mtime)));
                self.done();
            }
            ScpLine::File { mode, size, name } => {
                let path = self.path_of(&name);
                match self.begin_file(&path, mode, size, times) {
                    Ok(incoming) => {
                        self.done();
                        return Ok(self.go_on(incoming));
                    }
                    Err(error) => self.complain(Complaint::about(&path, error)),
                }
            }
            ScpLine::Directory { .. } if !self.request.recursive => {
                return Err(LineFault::NotRecursive);
            }
            ScpLine::Directory { mode, name } => {
                let path = self.path_of(&name);
                match self.begin_directory(&path, mode, times) {
                    Ok(at_its_end) => {
                        self.places.push(Destination {
                            path,
                            is_directory: true,
                            at_its_end,
                        });
                        self.done();
                    }
                    Err(error) => self.complain(Complaint::about(&path, error)),
                }
            }
            ScpLine::End => self.end_directory()?,
            ScpLine::Complaint(Complaint { is_fatal, .. }) => {
                // The client has shown this error to its user.
                self.has_failed = true;
                if is_fatal {
                    return Ok(SinkPhase::Ended);
                }
            }
        }
        Ok(SinkPhase::Line)
    }

    /// Returns the destination of a name.
    fn path_of(&self, name: &[u8]) -> Vec<u8> {
        match self.places.last() {
            Some(place) if place.is_directory => join(&place.path, name),
            Some(place) => place.path.clone(),
            None => name.to_vec(),
        }
    }

    fn metadata(&self, path: &[u8]) -> Result<Kind, Error> {
        let found = self.vfs.metadata(&VPath::parse(path)?, true)?;
        Ok(found.kind())
    }

    /// Returns the final mode of a new file or directory.
    fn mode_of_new(&self, mode: u32) -> u32 {
        if self.request.preserve {
            mode
        } else {
            mode & PLAIN_MODE & !self.vfs.session().limits().umask
        }
    }

    fn begin_file(
        &self,
        path: &[u8],
        mode: u32,
        size: u64,
        times: Option<(u32, u32)>,
    ) -> Result<Box<Incoming>, Error> {
        // A path that the account may not examine exists.
        let is_new = !matches!(self.metadata(path), Ok(_) | Err(Error::NotAllowed(_)));
        // An existing file is not truncated before all data has arrived: an interrupted upload keeps its
        // length, or all of its contents.
        let how = OpenHow {
            write: true,
            create: true,
            truncate: self.vfs.session().overwrites_safely(),
            permissions: Some(mode & PLAIN_MODE | OWNER_WRITES),
            ..OpenHow::default()
        };
        let file = self.vfs.open(&VPath::parse(path)?, how, Some(size))?;
        let was_made_otherwise = is_new && mode & OWNER_WRITES == 0;
        let permissions = self.request.preserve || was_made_otherwise;
        Ok(Box::new(Incoming {
            file,
            path: path.to_vec(),
            received: 0,
            missing: size,
            at_its_end: Changes {
                size: (!is_new).then_some(size),
                permissions: permissions.then(|| self.mode_of_new(mode)),
                times,
                ..Changes::default()
            },
            error: None,
        }))
    }

    fn store(&mut self, mut incoming: Box<Incoming>, input: &mut Chunks) -> SinkPhase {
        let missing = usize::try_from(incoming.missing).unwrap_or(usize::MAX);
        let before = input.len();
        let mut data = input.take(missing);
        let length = (before - input.len()) as u64;
        if incoming.error.is_none() {
            let data = data.make_contiguous();
            let outcome = self.vfs.write(&mut incoming.file, incoming.received, data);
            incoming.error = outcome.err();
        }
        incoming.received += length;
        incoming.missing -= length;
        self.go_on(incoming)
    }

    /// Waits for more data of a file, or ends a complete file.
    fn go_on(&mut self, incoming: Box<Incoming>) -> SinkPhase {
        if incoming.missing > 0 {
            return SinkPhase::Data(incoming);
        }
        let Incoming {
            mut file,
            path,
            mut at_its_end,
            error,
            ..
        } = *incoming;
        if error.is_some() {
            // Stored data stays as it is, with its current modification time.
            (at_its_end.size, at_its_end.times) = (None, None);
        }
        let changed = if at_its_end == Changes::default() {
            Ok(())
        } else {
            self.vfs.change_file(&mut file, &at_its_end)
        };
        let closed = self.vfs.close(file);
        let error = error.or(changed.err()).or(closed.err());
        SinkPhase::Verdict(error.map(|error| Complaint::about(&path, error)))
    }

    fn verdict(
        &mut self,
        verdict: Option<Complaint>,
        input: &mut Chunks,
    ) -> Result<SinkPhase, LineFault> {
        match input.read(|chunk| self.reader.answer(chunk))? {
            None => return Ok(SinkPhase::Verdict(verdict)),
            Some(Ok(())) => {}
            Some(Err(complaint)) => {
                self.has_failed = true;
                if complaint.is_fatal {
                    return Ok(SinkPhase::Ended);
                }
            }
        }
        self.answer(verdict);
        Ok(SinkPhase::Line)
    }

    /// Creates a directory or enters an existing one. Returns the attributes to set at its end.
    fn begin_directory(
        &self,
        path: &[u8],
        mode: u32,
        times: Option<(u32, u32)>,
    ) -> Result<Changes, Error> {
        if self.places.len() > DEPTH {
            return Err(TOO_DEEP);
        }
        let at = VPath::parse(path)?;
        let open_to_us = Some(mode | OWNER_ENTERS);
        let permissions = match self.metadata(path) {
            Ok(Kind::Directory) if self.request.preserve => {
                let now = Changes {
                    permissions: open_to_us,
                    ..Changes::default()
                };
                // If this fails, operations inside it fail or work.
                let _ = self.vfs.change(&at, &now, true);
                Some(mode)
            }
            Ok(Kind::Directory) => None,
            Ok(_) => return Err(Errno::NOTDIR.into()),
            Err(_) => {
                self.vfs.make_directory(&at, open_to_us)?;
                Some(self.mode_of_new(mode))
            }
        };
        Ok(Changes {
            permissions,
            times,
            ..Changes::default()
        })
    }

    fn end_directory(&mut self) -> Result<(), LineFault> {
        let place = match self.places.as_slice() {
            [_, .., _] => self.places.pop(),
            _ => None,
        };
        let Destination {
            path, at_its_end, ..
        } = place.ok_or(LineFault::NoDirectory)?;
        let outcome = VPath::parse(&path)
            .map_err(Error::from)
            .and_then(|at| self.vfs.change(&at, &at_its_end, true));
        self.answer(outcome.err().map(|error| Complaint::about(&path, error)));
        Ok(())
    }
}

/// Makes an error that ends the transfer.
fn fatal(path: &[u8], error: Error) -> Complaint {
    Complaint {
        is_fatal: true,
        ..Complaint::about(path, error)
    }
}
