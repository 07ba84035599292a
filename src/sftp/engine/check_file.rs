//! check-file: hashes of files and of their blocks (draft-ietf-secsh-filexfer-extensions-00, section 3).

use bytes::{BufMut as _, Bytes};

use super::{Answer, Engine, Outcome};
use crate::error::Error;
use crate::hashes::Algorithm;
use crate::path::VPath;
use crate::sftp::extensions::{CheckFile, Checked};
use crate::sftp::packet::put_string;
use crate::vfs::Part;

/// Most bytes of hashes in one reply, which must fit in a packet.
const MAX_HASHES: usize = 128 * 1024;
/// The draft allows no smaller blocks.
const LEAST_BLOCK: u32 = 256;

impl Engine {
    pub(super) fn check_file(&mut self, id: u32, request: CheckFile) -> Outcome {
        let algorithm = request
            .algorithms
            .split(|byte| *byte == b',')
            .find_map(Algorithm::named)
            .ok_or(Error::Unsupported("None of these hashes is known here"))?;
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
        let hashes = match &request.of {
            Checked::Handle(handle) => {
                let file = self.handles.file(handle)?;
                self.vfs
                    .hash_blocks(file, algorithm, part, block, MAX_HASHES)?
            }
            Checked::Path(path) => self.check_path(path, algorithm, part, block)?,
        };
        self.replies.extended(id, |out| {
            if request.names_itself {
                put_string(out, b"check-file");
            }
            put_string(out, algorithm.name().as_bytes());
            out.put_slice(&hashes);
        });
        Ok(Answer::Replied)
    }

    fn check_path(
        &mut self,
        path: &Bytes,
        algorithm: Algorithm,
        part: Part,
        block: Option<u64>,
    ) -> Result<Vec<u8>, Error> {
        let file = self.vfs.open_to_hash(&VPath::parse(path)?)?;
        let hashes = self
            .vfs
            .hash_blocks(&file, algorithm, part, block, MAX_HASHES);
        self.vfs.close(file)?;
        hashes
    }
}
