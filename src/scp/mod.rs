//! The rcp protocol, which `scp` spoke before it learned SFTP and many clients still speak (`scp -O`,
//! PuTTY's `pscp -scp`, libssh2, curl), as OpenSSH's `scp.c` has it.
//!
//! [`serve`] is the flow of a channel. What is asked is carried out by a `Sink` or a `Source`, which
//! know nothing of channels: as in SFTP, they move to the blocking pool with what has come, and are
//! back before anything is waited for. Errors go into the protocol only: clients show them to their
//! users, and what comes on stderr not always.

use std::sync::Arc;

use bytes::Bytes;
use tokio::task::JoinError;
use tracing::error;

mod args;
pub mod line;
mod sink;
mod source;
mod worker;

pub use args::{CopyDirection, ScpRequest, ScpRequestFault};
use line::{Complaint, LineReader, ScpLine};
use sink::Sink;
use source::Source;
use worker::Worker;

use crate::exec::arguments::words;
use crate::io::chunks::Pieces;
use crate::io::pipe::{Gone, Pipe};
use crate::observe::metrics::Direction as Way;
use crate::session::Shares;
use crate::vfs::Vfs;

/// About so many bytes are stored in one go on the blocking pool.
const BATCH: usize = 512 * 1024;
/// Where an account may not move files as fast as it likes, they move in steps of so many bytes.
const STEP: usize = 32 * 1024;
/// What a line asks for with which a client starts its other half here; `None` if it is no such line.
pub fn request(line: &[u8]) -> Option<Result<ScpRequest, ScpRequestFault>> {
    let mut parts = line.trim_ascii_start().split(u8::is_ascii_whitespace);
    let program = parts.next().unwrap_or_default();
    // In whatever directory the client believes it to be.
    let name = program.rsplit(|byte| *byte == b'/').next();
    (name == Some(b"scp")).then(|| ScpRequest::parse(&words(line)?))
}

/// Serves one request to its end. Returns the exit status: 1 if anything went wrong.
pub async fn serve<P: Pipe>(vfs: Vfs, request: ScpRequest, pipe: P) -> u32 {
    let vfs = Arc::new(vfs);
    let mut serving = Serving {
        shares: vfs.session().shares(),
        vfs: &vfs,
        pipe,
    };
    let outcome = match request.direction {
        CopyDirection::To => serving.receive(Sink::new(vfs.clone(), request)).await,
        CopyDirection::From => serving.send(Source::new(vfs.clone(), request)).await,
    };
    match outcome {
        Ok(has_failed) => u32::from(has_failed),
        Err(failure) => {
            error!(%failure, "a step of scp could not be carried out; its channel ends");
            1
        }
    }
}

/// Tells a client why nothing can be done for it. Returns the exit status.
pub async fn refuse<P: Pipe>(why: impl std::fmt::Display, mut pipe: P) -> u32 {
    let complaint = ScpLine::Complaint(Complaint::fatal(why));
    // If it does not hear it, it has left.
    let _ = pipe.send(complaint.encode()).await;
    1
}

/// The flow of a channel.
struct Serving<'a, P> {
    vfs: &'a Arc<Vfs>,
    shares: &'a Shares,
    pipe: P,
}

