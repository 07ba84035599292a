//! `md5sum -c`: checks files against the hashes of a list.

use std::sync::Arc;

use bytes::{Buf as _, BytesMut};
use rustix::io::Errno;

use super::lines::{Listed, escape};
use super::options::{CheckOptions, Sum};
use crate::error::Error;
use crate::exec::work::{FAILED, blocking};
use crate::io::pipe::{Disconnected, Pipe};
use crate::values::path::VPath;
use crate::vfs::{OpenFile, Vfs};

/// Longest line of a list, in bytes: a path with every byte escaped, and more.
const LONGEST_LINE: usize = 64 << 10;
/// Bytes that are read at a time.
const CHUNK: usize = 64 << 10;

/// Why the check of a list ends early.
enum Stop {
    Disconnected,
    Failed(Error),
}

impl From<Disconnected> for Stop {
    fn from(_: Disconnected) -> Self {
        Self::Disconnected
    }
}

impl From<Error> for Stop {
    fn from(error: Error) -> Self {
        Self::Failed(error)
    }
}

/// The outcome of checking a list.
#[derive(Default)]
struct CheckOutcome {
    listed: u64,
    right: u64,
    no_lines: u64,
    unreadable: u64,
    wrong: u64,
}

impl CheckOutcome {
    fn is_failure(&self, how: CheckOptions) -> bool {
        self.listed == 0
            || self.wrong + self.unreadable > 0
            || how.strict && self.no_lines > 0
            || how.ignore_missing && self.right == 0
    }
}

impl Sum {
    /// Checks all lists; `-` is the standard input.
    pub(super) async fn check_all<P: Pipe>(
        &self,
        how: CheckOptions,
        vfs: &Arc<Vfs>,
        lists: Vec<Vec<u8>>,
        pipe: &mut P,
    ) -> Result<u32, Disconnected> {
        let mut status = 0;
        for name in lists {
            vfs.session().shares().speed.take_requests(1, pipe).await;
            let mut list = CheckList::new(name);
            let outcome = match self.check_list(how, vfs, &mut list, pipe).await {
                Ok(outcome) => outcome,
                Err(Stop::Disconnected) => return Err(Disconnected),
                Err(Stop::Failed(error)) => {
                    status = FAILED;
                    pipe.notice(self.complaint(&list.shown, error)).await?;
                    continue;
                }
            };
            if outcome.is_failure(how) {
                status = FAILED;
            }
            self.sum_up(how, &list.shown, &outcome, pipe).await?;
        }
        Ok(status)
    }

    async fn check_list<P: Pipe>(
        &self,
        how: CheckOptions,
        vfs: &Arc<Vfs>,
        list: &mut CheckList,
        pipe: &mut P,
    ) -> Result<CheckOutcome, Stop> {
        let mut outcome = CheckOutcome::default();
        let mut number = 0;
        while let Some(line) = list.next_line(vfs, pipe).await? {
            number += 1;
            if matches!(line[..], [] | [b'#', ..]) {
                continue;
            }
            match Listed::parse(&line, self.algorithm) {
                Some(listed) => {
                    self.check_one(how, vfs, &listed, &mut outcome, pipe)
                        .await?;
                }
                None => {
                    outcome.no_lines += 1;
                    if how.warn {
                        let what = self.algorithm.name().to_uppercase();
                        let what = format!("{number}: improperly formatted {what} checksum line");
                        self.tell(&list.shown, &what, pipe).await?;
                    }
                }
            }
        }
        Ok(outcome)
    }

    async fn check_one<P: Pipe>(
        &self,
        how: CheckOptions,
        vfs: &Arc<Vfs>,
        listed: &Listed,
        outcome: &mut CheckOutcome,
        pipe: &mut P,
    ) -> Result<(), Disconnected> {
        outcome.listed += 1;
        let verdict = match self.of_file(vfs, &listed.name, pipe).await? {
            Ok(hash) if hash.to_string() == listed.hash => {
                outcome.right += 1;
                (!how.quiet).then_some("OK")
            }
            Ok(_) => {
                outcome.wrong += 1;
                Some("FAILED")
            }
            Err(Error::Os(Errno::NOENT)) if how.ignore_missing => None,
            Err(error) => {
                outcome.unreadable += 1;
                pipe.notice(self.complaint(&listed.name, error)).await?;
                Some("FAILED open or read")
            }
        };
        let Some(verdict) = verdict.filter(|_| !how.status) else {
            return Ok(());
        };
        let (escaped, name) = escape(&listed.name);
        let mark: &[u8] = if escaped { b"\\" } else { b"" };
        let line = [mark, &name, format!(": {verdict}\n").as_bytes()].concat();
        pipe.send(line.into()).await
    }

