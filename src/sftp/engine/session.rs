//! One SFTP session: carries out requests in order and answers them in order.

use std::time::Instant;

use rustix::io::Errno;

use super::unfinished::{Answer, Outcome, UnfinishedRequest};
use crate::error::Error;
use crate::session::Session;
use crate::sftp::client::ClientQuirks;
use crate::sftp::extensions::advertised;
use crate::sftp::handles::{Handles, OpenHandle};
use crate::sftp::kind;
use crate::sftp::names::Owners;
use crate::sftp::reply::Replies;
use crate::sftp::request::{Request, counted_as};
use crate::sftp::status::{code_for, deserves_notice, text_for};
use crate::sftp::wire::{Frame, Truncated};
use crate::vfs::Vfs;

/// One SFTP session.
pub struct Engine {
    pub(super) vfs: Vfs,
    pub(super) client: ClientQuirks,
    pub(super) owners: Owners,
    pub(super) handles: Handles,
    pub(super) replies: Replies,
    pub(super) notices: Vec<String>,
    /// The last notice since the last OPEN: all writes to a full disk are one event.
    pub(super) last_notice: Option<String>,
    /// Bytes of files in the replies since the last call of `take_read_bytes`.
    pub(super) read: u64,
    /// The long-running request, if there is one.
    pub(super) unfinished: Option<UnfinishedRequest>,
    pub(super) initialised: bool,
    pub(super) heard: bool,
}

impl Engine {
    /// Makes a session before INIT. `ids` are the uid and gid of the server's files.
    pub fn new(vfs: Vfs, ids: (u32, u32)) -> Self {
        let session = vfs.session();
        Self {
            client: ClientQuirks::identify(session.identification()),
            owners: Owners {
                uid: ids.0,
                gid: ids.1,
                name: session.user().to_owned(),
            },
            handles: Handles::new(session.limits().max_handles, session.shares().open.clone()),
            vfs,
            replies: Replies::default(),
            notices: Vec::new(),
            last_notice: None,
            read: 0,
            unfinished: None,
            initialised: false,
            heard: true,
        }
    }

    /// Returns the session.
    pub fn session(&self) -> &Session {
        self.vfs.session()
    }

    /// Returns the replies that wait to be sent.
    pub fn replies(&mut self) -> &mut Replies {
        &mut self.replies
    }

    /// Takes the number of bytes of files in the replies since the last call.
    pub fn take_read_bytes(&mut self) -> u64 {
        std::mem::take(&mut self.read)
    }

    /// Takes the notices for the user.
    pub fn take_notices(&mut self) -> Vec<String> {
        std::mem::take(&mut self.notices)
    }

    /// Stops replies: requests that only read are skipped from now on.
    pub fn unheard(&mut self) {
        self.heard = false;
        self.replies.discard();
        self.notices.clear();
    }

    /// Returns whether files or directories are open, so that ending the session may block.
    pub fn holds_handles(&self) -> bool {
        self.handles.any() || self.session().ledger().has_deferred()
    }

    /// Ends the session and closes its files. What remains to be [recorded](Self::is_recording) stays.
    pub fn finish(&mut self) {
        for open in self.handles.drain() {
            if let OpenHandle::File(file) = open {
                // No reply can be sent; the error is in the log.
                let _ = self.vfs.abandon(file);
            }
        }
        self.session().ledger().close_deferred();
    }

    pub(super) fn count(&self, packet_type: u8, began: Instant) {
        let metrics = self.session().recorder().metrics();
        metrics.request(counted_as(packet_type), began.elapsed());
    }

    /// Carries out one request. Returns false if the stream is broken: the channel must end.
    pub fn carry_out(&mut self, frame: Frame) -> bool {
        let began = Instant::now();
        let packet_type = frame.peek();
        let goes_on = self.respond(frame);
        if let Some(packet_type) = packet_type {
            self.count_unless_unfinished(packet_type, began);
        }
        goes_on
    }

    pub(super) fn respond(&mut self, mut frame: Frame) -> bool {
        let Ok(packet_type) = frame.byte() else {
            return false;
        };
        if packet_type == kind::INIT {
            // Whatever version the client offers, the common one is 3. Its extensions are ignored: none
            // that clients send concerns a server.
            self.initialised = frame.uint32().is_ok();
            if self.initialised && self.heard {
                self.replies.version(advertised());
            }
            return self.initialised;
        }
        let (true, Ok(id)) = (self.initialised, frame.uint32()) else {
            return false;
        };
        let answer = match Request::decode(packet_type, &mut frame) {
            Ok(request) if !self.heard && request.only_asks() => return true,
            Ok(request) => self.answer(id, request),
            // The packet is too short for its fields.
            Err(Truncated) => Err(Errno::INVAL.into()),
        };
        self.reply(id, answer);
        true
    }

    pub(super) fn reply(&mut self, id: u32, answer: Outcome) {
        match answer {
            Ok(Answer::Replied) => {}
            Ok(Answer::Done) => self.replies.done(id),
            Ok(Answer::Eof) => self.replies.end_of_file(id),
            Ok(Answer::Later(rest)) => self.unfinished = Some(UnfinishedRequest::new(id, rest)),
            Err(error) => self.refuse(id, error),
        }
        if !self.heard {
            self.replies.discard();
        }
    }

    pub(super) fn refuse(&mut self, id: u32, error: Error) {
        // After a refused WRITE its CLOSE adds nothing.
        let is_told = matches!(error, Error::Missing(_)) && self.last_notice.is_some();
        if deserves_notice(&error) && !is_told {
            self.notice(format!("landfall: {error}\n"));
        }
        let text = text_for(&error, self.client);
        self.replies
            .status(id, code_for(&error, self.client), &text);
    }

    /// Queues a notice for the user, if the client shows it: one for an event, not one for each of the
    /// pipelined writes.
    pub(super) fn notice(&mut self, line: String) {
        if self.client.shows_only_stderr() && self.last_notice.as_ref() != Some(&line) {
            self.last_notice = Some(line.clone());
            self.notices.push(line);
        }
    }
}
