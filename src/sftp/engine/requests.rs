//! Carries out each request with operations of `vfs`.

use std::time::SystemTime;

use bytes::BufMut;
use rustix::io::Errno;

use super::session::Engine;
use super::unfinished::{Answer, Outcome, Rest};
use crate::error::Error;
use crate::session::descriptors::HeldDescriptor;
use crate::sftp::attrs::put_attrs;
use crate::sftp::extensions::{Extended, put_names, put_space};
use crate::sftp::handles::{Handles, OpenHandle};
use crate::sftp::names::long_name;
use crate::sftp::request::{Request, open_flag};
use crate::sftp::wire::MAX_PACKET;
use crate::sftp::wire::put_string;
use crate::store::{Changes, Entry, OpenHow, seconds};
use crate::values::path::VPath;
use crate::vfs::authorized_keys;
use crate::vfs::{Copying, CopyingFile};

/// Longest READ that is answered completely, and longest WRITE that fits in a packet: as OpenSSH.
pub const MAX_DATA: u32 = MAX_PACKET as u32 - 1024;

/// A NAME reply ends at this many bytes; sshfs accepts at most 128 KiB.
const NAMES_LIMIT: usize = 60 * 1024;

impl Engine {
    pub(super) fn answer(&mut self, id: u32, request: Request) -> Outcome {
        match request {
            Request::Open { path, flags, attrs } => self.open(id, &path, flags, &attrs),
            Request::Close { handle } => self.close(&handle),
            Request::Read {
                handle,
                offset,
                length,
            } => self.read(id, &handle, offset, length),
            Request::Write {
                handle,
                offset,
                data,
            } => {
                let file = self.handles.file(&handle)?;
                self.vfs.write(file, offset, &data)?;
                Ok(Answer::Done)
            }
            Request::Lstat { path } => self.stat(id, &path, false),
            Request::Stat { path } => self.stat(id, &path, true),
            Request::Fstat { handle } => self.fstat(id, &handle),
            Request::Setstat { path, attrs } => {
                self.vfs.change(&VPath::parse(&path)?, &attrs, true)?;
                Ok(Answer::Done)
            }
            Request::Fsetstat { handle, attrs } => {
                match self.handles.get(&handle)? {
                    OpenHandle::File(file) => self.vfs.change_file(file, &attrs)?,
                    OpenHandle::Directory(open) => self.vfs.change_directory(open, &attrs)?,
                }
                Ok(Answer::Done)
            }
            Request::Opendir { path } => self.opendir(id, &path),
            Request::Readdir { handle } => self.readdir(id, &handle),
            Request::Remove { path } => {
                self.vfs.remove_file(&VPath::parse(&path)?)?;
                Ok(Answer::Done)
            }
            Request::Mkdir { path, attrs } => {
                self.vfs
                    .make_directory(&VPath::parse(&path)?, attrs.permissions)?;
                Ok(Answer::Done)
            }
            Request::Rmdir { path } => {
                self.vfs.remove_directory(&VPath::parse(&path)?)?;
                Ok(Answer::Done)
            }
            Request::Realpath { path } => self.realpath(id, &path),
            Request::Rename { from, to } => self.rename(&from, &to, false),
            Request::Readlink { path } => {
                let target = self.vfs.read_link(&VPath::parse(&path)?)?;
                self.replies.path(id, &target);
                Ok(Answer::Replied)
            }
            Request::Symlink { first, second } => {
                let (target, link) = if self.client.symlink_in_draft_order() {
                    (second, first)
                } else {
                    (first, second)
                };
                self.vfs.symlink(&target, &VPath::parse(&link)?)?;
                Ok(Answer::Done)
            }
            Request::Extended(extended) => self.extended(id, extended),
            Request::Unknown => Err(Errno::OPNOTSUPP.into()),
        }
    }

