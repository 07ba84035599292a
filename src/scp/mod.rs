//! The rcp protocol, which `scp` used before SFTP and many clients still use (`scp -O`, PuTTY's `pscp
//! -scp`, libssh2, curl), as OpenSSH's `scp.c` implements it.
//!
//! [`serve`] is the main loop of a channel. A `Sink` or a `Source` carries out the request and knows
//! nothing of channels: as in SFTP, it moves to the blocking pool with the received data and returns before
//! anything waits for the peer. Errors are sent in the protocol only, which clients show to their users;
//! stderr they do not always show.

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
use crate::io::chunks::Chunks;
use crate::io::pipe::{Disconnected, Pipe};
use crate::observe::outcome::Direction;
use crate::session::Shares;
use crate::vfs::Vfs;

/// Approximate bytes that one batch on the blocking pool stores.
const BATCH: usize = 512 * 1024;
/// Step of a transfer with a bandwidth limit, in bytes.
const STEP: usize = 32 * 1024;
/// Parses the command line with which a client starts the remote scp; `None` if it is another command.
pub fn request(line: &[u8]) -> Option<Result<ScpRequest, ScpRequestFault>> {
    let mut parts = line.trim_ascii_start().split(u8::is_ascii_whitespace);
    let program = parts.next().unwrap_or_default();
    // The client may give any directory.
    let name = program.rsplit(|byte| *byte == b'/').next();
    (name == Some(b"scp")).then(|| ScpRequest::parse(&words(line)?))
}

/// Serves one request. Returns the exit status: 1 if anything failed.
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
            error!(%failure, "a step of scp panicked; closing its channel");
            1
        }
    }
}

/// Reports to a client why its request is refused. Returns the exit status.
pub async fn refuse<P: Pipe>(why: impl std::fmt::Display, mut pipe: P) -> u32 {
    let complaint = ScpLine::Complaint(Complaint::fatal(why));
    // A failure means that the client has disconnected.
    let _ = pipe.send(complaint.encode()).await;
    1
}

/// The state of a channel's main loop.
struct Serving<'a, P> {
    vfs: &'a Arc<Vfs>,
    shares: &'a Shares,
    pipe: P,
}

impl<P: Pipe> Serving<'_, P> {
    /// Runs a step of a worker on the blocking pool. Then waits until the account's limits allow the step,
    /// and until its events are recorded.
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
            self.shares
                .threads
                .heavy(self.pipe.disconnected(), slice)
                .await?;
        }
        let speed = &self.shares.speed;
        speed.take_requests(worker.take_items(), &self.pipe).await;
        Ok((worker, input))
    }

    /// Receives files. Returns whether anything failed.
    async fn receive(&mut self, sink: Sink) -> Result<bool, JoinError> {
        let begin = |sink: &mut Sink, (): &mut ()| sink.begin();
        let (mut sink, ()) = self.on_the_pool(sink, (), begin).await?;
        let share = &self.shares.speed;
        let mut input = Chunks::default();
        let mut is_last = false;
        loop {
            if let Some(replies) = sink.take_replies() {
                // Received data is stored even if nobody reads the replies.
                let _ = self.pipe.send(replies).await;
            }
            if sink.has_ended() {
                return Ok(sink.has_failed());
            }
            if input.len() == 0 {
                let limit = share.limit(Direction::Upload);
                let (wants, most) = match limit {
                    // In small steps, so that data is stored as smoothly as it is sent.
                    Some(_) => (sink.wants().min(STEP), STEP),
                    None => (sink.wants(), BATCH),
                };
                is_last = !gather(&mut input, wants, most, &mut self.pipe).await;
                let bytes = input.len() as u64;
                share
                    .take_unless_disconnected(Direction::Upload, bytes, &self.pipe)
                    .await;
            }
            let items = share.requests_at_once();
            let take = move |sink: &mut Sink, input: &mut Chunks| {
                sink.take(input, items);
                if is_last && input.len() == 0 {
                    sink.input_ended();
                }
            };
            (sink, input) = self.on_the_pool(sink, input, take).await?;
        }
    }

    /// Sends files. Returns whether anything failed.
    async fn send(&mut self, mut source: Source) -> Result<bool, JoinError> {
        let mut answers = Answers::default();
        loop {
            while let Some(bytes) = source.take_output() {
                if self.send_in_steps(bytes).await == Err(Disconnected) {
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

    /// Sends data of a file within the bandwidth limit.
    async fn send_in_steps(&mut self, mut bytes: Bytes) -> Result<(), Disconnected> {
        let share = &self.shares.speed;
        while share.limit(Direction::Download).is_some() && bytes.len() > STEP {
            let step = bytes.split_to(STEP);
            share
                .take_unless_disconnected(Direction::Download, step.len() as u64, &self.pipe)
                .await;
            self.pipe.send(step).await?;
        }
        let length = bytes.len() as u64;
        share
            .take_unless_disconnected(Direction::Download, length, &self.pipe)
            .await;
        self.pipe.send(bytes).await
    }
}

/// Waits for `wanted` bytes, and takes about `most` if they have arrived. Returns false at the end.
async fn gather<P: Pipe>(input: &mut Chunks, wanted: usize, most: usize, pipe: &mut P) -> bool {
    while input.len() < wanted {
        match pipe.receive().await {
            Some(chunk) => input.push(chunk),
            None => return false,
        }
    }
    while input.len() < most
        && let Some(chunk) = pipe.try_receive()
    {
        input.push(chunk);
    }
    true
}

/// The answers of a receiving client.
#[derive(Default)]
struct Answers {
    reader: LineReader,
    /// Received bytes that are not read yet.
    rest: Bytes,
}

impl Answers {
    /// Returns the next answer; `None` at the end.
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
