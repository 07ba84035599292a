//! Requests that take long: heavy work, done in slices, with nothing else of the session between them.

use std::time::Instant;

use super::session::Engine;
use super::unfinished::{Answer, Outcome, Rest, UnfinishedRequest};
use crate::error::Error;

impl Engine {
    /// Is there a request to go on with before any other?
    pub fn is_unfinished(&self) -> bool {
        self.unfinished.is_some()
    }

    /// Does a slice of what the unfinished request still needs.
    pub fn go_on(&mut self) {
        let Some(UnfinishedRequest { id, rest, began }) = self.unfinished.take() else {
            return;
        };
        let answer = self.go_on_with(id, rest);
        self.reply(id, answer);
        if let Some((packet_type, began)) = began {
            self.count_unless_unfinished(packet_type, began);
        }
    }

    /// Counts a request at its end.
    pub(super) fn count_unless_unfinished(&mut self, packet_type: u8, began: Instant) {
        match &mut self.unfinished {
            Some(unfinished) => unfinished.began = Some((packet_type, began)),
            None => self.count(packet_type, began),
        }
    }

    fn go_on_with(&mut self, id: u32, rest: Rest) -> Outcome {
        match rest {
            Rest::Check(checking) => self.check_on(id, checking),
            Rest::Copy {
                from,
                to,
                mut copying,
            } => {
                let (source, target) = (self.handles.shared(&from)?, self.handles.shared(&to)?);
                if self.vfs.copy_on(source, target, &mut copying)? {
                    return Ok(Answer::Done);
                }
                Ok(Answer::Later(Rest::Copy { from, to, copying }))
            }
            Rest::CopyFile(mut copying) => {
                if self.vfs.copy_file_on(&mut copying)? {
                    return Ok(Answer::Done);
                }
                Ok(Answer::Later(Rest::CopyFile(copying)))
            }
            Rest::Record(closed) => {
                self.vfs.record_on();
                self.recorded(closed)
            }
        }
    }

    /// The answer to a CLOSE, once what was moved is recorded.
    pub(super) fn recorded(&self, closed: Result<(), Error>) -> Outcome {
        if self.vfs.has_unrecorded() {
            return Ok(Answer::Later(Rest::Record(closed)));
        }
        closed.map(|()| Answer::Done)
    }

    /// Are there transfers to be recorded, after [`Engine::finish`]?
    pub fn is_recording(&self) -> bool {
        self.vfs.has_unrecorded()
    }

    /// Does a slice of what recording them needs.
    pub fn record_on(&self) {
        self.vfs.record_on();
    }
}
