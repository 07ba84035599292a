//! `md5sum` and similar commands, with the output of GNU coreutils (its manual, section 6.4 and following).

mod check;
mod lines;
mod options;

use std::sync::Arc;

use bytes::Bytes;

use self::lines::escape;
use self::options::CheckOptions;
pub(super) use self::options::Sum;
use super::work::{FAILED, heavy};
use crate::error::Error;
use crate::exec::arguments::Word;
use crate::exec::glob::Expansion;
use crate::hashes::{Algorithm, Hash, Hasher};
use crate::io::pipe::{Disconnected, Pipe};
use crate::values::path::VPath;
use crate::vfs::{HashingFile, Vfs};

/// Bytes of the standard input that are hashed at a time.
const GATHERED: usize = 1 << 20;

impl Sum {
    pub(super) fn new(algorithm: Algorithm) -> Self {
        Self {
            algorithm,
            binary: false,
            tag: false,
            zero: false,
            check: None,
        }
    }

    /// Hashes all files, or the standard input without any. Reports a failure and continues.
    pub(super) async fn run<P: Pipe>(
        mut self,
        vfs: &Arc<Vfs>,
        words: Vec<Word>,
        pipe: &mut P,
    ) -> Result<u32, Disconnected> {
        let words = match self.options(words) {
            Ok(words) => words,
            Err(line) => {
                pipe.notice(line).await?;
                return Ok(FAILED);
            }
        };
        let mut names = match heavy(vfs, pipe, move |vfs| expand(vfs, words)).await? {
            Ok(names) => names,
            Err(error) => {
                pipe.notice(format!("{}: {error}\n", self.command()))
                    .await?;
                return Ok(FAILED);
            }
        };
        if names.is_empty() {
            names.push(b"-".to_vec());
        }
        if let Some(how) = self.check {
            return self.check_all(how, vfs, names, pipe).await;
        }
        let mut status = 0;
        for name in names {
            let hash = if name == b"-" {
                Ok(self.of_input(vfs, pipe).await?)
            } else {
                self.of_file(vfs, &name, pipe).await?
            };
            match hash {
                Ok(hash) => pipe.send(self.line(&name, &hash)).await?,
                Err(error) => {
                    status = FAILED;
                    pipe.notice(self.complaint(&name, error)).await?;
                }
            }
        }
        Ok(status)
    }

    /// Takes the options; returns the remaining arguments, which are names.
    fn options(&mut self, words: Vec<Word>) -> Result<Vec<Word>, String> {
        let mut names = Vec::new();
        let mut checking = CheckOptions::default();
        let mut check = false;
        let mut words = words.into_iter();
        while let Some(word) = words.next() {
            match word.text.as_slice() {
                b"--" => {
                    names.extend(words);
                    break;
                }
                b"-b" | b"--binary" => self.binary = true,
                b"-t" | b"--text" => self.binary = false,
                b"-z" | b"--zero" => self.zero = true,
                b"--tag" => self.tag = true,
                b"-c" | b"--check" => check = true,
                b"--quiet" => checking.quiet = true,
                b"--status" => checking.status = true,
                b"-w" | b"--warn" => checking.warn = true,
                b"--strict" => checking.strict = true,
                b"--ignore-missing" => checking.ignore_missing = true,
                option if option.starts_with(b"-") && option != b"-" => {
                    let command = self.command();
                    let option = String::from_utf8_lossy(option).into_owned();
                    return Err(format!(
                        "{command}: unknown option \"{option}\"; supported: -b, -c, -t, -w, -z, --tag, \
                         --quiet, --status, --strict and --ignore-missing\n"
                    ));
                }
                _ => names.push(word),
            }
        }
        self.check = check.then_some(checking);
        Ok(names)
    }

    /// Hashes a file in slices. Counts as a request.
    async fn of_file<P: Pipe>(
        &self,
        vfs: &Arc<Vfs>,
        name: &[u8],
        pipe: &P,
    ) -> Result<Result<Hash, Error>, Disconnected> {
        vfs.session().shares().speed.take_requests(1, pipe).await;
        let mut file = match VPath::parse(name) {
            Ok(path) => HashingFile::new(path, self.algorithm),
            Err(error) => return Ok(Err(error.into())),
        };
        loop {
            let slice = heavy(vfs, pipe, move |vfs| {
                let hash = vfs.hash_file_on(&mut file);
                (file, hash)
            });
            let hash;
            (file, hash) = slice.await?;
            if let Some(hash) = hash.transpose() {
                return Ok(hash);
            }
        }
    }

    fn command(&self) -> String {
        match self.algorithm {
            Algorithm::Crc32 => "crc32".to_owned(),
            algorithm => format!("{}sum", algorithm.name()),
        }
    }

    /// Hashes the standard input, in large chunks and on another thread than the connection's.
    async fn of_input<P: Pipe>(&self, vfs: &Arc<Vfs>, pipe: &mut P) -> Result<Hash, Disconnected> {
        let mut hasher = Hasher::new(self.algorithm);
        while let Some(first) = pipe.receive().await {
            let mut length = first.len();
            let mut chunks = vec![first];
            while length < GATHERED {
                let Some(chunk) = pipe.try_receive() else {
                    break;
                };
                length += chunk.len();
                chunks.push(chunk);
            }
            let slice = heavy(vfs, pipe, move |_| {
                chunks.iter().for_each(|chunk| hasher.update(chunk));
                hasher
            });
            hasher = slice.await?;
        }
        Ok(hasher.finish())
    }

    fn line(&self, name: &[u8], hash: &Hash) -> Bytes {
        let (escaped, name) = if self.zero {
            (false, name.to_vec())
        } else {
            escape(name)
        };
        let mut line = Vec::new();
        if escaped {
            line.push(b'\\');
        }
        if self.tag {
            let algorithm = self.algorithm.name().to_uppercase();
            line.extend_from_slice(format!("{algorithm} (").as_bytes());
            line.extend_from_slice(&name);
            line.extend_from_slice(format!(") = {hash}").as_bytes());
        } else {
            let mark = if self.binary { '*' } else { ' ' };
            line.extend_from_slice(format!("{hash} {mark}").as_bytes());
            line.extend_from_slice(&name);
        }
        line.push(if self.zero { 0 } else { b'\n' });
        line.into()
    }

    fn complaint(&self, name: &[u8], error: Error) -> String {
        let (_, name) = escape(name);
        let name = String::from_utf8_lossy(&name);
        format!("{}: {name}: {error}\n", self.command())
    }
}

/// Expands the patterns of arguments to names.
fn expand(vfs: &Vfs, words: Vec<Word>) -> Result<Vec<Vec<u8>>, Error> {
    let mut expansion = Expansion::default();
    let mut names = Vec::new();
    for word in words {
        names.append(&mut expansion.paths(vfs, word)?);
    }
    Ok(names)
}