impl<P: Pipe> Serving<'_, P> {
    /// Lets a worker do something on the blocking pool. Afterwards waits until the account may have done
    /// as much, and until what was moved is recorded.
    async fn on_the_pool<W: Worker, T: Send + 'static>(
        &self,
        mut worker: W,
        mut input: T,
        work: impl FnOnce(&mut W, &mut T) + Send + 'static,
    ) -> Result<(W, T), JoinError> {
        let done = self.shares.threads.run(move || {
            work(&mut worker, &mut input);
            (worker, input)
        });
        let (mut worker, input) = done.await?;
        while self.vfs.has_unrecorded() {
            let vfs = self.vfs.clone();
            let slice = move || vfs.record_on();
            self.shares.threads.heavy(self.pipe.gone(), slice).await?;
        }
        let speed = &self.shares.speed;
        speed.take_requests(worker.take_items(), &self.pipe).await;
        Ok((worker, input))
    }

    /// Receives files. Did anything go wrong?
    async fn receive(&mut self, sink: Sink) -> Result<bool, JoinError> {
        let begin = |sink: &mut Sink, (): &mut ()| sink.begin();
        let (mut sink, ()) = self.on_the_pool(sink, (), begin).await?;
        let share = &self.shares.speed;
        let mut input = Pieces::default();
        let mut is_last = false;
        loop {
            if let Some(replies) = sink.take_replies() {
                // Unheard, what has come is still stored.
                let _ = self.pipe.send(replies).await;
            }
            if sink.has_ended() {
                return Ok(sink.has_failed());
            }
            if input.len() == 0 {
                let limit = share.limit(Way::Upload);
                let (wants, most) = match limit {
                    // In small steps, so that what is stored comes as smoothly as what is sent.
                    Some(_) => (sink.wants().min(STEP), STEP),
                    None => (sink.wants(), BATCH),
                };
                is_last = !gather(&mut input, wants, most, &mut self.pipe).await;
                let bytes = input.len() as u64;
                share.take_unless_gone(Way::Upload, bytes, &self.pipe).await;
            }
            let items = share.requests_at_once();
            let take = move |sink: &mut Sink, input: &mut Pieces| {
                sink.take(input, items);
                if is_last && input.len() == 0 {
                    sink.input_ended();
                }
            };
            (sink, input) = self.on_the_pool(sink, input, take).await?;
        }
    }

    /// Sends files. Did anything go wrong?
    async fn send(&mut self, mut source: Source) -> Result<bool, JoinError> {
        let mut answers = Answers::default();
        loop {
            while let Some(bytes) = source.take_output() {
                if self.send_in_steps(bytes).await == Err(Gone) {
                    source.lost();
                    break;
                }
            }
            if source.has_ended() {
                let finish = |source: &mut Source, (): &mut ()| source.finish();
                let (source, ()) = self.on_the_pool(source, (), finish).await?;
                return Ok(source.has_failed());
            }
            if source.awaits_answer() {
                match answers.next(&mut self.pipe).await {
                    Some(Ok(answer)) => source.answered(answer),
                    Some(Err(fault)) => source.misunderstood(fault),
                    None => source.lost(),
                }
            } else if !source.go_on_now() {
                let items = self.shares.speed.requests_at_once();
                let go_on = move |source: &mut Source, (): &mut ()| source.go_on(items);
                (source, ()) = self.on_the_pool(source, (), go_on).await?;
            }
        }
    }

    /// Sends what comes of a file, as fast as that may be.
    async fn send_in_steps(&mut self, mut bytes: Bytes) -> Result<(), Gone> {
        let share = &self.shares.speed;
        while share.limit(Way::Download).is_some() && bytes.len() > STEP {
            let step = bytes.split_to(STEP);
            share
                .take_unless_gone(Way::Download, step.len() as u64, &self.pipe)
                .await;
            self.pipe.send(step).await?;
        }
        let length = bytes.len() as u64;
        share
            .take_unless_gone(Way::Download, length, &self.pipe)
            .await;
        self.pipe.send(bytes).await
    }
}

/// Waits for so many bytes; takes about `most` if they are here already. False at the end.
async fn gather<P: Pipe>(input: &mut Pieces, wanted: usize, most: usize, pipe: &mut P) -> bool {
    while input.len() < wanted {
        match pipe.receive().await {
            Some(piece) => input.push(piece),
            None => return false,
        }
    }
    while input.len() < most
        && let Some(piece) = pipe.try_receive()
    {
        input.push(piece);
    }
    true
}

/// What a client that receives says.
#[derive(Default)]
struct Answers {
    reader: LineReader,
    /// What has come and was not read yet.
    rest: Bytes,
}

impl Answers {
    /// The next answer; `None` if none will come.
    async fn next<P: Pipe>(
        &mut self,
        pipe: &mut P,
    ) -> Option<Result<Result<(), Complaint>, line::LineFault>> {
        loop {
            if let Some(answer) = self.reader.answer(&mut self.rest).transpose() {
                return Some(answer);
            }
            self.rest = pipe.receive().await?;
        }
    }
}