    fn extended(&mut self, id: u32, request: Extended) -> Outcome {
        match request {
            Extended::PosixRename { from, to } => self.rename(&from, &to, true),
            Extended::Statvfs { path } => {
                let space = self.vfs.space(&VPath::parse(&path)?)?;
                self.replies.extended(id, |out| put_space(out, &space));
                Ok(Answer::Replied)
            }
            Extended::Fstatvfs { handle } => {
                let space = match self.handles.get(&handle)? {
                    OpenHandle::File(file) => self.vfs.file_space(file)?,
                    OpenHandle::Directory(directory) => self.vfs.directory_space(directory)?,
                };
                self.replies.extended(id, |out| put_space(out, &space));
                Ok(Answer::Replied)
            }
            Extended::Hardlink { existing, new } => {
                self.vfs
                    .hard_link(&VPath::parse(&existing)?, &VPath::parse(&new)?)?;
                Ok(Answer::Done)
            }
            Extended::Fsync { handle } => {
                let file = self.handles.file(&handle)?;
                self.vfs.sync(file)?;
                Ok(Answer::Done)
            }
            Extended::Lsetstat { attrs, .. } if attrs.size.is_some() => Err(Error::Invalid(
                "The size of a symbolic link cannot be changed",
            )),
            Extended::Lsetstat { path, attrs } => {
                self.vfs.change(&VPath::parse(&path)?, &attrs, false)?;
                Ok(Answer::Done)
            }
            Extended::Limits => {
                let max_handles = self.handles.most() as u64;
                self.replies.extended(id, |out| {
                    out.put_u64(MAX_PACKET as u64);
                    out.put_u64(u64::from(MAX_DATA));
                    out.put_u64(u64::from(MAX_DATA));
                    out.put_u64(max_handles);
                });
                Ok(Answer::Replied)
            }
            Extended::ExpandPath { path } => self.expand_path(id, &path),
            Extended::CopyData {
                from,
                offset,
                length,
                to,
                to_offset,
            } => {
                self.handles.shared(&from)?;
                self.handles.shared(&to)?;
                let length = (length > 0).then_some(length);
                let copying = Copying::new(offset, length, to_offset);
                Ok(Answer::Later(Rest::Copy { from, to, copying }))
            }
            Extended::CopyFile {
                from,
                to,
                overwrite,
            } => {
                let (from, to) = (VPath::parse(&from)?, VPath::parse(&to)?);
                let copying = CopyingFile::new(from, to, overwrite);
                Ok(Answer::Later(Rest::CopyFile(Box::new(copying))))
            }
            Extended::CheckFile(request) => self.check_file(id, request),
            Extended::SpaceAvailable { path } => {
                let room = self.vfs.room(&VPath::parse(&path)?)?;
                self.replies.extended(id, |out| {
                    out.put_u64(room.total);
                    out.put_u64(room.free);
                    out.put_u64(room.user_total);
                    out.put_u64(room.user_free);
                    out.put_u32(u32::try_from(room.block).unwrap_or(u32::MAX));
                });
                Ok(Answer::Replied)
            }
            Extended::HomeDirectory { user } => {
                let home = self.vfs.home_of(&user)?;
                self.replies.path(id, &home.absolute());
                Ok(Answer::Replied)
            }
            Extended::UsersGroupsById { users, groups } => {
                let Self {
                    replies, owners, ..
                } = self;
                // Each id of four bytes becomes a string; all must fit in one packet.
                let room = MAX_DATA as usize / (4 + owners.name.len());
                if (users.len() + groups.len()) / 4 > room {
                    return Err(Error::Limit("Too many ids in one request", room as u64));
                }
                replies.extended(id, |out| {
                    put_names(out, users, |uid| owners.user(uid));
                    put_names(out, groups, |gid| owners.group(gid));
                });
                Ok(Answer::Replied)
            }
            Extended::Unknown => Err(Errno::OPNOTSUPP.into()),
        }
    }

    /// Reserves a handle; closes files that are no longer in use first.
    fn room(
        &self,
        look: impl Fn(&Handles) -> Result<HeldDescriptor, Error>,
    ) -> Result<HeldDescriptor, Error> {
        look(&self.handles).or_else(|_| {
            self.session().ledger().close_deferred();
            look(&self.handles)
        })
    }

