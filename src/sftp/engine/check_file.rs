//! check-file: hashes of files and of their blocks (draft-ietf-secsh-filexfer-extensions-00, section 3).

use bytes::BufMut as _;

use super::session::Engine;
use super::unfinished::{Answer, Checking, HashSubject, Outcome, Rest};
use crate::error::Error;
use crate::hashes::Algorithm;
use crate::sftp::extensions::{CheckFile, CheckTarget};
use crate::sftp::wire::put_string;
use crate::values::path::VPath;
use crate::vfs::{OpenFile, Part};

/// Most bytes of hashes in one reply, which must fit in a packet.
const MAX_HASHES: usize = 128 * 1024;
/// The draft's minimum block size.
const LEAST_BLOCK: u32 = 256;

impl Engine {
    pub(super) fn check_file(&mut self, id: u32, request: CheckFile) -> Outcome {
        let algorithm = request
            .algorithms
            .split(|byte| *byte == b',')
            .find_map(Algorithm::named)
            .ok_or(Error::Unsupported(
                "None of these hash algorithms is supported",
            ))?;
        let block = match request.block_size {
            0 => None,
            size if size < LEAST_BLOCK => {
                return Err(Error::Invalid("A block has at least 256 bytes"));
            }
            size => Some(u64::from(size)),
        };
        let part = Part {
            offset: request.offset,
            length: (request.length > 0).then_some(request.length),
        };
        let of = match request.of {
            CheckTarget::Handle(handle) => HashSubject::Handle(handle),
            CheckTarget::Path(path) => {
                HashSubject::Opened(self.vfs.open_to_hash(&VPath::parse(&path)?)?)
            }
        };
        let begin = |file| {
            self.vfs
                .hash_blocks(file, algorithm, part, block, MAX_HASHES)
        };
        let hashing = match self.subject(&of).and_then(begin) {
            Ok(hashing) => hashing,
            Err(error) => return self.close_subject(of).and(Err(error)),
        };
        let checking = Checking {
            of,
            names_itself: request.names_itself,
            algorithm,
            hashing,
        };
        self.checked(id, Box::new(checking), Ok(()))
    }

    /// Computes a slice.
    pub(super) fn check_on(&mut self, id: u32, mut checking: Box<Checking>) -> Outcome {
        let Checking { of, hashing, .. } = &mut *checking;
        let file = self.subject(of);
        let computed = file.and_then(|file| self.vfs.hash_on(file, hashing));
        self.checked(id, checking, computed)
    }

    /// Returns the reply once everything is computed.
    fn checked(
        &mut self,
        id: u32,
        checking: Box<Checking>,
        computed: Result<(), Error>,
    ) -> Outcome {
        if computed.is_ok() && checking.hashing.done().is_none() {
            return Ok(Answer::Later(Rest::Check(checking)));
        }
        self.close_subject(checking.of)?;
        computed?;
        self.replies.extended(id, |out| {
            if checking.names_itself {
                put_string(out, b"check-file");
            }
            put_string(out, checking.algorithm.name().as_bytes());
            out.put_slice(checking.hashing.done().unwrap_or_default());
        });
        Ok(Answer::Replied)
    }

    fn subject<'a>(&'a self, of: &'a HashSubject) -> Result<&'a OpenFile, Error> {
        match of {
            HashSubject::Handle(handle) => self.handles.shared(handle),
            HashSubject::Opened(file) => Ok(file),
        }
    }

    fn close_subject(&self, of: HashSubject) -> Result<(), Error> {
        match of {
            HashSubject::Handle(_) => Ok(()),
            HashSubject::Opened(file) => self.vfs.close(file),
        }
    }
}
