//! Requests that are answered from memory, on the connection's thread, without the blocking pool.

use std::time::Instant;

use super::requests::MAX_DATA;
use super::session::Engine;
use crate::sftp::handles::OpenHandle;
use crate::sftp::kind;
use crate::sftp::request::{Request, open_flag};
use crate::sftp::wire::Frame;
use crate::values::path::VPath;

impl Engine {
    /// Carries out a request that can be answered from memory; returns false if it needs the blocking pool.
    pub fn carry_out_now(&mut self, frame: &Frame) -> bool {
        let (true, true, Some(packet_type)) = (self.initialised, self.heard, frame.peek()) else {
            return false;
        };
        let began = Instant::now();
        let is_done = self.answer_now(packet_type, frame).is_some();
        if is_done {
            self.count(packet_type, began);
        }
        is_done
    }

    fn answer_now(&mut self, packet_type: u8, frame: &Frame) -> Option<()> {
        // Other requests are not decoded twice.
        if !matches!(
            packet_type,
            kind::READ | kind::OPEN | kind::CLOSE | kind::STAT | kind::LSTAT
        ) {
            return None;
        }
        let mut frame = frame.clone();
        frame.byte().ok()?;
        let id = frame.uint32().ok()?;
        match Request::decode(packet_type, &mut frame).ok()? {
            Request::Read {
                handle,
                offset,
                length,
            } => self.read_now(id, &handle, offset, length),
            Request::Open {
                path,
                flags: open_flag::READ,
                ..
            } => self.open_now(id, &path),
            Request::Close { handle } => self.close_now(id, &handle),
            Request::Stat { path } => self.stat_now(id, &path, true),
            Request::Lstat { path } => self.stat_now(id, &path, false),
            _ => None,
        }
    }

    fn read_now(&mut self, id: u32, handle: &[u8], offset: u64, length: u32) -> Option<()> {
        let file = self.handles.file(handle).ok()?;
        let vfs = &self.vfs;
        let length = length.min(MAX_DATA) as usize;
        let read = |out: &mut [u8]| vfs.read_now(file, offset, out);
        match self.replies.data_now(id, length, read)? {
            0 => self.replies.end_of_file(id),
            count => self.read += count as u64,
        }
        Some(())
    }

    fn open_now(&mut self, id: u32, path: &[u8]) -> Option<()> {
        let path = VPath::parse(path).ok()?;
        let room = self.handles.room().ok()?;
        let file = self.vfs.open_now(&path)?;
        self.last_notice = None;
        let handle = self.handles.insert(room, OpenHandle::File(file));
        self.replies.handle(id, &handle);
        Some(())
    }

    fn close_now(&mut self, id: u32, handle: &[u8]) -> Option<()> {
        let opening = self.vfs.can_close_now(self.handles.file(handle).ok()?)?;
        if let (OpenHandle::File(file), held) = self.handles.remove(handle).ok()? {
            self.vfs.close_now(file, held, opening);
        }
        self.replies.done(id);
        Some(())
    }

    fn stat_now(&mut self, id: u32, path: &[u8], follow: bool) -> Option<()> {
        let metadata = self.vfs.metadata_now(&VPath::parse(path).ok()?, follow)?;
        self.replies.attrs(id, &metadata);
        Some(())
    }
}