    fn open(&mut self, id: u32, path: &[u8], flags: u32, attrs: &Changes) -> Outcome {
        let path = VPath::parse(path)?;
        let has = |flag: u32| flags & flag != 0;
        let write = has(open_flag::WRITE) || has(open_flag::APPEND);
        let how = OpenHow {
            // Without READ and WRITE OpenSSH opens for reading.
            read: has(open_flag::READ) || !write,
            write,
            append: has(open_flag::APPEND),
            create: has(open_flag::CREAT),
            truncate: has(open_flag::TRUNC),
            exclusive: has(open_flag::CREAT) && has(open_flag::EXCL),
            // SIZE only announces the size here (draft, section 6.3) and never resizes. But the announced
            // size must fit.
            permissions: attrs.permissions,
        };
        let room = self.room(Handles::room)?;
        self.last_notice = None;
        let file = self.vfs.open(&path, how, attrs.size)?;
        if write && path.relative() == authorized_keys::PATH {
            self.notice(authorized_keys::ADVICE.to_owned());
        }
        let handle = self.handles.insert(room, OpenHandle::File(file));
        self.replies.handle(id, &handle);
        Ok(Answer::Replied)
    }

    fn close(&mut self, handle: &[u8]) -> Outcome {
        let (open, _held) = self.handles.remove(handle)?;
        let OpenHandle::File(file) = open else {
            return Ok(Answer::Done);
        };
        let closed = self.vfs.close(file);
        self.recorded(closed)
    }

    fn read(&mut self, id: u32, handle: &[u8], offset: u64, length: u32) -> Outcome {
        let file = self.handles.file(handle)?;
        let length = length.min(MAX_DATA) as usize;
        let vfs = &self.vfs;
        match self
            .replies
            .data(id, |out| vfs.read(file, offset, length, out))?
        {
            0 => Ok(Answer::Eof),
            count => {
                self.read += count as u64;
                Ok(Answer::Replied)
            }
        }
    }

    fn stat(&mut self, id: u32, path: &[u8], follow: bool) -> Outcome {
        let metadata = self.vfs.metadata(&VPath::parse(path)?, follow)?;
        self.replies.attrs(id, &metadata);
        Ok(Answer::Replied)
    }

    fn fstat(&mut self, id: u32, handle: &[u8]) -> Outcome {
        let metadata = match self.handles.get(handle)? {
            OpenHandle::File(file) => self.vfs.file_metadata(file)?,
            OpenHandle::Directory(open) => self.vfs.directory_metadata(open)?,
        };
        self.replies.attrs(id, &metadata);
        Ok(Answer::Replied)
    }

    fn opendir(&mut self, id: u32, path: &[u8]) -> Outcome {
        let path = VPath::parse(path)?;
        let room = self.room(Handles::room_for_directory)?;
        let directory = self.vfs.open_directory(&path)?;
        let handle = self.handles.insert(room, OpenHandle::Directory(directory));
        self.replies.handle(id, &handle);
        Ok(Answer::Replied)
    }

    fn readdir(&mut self, id: u32, handle: &[u8]) -> Outcome {
        let directory = self.handles.directory(handle)?;
        let vfs = &self.vfs;
        let owners = &self.owners;
        let now = seconds(SystemTime::now());
        let mut line = Vec::new();
        let count = self.replies.names(id, NAMES_LIMIT, |out| {
            let Some(Entry { name, metadata }) = vfs.next_entry(directory)? else {
                return Ok::<_, Error>(false);
            };
            line.clear();
            long_name(&mut line, &name, &metadata, owners, now);
            put_string(out, &name);
            put_string(out, &line);
            put_attrs(out, &metadata);
            Ok(true)
        })?;
        Ok(if count == 0 {
            Answer::Eof
        } else {
            Answer::Replied
        })
    }

    fn realpath(&mut self, id: u32, path: &[u8]) -> Outcome {
        let canonical = self.vfs.canonical(&VPath::parse(path)?)?;
        self.replies.path(id, &canonical.absolute());
        Ok(Answer::Replied)
    }

    fn rename(&mut self, from: &[u8], to: &[u8], replace: bool) -> Outcome {
        self.vfs
            .rename(&VPath::parse(from)?, &VPath::parse(to)?, replace)?;
        Ok(Answer::Done)
    }

    /// Expands "~" and "~/x" to the home; "~user" only for the session's own account (OpenSSH's PROTOCOL,
    /// section 4.9).
    fn expand_path(&mut self, id: u32, path: &[u8]) -> Outcome {
        let Some(after_tilde) = path.strip_prefix(b"~") else {
            return self.realpath(id, path);
        };
        let end = after_tilde
            .iter()
            .position(|b| *b == b'/')
            .unwrap_or(after_tilde.len());
        let (user, rest) = after_tilde.split_at(end);
        self.vfs.home_of(user)?;
        let rest = rest.to_owned();
        self.realpath(id, &rest)
    }
}