    async fn sum_up<P: Pipe>(
        &self,
        how: CheckOptions,
        list_name: &[u8],
        outcome: &CheckOutcome,
        pipe: &mut P,
    ) -> Result<(), Disconnected> {
        if outcome.listed == 0 {
            let what = "no properly formatted checksum lines found";
            return self.tell(list_name, what, pipe).await;
        }
        if how.status {
            return Ok(());
        }
        for (count, one, many) in [
            (
                outcome.no_lines,
                "line is improperly formatted",
                "lines are improperly formatted",
            ),
            (
                outcome.unreadable,
                "listed file could not be read",
                "listed files could not be read",
            ),
            (
                outcome.wrong,
                "computed checksum did NOT match",
                "computed checksums did NOT match",
            ),
        ] {
            if count > 0 {
                let what = if count == 1 { one } else { many };
                let command = self.command();
                pipe.notice(format!("{command}: WARNING: {count} {what}\n"))
                    .await?;
            }
        }
        if how.ignore_missing && outcome.right == 0 {
            self.tell(list_name, "no file was verified", pipe).await?;
        }
        Ok(())
    }

    async fn tell<P: Pipe>(
        &self,
        list: &[u8],
        what: &str,
        pipe: &mut P,
    ) -> Result<(), Disconnected> {
        let (command, list) = (self.command(), String::from_utf8_lossy(list));
        pipe.notice(format!("{command}: {list}: {what}\n")).await
    }
}

/// A list that is read line by line.
struct CheckList {
    /// Its name in messages.
    shown: Vec<u8>,
    source: SumSource,
    /// Bytes that are read and not parsed.
    rest: BytesMut,
    ended: bool,
}

enum SumSource {
    Input,
    /// A file by its name; once open, with the offset of the next read.
    File(Vec<u8>, Option<(OpenFile, u64)>),
}

impl CheckList {
    fn new(name: Vec<u8>) -> Self {
        let (source, shown) = if name == b"-" {
            (SumSource::Input, b"'standard input'".to_vec())
        } else {
            (SumSource::File(name.clone(), None), name)
        };
        Self {
            shown,
            source,
            rest: BytesMut::new(),
            ended: false,
        }
    }

    /// Returns the next line without its end.
    async fn next_line<P: Pipe>(
        &mut self,
        vfs: &Arc<Vfs>,
        pipe: &mut P,
    ) -> Result<Option<BytesMut>, Stop> {
        let mut looked_at = 0;
        loop {
            let new = self.rest.get(looked_at..).unwrap_or_default();
            if let Some(end) = new.iter().position(|byte| *byte == b'\n') {
                let mut line = self.rest.split_to(looked_at + end);
                self.rest.advance(1);
                if line.ends_with(b"\r") {
                    line.truncate(line.len() - 1);
                }
                return Ok(Some(line));
            }
            looked_at = self.rest.len();
            if self.ended {
                let last = self.rest.split();
                return Ok((!last.is_empty()).then_some(last));
            }
            if looked_at > LONGEST_LINE {
                let error = Error::Limit("A line of the list is too long", LONGEST_LINE as u64);
                return Err(error.into());
            }
            self.read_on(vfs, pipe).await?;
        }
    }

    async fn read_on<P: Pipe>(&mut self, vfs: &Arc<Vfs>, pipe: &mut P) -> Result<(), Stop> {
        let (name, open) = match &mut self.source {
            SumSource::Input => {
                match pipe.receive().await {
                    Some(chunk) => self.rest.extend_from_slice(&chunk),
                    None => self.ended = true,
                }
                return Ok(());
            }
            SumSource::File(name, open) => (name.clone(), open.take()),
        };
        let reading = blocking(vfs, move |vfs| read_chunk(vfs, &name, open));
        let (chunk, open) = reading.await??;
        self.ended = open.is_none();
        self.rest.unsplit(chunk);
        if let SumSource::File(_, now) = &mut self.source {
            *now = open;
        }
        Ok(())
    }
}

/// Reads the next chunk of a file; returns it with the next offset. Closes the file at its end.
fn read_chunk(
    vfs: &Vfs,
    name: &[u8],
    open: Option<(OpenFile, u64)>,
) -> Result<(BytesMut, Option<(OpenFile, u64)>), Error> {
    let (mut file, offset) = match open {
        Some(open) => open,
        None => (vfs.open_to_read(&VPath::parse(name)?)?, 0),
    };
    let mut chunk = BytesMut::new();
    let read = vfs.read(&mut file, offset, CHUNK, &mut chunk)?;
    if read == 0 {
        vfs.close(file)?;
        return Ok((chunk, None));
    }
    Ok((chunk, Some((file, offset + read as u64))))
}
