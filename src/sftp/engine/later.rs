//! Long-running requests, which run in slices; the session carries out no other request in between.

use std::time::Instant;

use super::session::Engine;
use super::unfinished::{Answer, Outcome, Rest, UnfinishedRequest};
use crate::error::Error;

impl Engine {
    /// Returns whether a request must continue before any other.
    pub fn is_unfinished(&self) -> bool {
        self.unfinished.is_some()
    }

    /// Runs a slice of the unfinished request.
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

    /// Counts a request when it ends.
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

    /// Returns the reply to a CLOSE, once the transfer is recorded.
    pub(super) fn recorded(&self, closed: Result<(), Error>) -> Outcome {
        if self.vfs.has_unrecorded() {
            return Ok(Answer::Later(Rest::Record(closed)));
        }
        closed.map(|()| Answer::Done)
    }

    /// Returns whether transfers remain to be recorded after [`Engine::finish`].
    pub fn is_recording(&self) -> bool {
        self.vfs.has_unrecorded()
    }

    /// Runs a slice of recording them.
    pub fn record_on(&self) {
        self.vfs.record_on();
    }
}
