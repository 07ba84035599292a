//! SFTP version 3 on a channel: draft-ietf-secsh-filexfer-02 as OpenSSH implements it.
//!
//! [`serve`] is the main loop of a channel; [`engine::Engine`] carries out one request after another and
//! knows nothing of channels. PROTOCOL.md lists every request, extension and deviation.

use std::collections::VecDeque;

use bytes::Bytes;
use tokio::task::JoinError;
use tokio::time::timeout;
use tracing::{debug, error};

pub mod attrs;
pub mod client;
pub mod engine;
pub mod extensions;
mod handles;
pub mod kind;
pub mod names;
pub mod reply;
pub mod request;
pub mod status;
pub mod wire;

use engine::Engine;
use wire::{Broken, Frame, Framer};

use crate::io::pipe::{Disconnected, Pipe};
use crate::observe::outcome::Direction;
use crate::quota::DEFERRED_AT_MOST;
use crate::session::bandwidth::Share;

/// Waiting bytes of replies at which they are sent.
const SEND_AT: usize = 64 * 1024;

/// Most requests, and approximate bytes of requests, that one batch on the blocking pool carries out before
/// their replies are sent.
const BATCH_REQUESTS: usize = 128;
const BATCH_BYTES: usize = 512 * 1024;

/// Serves SFTP until the peer ends it. Returns the exit status: 0, or 1 after broken framing.
///
/// Requests take effect, and replies are sent, in the order of arrival. Every request that was received
/// completely takes effect, even if the peer disconnects without waiting for the reply.
pub async fn serve<P: Pipe>(mut engine: Engine, mut pipe: P) -> u32 {
    let share = engine.session().shares().speed.clone();
    let mut framer = Framer::default();
    let mut ready = VecDeque::new();
    let mut ending = None;
    loop {
        let is_held_back = share.limit(Direction::Upload).is_some();
        if ending.is_none() {
            let (known, most) = (ready.len(), share.requests_at_once().min(BATCH_REQUESTS));
            if gather(&mut framer, &mut ready, most, is_held_back, &mut pipe).is_err() {
                ending = Some(1);
            }
            share.take_requests(ready.len() - known, &pipe).await;
        }
        if ready.is_empty() {
            if let Some(exit_status) = ending {
                finish(engine, &pipe).await;
                return exit_status;
            }
            // After the batch, so that the server consumes no more data than it carries out.
            match receive(&mut engine, &mut pipe).await {
                Some(chunk) => framer.push(chunk),
                None => ending = Some(0),
            }
            continue;
        }
        while let Some(frame) = ready.front() {
            if engine.replies().len() >= SEND_AT || !engine.carry_out_now(frame) {
                break;
            }
            ready.pop_front();
            close_deferred(&engine);
        }
        if !ready.is_empty() && engine.replies().len() < SEND_AT {
            let mut most = ready.len();
            if is_held_back {
                most = next_part(&share, &ready, &pipe).await;
            }
            let user = engine.session().user().to_owned();
            engine = match carry_out(engine, &mut ready, most, &pipe).await {
                Ok((engine, whole)) => {
                    if !whole {
                        ending = Some(1);
                        ready.clear();
                    }
                    engine
                }
                Err(failure) => {
                    error!(user, %failure, "a request panicked; closing its channel");
                    return 1;
                }
            };
        }

        let read = engine.take_read_bytes();
        share
            .take_unless_disconnected(Direction::Download, read, &pipe)
            .await;
        if send_all(&mut engine, &mut pipe).await == Err(Disconnected) {
            engine.unheard();
        }
    }
}

/// Waits for the next chunk. If that takes a while, closes files that are no longer in use.
async fn receive<P: Pipe>(engine: &mut Engine, pipe: &mut P) -> Option<Bytes> {
    while engine.session().ledger().has_deferred() {
        if let Ok(chunk) = timeout(DEFERRED_AT_MOST, pipe.receive()).await {
            return chunk;
        }
        close_deferred(engine);
    }
    pipe.receive().await
}

/// Closes files that are no longer in use, many at a time, since this wakes another thread.
fn close_deferred(engine: &Engine) {
    if let Some(closer) = engine.session().ledger().must_close_deferred() {
        let threads = &engine.session().shares().threads;
        threads.begin(move || closer.close());
    }
}

/// Decodes received data into requests, up to about a batch. With an upload limit, data behind a WRITE
/// stays in the window, so that the peer sends no faster than the server writes.
fn gather<P: Pipe>(
    framer: &mut Framer,
    ready: &mut VecDeque<Frame>,
    most: usize,
    is_held_back: bool,
    pipe: &mut P,
) -> Result<(), Broken> {
    let mut bytes: usize = ready.iter().map(Frame::remaining).sum();
    while ready.len() < most
        && bytes < BATCH_BYTES
        && !(is_held_back && ready.back().is_some_and(is_write))
    {
        match framer.next_frame() {
            Ok(Some(frame)) => {
                bytes += frame.remaining();
                ready.push_back(frame);
            }
            Ok(None) => match pipe.try_receive() {
                Some(chunk) => framer.push(chunk),
                None => break,
            },
            Err(broken) => {
                debug!(%broken, "SFTP channel ended");
                return Err(broken);
            }
        }
    }
    Ok(())
}

fn is_write(frame: &Frame) -> bool {
    frame.peek() == Some(kind::WRITE)
}

/// Returns how many of these requests to carry out next: those before a WRITE, or the WRITE alone after
/// waiting for bandwidth.
async fn next_part<P: Pipe>(share: &Share, ready: &VecDeque<Frame>, pipe: &P) -> usize {
    match ready.front() {
        Some(write) if is_write(write) => {
            let bytes = write.remaining() as u64;
            share
                .take_unless_disconnected(Direction::Upload, bytes, pipe)
                .await;
            1
        }
        _ => ready.iter().position(is_write).unwrap_or(ready.len()),
    }
}

/// Carries out a batch of requests on the blocking pool; a long-running request completes there. Returns
/// the engine, and whether the stream can continue.
async fn carry_out<P: Pipe>(
    mut engine: Engine,
    ready: &mut VecDeque<Frame>,
    most: usize,
    pipe: &P,
) -> Result<(Engine, bool), JoinError> {
    let later = ready.split_off(most.min(ready.len()));
    let mut batch = std::mem::replace(ready, later);
    let threads = engine.session().shares().threads.clone();
    let work = move || {
        engine.session().ledger().close_deferred();
        let mut bytes = 0;
        let mut whole = true;
        while whole
            && bytes < BATCH_BYTES
            && engine.replies().len() < SEND_AT
            && !engine.is_unfinished()
        {
            let Some(frame) = batch.pop_front() else {
                break;
            };
            bytes += frame.remaining();
            whole = engine.carry_out(frame);
        }
        (engine, batch, whole)
    };
    let (mut engine, mut rest, whole) = threads.run(work).await?;
    rest.append(ready);
    *ready = rest;
    while engine.is_unfinished() {
        let slice = move || {
            engine.go_on();
            engine
        };
        engine = threads.heavy(pipe.disconnected(), slice).await?;
    }
    Ok((engine, whole))
}

async fn send_all<P: Pipe>(engine: &mut Engine, pipe: &mut P) -> Result<(), Disconnected> {
    while let Some(bytes) = engine.replies().take() {
        pipe.send(bytes).await?;
    }
    for line in engine.take_notices() {
        pipe.notice(line).await?;
    }
    Ok(())
}

/// Closes the files that the peer left open; closing may block.
async fn finish<P: Pipe>(engine: Engine, pipe: &P) {
    if !engine.holds_handles() {
        return;
    }
    if let Err(failure) = close_all(engine, pipe).await {
        error!(%failure, "cannot close the files of a session");
    }
}

async fn close_all<P: Pipe>(mut engine: Engine, pipe: &P) -> Result<(), JoinError> {
    let threads = engine.session().shares().threads.clone();
    let closing = move || {
        engine.finish();
        engine
    };
    engine = threads.run(closing).await?;
    while engine.is_recording() {
        let slice = move || {
            engine.record_on();
            engine
        };
        engine = threads.heavy(pipe.disconnected(), slice).await?;
    }
    Ok(())
}
